"""The answers of one connection, each in the place of its frame."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from channels.errors import Finding, ParseError
from channels.message import Message
from channels.ports import Outcome
from connectors.mllp.frames import framed
from transforms import batch, er7
from transforms.header import BLANKS, BOM, Header

if TYPE_CHECKING:
    from connectors.mllp.receiver import Receiver


def is_envelope(body: bytes) -> bool:
    """Whether the body begins with FHS or BHS."""
    return body[:64].lstrip(BLANKS + BOM)[:3] in (b"FHS", b"BHS")


class Part:
    """One message whose outcome is awaited."""

    __slots__ = ("findings", "header", "message")

    message: Message
    header: Header | None
    findings: tuple[Finding, ...]

    def answer(self, outcome: Outcome) -> None:
        """Called by the channel, once."""
        raise NotImplementedError


class Slot:
    """The place of one frame among the answers; ``data`` is what to write, None until it is known."""

    __slots__ = ()

    data: bytes | None
    size: int


class Single(Part, Slot):
    """A frame with one message, the usual case."""

    __slots__ = ("_receiver", "data", "size")

    def __init__(self, receiver: Receiver, size: int) -> None:
        """size: bytes that count as unanswered."""
        self._receiver, self.size = receiver, size
        self.data: bytes | None = None
        self.findings = ()

    def part(self) -> Part:
        """Itself."""
        return self

    def begun(self) -> None:
        """All its messages are handed in."""

    def answer(self, outcome: Outcome) -> None:
        """See ``Part``."""
        answers = self._receiver.acknowledgement(self, outcome)
        self.data = framed(answers[0]) if len(answers) == 1 else b"".join(map(framed, answers))
        self._receiver.ready(self)


class Group(Slot):
    """A frame with a batch, or with several messages and no envelope."""

    __slots__ = ("_envelope", "_found", "_open", "_parts", "data", "receiver", "size")

    def __init__(self, receiver: Receiver, size: int, body: bytes, found: batch.Batch) -> None:
        """found: the batch in ``body``."""
        self.receiver, self.size, self._found = receiver, size, found
        self.data: bytes | None = None
        self._parts: list[Member] = []
        self._open = 1  # until all are handed in
        self._envelope = _header(body) if is_envelope(body) else None

    def part(self) -> Part:
        """The place of the next message."""
        self._open += 1
        self._parts.append(Member(self))
        return self._parts[-1]

    def begun(self) -> None:
        """All its messages are handed in."""
        self.settled()

    def settled(self) -> None:
        """One more answer is known; with the last one the frame is answered.

        A batch is answered by a batch; messages without an envelope by their answers one after the other.
        """
        self._open -= 1
        if self._open:
            return
        wanted = self.receiver.batch_answer
        kept = [one for one in self._parts if wanted == "all" or one.refused]
        answers = b"".join(answer for one in kept for answer in one.answers)
        if self._envelope is not None and wanted != "none":
            answers = self._open_line() + answers + batch.trailer(sum(len(one.answers) for one in kept))
        elif wanted == "none" and self._envelope is not None:
            answers = b""
        self.data = framed(answers) if answers else b""
        self.receiver.ready(self)

    def _open_line(self) -> bytes:
        header, first = self._envelope, self._parts[0] if self._parts else None
        assert header is not None  # noqa: S101  # the caller looked
        parties = batch.Parties(header.component(5), header.component(6), header.component(3), header.component(4))
        when = datetime.fromtimestamp(first.message.received if first else 0, self.receiver.zone)
        number = f"VMB{first.number}" if first else "VMB0"
        return batch.header(parties, when, number, answers=self._found.control_id)


class Member(Part):
    """One message of a group."""

    __slots__ = ("_group", "answers", "number", "refused")

    def __init__(self, group: Group) -> None:
        self._group = group
        self.findings = ()
        self.answers: tuple[bytes, ...] = ()
        self.number, self.refused = 0, False

    def answer(self, outcome: Outcome) -> None:
        """See ``Part``."""
        self.number, self.refused = outcome.id, outcome.error is not None
        self.answers = self._group.receiver.acknowledgement(self, outcome)
        self._group.settled()


def _header(body: bytes) -> Header | None:
    try:
        return er7.peek(body)
    except ParseError:
        return None
