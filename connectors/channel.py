"""Channels of one engine that hand messages to one another, durable on both sides.

The message keeps its body, its header and its sender; the one that arrives names the one it came from. A delivery
counts when the other channel's journal has the message. After a crash between the two it comes again, and the other
channel's edge knows it by the delivery that brings it (``channels.links``).
"""

from __future__ import annotations

import time
from dataclasses import replace

from pydantic import Field

from channels.errors import ConfigError, Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Intake, Receipt, Surroundings


class ChannelSourceSettings(Settings):
    """Takes what other channels of this site hand over; it has no settings."""


class ChannelSource:
    """See ``channels.ports.Source``."""

    settings: type[Settings] = ChannelSourceSettings

    def __init__(self, settings: ChannelSourceSettings, surroundings: Surroundings) -> None:
        del settings
        self._surroundings = surroundings
        self._intake: Intake | None = None

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``."""
        links = self._surroundings.links
        if links is None:
            raise ConfigError("channels hand over inside a running engine only")
        self._intake = intake
        links.open(self._surroundings.channel, intake)

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``."""
        intake, self._intake = self._intake, None
        if intake is not None and self._surroundings.links is not None:
            self._surroundings.links.close(self._surroundings.channel, intake)


class ChannelDestinationSettings(Settings):
    """Hands messages to another channel of this site, whose source is `channel: {}`."""

    to: str = Field(description="Name of that channel.")


class ChannelDestination:
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = ChannelDestinationSettings

    def __init__(self, settings: ChannelDestinationSettings, surroundings: Surroundings) -> None:
        self._to, self._surroundings = settings.to, surroundings

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``."""
        if self._surroundings.links is None:
            raise ConfigError("channels hand over inside a running engine only")

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        links = self._surroundings.links
        intake = links.intake(self._to) if links is not None else None
        if intake is None:
            raise Undelivered(f"the channel {self._to} does not run")
        outcome = await intake.receive(replace(message, id=0, parents=(message.id,), received=time.time()))
        if outcome.error is None:
            return Receipt(str(outcome.id), outcome.answer)
        if outcome.error.retry:
            raise Undelivered(f"the channel {self._to} cannot take it now")
        answer = getattr(outcome.error, "answer", outcome.answer)
        raise Refused(f"refused by the channel {self._to}: {outcome.error}", answer)

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
