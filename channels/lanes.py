"""The queue of one destination: order inside a lane, lanes side by side.

A delivery is in one lane or, for a merge, in several; it is handed out when it is first in all of them. Bodies beyond a
budget are left on disk, and so are deliveries beyond a window: memory does not grow with the queue.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from channels.message import Message
from channels.model import DestinationModel
from channels.retry import delay, trial_delay

if TYPE_CHECKING:
    from channels.channel_steps import Run

WINDOW = 10_000
"""Deliveries of one destination that memory knows; the others wait on disk until there is room."""

_REFILL_BELOW = WINDOW // 4
STRICT = (0,)
WAITS, READY, OUT = range(3)


class PendingStore(Protocol):
    """The part of the journal that a queue reads."""

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        """Deliveries waiting above ``after``, in order."""
        ...


class Work:
    """One message under way, shared by the queues it is in.

    common: what the channel's own steps made of it; None until they ran. running: the task that makes it.
    runs: by destination (``""``: the channel), steps that have begun and not ended yet.
    """

    __slots__ = ("common", "message", "running", "runs")

    def __init__(self, message: Message) -> None:
        """message: as the journal has it."""
        self.message = message
        self.common: list[Message] | None = None
        self.running: asyncio.Task[list[Message]] | None = None
        self.runs: dict[str, list[Run]] | None = None


class Entry:
    """One delivery that waits or is under way."""

    __slots__ = ("attempts", "id", "lanes", "outputs", "received", "sent", "since", "size", "stage", "timer", "work")

    def __init__(self, number: int, lanes: tuple[int, ...], work: Work | None) -> None:
        """number: of the message; work: None when the body is to be read from the journal."""
        self.id, self.lanes, self.work = number, lanes, work
        self.stage = WAITS
        self.attempts = 0
        self.received = work.message.received if work else 0.0
        self.since = time.monotonic()
        self.size = len(work.message.body) if work else 0
        self.outputs: list[Message] | None = None
        self.sent = 0
        self.timer: asyncio.TimerHandle | None = None


class Lanes:
    """The deliveries of one destination, and which may go now."""

    def __init__(self, route: str, model: DestinationModel, store: PendingStore, waiting: int) -> None:
        """route: ``channel/destination``. waiting: how many the journal already holds for it."""
        self.route, self.model = route, model
        self._store = store
        self._lanes: dict[int, deque[Entry]] = {}
        self._ready: deque[Entry] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._memory = 0
        self._out = 0
        self._known = 0
        self._last = 0
        self._on_disk = waiting > 0
        self.waiting = waiting
        self.in_flight = 0
        self.held = False
        self.failures = 0
        self.openings = 0
        self._trial: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    # filling

    def add(self, number: int, lanes: tuple[int, ...], work: Work) -> Entry | None:
        """A delivery that the journal has just written; None when it stays on disk for now."""
        self.waiting += 1
        if number <= self._last:
            return None  # read from the journal already
        if self._on_disk or self._known >= WINDOW:
            self._on_disk = True
            return None
        self._last = number
        keep = self._memory < self.model.queue.memory
        entry = Entry(number, lanes, work if keep else None)
        if keep:
            self._memory += entry.size
        self._enter(entry)
        return entry

    def _enter(self, entry: Entry) -> None:
        self._known += 1
        if self.model.order == "strict":
            entry.lanes = STRICT
        first = True
        for lane in entry.lanes:
            line = self._lanes.get(lane)
            if line is None:
                line = self._lanes[lane] = deque()
            first = first and not line
            line.append(entry)
        if first:
            self._make_ready(entry)

    def refill(self) -> None:
        """Read more deliveries from the journal when memory has room."""
        while self._on_disk and self._known < _REFILL_BELOW:
            room = WINDOW // 2 - self._known
            rows = self._store.pending(self.route, self._last, room)
            for number, lanes in rows:
                self._last = number
                self._enter(Entry(number, lanes, None))
            if len(rows) < room:
                self._on_disk = False

    # handing out

    def _make_ready(self, entry: Entry) -> None:
        entry.stage = READY
        self._ready.append(entry)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    @property
    def is_open(self) -> bool:
        """True while the circuit is open: only one delivery at a time tries the destination."""
        return self.failures >= self.model.breaker.failures

    def _may_go(self) -> bool:
        if not self._ready or self.held:
            return False
        if self._out and self._out + self._ready[0].size > self.model.queue.memory:
            return False  # bodies under way are bounded too, whatever `parallel` allows
        return not self.is_open or (self._trial is None and self.in_flight == 0)

    async def next(self) -> Entry:
        """The next delivery, when one may go. It must be given back by ``done`` or ``again``."""
        while True:
            if self._on_disk and self._known < _REFILL_BELOW:
                self.refill()
            if self._may_go():
                self.in_flight += 1
                entry = self._ready.popleft()
                entry.stage = OUT
                self._out += entry.size
                return entry
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def done(self, entry: Entry, *, reached: bool) -> None:
        """The delivery ended, well or not. reached: the destination answered."""
        self._one_less(entry)
        self._remove(entry)
        if reached and self.failures:
            self._closed()

    def _remove(self, entry: Entry) -> None:
        self.waiting -= 1
        self._known -= 1
        if entry.work is not None:
            self._memory -= entry.size
        if entry.timer is not None:
            entry.timer.cancel()
        lanes = self._lanes
        for lane in entry.lanes:
            line = lanes[lane]
            if line[0] is entry:
                line.popleft()
            else:
                line.remove(entry)
            if not line:
                del lanes[lane]
            else:
                self._advance(line[0])

    def _advance(self, head: Entry) -> None:
        """Hand the head of a lane out if it is first in its other lanes too and waits for no delay."""
        if head.stage == WAITS and head.timer is None and all(self._lanes[lane][0] is head for lane in head.lanes):
            self._make_ready(head)

    def again(self, entry: Entry, work: Work | None = None) -> None:
        """The destination did not take it now: keep its place and hand it out again after a delay.

        work: what was read from the journal for this try; kept, if there is room, when some of its steps have ended.
        """
        self._one_less(entry)
        if entry.work is None and work is not None and work.runs and self._memory < self.model.queue.memory:
            entry.work, entry.size = work, len(work.message.body)
            self._memory += entry.size
        entry.stage = WAITS
        entry.attempts += 1
        self.failures += 1
        if entry.work is not None and self._memory > self.model.queue.memory:
            self._memory -= entry.size
            entry.work = None
            entry.outputs = entry.outputs if entry.sent else None
        if self.is_open:
            self._open()
        entry.timer = self._loop.call_later(delay(self.model.retry, entry.attempts), self._due, entry)

    def _due(self, entry: Entry) -> None:
        entry.timer = None
        self._make_ready(entry)

    def _open(self) -> None:
        self.openings += 1
        if self._trial is None:
            wait = trial_delay(self.model.breaker, self.model.retry, self.openings)
            self._trial = self._loop.call_later(wait, self._try)

    def _try(self) -> None:
        self._trial = None
        self._wake()

    def _closed(self) -> None:
        """The destination answered: close the circuit and let everyone go."""
        self.failures = self.openings = 0
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None
        for _ in range(min(len(self._ready), len(self._waiters))):
            self._wake()

    # operators

    def release(self) -> None:
        """Let deliveries go (again): after a hold, and without waiting for retry delays."""
        self.held = False
        self.failures = self.openings = 0
        for line in list(self._lanes.values()):
            if (timer := line[0].timer) is not None:
                timer.cancel()
                self._due(line[0])
        for _ in range(len(self._waiters)):
            self._wake()

    def skip(self, number: int) -> bool:
        """Take a waiting delivery out of the queue; False when it is under way or not known."""
        for line in self._lanes.values():
            for entry in line:
                if entry.id == number:
                    return self._skip(entry)
        return False

    def _skip(self, entry: Entry) -> bool:
        if entry.stage == OUT:
            return False
        if entry.stage == READY:
            self._ready.remove(entry)
        self._remove(entry)
        return True

    async def drain(self, within: float) -> None:
        """Hand nothing more out and wait for deliveries under way, at most ``within`` seconds."""
        self.held = True
        if self.in_flight:
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=within)

    def _one_less(self, entry: Entry) -> None:
        self.in_flight -= 1
        self._out -= entry.size
        if self._drained is not None and not self.in_flight and not self._drained.done():
            self._drained.set_result(None)

    def close(self) -> None:
        """Stop all timers; the journal keeps what waits."""
        timers = [line[0].timer for line in self._lanes.values()]
        for timer in (*timers, self._trial):
            if timer is not None:
                timer.cancel()

    def oldest(self) -> Entry | None:
        """The delivery that has waited longest."""
        return min((line[0] for line in self._lanes.values()), key=lambda entry: entry.id, default=None)

    def state(self) -> dict[str, Any]:
        """For operators: waiting, under way, held, circuit open, failures in a row."""
        return {
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "held": self.held,
            "circuit_open": self.is_open,
            "failures": self.failures,
        }
