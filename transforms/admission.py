"""Which messages an endpoint takes: sender, type, processing mode and version, from the header alone.

Source: HL7 v2.5, 2.9.2 (what is rejected for MSH-9, MSH-11 and MSH-12); tables 0103, 0104 and 0357.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from channels.errors import MessageError, ProfileError, UnsupportedError
from transforms.header import Header

_REMEMBERED = 1024


@dataclass(slots=True)
class Admission:
    """What one endpoint takes; an empty list takes everything.

    messages: ``ADT`` or ``ADT^A01``. versions: first component of MSH-12. processing: first component of MSH-11.
    senders: ``MSH-3|MSH-4``, or MSH-3 alone for any facility. control_id: MSH-10 must be there.
    """

    messages: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    processing: tuple[str, ...] = ("P", "T", "D")
    senders: tuple[str, ...] = ()
    control_id: bool = False
    _verdicts: dict[tuple[str, str, str, str], MessageError | None] = field(default_factory=dict)

    def check(self, header: Header) -> MessageError | None:
        """The refusal of a message with this header, or None."""
        if self.control_id and not header.control_id:
            return ProfileError("the control id is missing", "MSH-10")
        key = (header.kind, header.sender, header.field(11), header.field(12))
        try:
            return self._verdicts[key]
        except KeyError:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[key] = self._judge(header)
            return verdict

    def _judge(self, header: Header) -> MessageError | None:
        code, _, event = header.kind.partition("^")
        if self.messages and header.kind not in self.messages and code not in self.messages:
            known = any(one.partition("^")[0] == code for one in self.messages)
            if known and event:
                return UnsupportedError("this event is not taken here", "MSH-9.2", "201")
            return UnsupportedError("this type of message is not taken here", "MSH-9.1", "200")
        processing = header.component(11).strip().upper()
        if processing and self.processing and processing not in self.processing:
            return UnsupportedError("this processing id is not taken here", "MSH-11", "202")
        version = header.component(12).strip()
        if version and self.versions and version not in self.versions:
            return UnsupportedError("this version is not taken here", "MSH-12", "203")
        sender = header.sender
        if self.senders and sender not in self.senders and sender.partition("|")[0] not in self.senders:
            return MessageError("this sender is not known here", "MSH-3", "207")
        return None
