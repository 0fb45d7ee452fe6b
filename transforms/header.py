"""The header segment of HL7 v2 (MSH, FHS, BHS), peeked without reading the rest of the message.

Source: HL7 v2.5 chapter 2 (2.5 message delimiters; MSH).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from channels.errors import ParseError
from transforms.charsets import codec_of
from transforms.escapes import Separators, separators_of

BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n\x0b\x1c"
"""What may stand before a segment without belonging to it."""

_IDS = (b"MSH", b"FHS", b"BHS")
_USUAL = Separators("|", "^", "~", "\\", "&")


class Header:
    """MSH, peeked: the line is split once, each value is read when asked for."""

    __slots__ = ("charset", "fields", "separators")

    def __init__(self, fields: list[str], separators: Separators, charset: str) -> None:
        """fields: the split MSH line; ``fields[n]`` is MSH-n+1 from n = 1."""
        self.fields, self.separators, self.charset = fields, separators, charset

    @classmethod
    def of_shape(cls, separators: Separators, shape: tuple[str, ...]) -> Header:
        """A header with what ``shape`` says, and nothing else."""
        return cls(
            ["MSH", "".join(separators[1:]), *shape[:4], "", "", *shape[4:5], "", *shape[5:]], separators, "utf-8"
        )

    def shape(self) -> tuple[str, ...]:
        """MSH-3 to MSH-6, MSH-9, MSH-11 to MSH-21 as written: what messages of one kind from one sender share."""
        fields = self.fields
        return (*fields[2:6], *fields[8:9], *fields[10:21])

    def field(self, number: int) -> str:
        """MSH-n as written, ``""`` when absent (n from 3)."""
        return self.fields[number - 1] if number <= len(self.fields) else ""

    def component(self, number: int, component: int = 1) -> str:
        """One component of the first repetition of MSH-n, as written."""
        _, between, repetition, _, _ = self.separators
        return _component(self.field(number), between, repetition, component)

    @property
    def kind(self) -> str:
        """``ADT^A01``, whatever the delimiters and shape of MSH-9; ``ACK`` when it has no event."""
        fields = self.fields
        return _kind(fields[8], self.separators[1]) if len(fields) > 8 else ""

    @property
    def control_id(self) -> str:
        """MSH-10."""
        fields = self.fields
        return fields[9] if len(fields) > 9 else ""

    @property
    def sender(self) -> str:
        """``MSH-3|MSH-4``, first components."""
        fields = self.fields
        if len(fields) < 4:
            return f"{self.component(3)}|"
        _, between, repetition, _, _ = self.separators
        return _sender(fields[2], fields[3], between, repetition)


@lru_cache(maxsize=1024)
def _sender(application: str, facility: str, between: str, repetition: str) -> str:
    return f"{_component(application, between, repetition, 1)}|{_component(facility, between, repetition, 1)}"


def _component(text: str, between: str, repetition: str, number: int) -> str:
    if repetition and repetition in text:
        text = text.split(repetition, 1)[0]
    parts = text.split(between) if between else [text]
    return parts[number - 1] if number <= len(parts) else ""


@lru_cache(maxsize=1024)
def _kind(field: str, component: str) -> str:
    parts = [part.strip() for part in field.split(component)] if component else [field.strip()]
    code = parts[0].upper()
    if len(parts) > 2 and parts[1].upper() == code:  # ADT^ADT^A28, printed in a guide
        parts = parts[1:]
    if len(parts) == 1 and "_" in code:  # ORU_R01
        parts = code.split("_")
        code = parts[0]
    event = parts[1].upper() if len(parts) > 1 else ""
    return f"{code}^{event}" if event else code


def peek(body: bytes, default_charset: str = "cp1252") -> Header:
    """Read the header segment (MSH, FHS or BHS) only.

    default_charset: codec when MSH-18 does not tell and the bytes are not UTF-8.

    Raises:
        ParseError: no header segment at the start, or delimiters that cannot be used (place ``MSH-1`` or ``MSH-2``).
    """
    end = body.find(b"\r") if body[:3] == b"MSH" else -1
    raw = body[:end]
    if end < 0 or b"\n" in raw:
        raw = _header_line(body)
    if not raw.isascii():
        return _peek_wide(raw, body, default_charset)
    line = raw.decode("ascii")
    field = line[3:4]
    fields = line.split(field) if field else [line, ""]
    separators = separators_of(field, fields[1][:12])
    declared = fields[17] if len(fields) > 17 else ""
    if declared == "UNICODE UTF-8" and body.isascii():
        return Header(fields, separators, "utf-8")
    return Header(fields, separators, _charset(declared, separators, body, default_charset))


def _charset(declared: str, separators: Separators, body: bytes, default: str) -> str:
    if separators.repetition and separators.repetition in declared:
        declared = declared.split(separators.repetition, 1)[0]
    return codec_of(declared, body, default)


def _peek_wide(raw: bytes, body: bytes, default: str) -> Header:
    """A header with bytes beyond ASCII: its delimiters are characters, so it is decoded before it is split."""
    fields, separators = _split(raw, "utf-8")
    charset = _charset(fields[17] if len(fields) > 17 else "", separators, body, default)
    if charset != "utf-8":
        fields, separators = _split(raw, charset)
    return Header(fields, separators, charset)


def _split(raw: bytes, charset: str) -> tuple[list[str], Separators]:
    line = raw.decode(charset, "surrogateescape")
    separators = Separators.read(line)
    return line.split(separators.field), separators


def _header_line(body: bytes) -> bytes:
    """The first line, whatever ends it and whatever blanks precede it."""
    start = 0
    if body[:3] not in _IDS:
        start = 3 if body.startswith(BOM) else 0
        while start < len(body) and body[start] in BLANKS:
            start += 1
        if body[start : start + 3].upper() not in _IDS:
            raise ParseError("the message does not begin with an MSH segment", "MSH")
    end = body.find(b"\r", start)
    if end < 0:
        end = len(body)
    newline = body.find(b"\n", start, end)
    return body[start : newline if newline >= 0 else end]


def lines(body: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each line that is not blank, without the blanks before it and its terminator."""
    start, size, find = 3 if body[:3] == BOM else 0, len(body), body.find
    newline = b"\n" in body
    while start < size:
        end = find(b"\r", start)
        if end < 0:
            end = size
        if newline:
            other = find(b"\n", start, end)
            end = other if other >= 0 else end
        while start < end and body[start] in BLANKS:
            start += 1
        if start < end:
            yield start, end
        start = end + 1


def salvage(body: bytes, default_charset: str = "cp1252") -> Header | None:
    """As much as can be guessed of a header that ``peek`` cannot read, so that its sender gets an answer.

    None when there is no MSH. The delimiters are the usual ones, MSH-1 as found when it can be used.
    """
    try:
        line = _header_line(body)
    except ParseError:
        return None
    charset = codec_of("", line, default_charset)
    text = line.decode(charset, "surrogateescape")
    field = text[3:4]
    try:
        separators_of(field, "^~\\&")
    except ParseError:
        return Header(["MSH", "^~\\&"], _USUAL, charset)
    return Header(text.split(field), _USUAL._replace(field=field), charset)
