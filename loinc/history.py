"""Who decided what, when, on what evidence: ``loinc/history.csv``, to which rows are only added."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from loinc.tabular import clean, read_csv, write_csv
from loinc.transcoding import Row, Transcoding

__all__ = ["COLUMNS", "Change", "appended", "changes_between", "read_history"]

FILE = "loinc/history.csv"


class Change(NamedTuple):
    """One change of one row of the transcoding table.

    time: ISO 8601 with its offset. action: ``add``, ``change`` or ``remove``. before, after: ``LOINC status`` and the
    columns that differ.
    """

    time: str
    author: str
    action: str
    local_code: str
    specimen: str
    unit: str
    technique: str
    before: str
    after: str
    evidence: str


COLUMNS = Change._fields
_TOLD = ("loinc", "status", "relationship", "ucum", "molar_mass", "decimals", "since", "until", "comment")


def changes_between(
    old: Transcoding, new: Transcoding, author: str, when: datetime, evidence: str = ""
) -> list[Change]:
    """What a new table changes. evidence: used where the row itself gives none."""
    difference = old.difference(new)
    time = when.isoformat(timespec="seconds")
    pairs: list[tuple[str, Row | None, Row | None]] = [("add", None, row) for row in difference.added]
    pairs += [("change", before, after) for before, after in difference.changed]
    pairs += [("remove", row, None) for row in difference.removed]
    made = []
    for action, before, after in pairs:
        row = after or before
        if row is not None:
            why = (after.evidence if after else "") or evidence
            made.append(Change(time, clean(author), action, *row.key, _told(before, after), _told(after, before), why))
    return sorted(made, key=lambda change: change[3:7])


def _told(row: Row | None, other: Row | None) -> str:
    """Code and status, and the other columns where the two rows differ."""
    if row is None:
        return ""
    shown = [row.loinc or "-", row.status]
    for name in _TOLD[2:]:
        value = getattr(row, name)
        if value and (other is None or value != getattr(other, name)):
            shown.append(f"{name}={value}")
    return " ".join(shown)


def appended(text: str, changes: Iterable[Change]) -> str:
    """The file with more rows at its end; its other lines stay byte for byte."""
    more = write_csv(COLUMNS, (change._asdict() for change in changes))
    if not text.strip():
        return more
    return text + ("" if text.endswith("\n") else "\n") + more.partition("\n")[2]


def read_history(text: str) -> list[Change]:
    """The changes, the oldest first. Raises ChannelFileError when it is not CSV."""
    return [Change(*(row.get(column, "") for column in COLUMNS)) for _, row in read_csv(text, FILE).rows]
