"""``messages``: search the journal, show a message and its story, export, replay."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from channels.control import NotRunning
from channels.errors import ConfigError
from channels.journal.records import Row
from channels.journal.search import STATES, Archive, Criteria
from channels.loader import LoadedSite, load_site
from channels.runtime import ChannelRuntime
from channels.supervisor import journal_of, master_keys
from channels.workers import Workers
from vaguemestre.commands.run import JSON, SITE, control, local, operator

messages = typer.Typer(help="Search, show, export and replay messages of the journal.", no_args_is_help=True)

NUMBER = Annotated[int, typer.Argument(help="Number of the message in the journal.")]
CHANNEL = Annotated[str, typer.Option(help="Channel.")]
KIND = Annotated[str, typer.Option(help="Message type, `ADT^A01`, or `ADT` for every event.")]
CONTROL_ID = Annotated[str, typer.Option(help="Control id (MSH-10).")]
SENDER = Annotated[str, typer.Option(help="Sender, `MSH-3|MSH-4`.")]
STATE = Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}.")]
SINCE = Annotated[str, typer.Option(help="From this local time, e.g. 2026-11-25T08:00.")]
UNTIL = Annotated[str, typer.Option(help="Up to this local time.")]
PATIENT = Annotated[str, typer.Option(help="Exact patient identifier (PID-3.1).")]
VISIT = Annotated[str, typer.Option(help="Exact visit number (PV1-19.1).")]
ACCOUNT = Annotated[str, typer.Option(help="Exact account number (PID-18.1).")]
ORDER = Annotated[str, typer.Option(help="Exact order number (ORC-2, ORC-3, OBR-2, OBR-3).")]
LIMIT = Annotated[int, typer.Option(help="At most this many, the newest.")]


def _archive(loaded: LoadedSite) -> Archive:
    settings = loaded.site.journal
    return Archive(loaded.directory / settings.directory, master_keys(settings, loaded.directory))


def _seconds(loaded: LoadedSite, text: str) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("a time is written like 2026-11-25T08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=loaded.site.timezone)).timestamp()


def _audit(loaded: LoadedSite, action: str, thing: str, detail: str = "") -> None:
    from channels.journal.catalog import Catalog

    settings = loaded.site.journal
    catalog = Catalog(loaded.directory / settings.directory, master_keys(settings, loaded.directory), write=True)
    catalog.audit(operator(), action, thing, detail)
    catalog.close()


def as_json(row: Row) -> dict[str, Any]:
    """A row for scripts."""
    refusal = dict(zip(("place", "code", "problem"), row.refusal, strict=True)) if row.refusal else None
    deliveries = [
        {
            "destination": one.route, "state": one.state, "time": one.time, "attempts": one.attempts,
            "place": one.place, "code": one.code, "problem": one.problem, "reference": one.reference,
        }
        for one in row.deliveries
    ]  # fmt: skip
    return {
        "id": row.id, "received": row.received, "channel": row.channel, "kind": row.kind, "control_id": row.control_id,
        "sender": row.sender, "format": row.format, "size": row.size, "state": row.state, "refusal": refusal,
        "waiting": list(row.waiting), "deliveries": deliveries, "parents": list(row.parents),
    }  # fmt: skip


@messages.command("search")
def search(
    site: SITE,
    channel: CHANNEL = "",
    kind: KIND = "",
    control_id: CONTROL_ID = "",
    sender: SENDER = "",
    state: STATE = "",
    since: SINCE = "",
    until: UNTIL = "",
    patient: PATIENT = "",
    visit: VISIT = "",
    account: ACCOUNT = "",
    order: ORDER = "",
    limit: LIMIT = 50,
    json_: JSON = False,
) -> None:
    """Find messages, the newest first.

    Example: vaguemestre messages search mon-hopital --kind ORU --state dead --since 2026-11-25T00:00
    """
    loaded = load_site(site)
    criteria = Criteria(
        channel, kind, control_id, sender, state, _seconds(loaded, since), _seconds(loaded, until),
        patient, visit, account, order, limit,
    )  # fmt: skip
    rows = _find(loaded, criteria)
    if patient:
        _audit(loaded, "search", "messages of one patient", f"{len(rows)} found")
    if json_:
        typer.echo(json.dumps([as_json(row) for row in rows], ensure_ascii=False))
        return
    table = Table("number", "received", "channel", "kind", "control id", "sender", "size", "state")
    for row in rows:
        received = local(loaded, row.received)
        table.add_row(
            str(row.id), received, row.channel, row.kind, row.control_id, row.sender, str(row.size), row.state
        )
    Console().print(table)


def _find(loaded: LoadedSite, criteria: Criteria) -> list[Row]:
    archive = _archive(loaded)
    try:
        return archive.find(criteria)
    finally:
        archive.close()


@messages.command("show")
def show(
    site: SITE,
    number: NUMBER,
    sent_to: Annotated[str, typer.Option(help="What left for this CHANNEL/DESTINATION instead of what came in.")] = "",
) -> None:
    """Print a message as it came in, byte for byte (HL7 segments on lines of their own on a terminal). Audited."""
    loaded = load_site(site)
    archive = _archive(loaded)
    try:
        message = archive.message(number)
        body = (archive.content(number, sent_to, "sent") if sent_to else b"") or message.body
    finally:
        archive.close()
    _audit(loaded, "show", f"message {number}", sent_to)
    text = body.decode(message.charset, "replace")
    if Console().is_terminal and message.format == "hl7v2":
        text = text.replace("\r", "\n")
        typer.echo(text)
    else:
        typer.get_binary_stream("stdout").write(body)


@messages.command("story")
def story(site: SITE, number: NUMBER, json_: JSON = False) -> None:
    """Tell everything that happened to a message: received, each attempt, each destination's answer, replays.

    Example: vaguemestre messages story mon-hopital 1042
    """
    loaded = load_site(site)
    archive = _archive(loaded)
    try:
        row, attempts, children = archive.row(number), archive.attempts(number), archive.children(number)
    finally:
        archive.close()
    if json_:
        tries = [{"destination": a.route, "number": a.number, "time": a.time, "problem": a.problem} for a in attempts]
        typer.echo(
            json.dumps(
                {**as_json(row), "attempts": tries, "children": [one.id for one in children]}, ensure_ascii=False
            )
        )
        return
    console = Console()
    console.print(
        f"[bold]message {row.id}[/]  {row.kind}  {row.control_id}  from {row.sender}  ({row.size} bytes, {row.state})"
    )
    events = [(row.received, "received", row.channel, "")]
    if row.refusal:
        events.append((row.received, "refused", row.channel, f"{row.refusal[0]}: {row.refusal[2]} ({row.refusal[1]})"))
    events += [(one.time, f"attempt {one.number} failed", one.route, one.problem) for one in attempts]
    events += [(one.time, one.state, one.route, _detail(one)) for one in row.deliveries]
    events += [(one.received, f"sent again as message {one.id}", one.channel, one.state) for one in children]
    table = Table("time", "event", "where", "detail")
    for at, event, where, detail in sorted(events, key=lambda event: event[0]):
        table.add_row(local(loaded, at), event, where, detail)
    for route in row.waiting:
        table.add_row("", "waiting", route, "")
    console.print(table)
    if row.parents:
        console.print(f"came from message {', '.join(map(str, row.parents))}")


def _detail(one: Any) -> str:
    text = f"{one.place}: {one.problem}" if one.place else one.problem
    return text or one.reference


@messages.command("export")
def export(
    site: SITE,
    directory: Annotated[Path, typer.Argument(help="Folder to write to; made when missing.")],
    channel: CHANNEL = "",
    kind: KIND = "",
    state: STATE = "",
    since: SINCE = "",
    until: UNTIL = "",
    limit: LIMIT = 1000,
) -> None:
    """Write messages as files, one each, byte for byte. Audited."""
    loaded = load_site(site)
    archive = _archive(loaded)
    try:
        criteria = Criteria(
            channel=channel,
            kind=kind,
            state=state,
            limit=limit,
            since=_seconds(loaded, since),
            until=_seconds(loaded, until),
        )
        rows = archive.find(criteria)
        directory.mkdir(parents=True, exist_ok=True)
        for row in rows:
            suffix = "hl7" if row.format == "hl7v2" else row.format.split("+")[0]
            (directory / f"{row.id}.{suffix}").write_bytes(archive.message(row.id).body)
    finally:
        archive.close()
    _audit(loaded, "export", f"{len(rows)} messages")
    typer.echo(f"{len(rows)} messages written to {directory}")


@messages.command("replay")
def replay(
    site: SITE,
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of messages; or choose by the options.")] = None,
    to: Annotated[list[str] | None, typer.Option(help="Destination names; all of the channel when not given.")] = None,
    channel: CHANNEL = "",
    kind: KIND = "",
    state: STATE = "",
    since: SINCE = "",
    until: UNTIL = "",
    limit: LIMIT = 1000,
    rate: Annotated[float, typer.Option(help="Messages a second.")] = 50.0,
    go: Annotated[bool, typer.Option("--go", help="Really send; without it, only tell what would be sent.")] = False,
    json_: JSON = False,
) -> None:
    """Send messages again, as new messages that name the old ones. A dry run unless --go is given. Audited.

    Example: vaguemestre messages replay mon-hopital --state dead --kind ORU --to dpi --go
    """
    loaded = load_site(site)
    criteria = Criteria(
        channel, kind, state=state, limit=limit, since=_seconds(loaded, since), until=_seconds(loaded, until)
    )
    rows = _chosen(loaded, numbers, criteria)
    systems = _systems(loaded, rows, to or [])
    chosen = [[row.channel, row.id] for row in sorted(rows, key=lambda row: row.id)]
    made: list[int] = []
    if go:
        request = {"do": "replay", "messages": chosen, "destinations": to or [], "rate": rate}
        try:
            made = control(loaded, request)
        except NotRunning:
            made = asyncio.run(_replay_on_disk(loaded, chosen, to or []))
    if json_:
        typer.echo(json.dumps({"messages": [number for _, number in chosen], "destinations": systems, "sent_as": made}))
    elif go:
        typer.echo(
            f"{len(made)} messages sent again to {', '.join(systems)}, as {made[0]} to {made[-1]}"
            if made
            else "nothing to send"
        )
    else:
        typer.echo(
            f"would send {len(chosen)} messages to {len(systems)} systems ({', '.join(systems)}); add --go to do it"
        )


def _chosen(loaded: LoadedSite, numbers: list[int] | None, criteria: Criteria) -> list[Row]:
    if not numbers and not (criteria.channel or criteria.kind or criteria.state or criteria.since):
        raise ConfigError("say which messages: numbers, or --state, --kind, --channel, --since")
    if not numbers:
        return _find(loaded, criteria)
    archive = _archive(loaded)
    try:
        return [archive.row(number) for number in numbers]
    finally:
        archive.close()


def _systems(loaded: LoadedSite, rows: list[Row], only: list[str]) -> list[str]:
    names = set()
    for row in rows:
        channel = loaded.channels.get(row.channel)
        if channel is None:
            raise ConfigError(f"message {row.id} came through channel {row.channel}, which the site no longer has")
        known = [model.name for model in channel.destinations]
        unknown = set(only) - set(known)
        if unknown:
            raise ConfigError(
                f"{row.channel} has no destination {', '.join(sorted(unknown))}; it has {', '.join(known)}"
            )
        names |= {f"{row.channel}/{name}" for name in known if not only or name in only}
    return sorted(names)


async def _replay_on_disk(loaded: LoadedSite, chosen: list[list[Any]], only: list[str]) -> list[int]:
    """Queue the copies in the journal of a stopped engine: they leave when it starts."""
    journal = journal_of(loaded)
    journal.open()
    made = []
    try:
        for channel, number in chosen:
            message = journal.load(number)
            if message is None:
                raise ConfigError(f"message {number} cannot be replayed: its body is gone")
            runtime = ChannelRuntime(loaded.channels[channel], loaded, journal, Workers(loaded.directory, 1))
            names = tuple(
                model.name for model in loaded.channels[channel].destinations if not only or model.name in only
            )
            outcome = await runtime.replay(message, names)
            if outcome.error is not None:
                raise outcome.error
            made.append(outcome.id)
        journal.catalog.audit(operator(), "replay", f"{len(made)} messages", ", ".join(only) or "all destinations")
    finally:
        await journal.close()
    return made
