"""``demo``: the hospital in a box, on the screen."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections import deque
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vaguemestre.commands.run import state_tables
from vaguemestre.demo import Flow, Hospital

_EVERY = 0.25
_RATES_OVER = 8
"""Looks over which rates are taken."""
_AWAY_FROM, _AWAY_TO = 0.4, 0.6
"""Part of the time at which the SGL restarts, and is back."""


def demo(
    seconds: Annotated[float, typer.Option(min=1, help="How long the systems send.")] = 30.0,
    *,
    forever: Annotated[bool, typer.Option("--forever", help="Go on until Ctrl-C.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Ten times the rhythm of a hospital, for five seconds.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
) -> None:
    """Run a hospital in a box: one engine with nine channels; a GAP, an SGL, a DPI, a DMP and mailboxes around it.

    Over real sockets; patients are invented. Results become reports in the simulated DMP and in the mailboxes of a
    prescriber and of patients, and the SGL is told. Everything stays in a temporary folder, which is named at the end.
    In the middle the SGL restarts: its messages wait, the other systems notice nothing.

    Example: vaguemestre demo --seconds 20

    Exit code 1 when a message was lost or came out of order.
    """
    folder = Path(tempfile.mkdtemp(prefix="vaguemestre-demo-")) / "hopital"
    length = float("inf") if forever else 5.0 if fast else seconds
    console = Console(highlight=False, quiet=json_)
    hospital = Hospital(folder, haste=10.0 if fast else 1.0)
    asyncio.run(_play(hospital, length, console))
    flows = hospital.flows()
    if json_:
        typer.echo(json.dumps({"folder": str(folder), "flows": [asdict(flow) for flow in flows]}, ensure_ascii=False))
    else:
        _show_result(console, hospital, flows)
    if any(flow.lost or flow.out_of_order for flow in flows):
        raise typer.Exit(1)


async def _play(hospital: Hospital, length: float, console: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console.print("Le moteur démarre… / The engine starts…")
    try:
        await hospital.start()
        with Live(console=console, auto_refresh=False, transient=True) as live:
            await _watch(hospital, length, stop, live)
    finally:
        if not stop.is_set():
            console.print("Les derniers messages partent… / The last messages leave…")
        await hospital.stop()


async def _watch(hospital: Hospital, length: float, stop: asyncio.Event, live: Live) -> None:
    began, away = time.monotonic(), False
    looks: deque[tuple[float, dict[str, Any]]] = deque(maxlen=_RATES_OVER)
    while (passed := time.monotonic() - began) < length and not stop.is_set():
        now_away = _AWAY_FROM <= passed / min(length, 30.0) < _AWAY_TO
        if now_away != away:
            away = now_away
            hospital.restart_sgl(over=not away)
        await hospital.look()
        looks.append((time.monotonic(), hospital.state))
        (then, before), (now, _) = looks[0], looks[-1]
        live.update(_screen(hospital, before, now - then, passed, away=away), refresh=True)
        try:
            async with asyncio.timeout(_EVERY):
                await stop.wait()
        except TimeoutError:
            continue
    hospital.restart_sgl(over=True)


def _screen(hospital: Hospital, before: dict[str, Any], seconds: float, passed: float, *, away: bool) -> RenderableType:
    news = Table(title="Derniers messages arrivés / latest arrivals", show_header=False, title_justify="left")
    for one in reversed(hospital.latest):
        at = datetime.fromtimestamp(one.time, hospital.site.site.timezone)
        news.add_row(f"{at:%H:%M:%S}", one.where, one.kind, one.control_id)
    told = f"Hôpital de démonstration / demonstration hospital — {passed:.0f} s"
    sgl = "Le SGL redémarre : ses messages attendent. / The SGL restarts: its messages wait." if away else ""
    return Group(
        Text(told, style="bold"), state_tables(hospital.site, hospital.state, before, max(seconds, 0.01)), news,
        Text(sgl, style="yellow"),
    )  # fmt: skip


def _show_result(console: Console, hospital: Hospital, flows: list[Flow]) -> None:
    table = Table(title="Ce qui est arrivé / What arrived", title_justify="left")
    table.add_column("flux\nflow", no_wrap=True)
    for name in ("envoyés\nsent", "arrivés\narrived", "filtrés\nfiltered", "écartés\nset aside", "perdus\nlost"):
        table.add_column(name, justify="right")
    table.add_column("désordre\ndisorder", justify="right")
    for flow in flows:
        numbers = (flow.sent, flow.arrived, flow.filtered, flow.set_aside, flow.lost, flow.out_of_order)
        table.add_row(flow.where, *(str(number) for number in numbers))
    console.print(table)
    folder = hospital.folder
    reports = folder / "var" / "out" / "cr-bio"
    bills = " ".join(map(str, hospital.bills()))
    console.print(
        f"""
[bold]Où regarder / Where to look[/]
  {reports}/   comptes rendus CDA / CDA reports
  {bills}   actes, un fichier par nuit / acts, one file a night
  {folder.parent / "services" / "mail"}/   courriels MSSanté reçus / MSSanté mails received
  {hospital.log}   journal technique / log

[bold]Et maintenant / And now[/]
  vaguemestre messages search {folder} --limit 10   ce que le moteur a reçu / what the engine received
  vaguemestre messages story {folder} 1   l'histoire d'un message / the story of a message
  vaguemestre explain {folder}/cases/adt_a01_inpatient.hl7   un message, champ par champ / field by field
  less {folder}/channels/adt-fanout.yaml   un canal est un fichier / a channel is a file
  vaguemestre init mon-hopital   votre site / your own site""",
        soft_wrap=True,
    )
