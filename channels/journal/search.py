"""Reading a journal from outside the engine, running or not: search, the story of a message, its contents."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw

from channels.errors import ConfigError
from channels.journal.catalog import Catalog, SegmentInfo
from channels.journal.keys import MasterKeys
from channels.journal.records import DEAD, Attempt, Delivery, Row
from channels.journal.segment import Segment
from channels.journal.sqlite import row, rows
from channels.message import Message

_COLUMNS = "id, received, channel, kind, control_id, sender, format, charset, size, parents, refusal"
_STATES = {
    "waiting": "id IN (SELECT message FROM pending)",
    "refused": "(refusal IS NOT NULL OR id IN (SELECT message FROM delivery WHERE state='refused'))",
    "failed": "id IN (SELECT message FROM delivery WHERE state='failed')",
    "expired": "id IN (SELECT message FROM delivery WHERE state='expired')",
    "skipped": "id IN (SELECT message FROM delivery WHERE state='skipped')",
    "filtered": "id IN (SELECT message FROM delivery WHERE state='filtered')",
    "dead": "(refusal IS NOT NULL OR id IN (SELECT message FROM delivery "
    "WHERE state IN ('refused', 'failed', 'expired')))",
    "delivered": "id IN (SELECT message FROM delivery WHERE state='delivered')",
}
STATES = (*_STATES, "replayed")
_DEAD = frozenset({*DEAD, "dead"})
_ALL = 2**62
FACETS = ("patient", "visit", "account", "order")


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; empty fields do not restrict.

    kind: ``ADT^A01``, or ``ADT`` for every event. since, until: seconds since the epoch, received time.
    state: one of ``STATES``. patient, visit, account, order: exact identifiers, compared through keyed hashes.
    """

    channel: str = ""
    kind: str = ""
    control_id: str = ""
    sender: str = ""
    state: str = ""
    since: float | None = None
    until: float | None = None
    patient: str = ""
    visit: str = ""
    account: str = ""
    order: str = ""
    limit: int = 50


