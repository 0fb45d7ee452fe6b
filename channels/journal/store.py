"""The journal's writer: group commit, lazy delivery marks, segment files that roll over.

One writer owns the files. Statements run in the event loop (they only touch memory); ``COMMIT``, which waits for the
disk, runs in one thread that holds no interpreter lock meanwhile. Everything that arrives during a commit goes into the
next one, and its acknowledgements leave together.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import structlog

from channels.errors import ConfigError, StoreError
from channels.journal.catalog import Catalog, SegmentInfo
from channels.journal.keys import Hasher, MasterKeys
from channels.journal.records import Attempt, Delivery, Record
from channels.journal.segment import Segment
from channels.message import Message

log = structlog.get_logger()

T = TypeVar("T")

_LAZY = 0.02
"""Seconds that a delivery mark may wait for company: after a crash a few deliveries are sent again, none is lost."""

_GROUP, _GROUP_BYTES = 512, 32_000_000
_PROBE = 1.0


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
        """directory: made when missing. keys: None leaves bodies in clear. segment_size in bytes, segment_age in seconds."""
        self.directory, self._keys = directory, keys
        self._segment_size, self._segment_age = segment_size, segment_age
        self.healthy = True
        self.on_health: Callable[[bool], None] = lambda healthy: None
        self.commits = self.committed = 0
        self.commit_seconds = 0.0
        self._batch: list[Record] = []
        self._settled: list[Delivery] = []
        self._noted: list[Attempt] = []
        self._busy = self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._jobs: queue.SimpleQueue[tuple[list[Segment], list[Record], list[Delivery], list[Attempt]] | None] = (
            queue.SimpleQueue()
        )
        self._readers: dict[int, Segment] = {}
        self._writers: dict[int, Segment] = {}

    # opening and closing

    def open(self) -> None:
        """Take the journal for this process and read what waits; call it in the event loop that will use it.

        Raises:
            ConfigError: another engine has it, or its key is missing.
            StoreError: it cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the journal folder {self.directory} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigError(f"another process has the journal {self.directory} open") from None
        try:
            self.catalog = Catalog(self.directory, self._keys, write=True)
            self._open_segments()
        except apsw.Error as error:
            raise StoreError(f"the journal {self.directory} cannot be opened: {type(error).__name__}") from error
        self._thread = threading.Thread(target=self._commit_forever, name="journal-commit", daemon=True)
        self._thread.start()

    @property
    def hasher(self) -> Hasher:
        """Hashes of lane keys and of searchable identifiers."""
        return self.catalog.hasher

    def _open_segments(self) -> None:
        self._infos = self.catalog.segments()
        last = max((info.first - 1 for info in self._infos), default=0)
        for info in self._infos:
            if info.drained is None and info.damaged is None:
                self._open_writer(info)
        active = next((info for info in reversed(self._infos) if info.sealed is None), None)
        if active and active.number in self._writers:
            self._active, self._active_info = self._writers[active.number], active
            last = max(last, self._active.last_id())
            self._active_bytes = self._active.path.stat().st_size
        self._next_id = last + 1
        if not active or active.number not in self._writers:
            self._next_id += 1_000_000 if active else 0  # a damaged file may hold numbers that cannot be read
            self._roll(self._next_id)

    def _open_writer(self, info: SegmentInfo) -> None:
        try:
            self._writers[info.number] = self.catalog.open(info.number, write=True)
        except (apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.IOError) as error:
            self._damage(info.number, error)

    def _damage(self, number: int, error: apsw.Error) -> None:
        """Set a segment that the disk spoilt aside: it stays readable as far as it can be, nothing is written to it."""
        log.error("journal segment damaged", segment=number, error=type(error).__name__)
        self.catalog.mark(number, "damaged", type(error).__name__)
        self.catalog.mark(number, "sealed", time.time())

    def _roll(self, first: int) -> None:
        """Begin a new segment file, for messages from ``first`` on."""
        number = self.catalog.add(first)
        self._active = self._writers[number] = self.catalog.open(number, write=True)
        self._infos = self.catalog.segments()
        self._active_info = self._infos[-1]
        self._active_bytes = 0

    async def close(self) -> None:
        """Write what is left and give the journal back."""
        await self.flushed()
        self._jobs.put(None)
        self._thread.join()
        for segment in (*self._readers.values(), *self._writers.values()):
            segment.close()
        self.catalog.close()
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
        """Give the record's message its number and write it; ``record.done`` is called when it is on disk or cannot be."""
        if not self.healthy:
            self._loop.call_soon(record.done, record, StoreError("the journal cannot be written"))
            return
        object.__setattr__(record.message, "id", self._next_id)
        self._next_id += 1
        self._batch.append(record)
        if not self._scheduled and not self._busy:
            self._schedule()

    def settle(self, delivery: Delivery) -> None:
        """Note how a delivery ended: with the next commit, or in a few milliseconds."""
        self._settled.append(delivery)
        if not self._busy and not self._scheduled and self._timer is None:
            self._timer = self._loop.call_later(_LAZY, self._lazy)

    def note(self, attempt: Attempt) -> None:
        """Note a failed attempt, as lazily."""
        self._noted.append(attempt)
        if not self._busy and not self._scheduled and self._timer is None:
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
        if self._busy:
            return
        batch = self._take_batch()
        settled, self._settled = self._settled, []
        noted, self._noted = self._noted, []
        if not (batch or settled or noted):
            self._rest()
            return
        touched: list[Segment] = []
        try:
            if batch:
                self._roll_if_due(batch[0].message.id)
                self._begin(self._active, touched)
                self._active.insert(batch)
            self._write_marks(settled, noted, touched)
        except (apsw.Error, OSError) as error:
            self._abandon(touched)
            self._failed(batch, settled, noted, error)
            return
        self._busy = True
        self._jobs.put((touched, batch, settled, noted))

    def _take_batch(self) -> list[Record]:
        batch = self._batch
        size = 0
        for count, record in enumerate(batch, 1):
            size += len(record.message.body)
            if (count >= _GROUP or size >= _GROUP_BYTES) and count < len(batch):
                self._batch = batch[count:]
                self._active_bytes += size
                return batch[:count]
        self._batch = []
        self._active_bytes += size
        return batch

    def _roll_if_due(self, first: int) -> None:
        """Begin a new segment with message ``first`` when the active one is big or old enough."""
        old = time.time() - self._active_info.opened > self._segment_age
        if (old or self._active_bytes > self._segment_size) and first > self._active_info.first:
            self._roll(first)

    def _begin(self, segment: Segment, touched: list[Segment]) -> None:
        if segment not in touched:
            segment.db.execute("BEGIN IMMEDIATE")
            touched.append(segment)

    def _write_marks(self, settled: list[Delivery], noted: list[Attempt], touched: list[Segment]) -> None:
        for number, deliveries in self._by_segment(settled).items():
            self._begin(self._writers[number], touched)
            self._writers[number].settle(deliveries)  # type: ignore[arg-type]  # grouped from deliveries
        for number, attempts in self._by_segment(noted).items():
            self._begin(self._writers[number], touched)
            self._writers[number].note(attempts)  # type: ignore[arg-type]  # grouped from attempts

    def _by_segment(self, marks: list[Delivery] | list[Attempt]) -> dict[int, list[Delivery | Attempt]]:
        active = self._active_info
        groups: dict[int, list[Delivery | Attempt]] = {}
        for mark in marks:
            number = active.number if mark.message >= active.first else self._number_of(mark.message)
            if number in self._writers:
                groups.setdefault(number, []).append(mark)
        return groups

    def _number_of(self, message: int) -> int:
        at = bisect.bisect_right(self._infos, message, key=lambda info: info.first) - 1
        return self._infos[at].number if at >= 0 else 0

    def _abandon(self, touched: list[Segment]) -> None:
        for segment in touched:
            with contextlib.suppress(apsw.Error):
                if segment.db.in_transaction:
                    segment.db.execute("ROLLBACK")

    def _commit_forever(self) -> None:
        """The thread: waits for the disk, nothing else."""
        while (job := self._jobs.get()) is not None:
            touched, batch, settled, noted = job
            begun = time.perf_counter()
            problem: apsw.Error | None = None
            for segment in touched:
                try:
                    segment.db.execute("COMMIT")
                except apsw.Error as error:
                    problem = error
            spent = time.perf_counter() - begun
            self._loop.call_soon_threadsafe(self._committed, touched, batch, settled, noted, spent, problem)

    def _committed(
        self,
        touched: list[Segment],
        batch: list[Record],
        settled: list[Delivery],
        noted: list[Attempt],
        spent: float,
        problem: apsw.Error | None,
    ) -> None:
        self._busy = False
        if problem is not None:
            self._abandon(touched)
            self._failed(batch, settled, noted, problem)
            return
        self.commits += 1
        self.committed += len(batch)
        self.commit_seconds += spent
        if not self.healthy:
            self._recovered()
        if self._batch or self._settled or self._noted:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        for record in batch:
            record.done(record, None)
        if not self._scheduled:
            self._rest()

    def _rest(self) -> None:
        idle, self._idle = self._idle, []
        for future in idle:
            if not future.done():
                future.set_result(None)

    # trouble

    def _failed(self, batch: list[Record], settled: list[Delivery], noted: list[Attempt], error: Exception) -> None:
        """Refuse the messages; keep the marks for later; try the disk again until it takes something."""
        self._settled = settled + self._settled
        self._noted = noted + self._noted
        if self.healthy:
            log.error("journal cannot be written", error=type(error).__name__)
            self.healthy = False
            self.on_health(False)
        refused = batch + self._batch
        self._batch = []
        for record in refused:
            record.done(record, StoreError("the journal cannot be written"))
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.IOError):
            self._abandon_active(error)
        self._loop.call_later(_PROBE, self._probe)
        self._rest()

    def _abandon_active(self, error: apsw.Error) -> None:
        """After a failed write the state of the file is unknown: go on in a new one when the disk lets us."""
        try:
            self._damage(self._active_info.number, error)
            self._roll(self._next_id)
        except (apsw.Error, OSError) as again:
            log.error("journal cannot begin a new segment", error=type(again).__name__)

    def _probe(self) -> None:
        if self.healthy or self._busy:
            return
        touched: list[Segment] = []
        try:
            self._begin(self._active, touched)
            self._active.db.execute("CREATE TABLE IF NOT EXISTS probe(data BLOB)")
            self._active.db.execute("INSERT INTO probe VALUES(zeroblob(262144))")
            self._active.db.execute("DELETE FROM probe")
            settled, self._settled = self._settled, []
            noted, self._noted = self._noted, []
            self._write_marks(settled, noted, touched)
        except (apsw.Error, OSError) as error:
            self._abandon(touched)
            self._failed([], [], [], error)
            return
        self._busy = True
        self._jobs.put((touched, [], settled, noted))

    def _recovered(self) -> None:
        log.info("journal can be written again")
        self.healthy = True
        self.on_health(True)

    # reading

    def waiting(self) -> dict[str, int]:
        """Pending deliveries by route, over all segments."""
        totals: dict[str, int] = {}
        for number in list(self._writers):
            for route, count in self._read(number, lambda segment: segment.waiting(), {}).items():
                totals[route] = totals.get(route, 0) + count
        return totals

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        """What waits for a destination above message ``after``: (message, lanes), in order, at most ``limit``."""
        found: list[tuple[int, tuple[int, ...]]] = []
        for info in self._infos:
            if info.number in self._writers and len(found) < limit:
                room = limit - len(found)
                found += self._read(info.number, lambda segment, room=room: segment.pending(route, after, room), [])  # type: ignore[misc]
        return found

    def load(self, message: int) -> Message | None:
        """A message with its body; None when it is not (or no longer) there, or its segment is damaged."""
        return self._read(self._number_of(message), lambda segment: segment.load(message), None)

    def recent(self, limit: int) -> list[tuple[int, str, float, int, int, str | None]]:
        """The latest messages that duplicates are compared with: (id, channel, received, identity, digest, refusal)."""
        found: list[tuple[int, str, float, int, int, str | None]] = []
        for info in reversed(self._infos):
            if len(found) < limit:
                room = limit - len(found)
                found += self._read(info.number, lambda segment, room=room: list(segment.recent(room)), [])  # type: ignore[misc]
        return found

    def _read(self, number: int, what: Callable[[Segment], T], otherwise: T) -> T:
        """Read from one segment; damage is logged and gives ``otherwise``."""
        try:
            segment = self._readers.get(number)
            if segment is None:
                segment = self._readers[number] = self.catalog.open(number)
            return what(segment)
        except apsw.Error as error:
            log.error("journal segment cannot be read", segment=number, error=type(error).__name__)
            return otherwise
        except ConfigError:
            return otherwise

    # keeping house

    async def housekeeping(self, retention: float) -> int:
        """Seal, index and drain old segments; remove those that are past ``retention`` seconds. Returns how many went."""
        removed = 0
        now = time.time()
        for info in self.catalog.segments():
            if info.sealed is None or info.number == self._active_info.number:
                continue
            if info.drained is None and info.damaged is None:
                await self._drain(info.number)
            elif info.sealed < now - retention:
                self._forget(info.number)
                removed += 1
        self._infos = self.catalog.segments()
        return removed

    async def _drain(self, number: int) -> None:
        writer = self._writers.get(number)
        if writer is None or self._busy or any(self._number_of(mark.message) == number for mark in self._settled):
            return
        if writer.db.execute("SELECT 1 FROM pending LIMIT 1").fetchone():
            return
        del self._writers[number]
        await asyncio.to_thread(writer.add_indexes)
        writer.close()
        self.catalog.mark(number, "drained", time.time())

    def _forget(self, number: int) -> None:
        reader = self._readers.pop(number, None)
        if reader is not None:
            reader.close()
        self.catalog.remove(number)
        log.info("journal segment removed", segment=number)
