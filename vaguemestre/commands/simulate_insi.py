"""``simulate insi``."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vaguemestre.simulators.insi.people import read_people
from vaguemestre.simulators.insi.rules import InsiRules
from vaguemestre.simulators.insi.service import Behaviour, InsiSimulator
from vaguemestre.simulators.pki import PASSWORD, Authority

_console = Console(highlight=False)


def insi(
    directory: Annotated[Path, typer.Option(help="Folder of certificates; made.")] = Path("insi"),
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTPS port.")] = 8445,
    people: Annotated[
        Path | None,
        typer.Option(help="Table of people (CSV), under test OIDs; absent: eight invented ones.", dir_okay=False),
    ] = None,
    idam: Annotated[
        list[str] | None, typer.Option(help="Authorisation number that is taken; repeat. Absent: SIMULATEUR.")
    ] = None,
    structure: Annotated[
        str, typer.Option(help="Structure (Struct_IdNat) of the certificates that it makes.")
    ] = "1990000001",
    slow: Annotated[float, typer.Option(help="Seconds before each answer.")] = 0.0,
    code: Annotated[str, typer.Option(help="Code of every search: 00, 01, 02.")] = "",
    fault: Annotated[str, typer.Option(help="SOAP fault to every call, such as insi_102.")] = "",
) -> None:
    """INSi: searches by traits and verifications over mutual TLS; checks each call and tells which rules it breaks.

    Example: vaguemestre simulate insi --directory insi
    """
    simulator, certificates = build(directory.resolve(), people, idam or ["SIMULATEUR"], structure)
    simulator.behaviour = Behaviour(slow=slow, code=code, fault=fault)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(simulator, listen, port, certificates))


def build(
    directory: Path, people: Path | None, idam: list[str], structure: str
) -> tuple[InsiSimulator, dict[str, Path]]:
    """The simulator, and the files that its clients need: ``client``, ``sign``, ``authority``."""
    authority = Authority(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.keep("server", "server").pem)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    rules = InsiRules(frozenset(idam), timedelta(minutes=10), authority.certificate)
    files = {
        "client": authority.keep("auth", "client", structure=structure).p12,
        "sign": authority.keep("sign", "sign", structure=structure).p12,
        "authority": authority.file,
    }
    return InsiSimulator(read_people(people), rules, context), files


async def _run(simulator: InsiSimulator, host: str, port: int, files: dict[str, Path]) -> None:
    await simulator.start(host, port)
    try:
        _console.print(f"[bold]INSi simulé[/] : {simulator.url} (certificat client)")
        _console.print(f"Certificat à présenter : {files['client']} (mot de passe {PASSWORD})")
        _console.print(f"Certificat qui signe : {files['sign']} (mot de passe {PASSWORD})")
        _console.print(f"Autorité à croire : {files['authority']}")
        _console.print(f"{len(simulator.people)} personnes inventées ; POST {simulator.base}/_behave pour les pannes\n")
        shown = 0
        while True:
            await asyncio.sleep(0.2)
            for one in simulator.calls[shown:]:
                verdict = f"[red]{' '.join(one.broken)}[/]" if one.broken else "[green]conforme[/]"
                _console.print(f"{one.operation or '?'} : {one.answered or 'en cours'}, {verdict}")
            shown = len(simulator.calls)
    finally:
        await simulator.stop()
