"""One segment file of the journal: a SQLite database that one process writes.

A message costs one short row, its body and a row of ``pending`` per destination; a delivery that went well costs
one row and removes the pending one. ``pending`` is as long as the queues, so a start reads what waits, nothing else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import zstandard

from channels.journal.keys import Sealer
from channels.journal.large import LARGE, LargeBodies
from channels.journal.records import Attempt, Delivery, Record
from channels.journal.sqlite import connect, one, row, rows
from channels.message import Message

_SCHEMA = """
CREATE TABLE message(
  id INTEGER PRIMARY KEY, received REAL NOT NULL, channel TEXT NOT NULL, kind TEXT NOT NULL, control_id TEXT NOT NULL,
  sender TEXT NOT NULL, format TEXT NOT NULL, charset TEXT NOT NULL, size INTEGER NOT NULL,
  identity INTEGER NOT NULL, digest INTEGER NOT NULL, parents TEXT, refusal TEXT);
CREATE TABLE body(id INTEGER PRIMARY KEY, form INTEGER NOT NULL, data BLOB NOT NULL, attributes BLOB);
CREATE TABLE facet(hash INTEGER NOT NULL, message INTEGER NOT NULL);
CREATE TABLE pending(route TEXT NOT NULL, message INTEGER NOT NULL, lanes, PRIMARY KEY(route, message)) WITHOUT ROWID;
CREATE TABLE delivery(
  message INTEGER NOT NULL, route TEXT NOT NULL, state TEXT NOT NULL, time REAL NOT NULL, attempts INTEGER NOT NULL,
  place TEXT NOT NULL, code TEXT NOT NULL, problem TEXT NOT NULL, reference TEXT NOT NULL,
  PRIMARY KEY(message, route)) WITHOUT ROWID;
CREATE TABLE content(message INTEGER NOT NULL, route TEXT NOT NULL, role TEXT NOT NULL, form INTEGER NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY(message, route, role)) WITHOUT ROWID;
CREATE TABLE attempt(message INTEGER NOT NULL, route TEXT NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL,
  problem TEXT NOT NULL);
