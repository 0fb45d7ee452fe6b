"""What patients said about their DMP (ZFA), by the hash of each identifier.

Source: IHE PAM France 2.11, ZFA: last known state, compared by the dates of ZFA-10 and ZFA-12; empty erases nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import apsw

from channels.journal.sqlite import row
from connectors.shared.submissions.records import Consent

SCHEMA = """
CREATE TABLE IF NOT EXISTS consent(
  patient INTEGER PRIMARY KEY, dmp TEXT NOT NULL, dmp_collected TEXT NOT NULL, dmp_closed TEXT NOT NULL,
  feeding TEXT NOT NULL, feeding_date TEXT NOT NULL, consultation TEXT NOT NULL, consultation_date TEXT NOT NULL,
  dmp_at TEXT NOT NULL, feeding_at TEXT NOT NULL, consultation_at TEXT NOT NULL
);
"""
_READ = (
    "SELECT dmp, dmp_collected, dmp_closed, feeding, feeding_date, consultation, consultation_date, dmp_at, "
    "feeding_at, consultation_at FROM consent WHERE patient=?"
)
_Row = tuple[str, ...]


def remember(db: apsw.Connection, patient: int, consent: Consent, at: float) -> None:
    """Take over what is newer."""
    merged = _merged(_read(db, patient), _stamped(consent, at))
    db.execute(f"INSERT OR REPLACE INTO consent VALUES({','.join('?' * 11)})", (patient, *merged))


def latest(db: apsw.Connection, patients: Sequence[int]) -> Consent:
    """What the rows of one patient say together."""
    merged: _Row = ("",) * 10
    for patient in patients:
        merged = _merged(merged, _read(db, patient))
    return Consent(*merged[:7])


def _read(db: apsw.Connection, patient: int) -> _Row:
    return row(db, _READ, (patient,)) or ("",) * 10


def _stamped(consent: Consent, at: float) -> _Row:
    """The fields, and the moment from which each of the three states holds: its own date, else the message's."""
    sent = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%S")
    dates = (consent.dmp_closed or consent.dmp_collected, consent.feeding_date, consent.consultation_date)
    values = (
        consent.dmp, consent.dmp_collected, consent.dmp_closed, consent.feeding, consent.feeding_date,
        consent.consultation, consent.consultation_date,
    )  # fmt: skip
    return (*values, *(_moment(date) or sent for date in dates))


def _moment(date: str) -> str:
    """A date as written, to the second where it says so: the end of what it leaves open."""
    digits = re.split(r"[-+.]", date, maxsplit=1)[0]
    return digits[:14] + "235959"[len(digits) - 14 :] if digits.isdigit() and len(digits) in (8, 10, 12) else digits


def _merged(old: _Row, new: _Row) -> _Row:
    """State by state, what holds from the later moment; an empty state says nothing."""
    found = list(old)
    for columns, stamp in (((0, 1, 2), 7), ((3, 4), 8), ((5, 6), 9)):
        if new[columns[0]] and new[stamp] >= old[stamp]:
            for column in (*columns, stamp):
                found[column] = new[column]
    return tuple(found)
