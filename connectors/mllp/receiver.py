"""One connection of a listener: its frames, and the answers that wait their turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import structlog

from channels.errors import MessageError, ParseError
from channels.message import Message
from channels.ports import Outcome
from connectors.mllp.frames import FrameProtocol
from connectors.mllp.slots import Group, Part, Single, Slot, is_envelope
from transforms import batch, er7, tolerance
from transforms.ack import acknowledge

if TYPE_CHECKING:
    from connectors.mllp.source import MllpSource

log = structlog.get_logger()

_KEPT = 65536
"""Bytes of a message that is too large which are kept."""
_LINGER = 10.0
"""Seconds that one who still sends such a message has to read its answer."""


def _no_answer(outcome: Outcome) -> None:
    """For a frame that was cut: its sender waits for no answer to it."""


class Receiver(FrameProtocol):
    """Hands each message to the channel; answers leave in the order of the frames."""

    def __init__(self, source: MllpSource) -> None:
        super().__init__(source.scratch, source.options.max_size)
        self._source, self._options = source, source.options
        self._slots: deque[Slot] = deque()
        self._attributes: dict[str, str] = {}
        self._touched = 0.0
        self._ending = self._lingers = self._slow = self._flushing = False
        self.answered, self.closed = asyncio.Event(), asyncio.Event()
        self.answered.set()

    @property
    def batch_answer(self) -> str:
        """What the answer to a batch holds: ``all``, ``errors`` or ``none``."""
        return self._options.batch_answer

    @property
    def zone(self) -> tzinfo:
        """The establishment's local time."""
        return self._source.zone

    # connection

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        super().connection_made(transport)
        if not self._source.takes(transport):
            self._dead = True
            self.closed.set()
            transport.abort()
            return
        self._source.receivers.add(self)
        self._touched = time.monotonic()
        peer = transport.get_extra_info("peername")
        if peer:
            self._attributes["peer"] = f"{peer[0]}:{peer[1]}"
        certificate = transport.get_extra_info("peercert")
        if certificate:
            names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
            self._attributes["certificate"] = ", ".join(names)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio. What was handed in stays: its sender gets the same answer when it sends it again."""
        super().connection_lost(exc)
        self._source.receivers.discard(self)
        self._source.waiting.discard(self)
        self._slots.clear()
        self.answered.set()
        self.closed.set()

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        self._touched = time.monotonic()
        super().buffer_updated(nbytes)

    def eof_received(self) -> bool:
        """See asyncio. A side that has sent all it had still gets its answers."""
        self._ending = True
        if self.in_frame or not self._slots:
            return False
        return self.transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """See asyncio: the other side does not read its answers."""
        self._slow = True
        self._hold()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._slow = False
        self.read_on()

    def check(self, now: float) -> None:
        """Close when silent for too long, or when a frame takes many times that long to come."""
        if self._stalled:  # it is we who do not read
            self._touched = now
            self.began = 0.0
        silence = now - self._touched
        if self.in_frame:
            limit = self._options.frame_timeout
            self.began = self.began or now
            if silence > limit or now - self.began > 20 * limit:
                log.warning("a frame did not end in time", source=self._source.name, **self._attributes)
                self.transport.abort()
        elif self._options.idle is not None and silence > self._options.idle and not self._slots:
            self.transport.close()

    def finish(self) -> None:
        """Read no more; what was handed in is answered."""
        self._ending, self.in_frame = True, False
        self._dead, self._left = True, b""
        self._taken()
        self.transport.pause_reading()
        if not self._slots:
            self.transport.close()

    def close(self) -> None:
        """Close once what was written has left."""
        self.transport.close()

    def abort(self) -> None:
        """Close now."""
        if not self.closed.is_set():
            self.transport.abort()

    # back-pressure

    def reserve(self, size: int) -> bool:
        """See ``FrameProtocol``."""
        if size > 0 and self._source.kept + size > self._options.memory:
            return False
        self._source.kept += size
        return True

    def _hold(self) -> None:
        self._stalled = True
        if not self._dead:
            self.transport.pause_reading()

    def read_on(self) -> None:
        """Read again when nothing stands against it."""
        if self._dead or not self._stalled or self._slow or len(self._slots) >= self._options.pipeline:
            return
        if self._source.unanswered >= self._options.unanswered:
            self._source.waiting.add(self)
            return
        self.go_on()
        if not self._stalled and not self._ending:
            self.transport.resume_reading()

    # messages

    def frame(self, body: bytes) -> None:
        """See ``FrameProtocol``."""
        source, slots = self._source, self._slots
        found = None if batch.is_single(body) else batch.read(body)
        size = len(body)
        slot: Single | Group
        if found is None or (len(found.messages) == 1 and not is_envelope(body)):
            slot = Single(self, size)
            bodies = [body] if found is None else found.messages
        else:
            slot = Group(self, size, body, found)
            bodies = found.messages
        slots.append(slot)
        self.answered.clear()
        source.unanswered += size
        for one in bodies:
            self._submit(one, slot.part())
        slot.begun()
        if len(slots) >= self._options.pipeline:
            self._hold()
        elif source.unanswered >= self._options.unanswered:
            source.waiting.add(self)
            self._hold()

    def _submit(self, body: bytes, part: Part) -> None:
        source, now = self._source, time.time()
        try:
            message = er7.message(body, now, self._options.charset, attributes=self._attributes)
        except ParseError as error:
            self._refuse(body, now, error, part)
            return
        header = message.view(er7.header_of)
        refusal = source.admission.check(header)
        findings = source.inspector.findings(message, header)
        if findings:
            message = tolerance.noted(message, findings)
            refusal = refusal or tolerance.refusal(findings)
        part.message, part.header, part.findings = message, header, findings
        if refusal is None:
            source.intake.submit(message, part.answer)
        else:
            source.intake.refuse(message, refusal, part.answer)

    def _refuse(self, body: bytes, now: float, error: MessageError, part: Part) -> None:
        """Keep what cannot be taken as refused; it is answered when its MSH tells whom."""
        header = er7.salvage(body, self._options.charset)
        more = (header.kind, header.control_id, header.sender) if header is not None else ("", "", "")
        charset = header.charset if header is not None else self._options.charset
        message = Message(body, "hl7v2", charset, *more, now, attributes=self._attributes)
        part.message, part.header = message, header
        self._source.intake.refuse(message, error, part.answer)

    def cut(self, beginning: bytes) -> None:
        """See ``FrameProtocol``: kept as refused, never answered; its sender sends it again."""
        log.warning("a frame was cut", source=self._source.name, size=len(beginning), **self._attributes)
        if b"MSH" in beginning[:64]:
            # without its control id: the message that is sent again whole is not one that reuses it
            message = Message(
                beginning, "hl7v2", self._options.charset, received=time.time(), attributes=self._attributes
            )
            self._source.intake.refuse(message, ParseError("the frame was cut", "MSH"), _no_answer)

    def too_large(self, beginning: bytes) -> None:
        """See ``FrameProtocol``: its first segments are kept as refused and answered, then the connection is closed."""
        log.warning("a message is too large", source=self._source.name, **self._attributes)
        slot = Single(self, 0)
        self._slots.append(slot)
        self.answered.clear()
        self._ending = self._lingers = True
        kept = beginning[: beginning.rfind(b"\r", 0, _KEPT) + 1] or beginning[:_KEPT]
        self._refuse(kept, time.time(), MessageError("the message is larger than max_size", "", "207"), slot)

    # answers

    def acknowledgement(self, part: Part, outcome: Outcome) -> tuple[bytes, ...]:
        """The answers to one message, without their frames: none, one, or two in the enhanced mode."""
        header, options = part.header, self._options
        if header is None:
            return ()
        if not outcome.received:
            outcome = replace(outcome, received=part.message.received)
        if options.warnings and part.findings:
            outcome = replace(outcome, findings=(*outcome.findings, *part.findings))
        charset, zone = options.answer_charset or "", self.zone
        more: dict[str, Any] = {
            "charset": charset,
            "zone": zone,
            "warnings": options.warnings,
            "unsupported": options.unsupported,
        }
        first = acknowledge(header, outcome, mode=options.answer, **more)
        found = (first,) if first else ()
        if options.application_answer:
            second = acknowledge(header, outcome, mode="application", **more)
            return (*found, second) if second else found
        return found

    def ready(self, slot: Slot) -> None:
        """A slot has its answer: write it now when it is the only one, with others of this turn when not."""
        slots = self._slots
        if len(slots) == 1 and slots[0] is slot:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write the answers that are ready, up to the first that is not."""
        self._flushing = False
        slots, out = self._slots, []
        while slots and slots[0].data is not None:
            slot = slots.popleft()
            self._source.answered(slot.size)
            if slot.data:
                out.append(slot.data)
        transport = self.transport
        if out and not transport.is_closing():
            transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self._stalled:
            self.read_on()
        if not slots:
            self.answered.set()
            if self._ending and not self._left:
                self._end()

    def _end(self) -> None:
        """All is answered and nothing more comes: close; one that still sends is first let finish."""
        if self._lingers and self.transport.can_write_eof():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER, self.abort)
        else:
            self.transport.close()
