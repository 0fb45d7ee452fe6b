"""One channel at work: receive, journal, acknowledge, filter, transform, deliver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from channels.edge import Edge, Seen
from channels.errors import (
    Finding,
    MessageError,
    QueueFull,
    Refused,
    StoreError,
    Undelivered,
    VaguemestreError,
    WorkerError,
)
from channels.journal import Delivery, Journal, Record
from channels.journal.records import Attempt, State
from channels.lanes import Entry, Lanes, Work
from channels.loader import LoadedSite
from channels.message import Message
from channels.model import Channel, DestinationModel
from channels.pipeline import Pipeline
from channels.ports import Destination, Outcome, Source, Surroundings
from channels.registry import find, names, load
from channels.statistics import Statistics
from channels.workers import Workers

log = structlog.get_logger()

_TURNS = 32
"""Deliveries that one task may finish without letting others run (filtered ones never wait for anything)."""

REUSED_ID = Finding("MSH-10", "205", "the control id was used before with another content")


class Route:
    """One destination of a running channel: its connector, its queue, the tasks that empty it."""

    def __init__(self, channel: Channel, model: DestinationModel, destination: Destination, lanes: Lanes) -> None:
        """lanes: the deliveries that wait."""
        self.name = f"{channel.channel}/{model.name}"
        self.model, self.destination, self.lanes = model, destination, lanes
        self.statistics = Statistics()
        self.tasks: list[asyncio.Task[None]] = []


class ChannelRuntime:
    """Implements ``channels.ports.Intake``."""

    def __init__(self, channel: Channel, loaded: LoadedSite, journal: Journal, workers: Workers) -> None:
        """workers: run the heavy transforms."""
        self.channel, self._loaded, self._journal, self._workers = channel, loaded, journal, workers
        self.name = channel.channel
        self.pipeline = Pipeline(channel, loaded)
        self.statistics = Statistics()
        self.edge = Edge(channel.duplicates.remember)
        self.routes: dict[str, Route] = {}
        self.source: Source | None = None
        self._formats = {name: load(target) for name, target in names("format").items()}
        self._channel_lane = (journal.hasher.hash(f"channel {self.name}"),)
        self._answers: dict[int, tuple[Callable[[Outcome], None], asyncio.TimerHandle]] = {}
        self._withdrawn: set[int] = set()
        self._slots: list[_Slot] = []
        self._turns: set[asyncio.Task[None]] = set()
        self._route_names = tuple(f"{self.name}/{model.name}" for model in channel.destinations)

    # life

    async def start(self, waiting: dict[str, int], held: set[str]) -> None:
        """Start the destinations, then the source. Raises ConfigError or OSError when one cannot.

        waiting: what the journal holds, by route. held: routes that an operator holds.
        """
        directory = self._loaded.directory
        for model in self.channel.destinations:
            surroundings = Surroundings(self._loaded.site, directory, self.name, model.name)
            destination: Destination = find("destination", model.connector)(model.settings, surroundings)
            route_name = f"{self.name}/{model.name}"
            lanes = Lanes(route_name, model, self._journal, waiting.get(route_name, 0))
            lanes.held = route_name in held
            self.routes[model.name] = Route(self.channel, model, destination, lanes)
        for route in self.routes.values():
            await route.destination.start()
            count = 1 if route.model.order == "strict" else route.model.parallel
            route.tasks = [asyncio.create_task(self._deliver_forever(route), name=route.name) for _ in range(count)]
        surroundings = Surroundings(self._loaded.site, directory, self.name, "source")
        self.source = find("source", self.channel.source.connector)(self.channel.source.settings, surroundings)
        await self.source.start(self)

    async def stop(self, within: float) -> None:
        """Receive nothing more, let deliveries under way end for at most ``within`` seconds, close."""
        if self.source is not None:
            await self.source.stop()
        if self._turns:
            await asyncio.wait(self._turns, timeout=within)
        for route in self.routes.values():
            route.lanes.held = True
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and not all(route.lanes.in_flight == 0 for route in self.routes.values()):
            await asyncio.sleep(0.01)
        tasks = [task for route in self.routes.values() for task in route.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for route in self.routes.values():
            route.lanes.close()
            await route.destination.aclose()

    async def pause(self, *, paused: bool) -> None:
        """Stop or restart accepting while the journal cannot (can again) be written."""
        method = getattr(self.source, "pause" if paused else "resume", None)
        if method is not None:
            await method()

    # intake

    async def receive(self, message: Message) -> Outcome:
        """See ``channels.ports.Intake.receive``."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def answer(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self.submit(message, answer)
        return await future

    def submit(self, message: Message, answer: Callable[[Outcome], None]) -> None:
        """See ``channels.ports.Intake.submit``."""
        self.statistics.received += 1
        self.statistics.last = message.received or time.time()
        hasher = self._journal.hasher
        identity = digest = 0
        findings: tuple[Finding, ...] = ()
        if message.control_id and self.edge.remember:
            identity = hasher.hash(f"{self.name}\0{message.sender}\0{message.control_id}")
            digest = hasher.digest(message.body)
            earlier = self.edge.find(identity)
            if earlier is not None:
                if earlier.digest == digest:
                    self._answer_duplicate(earlier, answer)
                    return
                if self.channel.duplicates.same_id == "refuse":
                    self.refuse(message, MessageError(REUSED_ID.problem, REUSED_ID.place, "205"), answer)
                    return
                findings = (REUSED_ID,)
        full = self._full()
        if full is not None:
            answer(Outcome(0, full))
            return
        seen = Seen(digest)
        self.edge.add(identity, seen)
        take = _Taking(self, message, answer, identity, seen, findings)
        if self.channel.ack.after == "transformed":
            self._transform_first(take)
        else:
            self._write(take)

    def _answer_duplicate(self, earlier: Seen, answer: Callable[[Outcome], None]) -> None:
        self.statistics.duplicates += 1
        if earlier.outcome is None:
            earlier.waiters.append(answer)
            return
        one = earlier.outcome
        answer(Outcome(one.id, one.error, one.answer, True, one.findings, one.received))

    def _full(self) -> QueueFull | None:
        for route in self.routes.values():
            queue = route.model.queue
            if route.lanes.waiting >= queue.limit and queue.when_full == "refuse":
                return QueueFull(f"the queue of {route.name} is full")
        return None

    def refuse(self, message: Message, error: MessageError, answer: Callable[[Outcome], None]) -> None:
        """See ``channels.ports.Intake.refuse``."""
        self.statistics.refused += 1
        identity = digest = 0
        if message.control_id and self.edge.remember:
            identity = self._journal.hasher.hash(f"{self.name}\0{message.sender}\0{message.control_id}")
            digest = self._journal.hasher.digest(message.body)
        take = _Taking(self, message, answer, identity, Seen(digest), (), error)
        self._write(take)

    def _write(self, take: _Taking) -> None:
        """Give a message to the journal; ``take.done`` is called once it is on disk."""
        message = take.message
        refusal = None
        routes: tuple[str, ...] = ()
        if take.error is not None:
            refusal = (take.error.place, take.error.condition, take.error.problem)
        else:
            routes = self._route_names if take.only is None else tuple(f"{self.name}/{one}" for one in take.only)
        lanes, facets = self._index(message)
        take.lanes = lanes
        self._journal.append(
            Record(
                message, self.name, routes, lanes, facets, take.done,
                identity=take.identity, digest=take.seen.digest, refusal=refusal,
            )
        )  # fmt: skip

    def _index(self, message: Message) -> tuple[tuple[int, ...], list[int]]:
        """Hashes of the lanes and of the searchable identifiers of a message."""
        reader = self._formats.get(message.format)
        if reader is None:
            return self._channel_lane, []
        hasher = self._journal.hasher
        try:
            keys, identifiers = reader.index(message, self.channel.lane)
        except MessageError:
            return self._channel_lane, []
        facets = [hasher.hash(f"{kind} {value}") for kind, value in identifiers]
        if not keys or self.channel.lane == ("channel",):
            return self._channel_lane, facets
        return tuple(hasher.hash(key) for key in keys), facets

    # acknowledging

    def _transform_first(self, take: _Taking) -> None:
        """``ack: transformed``: run every filter and transform before the journal; keep the order of arrival."""
        slot = _Slot(take)
        self._slots.append(slot)
        if self._heavy():
            task = asyncio.create_task(self._run_all(slot))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        else:
            self._run_light(slot)

    def _heavy(self) -> bool:
        return self.pipeline.heavy or any(self.pipeline.branch_heavy(name) for name in self.routes)

    def _run_light(self, slot: _Slot) -> None:
        take = slot.take
        try:
            take.work.common = self.pipeline.common(take.message)
            for name in self.routes:
                take.outputs[name] = self._branch_light(name, take.work.common)
        except MessageError as error:
            take.error = error
        self._slot_ready(slot)

    async def _run_all(self, slot: _Slot) -> None:
        take = slot.take
        try:
            for route in self.routes.values():
                take.outputs[route.model.name] = await self._outputs(route, take.work)
        except MessageError as error:
            take.error = error
        except WorkerError as error:
            take.failure = error
        self._slot_ready(slot)

    def _slot_ready(self, slot: _Slot) -> None:
        slot.ready = True
        while self._slots and self._slots[0].ready:
            take = self._slots.pop(0).take
            if take.failure is not None:
                take.answered(Outcome(0, take.failure))
                self.edge.forget(take.identity)
            else:
                if take.error is not None:
                    self.statistics.refused += 1
                self._write(take)

    def stored(self, take: _Taking, record: Record, error: StoreError | None) -> None:
        """The journal has the message, or cannot have it: acknowledge, then hand it to the destinations."""
        if error is not None:
            self.edge.forget(take.identity)
            take.answered(Outcome(0, error))
            return
        message = take.message
        received = message.received
        if take.error is not None:
            self.edge.add(take.identity, take.seen)
            take.answered(Outcome(message.id, take.error, received=received))
            return
        policy = self.channel.ack
        if policy.after == "delivered" and take.only is None:
            handle = asyncio.get_running_loop().call_later(policy.within, self._too_late, take)
            self._answers[message.id] = (take.answered, handle)
        else:
            take.answered(Outcome(message.id, None, b"", False, take.findings, received))
        work, number, lanes = take.work, message.id, record.lanes
        for route in self.routes.values():
            if take.only is None or route.model.name in take.only:
                self._enqueue(route, number, lanes, work, take)

    def _enqueue(self, route: Route, number: int, lanes: tuple[int, ...], work: Work, take: _Taking) -> None:
        queue = route.model.queue
        if queue.when_full == "dead_letter" and route.lanes.waiting >= queue.limit:
            self._settle(route, number, "failed", 0, problem="the queue was full")
            return
        outputs = take.outputs.get(route.model.name)
        entry = route.lanes.add(number, lanes, work)
        if entry is not None and outputs is not None:
            entry.outputs = outputs

    def _too_late(self, take: _Taking) -> None:
        """``ack: delivered`` and no answer in time: the sender keeps the message, so it is withdrawn here."""
        number = take.message.id
        if self._answers.pop(number, None) is None:
            return
        self.edge.forget(take.identity)
        name = self.channel.ack.destination or ""
        route = self.routes[name]
        if route.lanes.skip(number):
            self._settle(route, number, "expired", 0, problem="not delivered while the sender waited")
        else:
            self._withdrawn.add(number)
        take.answered(Outcome(number, QueueFull(f"{route.name} did not answer in time")))

    def _answer_delivered(self, route: Route, number: int, outcome: Outcome) -> None:
        if route.model.name != self.channel.ack.destination:
            return
        waiting = self._answers.pop(number, None)
        if waiting is not None:
            answer, handle = waiting
            handle.cancel()
            answer(outcome)

    # delivering

    async def _deliver_forever(self, route: Route) -> None:
        """One task of a destination: takes the next delivery that may go, until cancelled."""
        turns = 0
        while True:
            entry = await route.lanes.next()
            try:
                await self._deliver(route, entry)
            except VaguemestreError as error:  # a fault of the engine's own files: the delivery stays in the queue
                log.error("delivery could not be tried", route=route.name, message=entry.id, error=type(error).__name__)
                self._retry(route, entry, Undelivered(type(error).__name__))
            turns += 1
            if turns >= _TURNS:
                turns = 0
                await asyncio.sleep(0)

    async def _deliver(self, route: Route, entry: Entry) -> None:
        number = entry.id
        work = entry.work
        try:
            if work is None:
                message = self._journal.load(number)
                if message is None:
                    raise MessageError("the journal cannot read this message any more")
                work = Work(message)
            outputs = entry.outputs
            if outputs is None:
                outputs = entry.outputs = await self._outputs(route, work)
            if not outputs:
                self._end(route, entry, "filtered", reached=False)
                return
            reference, answer = "", b""
            while entry.sent < len(outputs):
                receipt = await route.destination.send(outputs[entry.sent])
                entry.sent += 1
                reference, answer = receipt.reference, receipt.answer
        except MessageError as error:
            log.warning("message cannot pass", route=route.name, message=number, place=error.place, problem=error.problem)
            self._end(route, entry, "failed", error=error, reached=False)
        except Refused as error:
            log.warning("delivery refused", route=route.name, message=number, problem=error.problem)
            self._end(route, entry, "refused", problem=error.problem, answer=error.answer, reached=True)
        except (Undelivered, WorkerError) as error:
            self._retry(route, entry, error)
        else:
            self._delivered(route, entry, work, outputs, reference, answer)

    def _delivered(
        self, route: Route, entry: Entry, work: Work, outputs: list[Message], reference: str, answer: bytes
    ) -> None:
        sent = b"" if outputs[0].body is work.message.body and len(outputs) == 1 else b"\x1e".join(one.body for one in outputs)
        keep = answer if self.channel.ack.destination == route.model.name else b""
        self._end(route, entry, "delivered", reference=reference, sent=sent, answer=keep, reached=True, reply=answer)

    async def _outputs(self, route: Route, work: Work) -> list[Message]:
        """What one destination gets: the channel's steps (once for all destinations), then its own."""
        name = route.model.name
        if work.common is None:
            if self.pipeline.heavy:
                if work.running is None:
                    work.running = asyncio.create_task(self._workers.run(self.name, "", work.message))
                work.common = await asyncio.shield(work.running)
            else:
                work.common = self.pipeline.common(work.message)
        if not self.pipeline.branch_heavy(name):
            return self._branch_light(name, work.common)
        found = []
        for message in work.common:
            found += await self._workers.run(self.name, name, message)
        return found

    def _branch_light(self, name: str, messages: list[Message]) -> list[Message]:
        if len(messages) == 1:
            return self.pipeline.branch(name, messages[0])
        return [output for message in messages for output in self.pipeline.branch(name, message)]

    def _end(
        self,
        route: Route,
        entry: Entry,
        state: State,
        *,
        reached: bool,
        error: MessageError | None = None,
        problem: str = "",
        reference: str = "",
        sent: bytes = b"",
        answer: bytes = b"",
        reply: bytes = b"",
    ) -> None:
        """Note how a delivery ended and let its lane go on."""
        if error is not None:
            problem = error.problem
        self._settle(
            route, entry.id, state, entry.attempts + 1, error=error, problem=problem, reference=reference, sent=sent, answer=answer
        )
        route.lanes.done(entry, reached=reached)
        if self._answers:
            refusal: VaguemestreError | None = None
            if state not in ("delivered", "filtered"):
                refusal = error or Refused(problem, answer)
            self._answer_delivered(route, entry.id, Outcome(entry.id, refusal, reply or answer, received=entry.queued))

    def _settle(
        self,
        route: Route,
        number: int,
        state: State,
        attempts: int,
        *,
        error: MessageError | None = None,
        problem: str = "",
        reference: str = "",
        sent: bytes = b"",
        answer: bytes = b"",
    ) -> None:
        now = time.time()
        place, code = (error.place, error.condition) if error else ("", "")
        route.statistics.count(state, now)
        self._journal.settle(
            Delivery(number, route.name, state, now, attempts, place, code, problem, reference, sent, answer)
        )

    def _retry(self, route: Route, entry: Entry, error: VaguemestreError) -> None:
        """Not now: note the attempt and wait, or give up when the destination's ``give_up`` has passed."""
        number = entry.id
        problem = getattr(error, "problem", None) or str(error)
        if number in self._withdrawn:
            self._withdrawn.discard(number)
            self._end(route, entry, "expired", problem="not delivered while the sender waited", reached=False)
            return
        give_up = route.model.retry.give_up
        if give_up is not None and time.time() - entry.queued > give_up:
            self._end(route, entry, "expired", problem=problem, reached=False)
            return
        route.statistics.retries += 1
        if entry.attempts == 0:
            log.warning("delivery will be tried again", route=route.name, message=number, problem=problem)
        self._journal.note(Attempt(number, route.name, entry.attempts + 1, time.time(), problem))
        route.lanes.again(entry)

    # operators

    async def replay(self, message: Message, only: tuple[str, ...]) -> Outcome:
        """Send a message of the journal again to some destinations, as a new message that names its parent."""
        copy = message.with_body(
            message.body, id=0, parents=(message.id,), received=time.time(),
            attributes={**message.attributes, "replay_of": str(message.id)},
        )  # fmt: skip
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._write(_Taking(self, copy, future.set_result, 0, Seen(0), (), only=only))
        return await future

    def skip(self, destination: str, number: int, why: str) -> bool:
        """Take a waiting delivery out of a queue, to the dead letters."""
        route = self.routes[destination]
        if not route.lanes.skip(number):
            return False
        self._settle(route, number, "skipped", 0, problem=why)
        return True

    def state(self) -> dict[str, Any]:
        """For operators: counters of the channel and the state of each queue."""
        return {
            "channel": self.name,
            "description": self.channel.description,
            **self.statistics.values(),
            "destinations": {
                name: {**route.lanes.state(), **route.statistics.values()} for name, route in self.routes.items()
            },
        }


