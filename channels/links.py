"""Hand-over between channels of one engine: which channels take what others give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from channels.message import Message
from channels.model import Channel
from channels.numbering import forgotten
from channels.ports import Intake

CONNECTOR = "channel"
"""Name of the connector that hands over."""

HANDED_OVER = "handed_over"
"""Attribute of a message that came from another channel: which delivery of which message brought it, and its place.

The edge of the channel that takes it knows a message by this alone: after a crash the same one is stopped, whatever its
body says now, and a replay, or two messages with one control id, are not taken for it.
"""


def marked(message: Message, route: str, number: int, part: str) -> Message:
    """A message that a delivery (``channel/destination`` and number) hands over; part: which of what it gives."""
    attributes = forgotten(message.attributes) | {HANDED_OVER: f"{route} {number} {part}"}
    return replace(message, attributes=attributes)


def targets(channel: Channel) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The channels that one hands messages or answers to, each with its place in the file."""
    for index, one in enumerate(channel.destinations):
        here: tuple[str | int, ...] = ("destinations", index)
        if one.connector == CONNECTOR:
            yield (*here, CONNECTOR, "to"), one.settings.to
        if one.answers is not None:
            yield (*here, "answers"), one.answers.channel


def waves(channels: Mapping[str, Channel]) -> list[list[str]]:
    """In which order to stop: who hands over stops before the one that takes it, so that nothing is left between."""
    left = dict(channels)
    found: list[list[str]] = []
    while left:
        fed = {to for one in left.values() for _, to in targets(one)}
        wave = [name for name in left if name not in fed] or list(left)
        found.append(wave)
        for name in wave:
            del left[name]
    return found


class Links:
    """The channels whose source is ``channel`` and which run now."""

    def __init__(self) -> None:
        self._open: dict[str, Intake] = {}

    def open(self, name: str, intake: Intake) -> None:
        """A channel takes messages from now on."""
        self._open[name] = intake

    def close(self, name: str, intake: Intake) -> None:
        """... and no more; nothing happens when another one has taken its place."""
        if self._open.get(name) is intake:
            del self._open[name]

    def intake(self, name: str) -> Intake | None:
        """Where to hand a message in; None while the channel is stopped."""
        return self._open.get(name)
