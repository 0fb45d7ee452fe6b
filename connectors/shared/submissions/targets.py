"""Targets of requests, and the business acknowledgements that are due."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import apsw

from channels.journal.sqlite import one, row, rows
from connectors.shared.submissions.records import Due, Outcome, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS target(
  key TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, reference TEXT NOT NULL DEFAULT '',
  address BLOB NOT NULL, PRIMARY KEY(key, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS target_reference ON target(reference) WHERE reference<>'';
CREATE TABLE IF NOT EXISTS answer(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, positive INTEGER NOT NULL,
  code TEXT NOT NULL, label TEXT NOT NULL, system TEXT NOT NULL, address BLOB NOT NULL, reader BLOB NOT NULL,
  at REAL NOT NULL, due INTEGER NOT NULL, UNIQUE(key, target, kind, positive)
);
CREATE INDEX IF NOT EXISTS answer_due ON answer(id) WHERE due;
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome, with what identifies a person sealed."""

    outcome: Outcome
    address: bytes
    reader: bytes
    at: float


@dataclass(frozen=True, slots=True)
class SealedDue:
    """An acknowledgement that is due, its address and reader still sealed."""

    due: Due
    address: bytes
    reader: bytes

    def opened(self, opened: Callable[[bytes], str]) -> Due:
        """With address and reader."""
        outcome = replace(self.due.outcome, address=opened(self.address), reader=opened(self.reader))
        return replace(self.due, outcome=outcome)


def target(db: apsw.Connection, key: str, name: str) -> tuple[State, str, bytes] | None:
    """State, reference and sealed address of a target."""
    found: tuple[State, str, bytes] | None = row(
        db, "SELECT state, reference, address FROM target WHERE key=? AND name=?", (key, name)
    )
    return found


def change(db: apsw.Connection, key: str, name: str, state: State, reference: str) -> bool:
    """Give a target a state; False when it has it already, or is done and would only be on its way again."""
    found = target(db, key, name)
    if found is None:
        return False
    before, known, _ = found
    if before == "done" and state in ("waiting", "sending", "sent"):
        return False
    if before == state and reference in ("", known):
        return False
    sql = "UPDATE target SET state=?, reference=? WHERE key=? AND name=?"
    db.execute(sql, (state, reference or known, key, name))
    return True


def answer(db: apsw.Connection, key: str, name: str, answer: Answer, *, failures: bool) -> bool:
    """Keep an outcome, due when the requester wants it (or when it is a failure and ``failures``); False when known."""
    wants = row(db, "SELECT wants_reception, wants_reading FROM submission WHERE key=?", (key,))
    if wants is None:
        return False
    outcome = answer.outcome
    due = bool(wants[1] if outcome.kind == "Z03" else wants[0]) or (failures and not outcome.positive)
    values = (
        key, name, outcome.kind, outcome.positive, outcome.code, outcome.label, outcome.system, answer.address,
        answer.reader, answer.at, due,
    )  # fmt: skip
    db.execute(
        "INSERT INTO answer(key, target, kind, positive, code, label, system, address, reader, at, due) "
        "VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        values,
    )
    return bool(db.changes())


def mails(db: apsw.Connection, reference: str) -> list[tuple[str, str, bytes]]:
    """Key, name and sealed address of the targets that were sent with this Message-ID, brackets or not."""
    bare = reference.strip().strip("<>")
    return rows(db, "SELECT key, name, address FROM target WHERE reference IN (?,?)", (bare, f"<{bare}>"))


def due(db: apsw.Connection, limit: int) -> list[SealedDue]:
    """Acknowledgements that are due, oldest first."""
    found = rows(
        db,
        "SELECT a.id, a.key, a.target, a.kind, a.positive, a.code, a.label, a.system, a.address, a.reader, a.at, "
        "s.control_id, s.application, s.facility, s.to_application, s.to_facility, s.processing_id, s.profile "
        "FROM answer a JOIN submission s USING(key) WHERE a.due ORDER BY a.id LIMIT ?",
        (limit,),
    )
    return [_due(*one) for one in found]


def sent(db: apsw.Connection, number: int) -> None:
    """Due no more."""
    db.execute("UPDATE answer SET due=0 WHERE id=?", (number,))


def waiting(db: apsw.Connection) -> int:
    """How many acknowledgements are due."""
    return int(one(db, "SELECT count(*) FROM answer WHERE due"))


def _due(  # noqa: PLR0913, PLR0917  # the columns
    number: int, key: str, name: str, kind: Any, positive: int, code: str, label: str, system: str,
    address: bytes, reader: bytes, at: float, control_id: str, application: str, facility: str, to_application: str,
    to_facility: str, processing_id: str, profile: str,
) -> SealedDue:  # fmt: skip
    outcome = Outcome(kind, bool(positive), code, label, system)
    digest = hashlib.sha256(f"{key} {name} {kind} {positive}".encode()).digest()
    own = "Z" + base64.b32encode(digest[:11]).decode().rstrip("=")[:18]
    due = Due(
        number, own, control_id, outcome, application, facility, to_application, to_facility, processing_id, profile, at
    )
    return SealedDue(due, address, reader)
