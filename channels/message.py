"""What travels: an immutable message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, TypeVar

from channels.values import value

T = TypeVar("T")


@value
class Message:
    """One message, never changed: a transform gives another one.

    body: the bytes as received, or as a transform wrote them.
    format: ``hl7v2``, ``fhir+json``, ``cda``, ``xml``, ``b2``, ``pdf``, ``submission``, ``mail`` or ``raw``.
    charset: Python codec name that decodes ``body``.
    kind, control_id, sender: what the header tells, ``""`` when it tells nothing;
        for HL7 v2 ``ADT^A01``, MSH-10 and ``MSH-3|MSH-4``.
    received: seconds since the epoch, UTC, when the first byte's frame was complete.
    id: the journal's number; 0 before the journal has it. A message that a transform made keeps its parent's.
    parents: journal numbers of the messages it came from (batch, other channel).
    attributes: what the source knows besides the body (file name, URL path, peer).
    """

    body: bytes
    format: str = "hl7v2"
    charset: str = "utf-8"
    kind: str = ""
    control_id: str = ""
    sender: str = ""
    received: float = 0.0
    id: int = 0
    parents: tuple[int, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    _views: dict[Callable[[Message], Any], Any] = field(default_factory=dict, repr=False)

    def view(self, parser: Callable[[Message], T]) -> T:
        """The body as ``parser`` reads it: computed once, shared by everyone who asks."""
        try:
            return self._views[parser]  # type: ignore[no-any-return]  # keyed by the function that made it
        except KeyError:
            made = self._views[parser] = parser(self)
            return made

    def with_body(self, body: bytes, **changes: Any) -> Message:
        """The same message with another body (and other fields if named); parsed views start anew."""
        return replace(self, body=body, _views={}, **changes)

    def __repr__(self) -> str:
        """Without the body: representations end in logs."""
        return f"<Message {self.id} {self.format} {self.kind or '?'} {len(self.body)} bytes>"
