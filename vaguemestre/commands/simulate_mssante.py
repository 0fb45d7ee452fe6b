"""``simulate mssante``."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vaguemestre.simulators.mssante.imap import PASSWORD
from vaguemestre.simulators.mssante.operator import Manners, MssanteSimulator, Received
from vaguemestre.simulators.pki import PASSWORD as P12_PASSWORD
from vaguemestre.simulators.pki import Authority

_console = Console(highlight=False)


def mssante(
    directory: Annotated[Path, typer.Option(help="Folder of certificates and mails; made.")] = Path("mssante"),
    certificates: Annotated[
        Path | None, typer.Option(help="Folder of the rehearsal's certificates, to share it; in DIRECTORY when absent.")
    ] = None,
    mailbox: Annotated[list[str] | None, typer.Option(help="A mailbox; repeat.")] = None,
    smtp: Annotated[int, typer.Option(help="SMTP port (STARTTLS).")] = 2587,
    imap: Annotated[int, typer.Option(help="IMAP port (STARTTLS).")] = 2143,
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    bounce: Annotated[
        list[str] | None, typer.Option(help="A mailbox that takes, then cannot be reached (DSN); repeat.")
    ] = None,
    reading: Annotated[str, typer.Option(help="Reading report: displayed, processed, deleted or none.")] = "displayed",
    error: Annotated[str, typer.Option(help="Error that readers report, `902^label`.")] = "",
    slow: Annotated[float, typer.Option(help="Seconds before each answer to a mail.")] = 0.0,
    strict: Annotated[bool, typer.Option(help="Refuse a mail with a fault (554).")] = False,
) -> None:
    """An MSSanté operator: SMTP and IMAP with client certificates; checks each mail and shows what is wrong.

    Example: vaguemestre simulate mssante --mailbox labo@chu.mssante.fr --mailbox anne@cabinet.mssante.fr
    """
    states = {"displayed": "displayed", "processed": "processed", "deleted": "deleted", "none": ""}
    if reading not in states:
        raise typer.BadParameter("displayed, processed, deleted or none", param_hint="--reading")
    boxes = mailbox or ["labo@chu.mssante.fr", "anne.durand@cabinet.mssante.fr"]
    authority = Authority(certificates.resolve()) if certificates is not None else None
    operator = MssanteSimulator(directory.resolve(), boxes, authority=authority, smtp_port=smtp, imap_port=imap)
    manners = Manners(
        frozenset(one.lower() for one in bounce or ()), reading=states[reading], error=error, slow=slow, strict=strict  # type: ignore[arg-type]  # one of the literals
    )  # fmt: skip
    operator.behave(manners)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(operator, listen))


async def _run(operator: MssanteSimulator, host: str) -> None:
    await operator.start(host)
    try:
        _tell(operator, host)
        shown = 0
        while True:
            await asyncio.sleep(0.2)
            for one in operator.mails[shown:]:
                _show(one)
            shown = len(operator.mails)
    finally:
        await operator.stop()


def _tell(operator: MssanteSimulator, host: str) -> None:
    _console.print(
        f"[bold]Opérateur MSSanté simulé[/] : SMTP {host}:{operator.smtp_port} (STARTTLS, certificat client)"
    )
    if operator.imap_port:
        _console.print(f"IMAP {host}:{operator.imap_port} (STARTTLS, certificat client, mot de passe {PASSWORD})")
    else:
        _console.print("IMAP : Dovecot n'est pas installé ; les courriels restent lisibles en Maildir.")
    _console.print(f"Certificat à présenter : {operator.client.p12} (mot de passe {P12_PASSWORD})")
    _console.print(f"Autorité à croire : {operator.authority.file}")
    _console.print(f"Boîtes : {', '.join(sorted(operator.mailboxes))}, et tout patient dont la clé INS est juste\n")


def _show(one: Received) -> None:
    mark = "[red]non conforme[/]" if one.faults else "[green]conforme[/]"
    again = " [yellow](déjà reçu)[/]" if one.repeated else ""
    _console.print(f"{mark}{again} {one.sender} → {one.recipient}, {len(one.raw) // 1000} ko", soft_wrap=True)
    _console.print(f"  {one.subject}", markup=False, soft_wrap=True)
    for fault in one.faults:
        _console.print(f"  - {fault}", markup=False, soft_wrap=True)
