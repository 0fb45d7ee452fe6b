"""``simulate annuaire``."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vaguemestre.simulators.annuaire.resources import read_resources
from vaguemestre.simulators.annuaire.service import AnnuaireSimulator, Behaviour

_console = Console(highlight=False)


def annuaire(
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTP port.")] = 8446,
    tables: Annotated[
        Path | None,
        typer.Option(help="Folder of professionals.csv, activities.csv, structures.csv; absent: invented ones."),
    ] = None,
    key: Annotated[str, typer.Option(help="API key that is expected (ESANTE-API-KEY).")] = "simulateur",
    rate: Annotated[int, typer.Option(help="Calls a second before 429.")] = 17,
    slow: Annotated[float, typer.Option(help="Seconds before each answer.")] = 0.0,
    http: Annotated[int, typer.Option(help="HTTP status of every answer, such as 503.")] = 0,
) -> None:
    """The Annuaire Santé (FHIR R4): professionals, activities, structures and their MSSanté mailboxes.

    Example: vaguemestre simulate annuaire --key simulateur
    """
    resources = read_resources(tables, datetime.now(UTC).isoformat(timespec="seconds"))
    simulator = AnnuaireSimulator(resources, key, rate, Behaviour(slow=slow, http=http))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(simulator, listen, port))


async def _run(simulator: AnnuaireSimulator, host: str, port: int) -> None:
    await simulator.start(host, port)
    try:
        _console.print(f"[bold]Annuaire Santé simulé[/] : {simulator.url} (clé {simulator.key})")
        _console.print(f"{len(simulator.resources)} fiches inventées ; POST {simulator.base}/_behave pour les pannes\n")
        shown = 0
        while True:
            await asyncio.sleep(0.2)
            for one in simulator.requests[shown:]:
                _console.print(f"{one.resource} ({', '.join(one.parameters)}) : {one.status or 'coupé'}")
            shown = len(simulator.requests)
    finally:
        await simulator.stop()
