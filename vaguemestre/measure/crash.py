"""The crash test: a real engine under load is killed again and again; what it acknowledged must arrive, in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from channels.control import ask
from vaguemestre.measure import sites
from vaguemestre.measure.compare import Verdict, compare
from vaguemestre.measure.disks import SmallDisk, small_disk
from vaguemestre.measure.processes import Engine, MeasureError
from vaguemestre.measure.traffic import Receiver, Sender
from vaguemestre.measure.wal import tear

CASES = ("kill", "torn-page", "full-disk")

_IN_START = 0.2
_LONGEST = 1.0
_PATIENCE = 60.0
_LOOK = 0.05
_QUIET = 0.6


@dataclass(frozen=True, slots=True)
class Options:
    """What is done.

    kills: how many. senders, patients: how many send, and how many patients each of them has. case: see CASES.
    room: with ``full-disk``, bytes that the disk is given when it is full. mount: it may be a tmpfs.
    """

    kills: int = 20
    senders: int = 8
    patients: int = 6
    parallel: int = 8
    seed: int = 0
    case: str = "kill"
    segment_size: str = "1GB"
    directory: Path | None = None
    room: int = 24_000_000
    mount: bool = True


@dataclass(slots=True)
class Result:
    """What a test found.

    recovery: seconds from each start of the process to its listening again, those it was killed in not counted.
    negative: answers other than AA. full: how many times the disk was full.
    """

    options: Options
    verdict: Verdict
    kills: int
    seconds: float
    recovery: list[float]
    negative: int = 0
    full: int = 0
    torn: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def kept(self) -> bool:
        """True when nothing acknowledged was lost, reordered or altered, and the engine came back each time."""
        return self.verdict.kept and not self.problem

    def values(self) -> dict[str, Any]:
        """For ``--json``."""
        ordered = sorted(self.recovery)
        return {
            **asdict(self.verdict),
            "kills": self.kills,
            "case": self.options.case,
            "seed": self.options.seed,
            "senders": self.options.senders,
            "negative": self.negative,
            "disk_full": self.full,
            "torn": self.torn,
            "recovery_s": {"median": ordered[len(ordered) // 2], "worst": ordered[-1]} if ordered else {},
            "seconds": round(self.seconds, 1),
            "problem": self.problem,
        }


class Crashtest:
    """One test."""

    def __init__(self, options: Options, tell: Callable[[str], object]) -> None:
        """tell: is given a line when something happens."""
        self._options, self._tell = options, tell
        self._draw = random.Random(options.seed)
        self._receiver = Receiver(options.seed)
        self._senders = [Sender(n, options.patients, options.seed * 1000 + n) for n in range(options.senders)]
        self._recovery: list[float] = []
        self._torn: dict[str, int] = {}
        self._kills = self._full = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> Result:
        """The whole test. Raises MeasureError when no engine can be started at all."""
        begun = time.monotonic()
        problem = ""
        with tempfile.TemporaryDirectory(prefix="crashtest-", dir=self._options.directory) as place:
            async with self._running(Path(place)):
                try:
                    await self._case()
                    await self._finish()
                except MeasureError as error:
                    problem = str(error)
                    self._keep_log()
        return Result(
            self._options,
            self._verdict(),
            self._kills,
            time.monotonic() - begun,
            self._recovery,
            sum(one.negative for one in self._senders),
            self._full,
            self._torn,
            problem,
        )

    @contextlib.asynccontextmanager
    async def _running(self, place: Path) -> AsyncIterator[None]:
        """The engine, the receiver and the senders at work."""
        to = await self._receiver.start()
        with contextlib.ExitStack() as stack:
            self._disk: SmallDisk | None = None
            journal = None
            if self._options.case == "full-disk":
                self._disk = stack.enter_context(
                    small_disk(place / "disk", self._options.room, mount=self._options.mount)
                )
                journal = self._disk.directory / "journal"
            options = self._options
            self._site = sites.make(
                place / "site", to, parallel=options.parallel, journal=journal, segment_size=options.segment_size
            )
            limit = self._disk.limit if self._disk else None
            engine = stack.enter_context(Engine(self._site.directory, self._site.ports[0], limit=limit))
            self._engine = engine
            await self._listening()
            self._tasks = [asyncio.create_task(one.run(self._site.ports[0])) for one in self._senders]
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._receiver.stop()

    # the cases

    async def _case(self) -> None:
        if self._options.case == "full-disk":
            await self._fill_the_disk()
        else:
            await self._kill_again_and_again()

    async def _kill_again_and_again(self) -> None:
        while self._kills < self._options.kills:
            if self._draw.random() < _IN_START and self._kills:
                await asyncio.sleep(self._draw.random() * (max(self._recovery) if self._recovery else 0.5))
            else:
                if self._kills:
                    await self._listening()
                await asyncio.sleep(0.03 + self._draw.random() * _LONGEST)
            self._kill()
            if self._options.case == "torn-page":
                how = tear(self._site.journal, self._draw)
                self._torn[how] = self._torn.get(how, 0) + 1
            self._engine.start()
        await self._listening()

    async def _fill_the_disk(self) -> None:
        """The disk fills up under load, then has room again; every second time the engine is killed while full."""
        disk = self._disk
        if disk is None:
            raise MeasureError("there is no small disk")
        while disk.fills_up:
            await self._until_full(_QUIET if disk.stays_full else 0.0)
            self._full += 1
            self._tell(f"the disk is full ({self._acknowledged()} acknowledged)")
            if self._full % 2 == 0:
                self._kill()
                self._engine.start()
                await asyncio.sleep(1.0)
            disk.grow(self._engine)
            before = self._acknowledged()
            await self._recovers(before)

    async def _until_full(self, quiet: float) -> None:
        """Wait until senders are told no, and nobody is told yes for ``quiet`` seconds."""
        refused = self._negative()
        acknowledged, moved = self._acknowledged(), time.monotonic()
        end = moved + _PATIENCE
        while self._negative() == refused or time.monotonic() - moved < quiet:
            await asyncio.sleep(_LOOK)
            if self._acknowledged() != acknowledged:
                acknowledged, moved = self._acknowledged(), time.monotonic()
            if time.monotonic() > end:
                raise MeasureError("the disk does not fill up")

    def _revive(self) -> None:
        """Start an engine that ended, as a service manager does."""
        if self._engine.running:
            return
        self._engine.start()

    # steps

    def _kill(self) -> None:
        self._engine.kill()
        self._kills += 1
        self._tell(f"kill {self._kills}: {self._acknowledged()} acknowledged, {len(self._receiver.arrived)} arrived")

    def _negative(self) -> int:
        return sum(one.negative for one in self._senders)

    def _acknowledged(self) -> int:
        return sum(len(one.acknowledged) for one in self._senders)

    async def _listening(self) -> None:
        """Wait until the engine listens."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._site.ports[0])
            except OSError:
                spent = time.monotonic() - self._engine.begun
                if not self._engine.running:
                    raise MeasureError("the engine ended by itself") from None
                if spent > _PATIENCE:
                    raise MeasureError("the engine does not come back") from None
                await asyncio.sleep(0.005)
            else:
                writer.close()
                self._recovery.append(time.monotonic() - self._engine.begun)
                return

    async def _recovers(self, before: int) -> None:
        end = time.monotonic() + _PATIENCE
        while self._acknowledged() < before + 100:
            if time.monotonic() > end:
                raise MeasureError("the engine does not recover although the disk has room again")
            self._revive()
            await asyncio.sleep(_LOOK)

    async def _finish(self) -> None:
        """Let every sender get its last acknowledgement and every queue run empty, then stop the engine."""
        await asyncio.sleep(0.3)
        for one in self._senders:
            one.stopping = True
        _, waiting = await asyncio.wait(self._tasks, timeout=_PATIENCE)
        if waiting:
            raise MeasureError(f"{len(waiting)} senders are not acknowledged any more")
        await self._drained()
        await asyncio.to_thread(self._engine.stop)

    async def _drained(self) -> None:
        control = self._site.directory / "var" / "control.sock"
        moved, arrived = time.monotonic(), -1
        while time.monotonic() - moved < _PATIENCE:
            state = await asyncio.to_thread(ask, control, {"do": "state", "who": "crashtest"})
            queues = [queue for channel in state["channels"] for queue in channel["destinations"].values()]
            if not any(queue["waiting"] or queue["in_flight"] for queue in queues):
                return
            if len(self._receiver.arrived) != arrived:
                moved, arrived = time.monotonic(), len(self._receiver.arrived)
            await asyncio.sleep(_LOOK)
        raise MeasureError("a queue does not run empty")

    def _verdict(self) -> Verdict:
        stories = {key: value for one in self._senders for key, value in one.stories.items()}
        acknowledged = [control_id for one in self._senders for control_id in one.acknowledged]
        return compare(stories, acknowledged, self._receiver.arrived, self._receiver.altered)

    def _keep_log(self) -> None:
        log = self._site.directory / "engine.log"
        kept = Path(tempfile.gettempdir()) / f"crashtest-{os.getpid()}.log"
        shutil.copy(log, kept)
        self._tell(f"the engine's log is kept in {kept}")


def run(options: Options, tell: Callable[[str], object] = bool) -> Result:
    """Run one test to its end."""
    return asyncio.run(Crashtest(options, tell).run())
