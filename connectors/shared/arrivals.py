"""From received bytes to a message in the channel, and how much may be under way at once."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import structlog
from pydantic import AfterValidator

from channels.errors import MessageError, ParseError
from channels.message import Message
from channels.ports import Intake, Outcome
from transforms import er7
from transforms.tolerance import USUAL, noted, refusal

log = structlog.get_logger()

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds before a message that could not be stored is handed in again."""


def _codec(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError("not a character set; did you mean 'utf-8', 'iso8859-15' or 'cp1252'?") from None


Charset = Annotated[str, AfterValidator(_codec)]
"""A character set by one of the names that Python knows."""
Format = Literal["hl7v2", "fhir+json", "cda", "xml", "b2", "pdf", "raw"]
SUFFIXES = {"hl7v2": ".hl7", "fhir+json": ".json", "cda": ".xml", "xml": ".xml", "b2": ".b2", "pdf": ".pdf"}
"""Ends of the names of files that we write, by format; ``.dat`` for the others."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that came from outside, as a message; ``error`` when they cannot be taken as one."""

    message: Message
    error: MessageError | None = None

    def hand_in(self, intake: Intake, answer: Callable[[Outcome], None]) -> None:
        """Give it to the channel; ``answer`` is called once."""
        if self.error is None:
            intake.submit(self.message, answer)
        else:
            intake.refuse(self.message, self.error, answer)

    async def outcome(self, intake: Intake) -> Outcome:
        """Give it to the channel and wait for what becomes of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def answer(outcome: Outcome) -> None:
            if not future.done():  # the one who waited may have left
                future.set_result(outcome)

        self.hand_in(intake, answer)
        return await future


def arrive(
    body: bytes,
    format: str,  # noqa: A002  # the name of the field of Message
    charset: str,
    attributes: Mapping[str, str],
    *,
    control_id: str = "",
    sender: str = "",
) -> Arrival:
    """A message received now.

    charset: for HL7 v2, what is assumed when MSH-18 says nothing and the body is not UTF-8.
    control_id, sender: what the outside calls it, for formats whose header we do not read.
    """
    now = time.time()
    if format == "hl7v2":
        try:
            message = er7.message(body, now, charset, attributes=attributes)
        except ParseError as error:
            return Arrival(Message(body, format, charset, received=now, attributes=attributes), error)
        findings = USUAL.findings(message, message.view(er7.header_of))
        return Arrival(noted(message, findings), refusal(findings)) if findings else Arrival(message)
    return Arrival(Message(body, format, charset, "", control_id, sender, now, attributes=attributes))


class Window:
    """Bounds what a source holds unanswered: so many messages, so many bytes; first come, first served."""

    def __init__(self, count: int, size: int) -> None:
        """size: bytes; one message alone may be larger."""
        self._count, self._size = count, size
        self.held = self._bytes = 0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait until there is room for a message of ``size`` bytes, and take it."""
        async with self._turn:
            while self.held >= self._count or (self.held and self._bytes + size > self._size):
                self._left.clear()
                await self._left.wait()
            self.held += 1
            self._bytes += size

    async def empty(self) -> None:
        """Wait until nothing is under way."""
        while self.held:
            self._left.clear()
            await self._left.wait()

    def leave(self, size: int) -> None:
        """Give the room back."""
        self.held -= 1
        self._bytes -= size
        self._left.set()


class Line:
    """Hands messages in, in order: bounded, and again those that could not be stored, before anything that follows."""

    def __init__(self, intake: Intake, count: int, size: int, failed: Callable[[], None] = lambda: None) -> None:
        """count, size: messages and bytes that may be unanswered. failed: called when ``repeat_failed`` has work."""
        self._intake, self._window, self._call = intake, Window(count, size), failed
        self._failed: list[_Place] = []
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Hand nothing more in; what waits to be handed in again is left as it is."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """True once ``stop`` was called."""
        return self._stopping.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not after ``stop``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def empty(self) -> None:
        """Wait until every message that was handed in is answered."""
        await self._window.empty()

    async def hand_in(self, arrival: Arrival, settled: Callable[[Outcome], None]) -> bool:
        """Wait for room, then hand in; False when the line stops first.

        settled: called once with the outcome that counts: never one that says "later".
        """
        size = len(arrival.message.body)
        await self._window.enter(size)
        while self._failed and not self.stopping:
            self._window.leave(size)
            await self.repeat_failed()
            await self._window.enter(size)
        if self.stopping:
            self._window.leave(size)
            return False
        place = _Place(next(self._numbers), arrival, settled)
        arrival.hand_in(self._intake, partial(self._answered, place))
        return True

    def _answered(self, place: _Place, outcome: Outcome) -> None:
        self._window.leave(len(place.arrival.message.body))
        if outcome.error is not None and outcome.error.retry:
            self._failed.append(place)
            self._call()
        else:
            place.settled(outcome)

    async def repeat_failed(self) -> None:
        """Hand in again what could not be stored, one after the other, until it is or the line stops."""
        if not self._failed or self.stopping:
            return
        await self._window.empty()
        failed, self._failed = sorted(self._failed), []
        log.warning("messages could not be stored; trying again", count=len(failed))
        wait = _FIRST_WAIT
        for place in failed:
            while not self.stopping:
                await self.pause(wait)
                outcome = await place.arrival.outcome(self._intake)
                if outcome.error is None or not outcome.error.retry:
                    place.settled(outcome)
                    wait = 0.0
                    break
                wait = min(max(wait, _FIRST_WAIT) * 2, _LONGEST_WAIT)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A message in a line; ``number`` is its order."""

    number: int
    arrival: Arrival = field(compare=False)
    settled: Callable[[Outcome], None] = field(compare=False)
