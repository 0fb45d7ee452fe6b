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
    listen: Annotated[str, typer.Option(help="Adresse d'écoute.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port HTTP.")] = 8446,
    tables: Annotated[
        Path | None,
        typer.Option(help="Dossier de professionals.csv, activities.csv, structures.csv ; sinon des inventés."),
    ] = None,
    key: Annotated[str, typer.Option(help="Clé d'API attendue (ESANTE-API-KEY).")] = "simulateur",
    rate: Annotated[int, typer.Option(help="Appels par seconde avant 429.")] = 17,
    slow: Annotated[float, typer.Option(help="Secondes avant chaque réponse.")] = 0.0,
    http: Annotated[int, typer.Option(help="Statut HTTP à chaque appel, par exemple 503.")] = 0,
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
