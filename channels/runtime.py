"""One channel at work: what its source hands in is journalled, acknowledged and given to its destinations."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from channels.asking import Lookups
from channels.channel_steps import ChannelSteps
from channels.delivery import Route
from channels.edge import Edge, Seen
from channels.errors import (
    ConfigError,
    Finding,
    MessageError,
    QueueFull,
    Refused,
    StoreError,
    Undelivered,
    VaguemestreError,
)
from channels.journal import Journal, Record
from channels.links import CONNECTOR, HANDED_OVER, Links
from channels.loader import LoadedSite
from channels.message import Message
from channels.model import Channel
from channels.noticed import noticed
from channels.pipeline import Pipeline
from channels.ports import Destination, Outcome, Source, Surroundings
from channels.registry import find, load, names
from channels.statistics import Statistics
from channels.taking import Answer, Index, Taking
from channels.workers import Workers

REUSED_ID = Finding("MSH-10", "205", "the control id was used before with another content")


class ChannelRuntime:
    """Implements ``channels.ports.Intake``."""

    def __init__(
        self, channel: Channel, loaded: LoadedSite, journal: Journal, workers: Workers, links: Links | None = None
    ) -> None:
        """workers: run the heavy transforms. links: the channels that take what others hand over."""
        self.channel, self._loaded, self._journal = channel, loaded, journal
        self.name = channel.channel
        self.statistics = Statistics()
        self.edge = Edge(channel.duplicates.remember)
        self.routes: dict[str, Route] = {}
        self.source: Source | None = None
        self._links = links or Links()
        self._sealer = journal.catalog.sealer("pfi")
        versions = journal.directory / "versions.db"
        pipeline = Pipeline(channel, loaded)
        lookups = Lookups(channel, loaded, pipeline, self._surroundings)
        self._steps = ChannelSteps(pipeline, workers, self.name, lookups, versions, self.statistics)
        self._formats = {name: load(target) for name, target in names("format").items()}
        self._hasher = journal.hasher
        self._channel_lane = (self._hasher.hash(f"channel {self.name}"),)
        self._route_names = tuple(f"{self.name}/{model.name}" for model in channel.destinations)
        self._waits = self._steps.wait([model.name for model in channel.destinations])
        self._is_handed_over = channel.source.connector == CONNECTOR
        self._arrivals: deque[Taking] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._unanswered: dict[int, tuple[Taking, asyncio.TimerHandle]] = {}

    # life

    async def start(self, waiting: dict[str, int], held: Iterable[str]) -> None:
        """Start the destinations, then the source. Raises ConfigError or OSError when one cannot.

        waiting: what the journal holds, by route. held: routes that an operator holds.
        """
        for model in self.channel.destinations:
            destination: Destination = find("destination", model.connector)(
                model.settings, self._surroundings(model.name)
            )
            waits = waiting.get(f"{self.name}/{model.name}", 0)
            route = Route(self.name, model, destination, self._journal, self._steps, waits, self._links)
            route.lanes.held = route.name in held
            if model.name == self.channel.ack.destination:
                route.on_end = self._delivered
            self.routes[model.name] = route
        await self._steps.start()
        for route in self.routes.values():
            await route.start()
        source = self.channel.source
        self.source = find("source", source.connector)(source.settings, self._surroundings("source"))
        await self.source.start(self)

    def _surroundings(self, name: str) -> Surroundings:
        journal = self._journal
        return Surroundings(
            self._loaded.site, self._loaded.directory, self.name, name, journal.directory, journal.hasher,
            self._sealer, self._links,
        )  # fmt: skip

    async def stop(self, within: float) -> None:
        """Receive nothing more, let deliveries under way end for at most ``within`` seconds, close."""
        if self.source is not None:
            await self.source.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=within)
        await asyncio.gather(*(route.stop(within) for route in self.routes.values()))
        await self._steps.aclose()

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

    def submit(self, message: Message, answer: Answer) -> None:
        """See ``channels.ports.Intake.submit``."""
        self.statistics.received += 1
        self.statistics.last = message.received or time.time()
        take = self._taking(message, answer)
        if take.identity:
            earlier = self.edge.find(take.identity)
            if earlier is not None:
                if earlier.digest == take.seen.digest:
                    self._answer_duplicate(earlier, answer)
                    return
                take.findings = (REUSED_ID,)
                if self.channel.duplicates.same_id == "refuse":
                    take.error = MessageError(REUSED_ID.problem, REUSED_ID.place, REUSED_ID.code)
        for route in self.routes.values():
            if route.full:
                answer(Outcome(0, QueueFull(f"the queue of {route.name} is full"), received=message.received))
                return
        if self.channel.ack.after == "transformed" and take.error is None:
            self.edge.add(take.identity, take.seen)
            self._transform_first(take)
        else:
            if take.error is None:
                self.edge.add(take.identity, take.seen)
            self._write(take)

    def refuse(self, message: Message, error: MessageError, answer: Answer) -> None:
        """See ``channels.ports.Intake.refuse``."""
        self.statistics.received += 1
        take = self._taking(message, answer)
        take.error = error
        earlier = self.edge.find(take.identity) if take.identity else None
        if earlier is not None and earlier.digest == take.seen.digest:
            self._answer_duplicate(earlier, answer)
            return
        self.edge.add(take.identity, take.seen)
        self._write(take)

    def _taking(self, message: Message, answer: Answer) -> Taking:
        if not self.edge.remember:
            return Taking(message, answer, 0, 0)
        if self._is_handed_over and (handed := message.attributes.get(HANDED_OVER)):
            identity = self._hasher.hash(f"{self.name}\0{handed}")
            return Taking(message, answer, identity, identity)  # known by this alone, whatever its body
        if not message.control_id:
            return Taking(message, answer, 0, 0)
        identity = self._hasher.hash(f"{self.name}\0{message.sender}\0{message.control_id}")
        return Taking(message, answer, identity, self._hasher.digest(message.body))

    def _answer_duplicate(self, earlier: Seen, answer: Answer) -> None:
        self.statistics.duplicates += 1
        one = earlier.outcome
        if one is None:
            earlier.waiters = [*(earlier.waiters or ()), answer]
        else:
            answer(Outcome(one.id, one.error, one.answer, True, one.findings, one.received))

    def _write(self, take: Taking) -> None:
        """Give a message to the journal; ``_stored`` is called once it is on disk."""
        refusal = None
        routes = self._route_names if take.only is None else tuple(f"{self.name}/{one}" for one in take.only)
        if take.error is not None:
            self.statistics.refused += 1
            refusal, routes = (take.error.place, take.error.condition, take.error.problem), ()
        lanes, facets = take.index or self._index(take.message)
        record = Record(
            take.message, self.name, routes, lanes, facets, lambda one, error: self._stored(take, one, error)
        )
        record.identity, record.digest, record.refusal = take.identity, take.seen.digest, refusal
        self._journal.append(record)

    def _index(self, message: Message) -> Index:
        """Hashes of the lanes and of the searchable identifiers of a message."""
        reader = self._formats.get(message.format)
        if reader is None:
            return self._channel_lane, []
        try:
            keys, identifiers = reader.index(message, self.channel.lane)
        except MessageError:  # an unreadable message is kept under the channel's own lane
            return self._channel_lane, []
        hash_ = self._hasher.hash
        facets = [hash_(f"{kind} {value}") for kind, value in identifiers]
        if not keys or self.channel.lane == ("channel",):
            return self._channel_lane, facets
        return tuple([hash_(key) for key in keys]), facets

    # Acknowledged after the transforms.

    def _transform_first(self, take: Taking) -> None:
        """Run every filter and transform before the journal; messages are written in the order in which they came."""
        self._arrivals.append(take)
        if self._waits:
            task = asyncio.create_task(self._run_all(take, self._before(take)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            for lane in take.index[0] if take.index else ():
                self._asking[lane] = task
            return
        try:
            take.outputs = {name: self._steps.light(take.work, name) for name in self.routes}
        except MessageError as error:
            take.error = error
        self._ready(take)

    def _before(self, take: Taking) -> set[asyncio.Task[None]]:
        """Messages of the same lanes whose steps still run, when a service is asked: it is asked in their order."""
        if not self._steps.asks:
            return set()
        take.index = self._index(take.message)
        return {self._asking[lane] for lane in take.index[0] if lane in self._asking}

    async def _run_all(self, take: Taking, before: set[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        try:
            for name in self.routes:
                take.outputs[name] = await self._steps.outputs(take.work, name)
        except MessageError as error:
            take.error = error
        except Refused as error:
            take.error = MessageError(error.problem)
        except VaguemestreError as error:
            take.failure = _later(error)
        task = asyncio.current_task()
        for lane in take.index[0] if take.index else ():
            if self._asking.get(lane) is task:
                del self._asking[lane]
        self._ready(take)

    def _ready(self, take: Taking) -> None:
        take.ready = True
        while self._arrivals and self._arrivals[0].ready:
            first = self._arrivals.popleft()
            if first.failure is None:
                first.findings = (*first.findings, *noticed(first.work.common or ()))
                self._write(first)
            else:
                self.edge.forget(first.identity)
                first.answer(Outcome(0, first.failure, received=first.message.received))

    # after the journal

    def _stored(self, take: Taking, record: Record, error: StoreError | None) -> None:
        """The journal has the message, or cannot have it: acknowledge, then hand it to the destinations."""
        message = take.message
        if error is not None:
            self.edge.forget(take.identity)
            take.answer(Outcome(0, error, received=message.received))
            return
        if take.error is not None:
            take.answer(Outcome(message.id, take.error, received=message.received))
            return
        if self.channel.ack.after == "delivered" and take.only is None:
            timer = asyncio.get_running_loop().call_later(self.channel.ack.within, self._too_late, take)
            self._unanswered[message.id] = (take, timer)
        else:
            take.answer(Outcome(message.id, None, b"", False, take.findings, message.received))
        for name, route in self.routes.items():
            if take.only is None or name in take.only:
                outputs = take.outputs.get(name)
                if outputs:  # made before the message had its number
                    outputs = [one if one is message else replace(one, id=message.id) for one in outputs]
                route.add(message.id, record.lanes, take.work, outputs)

    # Acknowledged after the delivery.

    def _delivered(self, number: int, error: VaguemestreError | None, answer: bytes) -> None:
        """The named destination has answered: so is the sender."""
        waiting = self._unanswered.pop(number, None)
        if waiting is not None:
            take, timer = waiting
            timer.cancel()
            take.answer(Outcome(number, error, answer, received=take.message.received))

    def _too_late(self, take: Taking) -> None:
        """No answer in time: the sender keeps the message, so it is withdrawn here."""
        number = take.message.id
        if self._unanswered.pop(number, None) is None:
            return
        self.edge.forget(take.identity)
        route = self.routes[self.channel.ack.destination or ""]
        route.withdraw(number)
        take.answer(Outcome(number, QueueFull(f"{route.name} did not answer in time"), received=take.message.received))

    # operators

    async def replay(self, number: int, only: tuple[str, ...], body: bytes | None = None) -> int:
        """Send a message of the journal again to some destinations, as a new message that names its parent.

        body: what to send in its place, when an operator has repaired it. Returns the new message's number.

        Raises:
            ConfigError: the journal does not have it any more.
            StoreError: the journal cannot be written.
        """
        message = self._journal.load(number)
        if message is None:
            raise ConfigError(f"message {number} cannot be replayed: its body is gone")
        attributes = {**message.attributes, "replay_of": str(number)}
        copy = message.with_body(
            message.body if body is None else body,
            id=0,
            parents=(number,),
            received=time.time(),
            attributes=attributes,
        )
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        take = Taking(copy, future.set_result, 0, 0)
        take.only = only
        self._write(take)
        outcome = await future
        if outcome.error is not None:
            raise outcome.error
        self._journal.catalog.replayed(number, tuple(f"{self.name}/{one}" for one in only), outcome.id)
        return outcome.id

    def state(self) -> dict[str, Any]:
        """For operators: counters of the channel and the state of each destination."""
        return {
            "channel": self.name,
            "description": self.channel.description,
            **self.statistics.values(),
            "destinations": {name: route.state() for name, route in self.routes.items()},
        }


def _later(error: VaguemestreError) -> VaguemestreError:
    """Why a message cannot be taken now. What a service answered to a lookup is not the answer to the sender."""
    if isinstance(error, Undelivered):
        return Undelivered(error.problem)
    return error if error.retry else Undelivered(type(error).__name__)
