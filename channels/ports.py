"""What connectors and transforms promise the core, and what the core gives them.

The promises are written here, once; a connector's methods say "See ``channels.ports``".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from channels.errors import Finding, MessageError, VaguemestreError
from channels.fields import Settings
from channels.message import Message
from channels.values import value

if TYPE_CHECKING:
    from channels.journal.keys import Hasher, Sealer
    from channels.links import Links
    from channels.site import Site

F = TypeVar("F", bound=Callable[..., Any])


@value
class Outcome:
    """What became of a message that a source handed in.

    id: its number in the journal; 0 when the journal does not have it.
    error: why it was refused; None when it was accepted, and then it is on disk.
    answer: with ``ack: delivered``, what the named destination answered.
    duplicate: it had been received before; this is the earlier outcome.
    findings: warnings that may go into the acknowledgement.
    received: when the copy that counts came, seconds since the epoch (the earlier one of a duplicate).
    """

    id: int
    error: VaguemestreError | None = None
    answer: bytes = b""
    duplicate: bool = False
    findings: tuple[Finding, ...] = ()
    received: float = 0.0


@value
class Receipt:
    """A destination's yes.

    reference: what it calls the message (MSA-2, a URL, a file name).
    answer: the bytes it answered, kept in the journal.
    """

    reference: str = ""
    answer: bytes = b""


class Tables(Protocol):
    """One code table of ``mappings/``."""

    def translate(self, value: str) -> str | None:
        """The translation, or None when the table has none."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a connector or a transform may know besides the message.

    now: the only clock a transform may read; aware, the time the message was received.
    table: a code table by name; raises UnknownNameError.
    channel, destination: where in the site this runs; destination is ``""`` for a channel's own steps.
    """

    site: Site
    channel: str
    now: datetime
    table: Callable[[str], Tables]
    destination: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector may know when it is built: where it stands, and which files are the site's."""

    site: Site
    directory: Path
    channel: str
    name: str
    """``source``, the destination's name, or ``transform`` for a lookup among the channel's own steps."""
    journal_directory: Path | None = None
    """Where the journal is, and what is kept beside it."""
    hasher: Hasher | None = None
    """Keyed hashes for values that identify a person."""
    sealer: Sealer | None = None
    """Encrypts such values where they are kept beside the journal."""
    links: Links | None = None
    """The channels that take what others hand over."""

    @property
    def zone(self) -> ZoneInfo:
        """Local time of the establishment."""
        return self.site.timezone

    def path(self, relative: Path) -> Path:
        """A path of a setting, taken from the site's folder when it is relative."""
        return relative if relative.is_absolute() else self.directory / relative


class Intake(Protocol):
    """Where a source puts what it receives: the channel."""

    def submit(self, message: Message, answer: Callable[[Outcome], None]) -> None:
        """Take a message; ``answer`` is called once, later, in the event loop.

        When the outcome has no error the message is on disk (after ``fsync``), as the channel's ``ack`` says.
        Never raises; answers of one source may come in another order than the submissions.
        """
        ...

    async def receive(self, message: Message) -> Outcome:
        """The same for a source that waits: returns the outcome."""
        ...

    def refuse(self, message: Message, error: MessageError, answer: Callable[[Outcome], None]) -> None:
        """Keep a message that cannot be taken: it is stored as refused, then ``answer`` gets the error."""
        ...


class Source(Protocol):
    """Receives messages and hands them to its channel.

    A source acknowledges to the outside only from an ``Outcome``. It reads no further than the channel takes: it
    bounds what it holds unanswered. What the outside sends badly is handed to ``Intake.refuse``, never dropped.
    """

    settings: type[Settings]

    def __init__(self, settings: Any, surroundings: Surroundings) -> None: ...

    async def start(self, intake: Intake) -> None:
        """Begin to receive; returns when it does. Raises OSError or ConfigError when it cannot."""
        ...

    async def stop(self) -> None:
        """Receive nothing more, answer what was received, close. May be called twice."""
        ...


class Destination(Protocol):
    """Delivers messages to one system.

    ``send`` may be called again with the same message after a failure or a crash, and concurrently up to the
    destination's ``parallel``; it may be cancelled at any await and must then leave nothing that would be taken for a
    later message's answer. Its errors: ``Undelivered`` (try again), ``Refused`` (never), ``MessageError`` (this message
    cannot be written in this protocol). No text of an error quotes the message or the answer.
    """

    settings: type[Settings]

    def __init__(self, settings: Any, surroundings: Surroundings) -> None: ...

    async def start(self) -> None:
        """Prepare (load certificates, make folders); connecting may wait for the first message."""
        ...

    async def send(self, message: Message) -> Receipt:
        """Deliver and return the other side's yes."""
        ...

    async def aclose(self) -> None:
        """Close connections. May be called twice; nothing is sent after."""
        ...


class Lookup(Protocol):
    """A step that asks somebody (a service, a store): it runs in the engine's process, on its event loop.

    One is made for each place in a channel file where it stands. Messages of one patient come in their order, those of
    several patients at once. It may be asked again about the same message after a failure, and cancelled at any await.
    Its errors are those of a destination: ``Undelivered`` (try again), ``Refused`` (never), and ``MessageError`` (this
    message cannot pass). With ``ack: transformed`` the message has no number yet (``id`` is 0).
    """

    settings: type[Settings]

    def __init__(self, settings: Any, surroundings: Surroundings) -> None: ...

    async def start(self) -> None:
        """Prepare; connecting may wait for the first message. Raises ConfigError."""
        ...

    async def ask(self, message: Message, context: Context) -> Transformed:
        """The message completed by the answer; ``[]`` drops it, a list splits it."""
        ...

    async def aclose(self) -> None:
        """Close what is open. May be called twice."""
        ...


Transformed = Message | list[Message]
Transform = Callable[[Message, Context], Transformed]


def in_worker(function: F) -> F:
    """Mark a transform as heavy: it runs in a spawned process, never on the event loop."""
    function.in_worker = True  # type: ignore[attr-defined]  # a mark that the pipeline reads
    return function