CREATE INDEX attempt_message ON attempt(message);
"""
_SEAL = """
CREATE INDEX IF NOT EXISTS facet_hash ON facet(hash);
CREATE INDEX IF NOT EXISTS message_control_id ON message(control_id);
CREATE INDEX IF NOT EXISTS message_received ON message(received);
CREATE INDEX IF NOT EXISTS message_parents ON message(parents) WHERE parents IS NOT NULL;
"""
_DEAD = "CREATE INDEX delivery_dead ON delivery(route, message) WHERE state IN ('refused', 'failed', 'expired')"

_TAKE_OUT = "DELETE FROM pending WHERE route=? AND message IN (SELECT value FROM json_each(?))"

_RAW, _ZSTD, _FILE = 0, 1, 2
_COMPRESS_UP_TO = 131_072
"""Larger bodies are documents in base64: compressing them costs more than it saves."""

# What messages of French hospitals have in common (`scripts/train-dictionary`): a message of 1 kB takes a third of the
# time and less room. Never changed: another one gets another file and another form.
_dictionary = zstandard.ZstdCompressionDict((files("channels") / "journal" / "er7-1.zdict").read_bytes())
_dictionary.precompute_compress(level=1)
_compressor = zstandard.ZstdCompressor(level=1, dict_data=_dictionary, write_content_size=True)
_decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary)


def pack_lanes(lanes: tuple[int, ...]) -> int | bytes:
    """One lane as a number, several as bytes."""
    return lanes[0] if len(lanes) == 1 else struct.pack(f"<{len(lanes)}q", *lanes)


def unpack_lanes(value: int | bytes) -> tuple[int, ...]:
    """The lanes back."""
    return (value,) if isinstance(value, int) else struct.unpack(f"<{len(value) // 8}q", value)


@lru_cache(maxsize=1024)
def _written(attributes: tuple[tuple[str, str], ...]) -> bytes:
    """Attributes as JSON: the same for all messages of a connection."""
    return json.dumps(dict(attributes)).encode()


def _shrink(data: bytes) -> tuple[int, bytes]:
    if len(data) > _COMPRESS_UP_TO:
        return _RAW, data
    return _ZSTD, _compressor.compress(data)


def _grow(form: int, data: bytes) -> bytes:
    return _decompressor.decompress(data) if form == _ZSTD else data


class Segment:
    """One file. Only the journal's writer calls the methods that write; they do not commit."""

    def __init__(self, path: Path, sealer: Sealer, *, write: bool = False) -> None:
        """Open the file, and make it when it is new and ``write``. Raises apsw.Error."""
        self.path, self.sealer = path, sealer
        self.large = LargeBodies(path, sealer)
        self.db = connect(path, write=write)
        if write and one(self.db, "SELECT 1 FROM sqlite_schema WHERE name='message'") is None:
            with self.db:
                self.db.execute(_SCHEMA)
                self.db.execute(_DEAD)

    def close(self) -> None:
        """Close the file; the last writer also empties the WAL."""
        self.db.close()

    # writing, inside the journal's transaction

    def insert(self, records: Iterable[Record]) -> None:
        """Write messages, their bodies, facets and pending deliveries; large bodies are left to ``large.write``."""
        messages, bodies, facets, pending = [], [], [], []
        seal = self.sealer.seal
        for record in records:
            message = record.message
            number = message.id
            messages.append(
                (
                    number,
                    message.received,
                    record.channel,
                    message.kind,
                    message.control_id,
                    message.sender,
                    message.format,
                    message.charset,
                    len(message.body),
                    record.identity,
                    record.digest,
                    json.dumps(message.parents) if message.parents else None,
                    json.dumps(record.refusal) if record.refusal else None,
                )
            )
            if len(message.body) < LARGE:
                form, data = _shrink(message.body)
                data = seal(data, b"b%d" % number)
            else:
                form, data = _FILE, b""
            attributes = (
                seal(_written(tuple(message.attributes.items())), b"a%d" % number) if message.attributes else None
            )
            bodies.append((number, form, data, attributes))
            facets += [(value, number) for value in record.facets]
            if record.routes:
                lanes = pack_lanes(record.lanes)
                pending += [(route, number, lanes) for route in record.routes]
        many = self.db.executemany
        many("INSERT INTO message VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", messages)
        many("INSERT INTO body VALUES(?,?,?,?)", bodies)
        if facets:
            many("INSERT INTO facet VALUES(?,?)", facets)
        if pending:
            many("INSERT INTO pending VALUES(?,?,?)", pending)

    def settle(self, deliveries: list[Delivery]) -> None:
        """Write how deliveries ended and take them out of ``pending``."""
        ends = [
            (d.message, d.route, d.state, d.time, d.attempts, d.place, d.code, d.problem, d.reference)
            for d in deliveries
        ]
        gone: dict[str, list[int]] = {}
        for delivery in deliveries:
            gone.setdefault(delivery.route, []).append(delivery.message)
        self.db.executemany("INSERT OR REPLACE INTO delivery VALUES(?,?,?,?,?,?,?,?,?)", ends)
        for route, numbers in gone.items():
            self.db.execute(_TAKE_OUT, (route, json.dumps(numbers)))
        contents = []
        for end in deliveries:
            for role, data in (("sent", end.sent), ("answer", end.answer)):
                if data:
                    form, small = _shrink(data)
                    sealed = self.sealer.seal(small, _content_place(end.message, end.route, role))
                    contents.append((end.message, end.route, role, form, sealed))
        if contents:
            self.db.executemany("INSERT OR REPLACE INTO content VALUES(?,?,?,?,?)", contents)

    def note(self, attempts: list[Attempt]) -> None:
        """Write failed attempts."""
        values = [(tried.message, tried.route, tried.number, tried.time, tried.problem) for tried in attempts]
        self.db.executemany("INSERT INTO attempt VALUES(?,?,?,?,?)", values)

    def add_indexes(self) -> None:
        """Make searches in a sealed segment quick. Seconds for a large file: not on the event loop."""
        self.db.execute(_SEAL)

    # reading

    def last_id(self) -> int:
        """The highest message number, 0 when there is none."""
        return int(one(self.db, "SELECT coalesce(max(id), 0) FROM message"))

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        """What waits for a destination: (message, lanes) above ``after``, in order."""
        sql = "SELECT message, lanes FROM pending WHERE route=? AND message>? ORDER BY message LIMIT ?"
        return [(number, unpack_lanes(lanes)) for number, lanes in rows(self.db, sql, (route, after, limit))]

    def waiting(self) -> dict[str, int]:
        """Pending deliveries, counted by route."""
        return dict(rows(self.db, "SELECT route, count(*) FROM pending GROUP BY route"))

    def recent(self, limit: int) -> list[tuple[Any, ...]]:
        """The latest messages with a control id: (id, channel, received, identity, digest, refusal), newest first."""
        sql = (
            "SELECT id, channel, received, identity, digest, refusal FROM message "
            "WHERE identity != 0 ORDER BY id DESC LIMIT ?"
        )
        return rows(self.db, sql, (limit,))

    def load(self, number: int) -> Message | None:
        """A message with its body. Raises DamageError when it is not what was written."""
        found = row(
            self.db,
            "SELECT body.form, body.data, body.attributes, format, charset, kind, control_id, sender, received, "
            "parents, size FROM message JOIN body USING(id) WHERE id=?",
            (number,),
        )
        if found is None:
            return None
        form, data, attributes, format_, charset, kind, control_id, sender, received, parents, size = found
        known = json.loads(self.sealer.open(attributes, b"a%d" % number)) if attributes else {}
        body = self.large.read(number, size) if form == _FILE else _grow(form, self.sealer.open(data, b"b%d" % number))
        parents = tuple(json.loads(parents or "[]"))
        return Message(body, format_, charset, kind, control_id, sender, received, number, parents, known)

    def content(self, number: int, route: str, role: str) -> bytes:
        """The bytes sent (``sent``) or answered (``answer``) that were kept for a delivery; empty when none were."""
        sql = "SELECT form, data FROM content WHERE message=? AND route=? AND role=?"
        found = row(self.db, sql, (number, route, role))
        return _grow(found[0], self.sealer.open(found[1], _content_place(number, route, role))) if found else b""


def _content_place(number: int, route: str, role: str) -> bytes:
    return f"{role}{number}{route}".encode()
