"""``queues``: what waits for each destination; hold, release, skip."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from channels.control import NotRunning
from channels.errors import ConfigError
from channels.journal import Delivery, Journal
from channels.loader import LoadedSite, load_settings, load_site
from channels.supervisor import journal_of
from vaguemestre.commands.run import JSON, SITE, control, local, operator

queues = typer.Typer(help="What waits for each destination: list it, hold, release or skip.", no_args_is_help=True)

ROUTE = Annotated[str, typer.Argument(help="CHANNEL/DESTINATION, such as adt-fanout/dpi.")]
WHY = Annotated[str, typer.Option(help="Reason, kept in the audit trail.")]


def stopped(loaded: LoadedSite, what: Callable[[Journal], Any]) -> Any:
    """Do something with the journal of an engine that does not run. Raises ConfigError when another process has it."""

    async def alone() -> Any:
        journal = journal_of(loaded)
        journal.open()
        try:
            result = what(journal)
            await journal.flushed()
            return result
        finally:
            await journal.close()

    return asyncio.run(alone())


def _routes_on_disk(loaded: LoadedSite, journal: Journal) -> list[str]:
    """Destinations of a stopped engine: those of its channels; those that the journal knows, when a file has faults."""
    try:
        channels = load_site(loaded.directory).channels.values()
    except ConfigError:
        return sorted(journal.waiting().keys() | journal.catalog.holds().keys())
    return [f"{one.channel}/{model.name}" for one in channels for model in one.destinations]


def _check(loaded: LoadedSite, journal: Journal, route: str) -> None:
    routes = _routes_on_disk(loaded, journal)
    if route not in routes:
        raise ConfigError(f"no destination is called {route}; there are: {', '.join(routes)}")


@queues.command("list")
def list_(site: SITE, json_: JSON = False) -> None:
    """Per destination: how many wait, the oldest, the state.

    Example: vaguemestre queues list mon-hopital
    """
    loaded = load_settings(site)
    rows = _rows(loaded)
    if json_:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("destination", "waiting", "oldest", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows:
        table.add_row(row["route"], str(row["waiting"]), local(loaded, row["oldest"]), row["state"], row["problem"])
    Console().print(table)


def _rows(loaded: LoadedSite) -> list[dict[str, Any]]:
    try:
        state = control(loaded, {"do": "state"})
    except NotRunning:
        return stopped(loaded, lambda journal: _rows_on_disk(loaded, journal))  # type: ignore[no-any-return]  # as given
    rows = []
    for channel in state["channels"]:
        for name, values in channel["destinations"].items():
            word = "held" if values["held"] else "unreachable" if values["circuit_open"] else "running"
            row = {"route": f"{channel['channel']}/{name}", "waiting": values["waiting"], "oldest": values["oldest"]}
            rows.append({**row, "state": word, "problem": values["problem"]})
    return rows


def _rows_on_disk(loaded: LoadedSite, journal: Journal) -> list[dict[str, Any]]:
    waiting, holds = journal.waiting(), journal.catalog.holds()
    rows = []
    for route in _routes_on_disk(loaded, journal):
        first = journal.pending(route, 0, 1)
        message = journal.load(first[0][0]) if first else None
        row = {"route": route, "waiting": waiting.get(route, 0), "oldest": message.received if message else None}
        since, who, why = holds.get(route, (0.0, "", ""))
        rows.append({**row, "state": "held" if since else "stopped", "problem": f"{who}: {why}" if why else who})
    return rows


@queues.command("hold")
def hold(site: SITE, route: ROUTE, why: WHY = "") -> None:
    """Keep everything for a destination waiting, also after a restart, until it is released."""
    loaded = load_settings(site)
    try:
        control(loaded, {"do": "hold", "route": route, "why": why})
    except NotRunning:
        stopped(loaded, lambda journal: _hold_on_disk(loaded, journal, route, why))
    typer.echo(f"{route} is held")


def _hold_on_disk(loaded: LoadedSite, journal: Journal, route: str, why: str) -> None:
    _check(loaded, journal, route)
    journal.catalog.hold(route, operator(), why)
    journal.catalog.audit(operator(), "hold", route, why)


@queues.command("release")
def release(site: SITE, route: ROUTE) -> None:
    """Let a held destination go; also tries at once what waits for a retry."""
    loaded = load_settings(site)
    try:
        control(loaded, {"do": "release", "route": route})
    except NotRunning:
        stopped(loaded, lambda journal: _release_on_disk(loaded, journal, route))
    typer.echo(f"{route} is released")


def _release_on_disk(loaded: LoadedSite, journal: Journal, route: str) -> None:
    _check(loaded, journal, route)
    journal.catalog.release(route)
    journal.catalog.audit(operator(), "release", route)


@queues.command("skip")
def skip(
    site: SITE,
    route: ROUTE,
    message: Annotated[int, typer.Argument(help="Number of the message in the journal.")],
    why: WHY = "skipped by an operator",
) -> None:
    """Take one waiting message out of a destination's queue, to its dead letters; it can be replayed later."""
    loaded = load_settings(site)
    try:
        control(loaded, {"do": "skip", "route": route, "message": message, "why": why})
    except NotRunning:
        stopped(loaded, lambda journal: _skip_on_disk(journal, route, message, why))
    typer.echo(f"message {message} no longer waits for {route}")


def _skip_on_disk(journal: Journal, route: str, message: int, why: str) -> None:
    if not any(number == message for number, _ in journal.pending(route, message - 1, 1)):
        raise ConfigError(f"message {message} does not wait for {route}")
    journal.settle(Delivery(message, route, "skipped", time.time(), 0, problem=why))
    journal.catalog.audit(operator(), "skip", route, f"message {message}")
