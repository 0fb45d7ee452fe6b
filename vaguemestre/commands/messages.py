"""``messages``: search the journal, show a message and its story, export, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from channels.journal.catalog import Catalog
from channels.journal.records import Row
from channels.journal.search import Criteria
from channels.loader import LoadedSite, load_settings
from channels.supervisor import master_keys
from vaguemestre.commands.replay import replay
from vaguemestre.commands.run import JSON, SITE, local, operator
from vaguemestre.commands.selection import (
    ACCOUNT,
    CHANNEL,
    CONTROL_ID,
    KIND,
    LIMIT,
    NUMBER,
    ORDER,
    PATIENT,
    SENDER,
    SINCE,
    STATE,
    UNTIL,
    VISIT,
    archive_of,
    find,
    seconds,
)

messages = typer.Typer(help="Search, show, export and replay messages of the journal.", no_args_is_help=True)


def _audit(loaded: LoadedSite, action: str, thing: str, detail: str = "") -> None:
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
    loaded = load_settings(site)
    criteria = Criteria(
        channel, kind, control_id, sender, state, seconds(loaded, since), seconds(loaded, until),
        patient, visit, account, order, limit,
    )  # fmt: skip
    rows = find(loaded, criteria)
    if patient:
        _audit(loaded, "search", "messages of one patient", f"{len(rows)} found")
    if json_:
        typer.echo(json.dumps([as_json(row) for row in rows], ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("number", "received", "kind", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("channel", "control id"):
        table.add_column(name, overflow="fold")
    for row in rows:
        received = local(loaded, row.received)
        table.add_row(str(row.id), received, row.kind, row.state, row.channel, row.control_id)
    Console().print(table)


@messages.command("show")
def show(
    site: SITE,
    number: NUMBER,
    sent_to: Annotated[str, typer.Option(help="What left for this CHANNEL/DESTINATION instead of what came in.")] = "",
) -> None:
    """Print a message as it came in, byte for byte (HL7 segments on lines of their own on a terminal). Audited."""
    loaded = load_settings(site)
    archive = archive_of(loaded)
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

    Where it went through other channels, and where it came from, is told too.

    Example: vaguemestre messages story mon-hopital 1042
    """
    loaded = load_settings(site)
    archive = archive_of(loaded)
    try:
        row, attempts = archive.row(number), archive.attempts(number)
        before, after = archive.ancestors(number), archive.descendants(number)
        findings = archive.message(number).attributes.get("findings", "")
    finally:
        archive.close()
    if json_:
        tries = [{"destination": a.route, "number": a.number, "time": a.time, "problem": a.problem} for a in attempts]
        children = [one.id for one in after if number in one.parents]
        more = {"attempts": tries, "children": children, "findings": findings}
        family = {"ancestors": [as_json(one) for one in before], "descendants": [as_json(one) for one in after]}
        typer.echo(json.dumps({**as_json(row), **more, **family}, ensure_ascii=False))
        return
    console = Console()
    console.print(
        f"[bold]message {row.id}[/]  {row.kind}  {row.control_id}  from {row.sender}  ({row.size} bytes, {row.state})"
    )
    events = _events(row) + [(one.time, f"attempt {one.number} failed", one.route, one.problem) for one in attempts]
    for one in after:
        again = one.channel == row.channel
        event = f"sent again as message {one.id}" if again else f"handed over as message {one.id}"
        events += [(one.received, event, one.channel, one.state), *_events(one)[1:]]
    table = Table("time", "event", "where", "detail")
    for at, event, where, detail in sorted(events, key=lambda event: event[0]):
        table.add_row(local(loaded, at), event, where, detail)
    for route in (route for one in (row, *after) for route in one.waiting):
        table.add_row("", "waiting", route, "")
    console.print(table)
    if findings:
        console.print(f"noticed: {findings}", markup=False)
    for one in before:
        console.print(f"came from message {one.id} of {one.channel}, received {local(loaded, one.received)}")


def _events(row: Row) -> list[tuple[float, str, str, str]]:
    """(time, event, where, detail): received, refused, how its deliveries ended."""
    events = [(row.received, "received", row.channel, "")]
    if row.refusal:
        events.append((row.received, "refused", row.channel, f"{row.refusal[0]}: {row.refusal[2]} ({row.refusal[1]})"))
    return events + [(one.time, one.state, one.route, _detail(one)) for one in row.deliveries]


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
    loaded = load_settings(site)
    archive = archive_of(loaded)
    try:
        criteria = Criteria(
            channel=channel,
            kind=kind,
            state=state,
            limit=limit,
            since=seconds(loaded, since),
            until=seconds(loaded, until),
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


messages.command("replay")(replay)
