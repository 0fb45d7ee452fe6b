"""What the simulated DMP keeps: lots, documents and their versions, assertions used, patients; in memory or in a file.

Each request is one transaction, on disk before it is answered, so that kills of the other side can be counted.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vaguemestre.simulators.dmp import names

FLAT_FORMAT = "urn:ihe:iti:xds-sd:pdf:2008"
PATIENT_STATES = ("active", "closed", "none", "opposed")
_TABLES = """
CREATE TABLE IF NOT EXISTS lots (
    number INTEGER PRIMARY KEY, unique_id TEXT UNIQUE, kind TEXT, structure TEXT, patient TEXT, at TEXT);
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, entry_uuid TEXT UNIQUE, logical_id TEXT, version INTEGER, unique_id TEXT, lot TEXT,
    patient TEXT, structure TEXT, status TEXT, hash TEXT, size INTEGER, type TEXT, class TEXT, format TEXT, title TEXT,
    visibility TEXT, is_signature INTEGER, visible_at REAL, hidden_for INTEGER, metadata BLOB, content BLOB);
CREATE INDEX IF NOT EXISTS by_unique_id ON documents (unique_id);
CREATE INDEX IF NOT EXISTS by_lot ON documents (lot);
CREATE TABLE IF NOT EXISTS former (entry_uuid TEXT PRIMARY KEY, logical_id TEXT, version INTEGER);
CREATE TABLE IF NOT EXISTS received (unique_id TEXT PRIMARY KEY, times INTEGER);
CREATE TABLE IF NOT EXISTS assertions (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS patients (ins TEXT PRIMARY KEY, state TEXT);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER);
"""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One version of an entry. visible_at: seconds of the epoch; hidden_for: queries that do not see it yet."""

    entry_uuid: str
    logical_id: str
    version: int
    unique_id: str
    lot: str
    patient: str
    structure: str
    status: str
    hash: str
    size: int
    type: str
    class_: str
    format: str
    title: str
    visibility: str
    is_signature: bool
    visible_at: float
    hidden_for: int
    metadata: bytes
    content: bytes

    @property
    def is_current(self) -> bool:
        """Approved."""
        return self.status == names.APPROVED


