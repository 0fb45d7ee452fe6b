"""The catalog of a journal: its segment files and their keys, what operators did, every configuration applied."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.errors import ConfigError
from channels.journal.keys import KEY_BYTES, Hasher, MasterKeys, Sealer
from channels.journal.segment import Segment, connect

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment(
  number INTEGER PRIMARY KEY, first INTEGER NOT NULL, opened REAL NOT NULL, sealed REAL, drained REAL, damaged TEXT,
  master TEXT, wrapped BLOB);
CREATE TABLE IF NOT EXISTS key(purpose TEXT PRIMARY KEY, master TEXT, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS hold(route TEXT PRIMARY KEY, since REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS applied(
  id INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, configuration TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit(
  id INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment file. Times are seconds since the epoch; None for what has not happened."""

    number: int
    first: int
    opened: float
    sealed: float | None
    drained: float | None
    damaged: str | None


class Catalog:
    """The file ``catalog.db``. Small, written rarely, each change committed at once."""

    def __init__(self, directory: Path, keys: MasterKeys | None, *, write: bool = False) -> None:
        """Open it, and make it when it is new and ``write``. Raises ConfigError or apsw.Error."""
        self.directory, self._keys = directory, keys
        path = directory / "catalog.db"
        if not write and not path.exists():
            raise ConfigError(f"there is no journal in {directory}: the engine has not run yet")
        self._db = connect(path, write=write)
        if write:
            with self._db:
                self._db.execute(_SCHEMA)
            self._make_hash_key()
        self.hasher = Hasher(self._hash_key())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # keys

    def _make_hash_key(self) -> None:
        if self._db.execute("SELECT 1 FROM key WHERE purpose='hash'").fetchone():
            return
        key = secrets.token_bytes(KEY_BYTES)
        master, wrapped = self._keys.wrap(key, "hash") if self._keys else (None, key)
        self._db.execute("INSERT INTO key VALUES('hash', ?, ?)", (master, wrapped))

    def _hash_key(self) -> bytes:
        master, wrapped = self._db.execute("SELECT master, wrapped FROM key WHERE purpose='hash'").fetchone()
        return self._unwrap(master, wrapped, "hash") or wrapped

    def _unwrap(self, master: str | None, wrapped: bytes | None, purpose: str) -> bytes | None:
        if master is None or wrapped is None:
            return None
        if self._keys is None:
            raise ConfigError("the journal is encrypted and site.yaml names no key (journal.key_file)")
        return self._keys.unwrap(master, wrapped, purpose)

    def rotate(self) -> int:
        """Wrap every key under the newest master key. Returns how many were wrapped again."""
        if self._keys is None:
            raise ConfigError("the journal is not encrypted: site.yaml names no key (journal.key_file)")
        count = 0
        with self._db:
            for purpose, master, wrapped in self._db.execute("SELECT purpose, master, wrapped FROM key").fetchall():
                key = self._unwrap(master, wrapped, purpose) or wrapped
                self._db.execute("UPDATE key SET master=?, wrapped=? WHERE purpose=?", (*self._keys.wrap(key, purpose), purpose))
                count += 1
            for number, master, wrapped in self._db.execute("SELECT number, master, wrapped FROM segment").fetchall():
                data_key = self._unwrap(master, wrapped, f"segment {number}")
                if data_key is not None:
                    again = self._keys.wrap(data_key, f"segment {number}")
                    self._db.execute("UPDATE segment SET master=?, wrapped=? WHERE number=?", (*again, number))
                    count += 1
        return count

    # segments

    def segments(self) -> list[SegmentInfo]:
        """All segments that exist, oldest first."""
        rows = self._db.execute("SELECT number, first, opened, sealed, drained, damaged FROM segment ORDER BY number")
        return [SegmentInfo(*row) for row in rows.fetchall()]

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self.directory / f"segment-{number:06d}.db"

    def open(self, number: int, *, write: bool = False) -> Segment:
        """Open a segment. Raises ConfigError (key) or apsw.Error (damaged or missing file)."""
        row = self._db.execute("SELECT master, wrapped FROM segment WHERE number=?", (number,)).fetchone()
        if row is None:
            raise ConfigError(f"the journal has no segment {number}")
        return Segment(self.path(number), Sealer(self._unwrap(*row, f"segment {number}")), write=write)

    def add(self, first: int) -> int:
        """A new segment, for messages from ``first`` on; returns its number. Encrypted when there are master keys."""
        now = time.time()
        with self._db:
            last = self._db.execute("SELECT coalesce(max(number), 0) FROM segment").fetchone()[0]
            number = int(last) + 1
            master, wrapped = None, None
            if self._keys:
                master, wrapped = self._keys.wrap(secrets.token_bytes(KEY_BYTES), f"segment {number}")
            self._db.execute("UPDATE segment SET sealed=? WHERE sealed IS NULL", (now,))
            self._db.execute(
                "INSERT INTO segment(number, first, opened, master, wrapped) VALUES(?,?,?,?,?)",
                (number, first, now, master, wrapped),
            )
        return number

    def mark(self, number: int, what: str, value: float | str) -> None:
        """Set ``sealed``, ``drained`` (times) or ``damaged`` (why) of a segment."""
        statements = {name: f"UPDATE segment SET {name}=? WHERE number=?" for name in ("sealed", "drained", "damaged")}
        self._db.execute(statements[what], (value, number))

    def remove(self, number: int) -> None:
        """Forget a segment and unlink its files: the space is free at once, its key is gone."""
        self._db.execute("DELETE FROM segment WHERE number=?", (number,))
        path = self.path(number)
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            file.unlink(missing_ok=True)

    # operators

    def hold(self, route: str, who: str, why: str) -> None:
        """Remember that a destination is held, also after a restart."""
        self._db.execute("INSERT OR REPLACE INTO hold VALUES(?,?,?,?)", (route, time.time(), who, why))

    def release(self, route: str) -> None:
        """The opposite of hold."""
        self._db.execute("DELETE FROM hold WHERE route=?", (route,))

    def holds(self) -> dict[str, tuple[float, str, str]]:
        """Held destinations: route -> (since, who, why)."""
        return {route: (since, who, why) for route, since, who, why in self._db.execute("SELECT * FROM hold").fetchall()}

    def audit(self, who: str, action: str, thing: str, detail: str = "") -> None:
        """Record that someone saw or moved something. Never pass message contents."""
        self._db.execute(
            "INSERT INTO audit(time, who, action, object, detail) VALUES(?,?,?,?,?)", (time.time(), who, action, thing, detail)
        )

    def audited(self, limit: int = 100) -> list[tuple[float, str, str, str, str]]:
        """The latest audit entries: (time, who, action, object, detail), newest first."""
        rows = self._db.execute("SELECT time, who, action, object, detail FROM audit ORDER BY id DESC LIMIT ?", (limit,))
        return rows.fetchall()

    def applied(self, who: str, why: str, configuration: dict[str, Any]) -> int:
        """Keep a configuration that was applied; returns its number."""
        self._db.execute(
            "INSERT INTO applied(time, who, why, configuration) VALUES(?,?,?,?)",
            (time.time(), who, why, json.dumps(configuration, sort_keys=True)),
        )
        return self._db.last_insert_rowid()

    def configurations(self, limit: int = 50) -> list[tuple[int, float, str, str, dict[str, Any]]]:
        """Applied configurations: (number, time, who, why, files), newest first."""
        rows = self._db.execute("SELECT id, time, who, why, configuration FROM applied ORDER BY id DESC LIMIT ?", (limit,))
        return [(number, at, who, why, json.loads(text)) for number, at, who, why, text in rows.fetchall()]