class _Taking:
    """One message between its source and the queues."""

    __slots__ = (
        "_answer", "_runtime", "error", "failure", "findings", "identity", "lanes", "message", "only", "outputs", "seen", "work",
    )  # fmt: skip

    def __init__(
        self,
        runtime: ChannelRuntime,
        message: Message,
        answer: Callable[[Outcome], None],
        identity: int,
        seen: Seen,
        findings: tuple[Finding, ...],
        error: MessageError | None = None,
        only: tuple[str, ...] | None = None,
    ) -> None:
        self._runtime, self.message, self._answer = runtime, message, answer
        self.identity, self.seen, self.findings, self.error, self.only = identity, seen, findings, error, only
        self.failure: VaguemestreError | None = None
        self.work = Work(message)
        self.outputs: dict[str, list[Message]] = {}
        self.lanes: tuple[int, ...] = ()

    def done(self, record: Record, error: StoreError | None) -> None:
        """Called by the journal."""
        self._runtime.stored(self, record, error)

    def answered(self, outcome: Outcome) -> None:
        """Answer the source, and the resends that came meanwhile."""
        seen = self.seen
        seen.outcome = outcome
        with contextlib.suppress(ConnectionError):
            self._answer(outcome)
        if seen.waiters:
            for waiter in seen.waiters:
                waiter(outcome)
            seen.waiters.clear()


class _Slot:
    """The place of a message in the order of arrival while its transforms run."""

    __slots__ = ("ready", "take")

    def __init__(self, take: _Taking) -> None:
        self.take, self.ready = take, False


def aware(seconds: float) -> datetime:
    """Seconds since the epoch as an aware time, UTC."""
    return datetime.fromtimestamp(seconds, UTC)