_COLUMNS = [one.name.rstrip("_") for one in fields(StoredDocument)]
_SHOWN = (
    "entry_uuid", "unique_id", "lot", "version", "status", "type", "format", "visibility", "is_signature", "size",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM documents"  # noqa: S608  # names of our own fields


@dataclass(frozen=True, slots=True)
class StoredLot:
    """A lot that was accepted. kind: ``submission`` or ``deletion``."""

    unique_id: str
    kind: str
    structure: str
    patient: str
    at: str


class Registry:
    """The store; one thread uses it."""

    def __init__(self, file: Path | None = None, default_state: str = "active", *, keep_contents: bool = True) -> None:
        """file: None keeps all in memory. default_state: of patients that were not spoken of."""
        self._keep_contents = keep_contents
        self._base = sqlite3.connect(file or ":memory:", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.executescript(_TABLES)
        self.default_state = default_state

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk at its end."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def is_first_use(self, assertion: str) -> bool:
        """Remember the ID of an assertion; false when it was used before."""
        made = self._base.execute("INSERT OR IGNORE INTO assertions VALUES (?)", (assertion,))
        return made.rowcount == 1

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self._base.execute(
            "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", (name,)
        )

    def seen(self, unique_ids: Sequence[str]) -> None:
        """Count that documents came, published or not."""
        self._base.executemany(
            "INSERT INTO received VALUES (?, 1) ON CONFLICT (unique_id) DO UPDATE SET times = times + 1",
            [(one,) for one in unique_ids],
        )

    def has_lot(self, unique_id: str) -> bool:
        """Whether a lot of that identifier was accepted."""
        return self._base.execute("SELECT 1 FROM lots WHERE unique_id = ?", (unique_id,)).fetchone() is not None

    def add_lot(self, lot: StoredLot) -> None:
        """Keep an accepted lot."""
        self._base.execute(
            "INSERT INTO lots (unique_id, kind, structure, patient, at) VALUES (?, ?, ?, ?, ?)",
            (lot.unique_id, lot.kind, lot.structure, lot.patient, lot.at),
        )

    def lots(self) -> list[StoredLot]:
        """Accepted lots, in their order."""
        rows = self._base.execute("SELECT unique_id, kind, structure, patient, at FROM lots ORDER BY number")
        return [StoredLot(*row) for row in rows]

    def add(self, document: StoredDocument) -> None:
        """Keep a document, without its content where contents are not kept."""
        if not self._keep_contents:
            document = replace(document, content=b"")
        values = [getattr(document, one.name) for one in fields(StoredDocument)]
        marks = ", ".join("?" * len(values))
        self._base.execute(f"INSERT INTO documents ({', '.join(_COLUMNS)}) VALUES ({marks})", values)  # noqa: S608  # as above

    def documents(self, **conditions: object) -> list[StoredDocument]:
        """Documents whose columns have these values, in their order."""
        where = " AND ".join(f"{name} = ?" for name in conditions)
        query = f"{_SELECT}{' WHERE ' + where if where else ''} ORDER BY number"
        return [self._document(row) for row in self._base.execute(query, list(conditions.values()))]

    def by_entry(self, entry_uuid: str) -> StoredDocument | None:
        """The document of an entryUUID in force: an older one names nothing any more."""
        found = self.documents(entry_uuid=entry_uuid)
        return found[0] if found else None

    def by_former_entry(self, entry_uuid: str) -> StoredDocument | None:
        """The document that once had this entryUUID."""
        row = self._base.execute(
            "SELECT logical_id, version FROM former WHERE entry_uuid = ?", (entry_uuid,)
        ).fetchone()
        return self.documents(logical_id=row[0], version=row[1])[0] if row else None

    def siblings(self, document: StoredDocument) -> list[StoredDocument]:
        """The other current level of the same document in its lot, if there is one.

        Source: ANS volet "Transmission de documents CDA en HL7 v2": levels 1 and 3 are replaced and deleted together.
        """
        pair = self.documents(lot=document.lot, is_signature=0, type=document.type)
        flat = [one for one in pair if one.format == FLAT_FORMAT]
        if len(pair) != 2 or len(flat) != 1:
            return []
        return [one for one in pair if one.unique_id != document.unique_id and one.is_current]

    def change(self, document: StoredDocument, status: str) -> str:
        """Give a document a status, and a new entryUUID, as each change of metadata does; returns it."""
        fresh = new_uuid()
        self._base.execute(
            "INSERT INTO former VALUES (?, ?, ?)", (document.entry_uuid, document.logical_id, document.version)
        )
        self._base.execute(
            "UPDATE documents SET status = ?, entry_uuid = ? WHERE entry_uuid = ?",
            (status, fresh, document.entry_uuid),
        )
        return fresh

    def asked_for(self, entry_uuids: Sequence[str]) -> None:
        """One query more did not see these."""
        self._base.executemany(
            "UPDATE documents SET hidden_for = hidden_for - 1 WHERE entry_uuid = ? AND hidden_for > 0",
            [(one,) for one in entry_uuids],
        )

    def set_patient(self, ins: str, state: str) -> None:
        """Say what a patient's DMP is: active, closed, none, opposed."""
        if state not in PATIENT_STATES:
            raise ValueError(f"a patient's DMP is one of {', '.join(PATIENT_STATES)}")
        self._base.execute("INSERT OR REPLACE INTO patients VALUES (?, ?)", (ins, state))

    def patient(self, ins: str) -> str:
        """What a patient's DMP is."""
        row = self._base.execute("SELECT state FROM patients WHERE ins = ?", (ins,)).fetchone()
        return str(row[0]) if row else self.default_state

    def published(self) -> Counter[str]:
        """How many times each document (not signatures) was published, by uniqueId."""
        query = "SELECT unique_id, COUNT(*) FROM documents WHERE is_signature = 0 GROUP BY unique_id"
        return Counter(dict(self._base.execute(query)))

    def state(self) -> dict[str, Any]:
        """What can be counted, as JSON values."""
        kinds = dict(self._base.execute("SELECT kind, COUNT(*) FROM lots GROUP BY kind"))
        query = f"SELECT {', '.join(_SHOWN)} FROM documents ORDER BY number"  # noqa: S608  # names of our own fields
        return {
            "lots": {"accepted": sum(kinds.values()), "by_kind": kinds},
            "counters": dict(self._base.execute("SELECT name, value FROM counters")),
            "received": dict(self._base.execute("SELECT unique_id, times FROM received")),
            "published": dict(self.published()),
            "patients": dict(self._base.execute("SELECT ins, state FROM patients")),
            "documents": [dict(zip(_SHOWN, row, strict=True)) for row in self._base.execute(query)],
        }

    @staticmethod
    def _document(row: tuple[Any, ...]) -> StoredDocument:
        values = dict(zip((one.name for one in fields(StoredDocument)), row, strict=True))
        return StoredDocument(**(values | {"is_signature": bool(values["is_signature"])}))


def new_uuid() -> str:
    """A new entryUUID."""
    return f"urn:uuid:{uuid.uuid4()}"
