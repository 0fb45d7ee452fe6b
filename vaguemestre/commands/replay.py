"""``messages replay``: send messages of the journal again, safely."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Annotated

import typer

from channels.control import NotRunning, Replay
from channels.errors import ConfigError
from channels.journal.records import DEAD, Row
from channels.journal.search import Criteria
from channels.loader import LoadedSite, load_settings, load_site
from channels.runtime import ChannelRuntime
from channels.supervisor import journal_of
from channels.workers import Workers
from vaguemestre.commands.run import JSON, SITE, control, operator
from vaguemestre.commands.selection import CHANNEL, KIND, LIMIT, SINCE, STATE, UNTIL, archive_of, find, seconds


def replay(
    site: SITE,
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of messages; or choose by the options.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Destination names; when not given, those that did not take the message.")
    ] = None,
    channel: CHANNEL = "",
    kind: KIND = "",
    state: STATE = "",
    since: SINCE = "",
    until: UNTIL = "",
    limit: LIMIT = 1000,
    repaired: Annotated[
        Path | None, typer.Option("--with", help="With one number: send this file in its place.", exists=True)
    ] = None,
    rate: Annotated[float, typer.Option(help="Messages a second.", min=0.1)] = 50.0,
    go: Annotated[bool, typer.Option("--go", help="Really send; without it, only tell what would be sent.")] = False,
    json_: JSON = False,
) -> None:
    """Send messages again, as new messages that name the old ones. A dry run unless --go is given. Audited.

    Examples: vaguemestre messages replay mon-hopital --state dead --kind ORU --go
    · vaguemestre messages show mon-hopital 42 > 42.hl7, mend the file, then
    vaguemestre messages replay mon-hopital 42 --with 42.hl7 --go
    """
    loaded = load_settings(site)
    criteria = Criteria(
        channel, kind, state=state, limit=limit, since=seconds(loaded, since), until=seconds(loaded, until)
    )
    rows = sorted(_chosen(loaded, numbers, criteria), key=lambda row: row.id)
    if repaired is not None and len(rows) != 1:
        raise ConfigError("--with goes with the number of one message")
    body = base64.b64encode(repaired.read_bytes()).decode() if repaired else ""
    known = _destinations(loaded)
    chosen = [Replay(row.channel, row.id, _names(known, row, to or []), body) for row in rows]
    systems = sorted({f"{one.channel}/{name}" for one in chosen for name in one.destinations})
    made = _send(loaded, chosen, rate) if go else []
    if json_:
        numbers_ = [one.message for one in chosen]
        typer.echo(json.dumps({"messages": numbers_, "destinations": systems, "sent_as": made}))
    elif made:
        typer.echo(f"{len(made)} messages sent again to {', '.join(systems)}, as {made[0]} to {made[-1]}")
    elif go or not chosen:
        typer.echo("nothing to send")
    else:
        count = f"{len(chosen)} messages to {len(systems)} systems ({', '.join(systems)})"
        typer.echo(f"would send {count}; add --go to do it")


def _chosen(loaded: LoadedSite, numbers: list[int] | None, criteria: Criteria) -> list[Row]:
    if not numbers and not (criteria.channel or criteria.kind or criteria.state or criteria.since):
        raise ConfigError("say which messages: numbers, or --state, --kind, --channel, --since")
    if not numbers:
        return find(loaded, criteria)
    archive = archive_of(loaded)
    try:
        return [archive.row(number) for number in numbers]
    finally:
        archive.close()


def _destinations(loaded: LoadedSite) -> dict[str, list[str]]:
    """Channel -> its destinations, of the running engine or of the files."""
    try:
        return {one["channel"]: list(one["destinations"]) for one in control(loaded, {"do": "state"})["channels"]}
    except NotRunning:
        channels = load_site(loaded.directory).channels
        return {name: [model.name for model in channel.destinations] for name, channel in channels.items()}


def _names(channels: dict[str, list[str]], row: Row, only: list[str]) -> tuple[str, ...]:
    """The destinations of one message: those asked for, else those that did not take it."""
    known = channels.get(row.channel)
    if known is None:
        raise ConfigError(f"message {row.id} came through channel {row.channel}, which does not run")
    unknown = set(only) - set(known)
    if unknown:
        raise ConfigError(f"{row.channel} has no destination {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    if only or row.refusal:
        return tuple(only or known)
    dead = {one.route.partition("/")[2] for one in row.deliveries if one.state in DEAD}
    if not dead:
        raise ConfigError(f"every destination took message {row.id} or waits for it: name some with --to")
    return tuple(name for name in known if name in dead)


def _send(loaded: LoadedSite, chosen: list[Replay], rate: float) -> list[int]:
    request = {"do": "replay", "messages": chosen, "rate": rate}
    try:
        return [int(number) for number in control(loaded, request, timeout=30.0 + 2 * len(chosen) / rate)]
    except NotRunning:
        return asyncio.run(_send_later(loaded, chosen))


async def _send_later(loaded: LoadedSite, chosen: list[Replay]) -> list[int]:
    """Queue the copies in the journal of a stopped engine: they leave when it starts."""
    loaded = load_site(loaded.directory)
    journal = journal_of(loaded)
    journal.open()
    try:
        workers = Workers(loaded.directory, 1)
        names = {one.channel for one in chosen}
        runtimes = {name: ChannelRuntime(loaded.channels[name], loaded, journal, workers) for name in names}
        made = [await runtimes[one.channel].replay(one.message, one.destinations, one.bytes) for one in chosen]
        journal.catalog.audit(operator(), "replay", f"{len(made)} messages")
    finally:
        await journal.close()
    return made
