"""From received bytes to a message in the channel, and how much may be under way at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from channels.errors import MessageError, ParseError
from channels.message import Message
from channels.ports import Intake, Outcome
from transforms import er7

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
            return Arrival(er7.message(body, now, charset, attributes=attributes))
        except ParseError as error:
            return Arrival(Message(body, format, charset, received=now, attributes=attributes), error)
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
