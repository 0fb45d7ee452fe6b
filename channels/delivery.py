"""One destination at work: takes what may go from its lanes, transforms it, sends it, notes how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from channels.answers import Answers, End
from channels.asking import Lookups
from channels.errors import MessageError, Refused, Undelivered, VaguemestreError, WorkerError
from channels.journal import Delivery, Journal
from channels.journal.records import Attempt, State
from channels.lanes import Entry, Lanes, Work
from channels.links import Links
from channels.message import Message
from channels.model import DestinationModel, Step
from channels.pipeline import Pipeline
from channels.ports import Destination, Receipt
from channels.statistics import Statistics
from channels.versions import Versions
from channels.workers import Workers

log = structlog.get_logger()

_TURNS = 32
"""Deliveries that one task may finish without letting others run: filtered ones never wait for anything."""

_SENT_SEPARATOR = b"\x1e"
_TOO_LATE = "not delivered while the sender waited"


class ChannelSteps:
    """The filters and transforms of one channel: light ones run here, heavy ones in a worker process."""

    def __init__(
        self, pipeline: Pipeline, workers: Workers, channel: str, lookups: Lookups, versions: Path | None = None
    ) -> None:
        """channel: its name, by which a worker finds the same steps. versions: file that remembers them."""
        self._pipeline, self._workers, self._channel, self._lookups = pipeline, workers, channel, lookups
        self._versions = Versions(versions) if versions and pipeline.numbered else None

    async def start(self) -> None:
        """Start the lookups. Raises ConfigError or OSError."""
        await self._lookups.start()

    async def aclose(self) -> None:
        """Close the lookups, and the file of versions."""
        await self._lookups.aclose()
        if self._versions is not None:
            self._versions.close()

    def wait(self, destinations: list[str]) -> bool:
        """True when a step of the channel or of one of these destinations is a lookup or runs in a worker."""
        return self._pipeline.waits() or any(self._pipeline.waits(name) for name in destinations)

    def light(self, work: Work, destination: str) -> list[Message]:
        """What a destination gets, when no step waits; empty when filtered out. Raises MessageError."""
        if work.common is None:
            work.common = self._pipeline.common(work.message)
        return self._branch(destination, work.common)

    def _branch(self, destination: str, messages: list[Message]) -> list[Message]:
        if len(messages) == 1:
            return self._pipeline.branch(destination, messages[0])
        return [output for message in messages for output in self._pipeline.branch(destination, message)]

    async def outputs(self, work: Work, destination: str) -> list[Message]:
        """What a destination gets: the channel's steps, once for all destinations, then its own.

        Raises:
            MessageError: it cannot pass.
            DeliveryError: a lookup was not answered, or was told no.
            WorkerError: the worker died or was too slow.
            StoreError: versions of documents cannot be written.
        """
        if work.common is None and self._pipeline.waits():
            if work.running is None or _may_try_again(work.running):
                work.running = asyncio.create_task(self._parts("", work.message))
            work.common = await asyncio.shield(work.running)
        if not self._pipeline.waits(destination):
            return self.light(work, destination)
        if work.common is None:
            work.common = self._pipeline.common(work.message)
        found = []
        for message in work.common:
            found += await self._parts(destination, message)
        return found

    async def _parts(self, destination: str, message: Message) -> list[Message]:
        """Part after part; the messages of one part go through the next in their order."""
        messages = [message]
        for number, part in enumerate(self._pipeline.parts(destination)):
            made: list[Message] = []
            for one in messages:
                if isinstance(part, Step):
                    made += await self._lookups.ask(destination, number, one)
                elif part.heavy:
                    made += await self._work(destination, number, one)
                else:
                    made += self._pipeline.part(destination, number, one)
            messages = made
        return messages

    async def _work(self, destination: str, part: int, message: Message) -> list[Message]:
        if self._versions is None:
            return await self._workers.run(self._channel, destination, message, part)
        return await self._versions.run(message, lambda one: self._workers.run(self._channel, destination, one, part))


def _may_try_again(running: asyncio.Task[list[Message]]) -> bool:
    """The steps of the channel ended without a result, and not because of the message."""
    if not running.done():
        return False
    error = None if running.cancelled() else running.exception()
    return running.cancelled() or (error is not None and not isinstance(error, MessageError | Refused))


class Route:
    """One destination of a running channel: its connector, its lanes, the tasks that empty them."""

    def __init__(
        self,
        channel: str,
        model: DestinationModel,
        destination: Destination,
        journal: Journal,
        steps: ChannelSteps,
        waiting: int,
        links: Links | None = None,
    ) -> None:
        """waiting: deliveries that the journal already holds for it. links: where its answers go."""
        self.name = f"{channel}/{model.name}"
        self.model, self.destination = model, destination
        self.lanes = Lanes(self.name, model, journal, waiting)
        self.statistics = Statistics()
        self.on_end: Callable[[int, VaguemestreError | None, bytes], None] | None = None
        """With ``ack: delivered``: told of each message how its delivery ended, and the answer."""
        self.problem = ""
        """Why the last try did not reach the destination; empty when it did."""
        self._journal, self._steps = journal, steps
        self._answers = Answers(self.name, model.answers, links) if model.answers and links is not None else None
        self._tasks: list[asyncio.Task[None]] = []
        self._withdrawn: set[int] = set()

    async def start(self) -> None:
        """Start the connector and the tasks. Raises ConfigError or OSError."""
        await self.destination.start()
        count = 1 if self.model.order == "strict" else self.model.parallel
        self._tasks = [asyncio.create_task(self._deliver_forever(), name=self.name) for _ in range(count)]

    async def stop(self, within: float) -> None:
        """Hand nothing more out, let deliveries under way end for at most ``within`` seconds, close."""
        await self.lanes.drain(within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.lanes.close()
        await self.destination.aclose()

    def add(self, number: int, lanes: tuple[int, ...], work: Work, outputs: list[Message] | None) -> None:
        """A message that the journal has just written for this destination."""
        queue = self.model.queue
        if queue.when_full == "dead_letter" and self.lanes.waiting >= queue.limit:
            self._settle(number, "failed", 0, End(problem="the queue was full"))
            return
        entry = self.lanes.add(number, lanes, work)
        if entry is not None:
            entry.outputs = outputs

    @property
    def full(self) -> bool:
        """True when the queue is at its limit and the source has to refuse."""
        return self.lanes.waiting >= self.model.queue.limit and self.model.queue.when_full == "refuse"

    def withdraw(self, number: int) -> None:
        """The sender was told no: do not deliver. One that is being sent right now is given up if it fails."""
        if self.lanes.skip(number):
            self._settle(number, "expired", 0, End(problem=_TOO_LATE))
        else:
            self._withdrawn.add(number)

    def skip(self, number: int, why: str) -> bool:
        """Take a waiting delivery out of the queue, to the dead letters; False when it does not wait."""
        skipped = self.lanes.skip(number)
        if skipped:
            self._settle(number, "skipped", 0, End(problem=why))
        return skipped

    async def _deliver_forever(self) -> None:
        """One task: takes the next delivery that may go, until cancelled."""
        turns = 0
        while True:
            entry = await self.lanes.next()
            try:
                await self._deliver(entry)
            except VaguemestreError as error:  # a fault outside the message (key, table): it stays in the queue
                log.error("delivery could not be tried", route=self.name, message=entry.id, error=type(error).__name__)
                await self._again(entry, type(error).__name__)
            del entry  # while this waits for the next one, the body of the last would stay in memory
            turns += 1
            if turns >= _TURNS:
                turns = 0
                await asyncio.sleep(0)

    async def _deliver(self, entry: Entry) -> None:
        try:
            work = entry.work or self._read(entry.id)
            if entry.outputs is None:
                entry.outputs = await self._steps.outputs(work, self.model.name)
            if not entry.outputs:
                await self._end(entry, "filtered", End(), reached=False)
                return
            receipt = Receipt()
            while entry.sent < len(entry.outputs):
                receipt = await self.destination.send(entry.outputs[entry.sent])
                entry.sent += 1
        except MessageError as error:
            log.warning(
                "message cannot pass", route=self.name, message=entry.id, place=error.place, problem=error.problem
            )
            await self._end(entry, "failed", End(error, error.problem), reached=False)
        except Refused as error:
            log.warning("delivery refused", route=self.name, message=entry.id, problem=error.problem)
            await self._end(entry, "refused", End(problem=error.problem, answer=error.answer), reached=True)
        except Undelivered as error:
            await self._again(entry, error.problem)
        except WorkerError as error:
            await self._again(entry, str(error))
        else:
            await self._end(entry, "delivered", self._delivered(work, entry.outputs, receipt), reached=True)

    def _read(self, number: int) -> Work:
        message = self._journal.load(number)
        if message is None:
            raise MessageError("the journal cannot read this message any more")
        return Work(message)

    def _delivered(self, work: Work, outputs: list[Message], receipt: Receipt) -> End:
        """What is kept of a delivery that went well: what was sent if not what came, the answer if wanted."""
        unchanged = len(outputs) == 1 and outputs[0].body is work.message.body
        sent = b"" if unchanged else _SENT_SEPARATOR.join(one.body for one in outputs)
        wanted = self.on_end is not None or self._answers is not None
        return End(reference=receipt.reference, sent=sent, answer=receipt.answer if wanted else b"")

    async def _end(self, entry: Entry, state: State, end: End, *, reached: bool) -> None:
        """Hand the answer on, note how a delivery ended, and let its lanes go on."""
        if self._answers is not None and state != "filtered":
            await self._answers.hand_over(entry, state, end, self._read)
        self._settle(entry.id, state, entry.attempts + 1, end)
        if reached:
            self.problem = ""
        self.lanes.done(entry, reached=reached)
        if self.on_end is not None:
            refusal: VaguemestreError | None = None
            if state not in ("delivered", "filtered"):
                refusal = end.error or Refused(end.problem, end.answer)
            self.on_end(entry.id, refusal, end.answer)

    def _settle(self, number: int, state: State, attempts: int, end: End) -> None:
        now = time.time()
        place, code = (end.error.place, end.error.condition) if end.error else ("", "")
        self.statistics.count(state, now)
        self._withdrawn.discard(number)
        self._journal.settle(
            Delivery(
                number, self.name, state, now, attempts, place, code, end.problem, end.reference, end.sent, end.answer
            )
        )

    async def _again(self, entry: Entry, problem: str) -> None:
        """Not now: note the attempt and wait, or give up when ``give_up`` has passed or the sender was told no."""
        give_up = self.model.retry.give_up
        if entry.id in self._withdrawn:
            await self._end(entry, "expired", End(problem=_TOO_LATE), reached=False)
        elif give_up is not None and time.monotonic() - entry.since > give_up:
            await self._end(entry, "expired", End(problem=problem), reached=False)
        else:
            self.statistics.retries += 1
            self.problem = problem
            if entry.attempts == 0:
                log.warning("delivery will be tried again", route=self.name, message=entry.id, problem=problem)
            self._journal.note(Attempt(entry.id, self.name, entry.attempts + 1, time.time(), problem))
            self.lanes.again(entry)

    def state(self) -> dict[str, Any]:
        """For operators: the queue, when its oldest message was received (Unix seconds, None: empty), the counters."""
        oldest = self.lanes.oldest()
        received = None
        if oldest is not None:
            if not oldest.received:
                message = self._journal.load(oldest.id)
                oldest.received = message.received if message else 0.0
            received = oldest.received
        return {**self.lanes.state(), "oldest": received, "problem": self.problem, **self.statistics.values()}
