"""The catalog of a journal: its segment files and their keys, what operators did, every configuration applied."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.errors import ConfigError
from channels.journal.keys import KEY_BYTES, Hasher, MasterKeys, Sealer
from channels.journal.large import folder_of
from channels.journal.segment import Segment
from channels.journal.sqlite import connect, one, row, rows

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment(
  number INTEGER PRIMARY KEY, first INTEGER NOT NULL, opened REAL NOT NULL, sealed REAL, drained REAL, damaged TEXT,
  master TEXT, wrapped BLOB);
CREATE TABLE IF NOT EXISTS key(purpose TEXT PRIMARY KEY, master TEXT, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS hold(route TEXT PRIMARY KEY, since REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS replayed(
  message INTEGER NOT NULL, route TEXT NOT NULL, child INTEGER NOT NULL, PRIMARY KEY(message, route)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS applied(
  id INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, configuration TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit(
  id INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL,
  detail TEXT NOT NULL);
"""

_MARKS = {
    "sealed": "UPDATE segment SET sealed=? WHERE number=?",
    "drained": "UPDATE segment SET drained=? WHERE number=?",
    "damaged": "UPDATE segment SET damaged=? WHERE number=?",
}


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
            self._make_key("hash")
        self.hasher = Hasher(self._hash_key())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # keys

    def sealer(self, purpose: str) -> Sealer:
        """Encrypts what is kept beside the journal for one purpose; what it is given as it is, without a master key."""
        if self._keys is None:
            return Sealer(None)
        self._make_key(purpose)
        master, wrapped = row(self._db, "SELECT master, wrapped FROM key WHERE purpose=?", (purpose,)) or (None, None)
        return Sealer(self._unwrap(master, wrapped, purpose))

    def _make_key(self, purpose: str) -> None:
        if one(self._db, "SELECT 1 FROM key WHERE purpose=?", (purpose,)):
            return
        key = secrets.token_bytes(KEY_BYTES)
        master, wrapped = self._keys.wrap(key, purpose) if self._keys else (None, key)
        self._db.execute("INSERT INTO key VALUES(?, ?, ?)", (purpose, master, wrapped))

    def _hash_key(self) -> bytes:
        found = row(self._db, "SELECT master, wrapped FROM key WHERE purpose='hash'")
        if found is None:
            raise ConfigError(f"the journal in {self.directory} has no hash key: it is not whole")
        return self._unwrap(found[0], found[1], "hash") or bytes(found[1])

    def _unwrap(self, master: str | None, wrapped: bytes | None, purpose: str) -> bytes | None:
        if master is None or wrapped is None:
            return None
        if self._keys is None:
            raise ConfigError("the journal is encrypted and site.yaml names no key (journal.key_file)")
        return self._keys.unwrap(master, wrapped, purpose)

    def rotate(self, keys: MasterKeys | None = None) -> int:
        """Wrap every key under the newest master key. Returns how many were wrapped again.

        keys: the key file as it is now, when it has changed since the catalog was opened.
        """
        self._keys = keys or self._keys
        if self._keys is None:
            raise ConfigError("the journal is not encrypted: site.yaml names no key (journal.key_file)")
        count = 0
        with self._db:
            for purpose, master, wrapped in rows(self._db, "SELECT purpose, master, wrapped FROM key"):
                key = self._unwrap(master, wrapped, purpose) or wrapped
                self._db.execute(
                    "UPDATE key SET master=?, wrapped=? WHERE purpose=?", (*self._keys.wrap(key, purpose), purpose)
                )
                count += 1
            for number, master, wrapped in rows(self._db, "SELECT number, master, wrapped FROM segment"):
                data_key = self._unwrap(master, wrapped, f"segment {number}")
                if data_key is not None:
                    again = self._keys.wrap(data_key, f"segment {number}")
                    self._db.execute("UPDATE segment SET master=?, wrapped=? WHERE number=?", (*again, number))
                    count += 1
        return count

    def masters(self) -> dict[str, int]:
        """Names of the master keys in use -> how many keys each one wraps."""
        sql = (
            "SELECT master, count(*) FROM (SELECT master FROM key UNION ALL SELECT master FROM segment) "
            "WHERE master IS NOT NULL GROUP BY master"
        )
        return dict(rows(self._db, sql))

    # segments

    def segments(self) -> list[SegmentInfo]:
        """All segments that exist, oldest first."""
        found = rows(self._db, "SELECT number, first, opened, sealed, drained, damaged FROM segment ORDER BY number")
        return [SegmentInfo(*info) for info in found]

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self.directory / f"segment-{number:06d}.db"

    def open(self, number: int, *, write: bool = False) -> Segment:
        """Open a segment. Raises ConfigError (key) or apsw.Error (damaged or missing file)."""
        found = row(self._db, "SELECT master, wrapped FROM segment WHERE number=?", (number,))
        if found is None:
            raise ConfigError(f"the journal has no segment {number}")
        key = self._unwrap(found[0], found[1], f"segment {number}")
        return Segment(self.path(number), Sealer(key), write=write)

    def add(self, first: int) -> int:
        """A new segment, for messages from ``first`` on; returns its number. Encrypted when there are master keys."""
        now = time.time()
        with self._db:
            number = int(one(self._db, "SELECT coalesce(max(number), 0) + 1 FROM segment"))
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
        self._db.execute(_MARKS[what], (value, number))

    def remove(self, number: int) -> None:
        """Forget a segment and unlink its files: the space is free at once, its key is gone."""
        path = self.path(number)
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            file.unlink(missing_ok=True)
        if folder_of(path).exists():
            shutil.rmtree(folder_of(path))
        self._db.execute("DELETE FROM segment WHERE number=?", (number,))  # last: on a full disk it needs the room

    # operators

    def hold(self, route: str, who: str, why: str) -> None:
        """Remember that a destination is held, also after a restart."""
        self._db.execute("INSERT OR REPLACE INTO hold VALUES(?,?,?,?)", (route, time.time(), who, why))

    def release(self, route: str) -> None:
        """The opposite of hold."""
        self._db.execute("DELETE FROM hold WHERE route=?", (route,))

    def holds(self) -> dict[str, tuple[float, str, str]]:
        """Held destinations: route -> (since, who, why)."""
        return {route: (since, who, why) for route, since, who, why in rows(self._db, "SELECT * FROM hold")}

    def replayed(self, message: int, routes: tuple[str, ...], child: int) -> None:
        """Remember that a message was sent again to some destinations, as message ``child``."""
        with self._db:
            values = [(message, route, child) for route in routes]
            self._db.executemany("INSERT OR REPLACE INTO replayed VALUES(?,?,?)", values)

    def replays(self) -> dict[tuple[int, str], int]:
        """(message, route) -> the message that it was sent again as."""
        return {(message, route): child for message, route, child in rows(self._db, "SELECT * FROM replayed")}

    def audit(self, who: str, action: str, thing: str, detail: str = "") -> None:
        """Record that someone saw or moved something. Never pass message contents."""
        sql = "INSERT INTO audit(time, who, action, object, detail) VALUES(?,?,?,?,?)"
        self._db.execute(sql, (time.time(), who, action, thing, detail))

    def audited(self, limit: int = 100) -> list[tuple[Any, ...]]:
        """The latest audit entries: (time, who, action, object, detail), newest first."""
        return rows(self._db, "SELECT time, who, action, object, detail FROM audit ORDER BY id DESC LIMIT ?", (limit,))

    def applied(self, who: str, why: str, configuration: dict[str, Any]) -> int:
        """Keep a configuration that was applied; returns its number."""
        self._db.execute(
            "INSERT INTO applied(time, who, why, configuration) VALUES(?,?,?,?)",
            (time.time(), who, why, json.dumps(configuration, sort_keys=True)),
        )
        return self._db.last_insert_rowid()

    def configurations(self, limit: int = 50) -> list[tuple[int, float, str, str, dict[str, Any]]]:
        """Applied configurations: (number, time, who, why, files), newest first."""
        found = rows(
            self._db, "SELECT id, time, who, why, configuration FROM applied ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [(number, at, who, why, json.loads(text)) for number, at, who, why, text in found]
