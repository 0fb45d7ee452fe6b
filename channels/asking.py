"""The lookups of one running channel: made when it starts, asked step by step, closed when it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType

from channels.errors import MessageError, Undelivered, VaguemestreError
from channels.loader import LoadedSite
from channels.message import Message
from channels.model import Channel, Step
from channels.pipeline import Pipeline, belongs_to, checked
from channels.ports import Context, Lookup, Surroundings
from channels.registry import find

_Place = tuple[str, int]
"""A destination, ``""`` for the channel's own steps, and the number of the part."""


class Outside:
    """What a connector raises that is no error of ours.

    The system's (``OSError``): ``Undelivered``. Anything else is a fault of the connector on this message:
    ``MessageError`` with its name alone, so that one message is set aside and the others go on.
    """

    def __init__(self, connector: str) -> None:
        """connector: its name in the channel file."""
        self._connector = connector

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, VaguemestreError):
            return
        problem = f"{self._connector!r} failed: {type(error).__name__}"
        if isinstance(error, OSError | EOFError | MemoryError):
            raise Undelivered(problem) from error
        raise MessageError(problem, "", "207") from error


class Lookups:
    """See ``channels.ports.Lookup``."""

    def __init__(
        self, channel: Channel, loaded: LoadedSite, pipeline: Pipeline, surroundings: Callable[[str], Surroundings]
    ) -> None:
        """surroundings: by the name of a destination, or ``transform``."""
        self._context = Context(loaded.site, channel.channel, datetime.now(UTC), loaded.table)
        self._steps = list(_steps(channel, pipeline))
        self._surroundings = surroundings
        self._made: dict[_Place, tuple[Lookup, Outside]] = {}

    async def start(self) -> None:
        """Make one for each place, and start them. Raises ConfigError or OSError."""
        for place, step in self._steps:
            lookup: Lookup = find("lookup", step.name)(step.options, self._surroundings(place[0] or "transform"))
            self._made[place] = lookup, Outside(step.name)
            await lookup.start()

    async def aclose(self) -> None:
        """Close them all."""
        for lookup, _ in self._made.values():
            await lookup.aclose()

    async def ask(self, destination: str, part: int, message: Message) -> list[Message]:
        """What comes out of one lookup. Raises DeliveryError, MessageError or StoreError."""
        lookup, outside = self._made[destination, part]
        now = datetime.fromtimestamp(message.received, UTC)
        with outside:
            made = await lookup.ask(message, replace(self._context, now=now, destination=destination))
            found = checked(made if isinstance(made, list) else [made])
        return [belongs_to(message, one) for one in found]


def _steps(channel: Channel, pipeline: Pipeline) -> Iterator[tuple[_Place, Step]]:
    for destination in ("", *(one.name for one in channel.destinations)):
        for number, part in enumerate(pipeline.parts(destination)):
            if isinstance(part, Step):
                yield (destination, number), part
