"""One message between the source of its channel and the queues."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from channels.edge import Seen
from channels.errors import Finding, MessageError, VaguemestreError
from channels.lanes import Work
from channels.message import Message
from channels.ports import Outcome

Answer = Callable[[Outcome], None]
Index = tuple[tuple[int, ...], list[int]]
"""Hashes of the lanes of a message, and of its searchable identifiers."""


class Taking:
    """One message between its source and the queues.

    error: why it is refused; it is kept all the same. failure: why it cannot be taken now; it is not kept.
    only: destinations of a replay; None for all. outputs: with ``ack: transformed``, what each destination gets.
    index: None until it was needed.
    """

    __slots__ = (
        "_answer",
        "error",
        "failure",
        "findings",
        "identity",
        "index",
        "message",
        "only",
        "outputs",
        "ready",
        "seen",
        "work",
    )

    def __init__(self, message: Message, answer: Answer, identity: int, digest: int) -> None:
        """identity, digest: hashes by which a resend is recognised, 0 when it is not."""
        self.message, self._answer, self.identity = message, answer, identity
        self.seen = Seen(digest)
        self.work = Work(message)
        self.error: MessageError | None = None
        self.failure: VaguemestreError | None = None
        self.findings: tuple[Finding, ...] = ()
        self.only: tuple[str, ...] | None = None
        self.outputs: dict[str, list[Message]] = {}
        self.index: Index | None = None
        self.ready = False

    def answer(self, outcome: Outcome) -> None:
        """Answer the source, and the resends that came meanwhile."""
        seen = self.seen
        seen.outcome = outcome
        with contextlib.suppress(ConnectionError):
            self._answer(outcome)
        if seen.waiters is not None:
            waiters, seen.waiters = seen.waiters, None
            for waiter in waiters:
                waiter(outcome)
