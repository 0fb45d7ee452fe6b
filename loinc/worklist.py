"""What is left to transcode, and how much of the results is: by volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from loinc.catalogue import Catalogue, Entry
from loinc.laboratory_units import fold_unit
from loinc.learn import Traffic
from loinc.transcoding import Row, Transcoding

__all__ = ["Item", "decided", "items", "open_items"]


class Item(NamedTuple):
    """One analysis of the catalogue.

    volume: results seen in the messages, else the catalogue's frequency. decision: the settled row, None when there is
    none today. proposals: rows that wait for somebody; refused: codes that somebody turned down.
    """

    entry: Entry
    volume: int
    decision: Row | None
    proposals: tuple[Row, ...]
    refused: frozenset[str]

    @property
    def state(self) -> str:
        """``checked``, ``without_loinc``, ``proposed``, or ``open``."""
        return self.decision.status if self.decision else "proposed" if self.proposals else "open"


def items(catalogue: Catalogue, transcoding: Transcoding, traffic: Traffic, today: date) -> list[Item]:
    """Every active analysis, the most frequent first."""
    counts = traffic.counts()
    found = []
    for entry in catalogue:
        if entry.active:
            mine = transcoding.of(entry.key)
            total = counts.get(entry.local_code, 0)
            alone = len(catalogue.of(entry.local_code)) == 1
            seen = total if alone else _share(entry, traffic, total)
            found.append(
                Item(
                    entry,
                    seen or entry.frequency,
                    transcoding.settled(entry.key, today),
                    tuple(row for row in mine if row.status == "proposed"),
                    frozenset(row.loinc for row in mine if row.status == "refused"),
                )
            )
    return sorted(found, key=lambda item: (-item.volume, item.entry.key))


def _share(entry: Entry, traffic: Traffic, total: int) -> int:
    """The results of one of several analyses with one local code: those in its unit, when the unit tells them apart."""
    if not total or not entry.unit:
        return 0
    return sum(
        observed.count
        for key, observed in traffic.of(entry.local_code)
        if fold_unit(key.unit) == fold_unit(entry.unit) and key.specimen in ("", entry.specimen)
    )


def open_items(found: Iterable[Item], section: str = "") -> Iterator[Item]:
    """Those that nobody has settled, of one chapter of the catalogue or of all."""
    for item in found:
        if item.decision is None and (not section or item.entry.section == section):
            yield item


def decided(table: Transcoding, rows: Iterable[Row], today: date, among: Transcoding | None = None) -> Transcoding:
    """The table with new rows, and what they do to the others of the same analyses (in ``among``; all if absent).

    Proposals give way to a decision. An older decision ends the day before, and the new one begins; one of the same day
    is replaced.
    """
    others = table if among is None else among
    gone: list[Row] = []
    come: list[Row] = []
    for row in rows:
        ended = []
        start = row.since or today.isoformat()
        for old in others.with_code(row.local_code):
            if old.key != row.key or old.identity == row.identity or old.status == "refused":
                continue
            if old.status == "proposed" and (row.settled or old.loinc == row.loinc):
                gone.append(old)
            elif old.settled and row.settled and old.overlaps(row):
                gone.append(old)
                ended += _ended(old, start)
        gone.append(row)
        come += [*ended, replace(row, since=start) if ended and not row.since else row]
    return table.without(gone).with_rows(come)


def _ended(old: Row, start: str) -> list[Row]:
    """The old decision with its last day; none when it would never have held."""
    last = date.fromordinal(date.fromisoformat(start).toordinal() - 1).isoformat()
    if old.date >= start or (old.since and old.since > last):
        return []
    return [replace(old, until=last)]
