"""The journal's writer: group commit and lazy delivery marks.

One writer owns the files. Statements run in the event loop (they only touch memory); ``COMMIT``, which waits for the
disk, runs in one thread that holds no interpreter lock meanwhile. Everything that arrives during a commit goes into the
next one, and its acknowledgements leave together.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import structlog

from channels.errors import ConfigError, StoreError
from channels.journal.catalog import Catalog
from channels.journal.files import SegmentFiles
from channels.journal.keys import Hasher, MasterKeys
from channels.journal.large import LARGE
from channels.journal.records import Attempt, Delivery, Record
from channels.journal.segment import Segment
from channels.message import Message

log = structlog.get_logger()

_LAZY = 0.02
"""Seconds that a delivery mark may wait for company: after a crash a few deliveries are sent again, none is lost."""

_GROUP, _GROUP_BYTES = 512, 32_000_000
_PROBE = 1.0
_PROBE_BYTES = 262_144


@dataclass(slots=True)
class _Group:
    """What one commit carries; the segment of the batch is the first one touched."""

    batch: list[Record] = field(default_factory=list)
    settled: list[Delivery] = field(default_factory=list)
    noted: list[Attempt] = field(default_factory=list)
    touched: list[Segment] = field(default_factory=list)
    seconds: float = 0.0
    problem: apsw.Error | OSError | None = None


class Journal:
    """Messages, deliveries, attempts. ``append`` and the marks are called in the event loop."""

    def __init__(
        self,
        directory: Path,
        keys: MasterKeys | None = None,
        *,
        segment_size: int = 1_000_000_000,
        segment_age: float = 86400.0,
    ) -> None:
        """directory: made when missing. keys: None leaves bodies in clear. Sizes in bytes, ages in seconds."""
        self.directory, self._keys = directory, keys
        self._segment_size, self._segment_age = segment_size, segment_age
        self.healthy = True
        self.on_health: Callable[[bool], object] = bool
        self.commits = self.committed = 0
        self.commit_seconds = 0.0
        self._batch: list[Record] = []
        self._settled: list[Delivery] = []
        self._noted: list[Attempt] = []
        self._busy = self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._jobs: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()

    # opening and closing

    def open(self) -> None:
        """Take the journal for this process and read what waits; call it in the event loop that will use it.

        Raises:
            ConfigError: another engine has it, or its key is missing.
            StoreError: it cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the journal folder {self.directory} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._files = SegmentFiles(self.directory, self._keys, self._segment_size, self._segment_age)
        except OSError:
            os.close(self._lock)
            raise ConfigError(f"another process has the journal {self.directory} open") from None
        except ConfigError:
            os.close(self._lock)
            raise
        except apsw.Error as error:
            os.close(self._lock)
            raise StoreError(f"the journal {self.directory} cannot be opened: {type(error).__name__}") from error
        self._thread = threading.Thread(target=self._commit_forever, name="journal-commit", daemon=True)
        self._thread.start()

    @property
    def catalog(self) -> Catalog:
        """Segments, keys, holds, applied configurations, audit."""
        return self._files.catalog

    @property
    def hasher(self) -> Hasher:
        """Hashes of lane keys and of searchable identifiers."""
        return self._files.catalog.hasher

    async def close(self) -> None:
        """Write what is left and give the journal back."""
        await self.flushed()
        self._jobs.put(None)
        self._thread.join()
        self._files.close()
        os.close(self._lock)

    async def flushed(self) -> None:
        """Wait until everything given so far is on disk (or was refused)."""
        while self._busy or self._batch or (self.healthy and (self._settled or self._noted)):
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(future)
            self._schedule()
            await future

    # writing

    def append(self, record: Record) -> None:
        """Number the record's message and write it; ``record.done`` is called when it is on disk or cannot be."""
        if not self.healthy:
            self._loop.call_soon(record.done, record, StoreError("the journal cannot be written"))
            return
        files = self._files
        if not self._batch and files.due:
            self._roll()
        object.__setattr__(record.message, "id", files.next_id)  # the one change, before anyone else sees it
        files.next_id += 1
        files.bytes += len(record.message.body)
        self._batch.append(record)
        if not self._scheduled and not self._busy:
            self._schedule()

    def _roll(self) -> None:
        """Begin a new segment; when the disk does not let us, the next write will say so."""
        try:
            self._files.roll()
        except (apsw.Error, OSError) as error:
            log.error("journal cannot begin a new segment", error=type(error).__name__)

    def settle(self, delivery: Delivery) -> None:
        """Note how a delivery ended: with the next commit, or in a few milliseconds."""
        self._settled.append(delivery)
        self._marks_later()

    def note(self, attempt: Attempt) -> None:
        """Note a failed attempt, as lazily."""
        self._noted.append(attempt)
        self._marks_later()

    def _marks_later(self) -> None:
        marks = self._settled or self._noted
        if marks and not self._busy and not self._scheduled and self._timer is None:
            self._timer = self._loop.call_later(_LAZY, self._lazy)

    def _lazy(self) -> None:
        self._timer = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Begin a transaction with all that waits and hand its COMMIT to the thread."""
        self._scheduled = False
        if self._busy or not self.healthy:
            self._rest()
            return
        group = _Group(self._take_batch(), self._settled, self._noted)
        self._settled, self._noted = [], []
        if not (group.batch or group.settled or group.noted):
            self._rest()
            return
        try:
            if group.batch:
                # A segment may have begun since these were numbered: all of them belong to one.
                segment = self._files.writers[self._files.number_of(group.batch[0].message.id)]
                self._begin(segment, group)
                segment.insert(group.batch)
            self._write_marks(group)
        except (apsw.Error, OSError) as error:
            self._failed(group, error)
            return
        self._busy = True
        self._jobs.put(group)

    def _take_batch(self) -> list[Record]:
        """What goes into one transaction: bounded in number and in size."""
        batch = self._batch
        size = 0
        for count, record in enumerate(batch, 1):
            size += len(record.message.body)
            if (count >= _GROUP or size >= _GROUP_BYTES) and count < len(batch):
                self._batch = batch[count:]
                return batch[:count]
        self._batch = []
        return batch

    def _begin(self, segment: Segment, group: _Group) -> None:
        if segment not in group.touched:
            segment.db.execute("BEGIN IMMEDIATE")
            group.touched.append(segment)

    def _write_marks(self, group: _Group) -> None:
        """Marks go to the segment of their message; those of a segment that is gone or spoilt go nowhere."""
        settled: dict[int, list[Delivery]] = {}
        noted: dict[int, list[Attempt]] = {}
        for delivery in group.settled:
            settled.setdefault(self._files.number_of(delivery.message), []).append(delivery)
        for attempt in group.noted:
            noted.setdefault(self._files.number_of(attempt.message), []).append(attempt)
        for number in settled.keys() | noted.keys():
            segment = self._files.writers.get(number)
            if segment is None:
                continue
            try:
                self._begin(segment, group)
                segment.settle(settled.get(number, []))
                segment.note(noted.get(number, []))
            except (apsw.CorruptError, apsw.NotADBError) as error:
                if segment is self._files.active:
                    raise
                group.touched.remove(segment)
                self._files.spoilt(number, error)

    def _commit_forever(self) -> None:
        """The thread: waits for the disk, nothing else."""
        while self._commit_next():
            pass

    def _commit_next(self) -> bool:
        """One group; False when there is none any more. What it names is let go before the next one is waited for."""
        group = self._jobs.get()
        if group is None:
            return False
        begun = time.perf_counter()
        try:
            for record in group.batch:
                if len(record.message.body) >= LARGE:
                    group.touched[0].large.write(record.message.id, record.message.body)
            for segment in group.touched:
                segment.db.execute("COMMIT")
        except (apsw.Error, OSError) as error:
            group.problem = error
        group.seconds = time.perf_counter() - begun
        self._loop.call_soon_threadsafe(self._committed, group)
        return True

    def _committed(self, group: _Group) -> None:
        self._busy = False
        if group.problem is not None:
            self._failed(group, group.problem)
            return
        self.commits += 1
        self.committed += len(group.batch)
        self.commit_seconds += group.seconds
        if not self.healthy:
            self._recovered()
        if self._batch or self._idle:
            self._schedule()
        else:  # marks alone would make the next message wait for a commit of theirs
            self._marks_later()
        for record in group.batch:
            record.done(record, None)
        if not self._scheduled:
            self._rest()

    def _rest(self) -> None:
        idle, self._idle = self._idle, []
        for future in idle:
            if not future.done():
                future.set_result(None)

    # trouble

    def _failed(self, group: _Group, error: Exception) -> None:
        """Refuse the messages; keep the marks for later; try the disk again until it takes something."""
        for segment in group.touched:
            with contextlib.suppress(apsw.Error):
                if segment.db.in_transaction:
                    segment.db.execute("ROLLBACK")
        self._settled = group.settled + self._settled
        self._noted = group.noted + self._noted
        if self.healthy:
            log.error("journal cannot be written", error=type(error).__name__)
            self.healthy = False
            self.on_health(False)
        refused = group.batch + self._batch
        self._batch = []
        for record in refused:
            record.done(record, StoreError("the journal cannot be written"))
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.IOError):
            try:
                self._files.replace(error)
            except (apsw.Error, OSError) as again:
                log.error("journal cannot begin a new segment", error=type(again).__name__)
        self._loop.call_later(_PROBE, self._probe)
        self._rest()

    def _probe(self) -> None:
        """Write something, and the marks that are left; the commit tells whether the disk takes it."""
        if self.healthy or self._busy:
            return
        group = _Group(settled=self._settled, noted=self._noted)
        self._settled, self._noted = [], []
        try:
            active = self._files.active
            self._begin(active, group)
            active.db.execute("CREATE TABLE IF NOT EXISTS probe(data BLOB)")
            active.db.execute("INSERT INTO probe VALUES(zeroblob(?))", (_PROBE_BYTES,))
            active.db.execute("DELETE FROM probe")
            self._write_marks(group)
        except (apsw.Error, OSError) as error:
            self._failed(group, error)
            return
        self._busy = True
        self._jobs.put(group)

    def _recovered(self) -> None:
        log.info("journal can be written again")
        self.healthy = True
        self.on_health(True)

    # reading

    def waiting(self) -> dict[str, int]:
        """Pending deliveries by route, over all segments."""
        return self._files.waiting()

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        """What waits for a destination above message ``after``: (message, lanes), in order, at most ``limit``."""
        return self._files.pending(route, after, limit)

    def load(self, message: int) -> Message | None:
        """A message with its body; None when it is not (or no longer) there, or its segment is damaged."""
        return self._files.load(message)

    def recent(self, limit: int) -> list[tuple[Any, ...]]:
        """The latest messages that resends are compared with: (id, channel, received, identity, digest, refusal)."""
        return self._files.recent(limit)

    async def housekeeping(self, retention: float) -> int:
        """Index and close drained segments; remove those older than ``retention`` seconds. Returns how many went."""
        await self.flushed()
        busy = {self._files.number_of(one.message) for one in self._settled}
        busy |= {self._files.number_of(one.message) for one in self._noted}
        return await self._files.housekeeping(retention, busy)
