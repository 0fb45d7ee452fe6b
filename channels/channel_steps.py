"""The steps of one running channel: light ones run here, heavy ones in a worker, lookups are asked and awaited.

What a message's steps have given is kept while a later one is tried again: a service that has answered about a message
is not asked again because the next service is down, as long as the message is in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

from channels.asking import Lookups
from channels.errors import MessageError, Refused, VersionNeeded, WorkerError
from channels.lanes import Work
from channels.message import Message
from channels.model import Step
from channels.noticed import is_warned
from channels.pipeline import Part, Pipeline
from channels.statistics import Statistics
from channels.versions import Versions
from channels.workers import Workers


class Run:
    """The steps of a channel, or of a destination, on one message, as far as they came.

    part: which one they are at. left: what it has not had yet; made: what it gave so far. needs: versions of documents
    that were reserved and not issued yet.
    """

    __slots__ = ("left", "made", "needs", "part")

    def __init__(self, message: Message) -> None:
        """message: what goes into the first part."""
        self.part = 0
        self.left = deque((message,))
        self.made: list[Message] = []
        self.needs: list[VersionNeeded] = []


class ChannelSteps:
    """The filters and transforms of one channel."""

    def __init__(
        self,
        pipeline: Pipeline,
        workers: Workers,
        channel: str,
        lookups: Lookups,
        versions: Path | None = None,
        statistics: Statistics | None = None,
    ) -> None:
        """channel: its name, by which a worker finds the same steps. versions: file that remembers them."""
        self._statistics = statistics or Statistics()
        self._pipeline, self._workers, self._channel, self._lookups = pipeline, workers, channel, lookups
        self._versions = Versions(versions) if versions and pipeline.numbered else None
        self._running: set[asyncio.Task[list[Message]]] = set()

    async def start(self) -> None:
        """Start the lookups. Raises ConfigError or OSError."""
        await self._lookups.start()

    async def aclose(self) -> None:
        """End what still runs for nobody, close the lookups and the file of versions."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._lookups.aclose()
        if self._versions is not None:
            self._versions.close()

    @property
    def asks(self) -> bool:
        """True when a lookup is among the steps."""
        return self._pipeline.asks

    def wait(self, destinations: list[str]) -> bool:
        """True when a step of the channel or of one of these destinations is a lookup or runs in a worker."""
        return self._pipeline.waits() or any(self._pipeline.waits(name) for name in destinations)

    def light(self, work: Work, destination: str) -> list[Message]:
        """What a destination gets, when no step waits; empty when filtered out. Raises MessageError."""
        messages = work.common
        if messages is None:
            messages = self._known(work, self._pipeline.common(work.message))
        if len(messages) == 1:
            return self._pipeline.branch(destination, messages[0])
        return [output for message in messages for output in self._pipeline.branch(destination, message)]

    async def outputs(self, work: Work, destination: str) -> list[Message]:
        """What a destination gets: the channel's steps, once for all destinations, then its own.

        After an error that may be tried again it goes on where it was.

        Raises:
            MessageError: it cannot pass.
            DeliveryError: a lookup was not answered, or was told no.
            WorkerError: the worker died or was too slow.
            StoreError: versions of documents cannot be written.
        """
        if work.common is None and self._pipeline.waits():
            if work.running is None or _may_try_again(work.running):
                work.running = asyncio.create_task(self._all(work, "", [work.message]))
                self._running.add(work.running)
                work.running.add_done_callback(self._running.discard)
            self._known(work, await asyncio.shield(work.running))
        if not self._pipeline.waits(destination):
            return self.light(work, destination)
        messages = work.common
        if messages is None:
            messages = self._known(work, self._pipeline.common(work.message))
        return await self._all(work, destination, messages)

    def _known(self, work: Work, made: list[Message]) -> list[Message]:
        """What the channel's steps made of a message, kept for all destinations; warnings are counted once."""
        if work.common is None:
            work.common = made
            if is_warned(work.message) or any(is_warned(one) for one in made):
                self._statistics.warned += 1
        return work.common

    async def _all(self, work: Work, destination: str, messages: list[Message]) -> list[Message]:
        """The parts of the channel (``""``) or of a destination on each of these messages."""
        if work.runs is None:
            work.runs = {}
        runs = work.runs.setdefault(destination, [])
        runs += [Run(message) for message in messages[len(runs) :]]
        found: list[Message] = []
        for number, run in enumerate(runs):
            try:
                found += await self._finish(destination, run)
            except _VersionLost as error:
                runs[number] = Run(messages[number])
                raise WorkerError(str(error)) from error
            except (MessageError, Refused):
                if self._versions is not None:
                    await self._versions.give_back(run.needs)
                raise
        del work.runs[destination]
        return found

    async def _finish(self, destination: str, run: Run) -> list[Message]:
        """Part after part; the messages of one part go through the next in their order."""
        parts = self._pipeline.parts(destination)
        while run.part < len(parts):
            while run.left:
                run.made += await self._part(destination, run, parts[run.part])
                run.left.popleft()
            run.left.extend(run.made)
            run.made.clear()
            run.part += 1
        await self._issue(run)
        return list(run.left)

    async def _part(self, destination: str, run: Run, part: Part) -> list[Message]:
        """One part on the first message that it has not had."""
        message, number = run.left[0], run.part
        if isinstance(part, Step):
            made = await self._lookups.ask(destination, number, message)
            await self._issue(run)  # whoever answered may have kept the document
            return made
        if not part.heavy:
            return self._pipeline.part(destination, number, message)
        if self._versions is None:
            return await self._workers.run(self._channel, destination, message, number)
        return await self._versions.run(
            message, lambda one: self._workers.run(self._channel, destination, one, number), run.needs
        )

    async def _issue(self, run: Run) -> None:
        if self._versions is not None and run.needs:
            if not await self._versions.issue(run.needs):
                raise _VersionLost("the version of a document was given back meanwhile")
            run.needs.clear()


class _VersionLost(WorkerError):
    """What was made has a version that is no more: the steps begin anew."""


def _may_try_again(running: asyncio.Task[list[Message]]) -> bool:
    """The steps of the channel ended without a result, and not because of the message."""
    if not running.done():
        return False
    error = None if running.cancelled() else running.exception()
    return running.cancelled() or (error is not None and not isinstance(error, MessageError | Refused))
