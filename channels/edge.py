"""Duplicates at the edge: a resend gets the earlier answer and is not delivered again.

Same sender and control id and same body: a resend. Same control id with another body: a new message.

Source: HL7 v2.5, 2.9.2 (a sender without an answer sends the identical message again).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from channels.errors import MessageError
from channels.ports import Outcome


class Seen:
    """One message that was received; ``outcome`` is None while it is under way."""

    __slots__ = ("digest", "outcome", "waiters")

    def __init__(self, digest: int, outcome: Outcome | None = None) -> None:
        """digest: hash of its body."""
        self.digest, self.outcome = digest, outcome
        self.waiters: list[Callable[[Outcome], None]] | None = None


class Edge:
    """The latest messages of one channel."""

    def __init__(self, remember: int) -> None:
        """remember: how many messages; 0 recognises none."""
        self.remember = remember
        self._seen: OrderedDict[int, Seen] = OrderedDict()

    def restore(self, channel: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take what the journal holds of a channel.

        rows: (id, channel, received, identity, digest, refusal), newest first, of all channels.
        """
        for number, name, received, identity, digest, refusal in reversed(rows):
            if name != channel:
                continue
            error = None
            if refusal:
                place, code, problem = json.loads(refusal)
                error = MessageError(problem, place, code)
            self.add(identity, Seen(digest, Outcome(number, error, received=received)))

    def find(self, identity: int) -> Seen | None:
        """What was received under this sender and control id."""
        return self._seen.get(identity)

    def add(self, identity: int, seen: Seen) -> None:
        """Remember a message; the oldest is forgotten when there are too many."""
        if not self.remember or not identity:
            return
        self._seen[identity] = seen
        self._seen.move_to_end(identity)
        if len(self._seen) > self.remember:
            self._seen.popitem(last=False)

    def forget(self, identity: int) -> None:
        """A message that was not taken: its resend is a new try."""
        self._seen.pop(identity, None)