class Archive:
    """A journal opened for reading."""

    def __init__(self, directory: Path, keys: MasterKeys | None) -> None:
        """Raises ConfigError when there is no journal, or its key is missing."""
        self.catalog = Catalog(directory, keys)
        self._open: dict[int, Segment] = {}
        self._replays = self.catalog.replays()

    def close(self) -> None:
        """Close all files."""
        for segment in self._open.values():
            segment.close()
        self.catalog.close()

    def _segment(self, info: SegmentInfo) -> Segment | None:
        if info.number not in self._open:
            try:
                self._open[info.number] = self.catalog.open(info.number)
            except apsw.Error:
                return None
        return self._open[info.number]

    def _segments(self) -> Iterator[Segment]:
        """Newest first; files that cannot be opened are passed over."""
        for info in reversed(self.catalog.segments()):
            segment = self._segment(info)
            if segment is not None:
                yield segment

    def _holding(self, number: int) -> Segment:
        infos = [info for info in self.catalog.segments() if info.first <= number]
        segment = self._segment(infos[-1]) if infos else None
        if segment is None:
            raise ConfigError(f"the journal has no message {number}")
        return segment

    def find(self, criteria: Criteria) -> list[Row]:
        """Matching messages, newest first, at most ``limit``. Raises ConfigError for an unknown state."""
        found = (self.row(number) for number in self.numbers(replace(criteria, limit=_ALL)))
        if criteria.state in _DEAD:  # those that were sent again since are no dead letters any more
            found = (row for row in found if row.state in DEAD)
        return list(itertools.islice(found, criteria.limit))

    def numbers(self, criteria: Criteria, page: int = 1000) -> Iterator[int]:
        """Numbers of the matching messages, newest first, at most ``limit``; read in pages, so memory does not grow.

        Raises ConfigError for an unknown state.
        """
        where, values = self._where(criteria)
        sql = f"SELECT id FROM message WHERE {where} AND id<? ORDER BY id DESC LIMIT ?"  # noqa: S608  # constants
        left = criteria.limit
        for segment in self._segments():
            below = 2**62
            while left > 0:
                found = rows(segment.db, sql, (*values, below, min(page, left)))
                yield from (number for (number,) in found)
                left -= len(found)
                if len(found) < page:
                    break
                below = found[-1][0]

    def _where(self, criteria: Criteria) -> tuple[str, list[str | float | int]]:
        parts: list[str] = ["1"]
        values: list[str | float | int] = []
        if criteria.state == "replayed":
            parts.append("id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted({message for message, _ in self._replays})))
        elif criteria.state:
            if criteria.state not in _STATES:
                raise ConfigError(f"a state is one of {', '.join(STATES)}")
            parts.append(_STATES[criteria.state])
        for column in ("channel", "control_id", "sender"):
            if value := getattr(criteria, column):
                parts.append(f"{column}=?")
                values.append(value)
        if criteria.kind:
            parts.append("(kind=? OR kind GLOB ?)")
            values += [criteria.kind, f"{criteria.kind}^*"]
        for bound, sign in ((criteria.since, ">="), (criteria.until, "<")):
            if bound is not None:
                parts.append(f"received{sign}?")
                values.append(bound)
        for facet in FACETS:
            if value := getattr(criteria, facet):
                parts.append("id IN (SELECT message FROM facet WHERE hash=?)")
                values.append(self.catalog.hasher.hash(f"{facet} {value}"))
        return " AND ".join(parts), values

    def _row(self, segment: Segment, columns: tuple[Any, ...]) -> Row:
        number, received, channel, kind, control_id, sender, format_, charset, size, parents, refusal = columns
        waiting = rows(
            segment.db, "SELECT route FROM pending WHERE message=? AND route GLOB ?", (number, f"{channel}/*")
        )
        return Row(
            number, received, channel, kind, control_id, sender, format_, charset, size,
            parents=tuple(json.loads(parents or "[]")),
            refusal=tuple(json.loads(refusal)) if refusal else None,
            waiting=tuple(route for (route,) in waiting),
            deliveries=self._deliveries(segment, number),
            replayed=refusal is not None and any(message == number for message, _ in self._replays),
        )  # fmt: skip

    def _deliveries(self, segment: Segment, number: int) -> tuple[Delivery, ...]:
        found = rows(segment.db, "SELECT * FROM delivery WHERE message=? ORDER BY time", (number,))
        made = [Delivery(*columns) for columns in found]
        return tuple(
            replace(one, state="replayed") if one.state in DEAD and (number, one.route) in self._replays else one
            for one in made
        )

    def row(self, number: int) -> Row:
        """One message without its body. Raises ConfigError when the journal does not have it."""
        segment = self._holding(number)
        columns = row(segment.db, f"SELECT {_COLUMNS} FROM message WHERE id=?", (number,))  # noqa: S608  # constant
        if columns is None:
            raise ConfigError(f"the journal has no message {number}")
        return self._row(segment, columns)

    def message(self, number: int) -> Message:
        """One message with its body. Raises ConfigError when the journal does not have it."""
        message = self._holding(number).load(number)
        if message is None:
            raise ConfigError(f"the journal has no message {number}")
        return message

    def content(self, number: int, route: str, role: str) -> bytes:
        """What was ``sent`` to a destination when it is not the message, or its ``answer``; empty when not kept."""
        return self._holding(number).content(number, route, role)

    def attempts(self, number: int) -> list[Attempt]:
        """Failed attempts of a message's deliveries, in order of time."""
        found = rows(self._holding(number).db, "SELECT * FROM attempt WHERE message=? ORDER BY time", (number,))
        return [Attempt(*columns) for columns in found]

    def descendants(self, number: int) -> list[Row]:
        """Messages that came from this one, also through others (replays, batches, other channels), oldest first."""
        sql = "SELECT id, parents FROM message WHERE parents IS NOT NULL AND id>? ORDER BY id"
        family, found = {number}, []
        for segment in reversed(list(self._segments())):  # a child is always younger than its parents
            for child, parents in rows(segment.db, sql, (number,)):
                if not family.isdisjoint(json.loads(parents)):
                    family.add(child)
                    found.append(self.row(child))
        return found

    def ancestors(self, number: int) -> list[Row]:
        """Messages that this one came from, one through another too, youngest first; those that are kept."""
        found: dict[int, Row] = {}
        waiting = list(self.row(number).parents)
        while waiting:
            parent = waiting.pop()
            if parent in found:
                continue
            with contextlib.suppress(ConfigError):  # older than what the journal keeps
                found[parent] = self.row(parent)
                waiting += found[parent].parents
        return sorted(found.values(), key=lambda row: -row.id)

    def dead(self, route: str, limit: int = 100) -> list[Delivery]:
        """The latest dead letters of a destination."""
        sql = (
            "SELECT * FROM delivery WHERE route=? AND state IN ('refused', 'failed', 'expired') "
            "ORDER BY message DESC LIMIT ?"
        )
        found: list[Delivery] = []
        for segment in self._segments():
            found += [Delivery(*columns) for columns in rows(segment.db, sql, (route, limit - len(found)))]
        return found
