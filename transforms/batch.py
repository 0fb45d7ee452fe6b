"""HL7 batch and file protocol: one body split into its messages, messages put in an envelope.

Pieces are the received bytes, never changed: what is left out is the envelope (FHS, BHS, BTS, FTS), blank lines
outside messages and the VT and FS bytes of an MLLP frame that was written to a file as it was.

Source: HL7 v2.5, 2.10.3 (batch and file protocol); 2.15.2-2.15.7 (BHS, BTS, FHS, FTS).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from channels.errors import Finding
from transforms.escapes import Separators, escape

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = b"\r\n\x0b\x1c"
_BLANKS = b" \t"
_OUTSIDE = _LINE_ENDS + _BLANKS
_HEADER = re.compile(rb"(?:MSH|FHS|BHS)[^\w\s][^\w\s]", re.ASCII)
_TRAILER = re.compile(rb"(?:BTS|FTS)(?:[^\w\s]|(?=[\r\n\x1c])|\Z)", re.ASCII)
_NAMES = (b"MSH", b"FHS", b"BHS", b"BTS", b"FTS")
_LARGE = 65_536
_STANDARD = Separators("|", "^", "~", "\\", "&")


@dataclass(slots=True)
class Batch:
    """What a body holds.

    messages: the messages in order, each the bytes received; the body itself when it holds no batch.
    control_id: BHS-11 (else FHS-11), which the answer repeats in BHS-12.
    findings: counts that do not match, messages without an envelope.
    """

    messages: list[bytes]
    control_id: str = ""
    findings: list[Finding] = field(default_factory=list)


def is_single(body: bytes) -> bool:
    """Whether a body is surely one message without an envelope; a few microseconds, and no copy of a large one."""
    if body[:3] != b"MSH":
        return False
    if len(body) < _LARGE:
        return body.find(b"MSH", 3) < 0 and b"BTS" not in body and b"FTS" not in body
    # Base64 of some size has every three letters: only those that begin a line count.
    for terminator in (b"\r", b"\n"):
        at = body.find(terminator)
        while at >= 0:
            if body[at + 1 : at + 64].lstrip(_OUTSIDE)[:3] in _NAMES:
                return False
            at = body.find(terminator, at + 1)
    return True


def split(body: bytes) -> list[bytes]:
    """The messages of a batch, in order; ``[body]`` for anything else. See ``read``."""
    return read(body).messages


def read(body: bytes) -> Batch:
    """Split a file into its messages and check the counts of its envelope.

    Two or more MSH without an envelope are an implicit batch, with a warning. Text outside any message is a piece of
    its own, so that whoever reads it refuses it; an envelope around nothing holds no message.
    """
    marks = _marks(body)
    if not marks:
        return Batch([body])
    if len(marks) == 1 and marks[0].name == b"MSH" and not body[: marks[0].line].strip(_OUTSIDE + _BOM):
        framed = b"\x0b" in body[: marks[0].start] or b"\x1c" in body[-8:]
        return Batch([_unframed(body[marks[0].start :]) if framed else body])
    return _split(body, marks)


def _split(body: bytes, marks: list[_Mark]) -> Batch:
    batch = Batch([])
    _stray(batch, body[: marks[0].line])
    in_batch = in_file = 0
    ends = [*(mark.line for mark in marks[1:]), len(body)]
    for mark, end in zip(marks, ends, strict=True):
        piece = body[mark.start : end]
        if mark.name == b"MSH":
            batch.messages.append(_unframed(piece))
            in_batch += 1
            continue
        fields, rest = _line(piece)
        if mark.name == b"BTS":
            batch.findings += _count(fields, in_batch, "messages")
            in_file, in_batch = in_file + 1, 0
        elif mark.name == b"FTS":
            batch.findings += _count(fields, in_file, "batches")
        else:
            in_batch = 0
            number = fields[10] if len(fields) > 10 else ""
            batch.control_id = number if number and mark.name == b"BHS" else batch.control_id or number
        _stray(batch, rest)
    if marks[0].name == b"MSH" and len(marks) > 1:
        batch.findings.append(Finding("MSH", "199", "several messages without a batch header"))
    return batch


def _stray(batch: Batch, text: bytes) -> None:
    if text.strip(_OUTSIDE + _BOM):
        batch.messages.append(text)
        batch.findings.append(Finding("", "199", "text outside any message"))


class _Mark(NamedTuple):
    """Where a message or a part of the envelope begins; ``line`` is before its indentation."""

    start: int
    line: int
    name: bytes


def _marks(body: bytes) -> list[_Mark]:
    found = []
    for name in (b"MSH", b"FHS", b"BHS", b"BTS", b"FTS"):
        pattern = _TRAILER if name in (b"BTS", b"FTS") else _HEADER
        at = body.find(name)
        while at >= 0:
            line = at
            while line and body[line - 1] in _BLANKS:
                line -= 1
            begins = line == 0 or body[line - 1] in _LINE_ENDS or (line == 3 and body.startswith(_BOM))
            if begins and pattern.match(body, at):
                found.append(_Mark(at, line, name))
            at = body.find(name, at + 3)
    return sorted(found)


def _unframed(piece: bytes) -> bytes:
    """Without the FS, CR and VT that an MLLP frame, or the one after it, left behind the message."""
    head, separator, tail = piece.rpartition(b"\x1c")
    if separator and not tail.strip(_OUTSIDE):
        return head
    return piece.rstrip(b"\x0b")


def _line(piece: bytes) -> tuple[list[str], bytes]:
    """The fields of the first line, and what follows it."""
    line, *rest = re.split(rb"[\r\n\x1c]", piece, maxsplit=1)
    text = line.decode("latin-1")
    return text.split(text[3]) if len(text) > 3 else [text], b"".join(rest)


def _count(fields: list[str], counted: int, what: str) -> list[Finding]:
    written = fields[1].strip() if len(fields) > 1 else ""
    if not written or (written.isdigit() and int(written) == counted):
        return []
    problem = f"the count is not that of the {what}" if written.isdigit() else "the count is not a number"
    return [Finding(f"{fields[0]}-1", "199", problem)]


@dataclass(frozen=True, slots=True)
class Parties:
    """Who sends a batch and to whom, as BHS-3 to BHS-6 say it."""

    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""

    def fields(self) -> list[str]:
        """The four fields, escaped."""
        names = (self.sending_application, self.sending_facility, self.receiving_application, self.receiving_facility)
        return [escape(name, _STANDARD) for name in names]


def header(parties: Parties, when: datetime, control_id: str, *, answers: str = "") -> bytes:
    """The FHS and BHS lines that open a file of one batch.

    when: written in local time with its offset. answers: BHS-11 of the batch that this one answers.
    """
    moment = f"{when:%Y%m%d%H%M%S%z}"
    rest = [*parties.fields(), moment, "", "", "", escape(control_id, _STANDARD), escape(answers, _STANDARD)]
    line = "|".join(rest).rstrip("|")
    return f"FHS|^~\\&|{line}\rBHS|^~\\&|{line}\r".encode()


def trailer(count: int) -> bytes:
    """The BTS and FTS lines that close a file of one batch of ``count`` messages."""
    return f"BTS|{count}\rFTS|1\r".encode()


def ended(body: bytes) -> bytes:
    """The message with a segment terminator at its end: bytes as they are when one is there."""
    return body if body.endswith((b"\r", b"\n")) else body + b"\r"
