"""A small channel for connectors' tests: it keeps what it gets in a list, and answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from channels.errors import MessageError, VaguemestreError
from channels.message import Message
from channels.ports import Outcome, Surroundings
from channels.site import Establishment, Site

Answer = Callable[[Outcome], None]


class ListIntake:
    """Stores messages in a list and says yes, at once or when told.

    refuse_with: message -> the error to answer, or None. While ``held``, messages wait unanswered in ``waiting``.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        """Accepted."""
        self.refused: list[tuple[Message, VaguemestreError]] = []
        self.seen: list[Message] = []
        """All that was handed in, in order."""
        self.refuse_with: Callable[[Message], VaguemestreError | None] = lambda message: None
        self.outcome: Outcome | None = None
        """What to answer instead, when given."""
        self.held = False
        self.waiting: list[tuple[Message, Answer]] = []
        self.most_waiting = 0
        self._changed = asyncio.Event()

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]

    def submit(self, message: Message, answer: Answer) -> None:
        self.seen.append(message)
        if self.held:
            self.waiting.append((message, answer))
            self.most_waiting = max(self.most_waiting, len(self.waiting))
        else:
            self._settle(message, answer, self.refuse_with(message))
        self._tell()

    async def receive(self, message: Message) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(message, future.set_result)
        return await future

    def refuse(self, message: Message, error: MessageError, answer: Answer) -> None:
        self.seen.append(message)
        self._settle(message, answer, error)
        self._tell()

    def release(self) -> None:
        """Answer what waits, and from now on at once."""
        self.held = False
        waiting, self.waiting = self.waiting, []
        for message, answer in waiting:
            self._settle(message, answer, self.refuse_with(message))
        self._tell()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition over this intake holds."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    def _settle(self, message: Message, answer: Answer, error: VaguemestreError | None) -> None:
        if error is None:
            self.messages.append(message)
        else:
            self.refused.append((message, error))
        number = 0 if error is not None and error.retry else len(self.seen)
        outcome = self.outcome or Outcome(number, error, received=message.received)
        asyncio.get_running_loop().call_soon(answer, outcome)

    def _tell(self) -> None:
        self._changed.set()


SITE = Site(
    site="chu-test", establishment=Establishment(name="CHU Test", finess="750000001"), timezone=ZoneInfo("Europe/Paris")
)


def surroundings(directory: Path, name: str = "source") -> Surroundings:
    """Where a connector under test stands."""
    return Surroundings(SITE, directory, "adt-fanout", name)


async def eventually(true: Callable[[], bool]) -> None:
    """Wait until something outside (a file, a server) is so; the test's own time-out ends a wait in vain."""
    while not true():  # a folder rings no bell
        await asyncio.sleep(0.005)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
