"""One destination at work: takes what may go from its lanes, transforms it, sends it, notes how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from channels.answers import Answers, End
from channels.asking import Outside
from channels.channel_steps import ChannelSteps
from channels.errors import MessageError, Refused, StoreError, Undelivered, VaguemestreError, WorkerError
from channels.journal import Delivery, Journal
from channels.journal.records import Attempt, State
from channels.lanes import Entry, Lanes, Work
from channels.links import CONNECTOR, Links, marked
from channels.message import Message
from channels.model import DestinationModel
from channels.ports import Destination, Receipt
from channels.statistics import Statistics

log = structlog.get_logger()

_TURNS = 32
"""Deliveries that one task may finish without letting others run: filtered ones never wait for anything."""

_SENT_SEPARATOR = b"\x1e"
_TOO_LATE = "not delivered while the sender waited"


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
        self._outside = Outside(model.connector)
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._withdrawn: set[int] = set()

    async def start(self) -> None:
        """Start the connector and the tasks. Raises ConfigError or OSError."""
        await self.destination.start()
        count = 1 if self.model.order == "strict" else self.model.parallel
        self._tasks = [asyncio.create_task(self._deliver_forever(), name=self.name) for _ in range(count)]

    async def stop(self, within: float) -> None:
        """Hand nothing more out, let deliveries under way end for at most ``within`` seconds, close."""
        await self.lanes.drain(within)
        tasks = [*self._tasks, *self._ending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.lanes.close()
        await self.destination.aclose()

    def add(self, number: int, lanes: tuple[int, ...], work: Work, outputs: list[Message] | None) -> None:
        """A message that the journal has just written for this destination."""
        queue = self.model.queue
        if queue.when_full == "dead_letter" and self.lanes.waiting >= queue.limit:
            self._over(number, work, "failed", End(problem="the queue was full"))
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
            self._over(number, None, "expired", End(problem=_TOO_LATE))
        else:
            self._withdrawn.add(number)

    def _over(self, number: int, work: Work | None, state: State, end: End) -> None:
        """A delivery ended that was not under way; its end is handed on before it is noted."""
        if self._answers is None:
            self._settle(number, state, 0, end)
            return
        task = asyncio.create_task(self._hand_on_and_settle(self._answers, number, work, state, end))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _hand_on_and_settle(
        self, answers: Answers, number: int, work: Work | None, state: State, end: End
    ) -> None:
        await answers.hand_over(number, state, end, self._original(number, work))
        self._settle(number, state, 0, end)

    def _original(self, number: int, work: Work | None) -> Message | None:
        """The message that the channel received, for an answer that carries it; None when it cannot be read."""
        if work is None and self.model.answers is not None and self.model.answers.body == "message":
            try:
                work = self._read(number)
            except VaguemestreError as error:
                log.error("message cannot be read", route=self.name, message=number, error=type(error).__name__)
        return work.message if work else None

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
                await self._again(entry, None, type(error).__name__)
            del entry  # while this waits for the next one, the body of the last would stay in memory
            turns += 1
            if turns >= _TURNS:
                turns = 0
                await asyncio.sleep(0)

    async def _deliver(self, entry: Entry) -> None:
        work = entry.work
        try:
            work = work or self._read(entry.id)
            if entry.outputs is None:
                entry.outputs = await self._steps.outputs(work, self.model.name)
            if not entry.outputs:
                await self._end(entry, work, "filtered", End(), reached=False)
                return
            receipt = await self._send(entry, entry.outputs)
        except MessageError as error:
            log.warning(
                "message cannot pass", route=self.name, message=entry.id, place=error.place, problem=error.problem
            )
            await self._end(entry, work, "failed", End(error, error.problem), reached=False)
        except Refused as error:
            log.warning("delivery refused", route=self.name, message=entry.id, problem=error.problem)
            end = End(problem=error.problem, answer=error.answer)
            await self._end(entry, work, "refused", end, reached=entry.outputs is not None)
        except Undelivered as error:
            await self._again(entry, work, error.problem)
        except (WorkerError, StoreError) as error:
            await self._again(entry, work, str(error))
        else:
            await self._end(entry, work, "delivered", self._delivered(work, entry.outputs, receipt), reached=True)

    async def _send(self, entry: Entry, outputs: list[Message]) -> Receipt:
        """Send what has not been taken yet. Raises DeliveryError or MessageError."""
        receipt = Receipt()
        while entry.sent < len(outputs):
            message = outputs[entry.sent]
            if self.model.connector == CONNECTOR:
                message = marked(message, self.name, entry.id, str(entry.sent))
            with self._outside:
                receipt = await self.destination.send(message)
            entry.sent += 1
        return receipt

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

    async def _end(self, entry: Entry, work: Work | None, state: State, end: End, *, reached: bool) -> None:
        """Hand the answer on, note how a delivery ended, and let its lanes go on."""
        told = end if entry.outputs is not None else End(end.error, end.problem)  # a service of a step is not told
        if self._answers is not None and state != "filtered":
            await self._hand_on(self._answers, entry, work, state, told)
        self._settle(entry.id, state, entry.attempts + 1, end)
        if reached:
            self.problem = ""
        self.lanes.done(entry, reached=reached)
        if self.on_end is not None:
            refusal: VaguemestreError | None = None
            if state not in ("delivered", "filtered"):
                refusal = told.error or Refused(told.problem, told.answer)
            self.on_end(entry.id, refusal, told.answer)

    async def _hand_on(self, answers: Answers, entry: Entry, work: Work | None, state: State, end: End) -> None:
        outputs = entry.outputs or []
        sent = outputs[min(entry.sent, len(outputs) - 1)] if outputs else None

        before = self.problem

        def waits(problem: str) -> None:
            self.problem = problem

        await answers.hand_over(entry.id, state, end, self._original(entry.id, work), sent, waits)
        self.problem = before

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

    async def _again(self, entry: Entry, work: Work | None, problem: str) -> None:
        """Not now: note the attempt and wait, or give up when ``give_up`` has passed or the sender was told no."""
        give_up = self.model.retry.give_up
        if entry.id in self._withdrawn:
            await self._end(entry, work, "expired", End(problem=_TOO_LATE), reached=False)
        elif give_up is not None and time.monotonic() - entry.since > give_up:
            await self._end(entry, work, "expired", End(problem=problem), reached=False)
        else:
            self.statistics.retries += 1
            self.problem = problem
            if entry.attempts == 0:
                log.warning("delivery will be tried again", route=self.name, message=entry.id, problem=problem)
            self._journal.note(Attempt(entry.id, self.name, entry.attempts + 1, time.time(), problem))
            self.lanes.again(entry, work)

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
