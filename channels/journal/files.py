"""The segment files of a journal: which exist, which one takes new messages, which have gone."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import time
from pathlib import Path
from typing import Any

import apsw
import structlog

from channels.errors import DamageError
from channels.journal.catalog import Catalog
from channels.journal.keys import MasterKeys
from channels.journal.segment import Segment
from channels.journal.sqlite import one
from channels.message import Message

log = structlog.get_logger()

_SPOILT = (apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.IOError)
_UNREADABLE_NUMBERS = 1_000_000
"""After a file that cannot be read, numbers go on far above: it may hold some that nobody sees."""


class _Damage(contextlib.AbstractContextManager[None]):
    """Reading from a segment that the disk spoilt is logged and gives nothing; the engine goes on."""

    def __init__(self, segment: int) -> None:
        self._segment = segment

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, apsw.Error | DamageError):
            log.error("journal segment cannot be read", segment=self._segment, error=type(error).__name__)
            return True
        return False


class SegmentFiles:
    """All segments: ``writers`` are those with deliveries that wait, and the active one."""

    def __init__(self, directory: Path, keys: MasterKeys | None, size: int, age: float) -> None:
        """size, age: bytes and seconds at which the active segment is full. Raises ConfigError or apsw.Error."""
        self.catalog = Catalog(directory, keys, write=True)
        self._size, self._age = size, age
        self.writers: dict[int, Segment] = {}
        self._readers: dict[int, Segment] = {}
        self._infos = self.catalog.segments()
        self.next_id = max((info.first for info in self._infos), default=1)
        for info in self._infos:
            if info.drained is None:
                self._open_writer(info.number)
        active = next((info for info in reversed(self._infos) if info.sealed is None), None)
        if active and active.number in self.writers:
            self._activate(active.number)
            self.next_id = max(self.next_id, self.active.last_id() + 1)
        else:
            self.next_id += _UNREADABLE_NUMBERS if active else 0
            self.roll()

    def _open_writer(self, number: int) -> None:
        """A file that does not open stays where it is: what can be read of it can still be read by hand."""
        try:
            self.writers[number] = self.catalog.open(number, write=True)
        except _SPOILT as error:
            self._damaged(number, error)

    def _damaged(self, number: int, error: apsw.Error) -> None:
        log.error("journal segment damaged", segment=number, error=type(error).__name__)
        self.catalog.mark(number, "damaged", type(error).__name__)
        self.catalog.mark(number, "sealed", time.time())

    def _activate(self, number: int) -> None:
        self._infos = self.catalog.segments()
        self._info = next(info for info in self._infos if info.number == number)
        self.active = self.writers[number]
        self.bytes = self.active.path.stat().st_size

    def roll(self) -> None:
        """Begin a new segment, for messages from ``next_id`` on. Raises apsw.Error."""
        number = self.catalog.add(self.next_id)
        self.writers[number] = self.catalog.open(number, write=True)
        self._activate(number)

    @property
    def due(self) -> bool:
        """True when the active segment has messages and is big or old enough to be sealed."""
        full = self.bytes > self._size or time.time() - self._info.opened > self._age
        return full and self.next_id > self._info.first

    def replace(self, error: apsw.Error) -> None:
        """After a failed write the state of the active file is unknown: go on in a new one. Raises apsw.Error."""
        self._damaged(self._info.number, error)
        self.roll()

    def spoilt(self, number: int, error: apsw.Error) -> None:
        """A sealed segment takes no more marks: what waited in it may be sent again after a restart."""
        self._damaged(number, error)
        self.writers.pop(number).close()

    def number_of(self, message: int) -> int:
        """The segment that holds a message; 0 when it is gone."""
        if message >= self._info.first:
            return self._info.number
        at = bisect.bisect_right(self._infos, message, key=lambda info: info.first) - 1
        return self._infos[at].number if at >= 0 else 0

    def close(self) -> None:
        """Close everything."""
        for segment in (*self._readers.values(), *self.writers.values()):
            segment.close()
        self.catalog.close()

    # reading

    def waiting(self) -> dict[str, int]:
        """Pending deliveries by route, over all segments."""
        totals: dict[str, int] = {}
        for number in self.writers:
            with _Damage(number):
                for route, count in self._reader(number).waiting().items():
                    totals[route] = totals.get(route, 0) + count
        return totals

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        """What waits for a destination above message ``after``: (message, lanes), in order, at most ``limit``."""
        found: list[tuple[int, tuple[int, ...]]] = []
        for number in sorted(self.writers):
            if len(found) < limit:
                with _Damage(number):
                    found += self._reader(number).pending(route, after, limit - len(found))
        return found

    def load(self, message: int) -> Message | None:
        """A message with its body; None when it is not (or no longer) there, or its segment is damaged."""
        number = self.number_of(message)
        if number:
            with _Damage(number):
                return self._reader(number).load(message)
        return None

    def recent(self, limit: int) -> list[tuple[Any, ...]]:
        """The latest messages that resends are compared with: (id, channel, received, identity, digest, refusal)."""
        found: list[tuple[Any, ...]] = []
        for info in reversed(self._infos):
            if len(found) < limit:
                with _Damage(info.number):
                    found += self._reader(info.number).recent(limit - len(found))
        return found

    def _reader(self, number: int) -> Segment:
        if number not in self._readers:
            self._readers[number] = self.catalog.open(number)
        return self._readers[number]

    # keeping house

    async def housekeeping(self, retention: float, busy: set[int]) -> int:
        """Index and close drained segments; remove those sealed ``retention`` seconds ago. Returns how many went.

        busy: segments that still have marks to come.
        """
        removed = 0
        now = time.time()
        for info in self.catalog.segments():
            if info.sealed is None or info.number == self._info.number:
                continue
            if info.number in self.writers:
                if info.number not in busy:
                    await self._drain(info.number)
            elif info.sealed < now - retention:
                self._forget(info.number)
                removed += 1
        self._infos = self.catalog.segments()
        return removed

    async def _drain(self, number: int) -> None:
        writer = self.writers[number]
        if one(writer.db, "SELECT 1 FROM pending LIMIT 1") is not None:
            return
        del self.writers[number]
        await asyncio.to_thread(writer.add_indexes)
        writer.close()
        self.catalog.mark(number, "drained", time.time())

    def _forget(self, number: int) -> None:
        reader = self._readers.pop(number, None)
        if reader is not None:
            reader.close()
        self.catalog.remove(number)
        log.info("journal segment removed", segment=number)
