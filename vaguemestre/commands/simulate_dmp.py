"""``simulate dmp``: a DMP on this machine, for a rehearsal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from channels.errors import ConfigError
from vaguemestre.simulators.dmp import french
from vaguemestre.simulators.dmp.registry import PATIENT_STATES
from vaguemestre.simulators.dmp.server import DmpSimulator
from vaguemestre.simulators.dmp.service import Case
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.pki import PASSWORD, Authority

_SITE = """\
[bold]À mettre dans site.yaml / to put in site.yaml[/]
certificates:
  dmp-client: {{file: {folder}/dmp-client.p12, password: {password}, use: client}}
  dmp-sign:   {{file: {folder}/dmp-sign.p12, password: {password}, use: sign}}
[bold]Adresse du DMP / address of the DMP[/]      {url}
[bold]Autorité / authority (PEM)[/]                {authority}
[bold]Structure des certificats / of the certificates[/]  {structure}
[bold]État / state[/]        curl {control}/_state
[bold]Incidents / faults[/]  curl -d '{{"kind": "refuse", "code": "DMPClosed"}}' {control}/_behave
[bold]Patients[/]            curl -d '{{"ins": "279035121518989", "state": "closed"}}' {control}/_patient
"""


def dmp(
    listen: Annotated[
        str, typer.Option(help="Address and port of the services; port 0 takes a free one.")
    ] = "127.0.0.1:8443",
    name: Annotated[
        list[str] | None, typer.Option(help="Name or address by which others reach this machine; may be given again.")
    ] = None,
    control: Annotated[int, typer.Option(min=0, max=65535, help="Local port, in plain HTTP, to steer it.")] = 8444,
    directory: Annotated[Path | None, typer.Option(help="Where the state is kept; in memory without.")] = None,
    certificates: Annotated[
        Path, typer.Option(help="Folder of the rehearsal's certificates; filled when it is empty.")
    ] = Path("pki"),
    structure: Annotated[
        str, typer.Option(help="Struct_IdNat of the certificates: 1, then the FINESS.")
    ] = "1990000001",
    schemas: Annotated[Path | None, typer.Option(help="Folder of the official ebRS and XDS.b schemas.")] = None,
    patient: Annotated[
        str, typer.Option(help=f"State of the DMP of patients not spoken of: {', '.join(PATIENT_STATES)}.")
    ] = "active",
    issuer_order: Annotated[str, typer.Option(help="Order of the VIHF's Issuer: rfc2253, x500 or any.")] = "rfc2253",
    vihf_version: Annotated[list[str] | None, typer.Option(help="Accepted VIHF_Version; may be given again.")] = None,
    digest: Annotated[list[str] | None, typer.Option(help="Accepted digest of signatures, sha1 or sha256.")] = None,
    *,
    inline: Annotated[bool, typer.Option("--inline", help="Take documents as Base64 in the envelope too.")] = False,
    consultation: Annotated[bool, typer.Option("--consultation", help="Answer FindDocuments.")] = False,
) -> None:
    """Be a DMP: take lots, replacements, deletions, queries and existence tests; check them; show each.

    Every rule that a request breaks is shown with its source, and answered as the DMP would. Without the official
    schemas (--schemas) the simulator's own grammar is used, which says a little less. Misbehaviours are asked for at
    the local address: slow, refuse, warn, partial, fault, empty, http, garbage, cut, cut-before, mtom, twice, hide.

    Example: vaguemestre simulate dmp --directory dmp --certificates pki
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or patient not in PATIENT_STATES:
        raise ConfigError("--listen takes host:port, --patient one of " + ", ".join(PATIENT_STATES))
    if issuer_order not in {"rfc2253", "x500", "any"}:
        raise ConfigError("--issuer-order takes rfc2253, x500 or any")
    settings = DmpSettings(
        vihf_versions=frozenset(vihf_version or ("3.0",)), digests=frozenset(digest or ("sha1", "sha256")),
        issuer_order=issuer_order, inline=inline, consultation=consultation, schemas=schemas,
        hosts=tuple(name or ()),
    )  # fmt: skip
    authority = Authority(certificates)
    authority.keep("dmp-client", "client", structure=structure)
    authority.keep("dmp-sign", "sign", structure=structure)
    console = Console(highlight=False, soft_wrap=True)

    def show(case: Case) -> None:
        for line in french.lines(case):
            console.print(line)

    simulator = DmpSimulator(
        port=int(port), host=host.strip("[]"), authority=authority, directory=directory, settings=settings,
        control_port=control, default_patient=patient, on_request=show,
    )  # fmt: skip
    if schemas is None:
        console.print("[yellow]Sans --schemas : schémas officiels non vérifiés / official schemas not checked[/]")
    asyncio.run(_serve(simulator, console, structure))


async def _serve(simulator: DmpSimulator, console: Console, structure: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in the loop
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await simulator.start()
    try:
        authority = simulator.authority
        console.print(
            _SITE.format(
                folder=authority.directory.resolve(), password=PASSWORD, url=simulator.url, structure=structure,
                authority=authority.file.resolve(), control=simulator.control_url,
            )
        )  # fmt: skip
        await stop.wait()
    finally:
        await simulator.stop()
