"""How commands choose messages of the journal: options, times, the search itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from channels.errors import ConfigError
from channels.journal.records import Row
from channels.journal.search import STATES, Archive, Criteria
from channels.loader import LoadedSite
from channels.supervisor import master_keys

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


def archive_of(loaded: LoadedSite) -> Archive:
    """The journal of a site, to read. Raises ConfigError when there is none, or no key."""
    settings = loaded.site.journal
    return Archive(loaded.directory / settings.directory, master_keys(settings, loaded.directory))


def seconds(loaded: LoadedSite, text: str) -> float | None:
    """A local time as typed, in seconds since the epoch; None when none was. Raises ConfigError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("a time is written like 2026-11-25T08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=loaded.site.timezone)).timestamp()


def find(loaded: LoadedSite, criteria: Criteria) -> list[Row]:
    """The matching messages of the journal, newest first."""
    archive = archive_of(loaded)
    try:
        return archive.find(criteria)
    finally:
        archive.close()
