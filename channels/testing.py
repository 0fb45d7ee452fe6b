"""A source, a destination and a clock for tests: ours, and those that a site writes for its own functions.

from channels.testing import message, sample_context
from transforms import ...

def test_the_ward_is_cleaned():
    made = clean_ward(message("cases/adt_a01.hl7"), sample_context())
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from channels import registry
from channels.errors import VaguemestreError
from channels.fields import Address, Seconds, Secret, Settings
from channels.loader import LoadedSite, no_site
from channels.message import Message
from channels.ports import Context, Intake, Outcome, Receipt, Surroundings

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""The time of tests."""


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = NOON.timestamp()) -> None:
        """now: seconds since the epoch."""
        self.now = now

    def __call__(self) -> float:
        """The time, seconds since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class FakeSourceSettings(Settings):
    """Nothing is needed."""

    listen: Address | None = None


class FakeSource:
    """A source that receives what a test hands it."""

    settings: type[Settings] = FakeSourceSettings

    def __init__(self, settings: FakeSourceSettings, surroundings: Surroundings) -> None:
        self.chosen, self.surroundings = settings, surroundings
        self.intake: Intake | None = None

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source``."""
        self.intake = intake

    async def stop(self) -> None:
        """See ``channels.ports.Source``."""
        self.intake = None

    async def receives(self, message: Message) -> Outcome:
        """Hand a message in and wait for its outcome."""
        if self.intake is None:
            raise RuntimeError("the source is not started")
        return await self.intake.receive(message)


class FakeDestinationSettings(Settings):
    """Nothing is needed."""

    connect: Address | None = None
    timeout: Seconds = 30.0
    password: Secret | None = None


class FakeDestination:
    """A destination that keeps what it is sent.

    answers: what it does with the next messages: an error to raise, or a Receipt; an empty list says yes to all.
    """

    settings: type[Settings] = FakeDestinationSettings

    def __init__(self, settings: FakeDestinationSettings, surroundings: Surroundings) -> None:
        self.chosen, self.surroundings = settings, surroundings
        self.sent: list[Message] = []
        self.answers: list[VaguemestreError | Receipt] = []

    async def start(self) -> None:
        """See ``channels.ports.Destination``."""

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination``."""
        answer = self.answers.pop(0) if self.answers else Receipt(message.control_id)
        if isinstance(answer, VaguemestreError):
            raise answer
        self.sent.append(message)
        return answer

    async def aclose(self) -> None:
        """See ``channels.ports.Destination``."""


def message(source: Path | str | bytes, received: float = NOON.timestamp()) -> Message:
    """An HL7 v2 message from a file or from bytes. Raises ParseError or OSError."""
    body = source if isinstance(source, bytes) else Path(source).read_bytes()
    read: Callable[..., Message] = registry.load(registry.MESSAGE)
    return read(body, received)


def sample_context(loaded: LoadedSite | None = None, **changes: Any) -> Context:
    """A context for a transform that is tried alone: noon, and the site's tables when there is a site."""
    loaded = loaded or no_site()
    return Context(**{"site": loaded.site, "channel": "test", "now": NOON, "table": loaded.table, **changes})
