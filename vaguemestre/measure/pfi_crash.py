"""The crash test of the PFI: killed under load, cut from the DMP and the mailboxes; nothing lost, nothing twice."""

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

from channels.control import NotRunning, ask
from vaguemestre.measure import pfi_site
from vaguemestre.measure.cutter import Cutter
from vaguemestre.measure.pfi_compare import PfiVerdict, Wanted, compare
from vaguemestre.measure.pfi_traffic import Dmp, Laboratory, Operator, Software
from vaguemestre.measure.processes import Engine, MeasureError
from vaguemestre.simulators.pki import Authority

_IN_START = 0.2
_LONGEST = 4.0
_PATIENCE = 90.0
_LOOK = 0.05
_CUT_SHARE, _CUT_AFTER = 0.25, 150_000
_BETWEEN = 0.4
"""Seconds between misfortunes, on average."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is done. kills: how many. senders, patients: laboratories, and patients of each."""

    kills: int = 20
    senders: int = 4
    patients: int = 3
    seed: int = 0
    directory: Path | None = None


@dataclass(slots=True)
class Result:
    """What a test found.

    recovery: seconds from each start to listening. cuts: of connections, by service and moment. rules: of the DMP and
    of mails that were broken, by name.
    """

    options: Options
    verdict: PfiVerdict
    kills: int
    seconds: float
    recovery: list[float]
    negative: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def kept(self) -> bool:
        """True when every result went where it should, once, and the engine came back each time."""
        return self.verdict.kept and not self.problem

    def values(self) -> dict[str, Any]:
        """For ``--json``."""
        ordered = sorted(self.recovery)
        return {
            **asdict(self.verdict),
            "kills": self.kills,
            "case": "pfi",
            "seed": self.options.seed,
            "senders": self.options.senders,
            "negative": self.negative,
            "cuts": self.cuts,
            "rules_broken": self.rules,
            "recovery_s": {"median": ordered[len(ordered) // 2], "worst": ordered[-1]} if ordered else {},
            "seconds": round(self.seconds, 1),
            "problem": self.problem,
        }


class PfiCrashtest:
    """One test."""

    def __init__(self, options: Options, tell: Callable[[str], object]) -> None:
        """tell: is given a line when something happens."""
        self._options, self._tell = options, tell
        self._draw = random.Random(options.seed)
        self._software = Software(options.seed)
        self._cutters = {
            name: Cutter(options.seed + n, _CUT_SHARE, _CUT_AFTER) for n, name in enumerate(("dmp", "smtp"))
        }
        self._laboratories: list[Laboratory] = []
        self._recovery: list[float] = []
        self._kills = 0

    async def run(self) -> Result:
        """The whole test. Raises MeasureError when no engine can be started at all."""
        begun, problem = time.monotonic(), ""
        with tempfile.TemporaryDirectory(prefix="crashtest-", dir=self._options.directory) as place:
            async with self._running(Path(place) / "site"):
                try:
                    await self._kill_again_and_again()
                    await self._finish()
                except MeasureError as error:
                    problem = str(error)
                verdict = self._verdict()
                if problem or not verdict.kept:
                    self._keep_log()
        return Result(
            self._options,
            verdict,
            self._kills,
            time.monotonic() - begun,
            self._recovery,
            sum(one.negative for one in self._laboratories),
            self._cuts(),
            dict(self._dmp.problems + self._operator.faults),
            problem,
        )

    @contextlib.asynccontextmanager
    async def _running(self, folder: Path) -> AsyncIterator[None]:
        """The far ends, the engine, the laboratories at work and the misfortunes."""
        self._site = site = pfi_site.make(folder)
        self._dmp, self._operator = Dmp(Authority(site.certificates)), Operator(site.certificates)
        async with contextlib.AsyncExitStack() as stack:
            await self._far_ends(stack)
            site.connect({
                pfi_site.DMP: self._cutters["dmp"].port,
                pfi_site.SMTP: self._cutters["smtp"].port,
                pfi_site.ZAM: self._software.receiver.port,
            })  # fmt: skip
            self._engine = stack.enter_context(Engine(site.directory, site.port))
            await self._listening()
            options = self._options
            self._laboratories = [
                Laboratory(n, options.patients, options.seed * 1000 + n, site.result, self._software.finished)
                for n in range(options.senders)
            ]
            self._tasks = [asyncio.create_task(one.run(site.port)) for one in self._laboratories]
            self._bad_luck = asyncio.create_task(self._misfortunes())
            try:
                yield
            finally:
                for task in (*self._tasks, self._bad_luck):
                    task.cancel()
                await asyncio.gather(*self._tasks, self._bad_luck, return_exceptions=True)

    async def _far_ends(self, stack: contextlib.AsyncExitStack) -> None:
        simulator = self._dmp.simulator
        await simulator.start()
        stack.push_async_callback(simulator.stop)
        await self._operator.server.start("127.0.0.1", 0)
        stack.push_async_callback(self._operator.server.stop)
        await self._software.receiver.start()
        stack.push_async_callback(self._software.receiver.stop)
        targets = {"dmp": int(simulator.url.split(":")[2].split("/")[0]), "smtp": self._operator.server.port}
        for name, cutter in self._cutters.items():
            await cutter.start(targets[name])
            stack.push_async_callback(cutter.stop)

    # what happens

    async def _misfortunes(self) -> None:
        """Cuts at each step, beside those that the relays make by themselves."""
        while True:
            await asyncio.sleep(self._draw.expovariate(1 / _BETWEEN))
            match self._draw.randrange(5):
                case 0:
                    await self._cutters["dmp"].refuse(self._draw.uniform(0.05, 0.4))
                case 1:
                    await self._cutters["smtp"].refuse(self._draw.uniform(0.05, 0.4))
                case 2:
                    self._dmp.cut_next(registered=False)
                case 3:
                    self._dmp.cut_next(registered=True)
                case _:
                    self._operator.to_lose = 1

    async def _kill_again_and_again(self) -> None:
        while self._kills < self._options.kills:
            if self._draw.random() < _IN_START and self._kills:
                await asyncio.sleep(self._draw.random() * (max(self._recovery) if self._recovery else 1.0))
            else:
                if self._kills:
                    await self._listening()
                await asyncio.sleep(0.03 + self._draw.random() * _LONGEST)
            self._engine.kill()
            self._kills += 1
            done = f"{self._acknowledged()} acknowledged, {len(self._software.published)} published"
            self._tell(f"kill {self._kills}: {done}, {len(self._operator.mailed)} mails")
            self._engine.start()
        await self._listening()

    async def _listening(self) -> None:
        """Wait until the engine listens."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._site.port)
            except OSError:
                if not self._engine.running:
                    raise MeasureError("the engine ended by itself") from None
                if time.monotonic() - self._engine.begun > _PATIENCE:
                    raise MeasureError("the engine does not come back") from None
                await asyncio.sleep(0.01)
            else:
                writer.close()
                self._recovery.append(time.monotonic() - self._engine.begun)
                return

    async def _finish(self) -> None:
        """Let every laboratory get its last acknowledgement and every queue run empty, then stop the engine."""
        self._bad_luck.cancel()
        await asyncio.gather(self._bad_luck, return_exceptions=True)
        self._dmp.simulator.behave_well()
        self._operator.to_lose = 0
        for cutter in self._cutters.values():
            cutter.calm = True
        for one in self._laboratories:
            one.stopping = True
        _, waiting = await asyncio.wait(self._tasks, timeout=_PATIENCE)
        if waiting:
            raise MeasureError(f"{len(waiting)} laboratories are not acknowledged any more")
        await self._drained()
        await asyncio.to_thread(self._engine.stop)

    async def _drained(self) -> None:
        """Every queue is empty, and nothing has come for a while (acknowledgements are made outside queues)."""
        control = self._site.directory / "var" / "control.sock"
        moved, before = time.monotonic(), (-1, -1, -1)
        while time.monotonic() - moved < _PATIENCE:
            try:
                state = await asyncio.to_thread(ask, control, {"do": "state", "who": "crashtest"})
            except NotRunning:  # sources listen before the control socket does
                if not self._engine.running:
                    raise MeasureError("the engine ended by itself") from None
                await asyncio.sleep(_LOOK)
                continue
            queues = [queue for channel in state["channels"] for queue in channel["destinations"].values()]
            waiting = sum(queue["waiting"] + queue["in_flight"] for queue in queues)
            now = (waiting, len(self._operator.mailed), len(self._software.told))
            if now != before:
                moved, before = time.monotonic(), now
            elif not waiting and time.monotonic() - moved > 1.5:
                return
            await asyncio.sleep(_LOOK)
        raise MeasureError("a queue does not run empty")

    # what was found

    def _acknowledged(self) -> int:
        return sum(len(one.acknowledged) for one in self._laboratories)

    def _cuts(self) -> dict[str, int]:
        found = {
            f"{name} {kind}": count for name, one in self._cutters.items() for kind, count in one.cuts.items() if kind
        }
        found |= {f"dmp {kind}": count for kind, count in self._dmp.cuts.items()}
        found["smtp taken"] = self._operator.lost_answers
        return found

    def _verdict(self) -> PfiVerdict:
        wanted = Wanted(
            {key: step for one in self._laboratories for key, step in one.steps.items()},
            {step: boxes for one in self._laboratories for step, boxes in one.mailboxes.items()},
            [control_id for one in self._laboratories for control_id in one.acknowledged],
        )
        published = self._dmp.published()
        return compare(wanted, published, self._operator.mailed, self._software.told, self._dmp.refused_duplicates)

    def _keep_log(self) -> None:
        kept = Path(tempfile.gettempdir()) / f"crashtest-{os.getpid()}.log"
        shutil.copy(self._site.directory / "engine.log", kept)
        self._tell(f"the engine's log is kept in {kept}")


def run(options: Options, tell: Callable[[str], object] = bool) -> Result:
    """Run one test to its end."""
    return asyncio.run(PfiCrashtest(options, tell).run())
