"""The lookups of one running channel: made when it starts, asked step by step, closed when it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from channels.loader import LoadedSite
from channels.message import Message
from channels.model import Channel, Step
from channels.pipeline import Pipeline, belongs_to
from channels.ports import Context, Lookup, Surroundings
from channels.registry import find

_Place = tuple[str, int]
"""A destination, ``""`` for the channel's own steps, and the number of the part."""


class Lookups:
    """See ``channels.ports.Lookup``."""

    def __init__(
        self, channel: Channel, loaded: LoadedSite, pipeline: Pipeline, surroundings: Callable[[str], Surroundings]
    ) -> None:
        """surroundings: by the name of a destination, or ``transform``. Raises ConfigError."""
        self._context = Context(loaded.site, channel.channel, datetime.now(UTC), loaded.table)
        self._made: dict[_Place, Lookup] = {}
        for place, step in _steps(channel, pipeline):
            self._made[place] = find("lookup", step.name)(step.options, surroundings(place[0] or "transform"))

    async def start(self) -> None:
        """Start them all. Raises ConfigError or OSError."""
        for one in self._made.values():
            await one.start()

    async def aclose(self) -> None:
        """Close them all."""
        for one in self._made.values():
            await one.aclose()

    async def ask(self, destination: str, part: int, message: Message) -> list[Message]:
        """What comes out of one lookup. Raises DeliveryError, MessageError or StoreError."""
        now = datetime.fromtimestamp(message.received, UTC)
        made = await self._made[destination, part].ask(
            message, replace(self._context, now=now, destination=destination)
        )
        return [belongs_to(message, one) for one in (made if isinstance(made, list) else [made])]


def _steps(channel: Channel, pipeline: Pipeline) -> Iterator[tuple[_Place, Step]]:
    for destination in ("", *(one.name for one in channel.destinations)):
        for number, part in enumerate(pipeline.parts(destination)):
            if isinstance(part, Step):
                yield (destination, number), part
