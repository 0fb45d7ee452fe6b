"""The rows of the journal as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from channels.errors import StoreError
from channels.message import Message
from channels.values import value

State = Literal["delivered", "filtered", "refused", "failed", "expired", "skipped", "replayed"]
"""How a delivery ended: taken; not wanted by a filter; the destination said no; the message cannot pass
(transform or form); retried until ``give_up``; skipped by an operator; a dead letter that was sent again."""

DEAD: tuple[State, ...] = ("refused", "failed", "expired", "skipped")
"""The states of dead letters."""


class Record:
    """One message on its way into the journal.

    routes: the destinations that it waits for, as ``channel/destination``.
    lanes: hashes of its lane keys. facets: hashes of its searchable identifiers.
    identity: hash of sender and control id; digest: hash of the body; both 0 when duplicates are not looked for.
    refusal: (place, code, problem) when the message is kept as refused.
    done: called in the event loop once the record is on disk (None) or cannot be (the error).
    """

    __slots__ = ("channel", "digest", "done", "facets", "identity", "lanes", "message", "refusal", "routes")

    def __init__(
        self,
        message: Message,
        channel: str,
        routes: tuple[str, ...],
        lanes: tuple[int, ...],
        facets: list[int],
        done: Callable[[Record, StoreError | None], None],
    ) -> None:
        """The message's id is 0 until ``Journal.append`` gives it one."""
        self.message, self.channel, self.routes, self.lanes, self.facets = message, channel, routes, lanes, facets
        self.done = done
        self.identity = self.digest = 0
        self.refusal: tuple[str, str, str] | None = None


@value
class Delivery:
    """How one delivery ended; written lazily.

    route: ``channel/destination``.
    place, code, problem: of an error, without values. sent, answer: bytes kept when they tell something new.
    """

    message: int
    route: str
    state: State
    time: float
    attempts: int = 1
    place: str = ""
    code: str = ""
    problem: str = ""
    reference: str = ""
    sent: bytes = b""
    answer: bytes = b""


@value
class Attempt:
    """One failed try of a delivery."""

    message: int
    route: str
    number: int
    time: float
    problem: str


@dataclass(frozen=True, slots=True)
class Row:
    """One message of the journal without its body, as searches give it.

    replayed: it was refused, and an operator sent it again.
    """

    id: int
    received: float
    channel: str
    kind: str
    control_id: str
    sender: str
    format: str
    charset: str
    size: int
    parents: tuple[int, ...]
    refusal: tuple[str, str, str] | None
    waiting: tuple[str, ...]
    deliveries: tuple[Delivery, ...]
    replayed: bool = False

    @property
    def state(self) -> str:
        """``refused``, ``waiting``, else the gravest of its deliveries' states (``delivered`` when all went well)."""
        if self.refusal and not self.replayed:
            return "refused"
        if self.waiting:
            return "waiting"
        states = {one.state for one in self.deliveries} | ({"replayed"} if self.replayed else set())
        return next((state for state in (*DEAD, "replayed", "delivered") if state in states), "filtered")
