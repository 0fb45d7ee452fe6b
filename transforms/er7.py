"""HL7 v2 text (ER7), read lazily and written without losing a byte.

The received bytes are the truth: only what is asked for is split and decoded, only a segment that was written is
joined again. Everything else (custom delimiters, unknown segments, ``""``, trailing separators, line ends, bytes that
do not decode) leaves as it came.

Source: HL7 v2.5 chapter 2 (2.5 message delimiters, 2.7 escape sequences); IHE PAM France 2.11.
"""

from __future__ import annotations

from collections.abc import Iterator

from channels.errors import MessageError, ParseError
from channels.message import Message
from transforms.charsets import codec_of
from transforms.escapes import Separators, escape, unescape
from transforms.paths import Path, parse_path

__all__ = ["Er7", "Header", "Segment", "Separators", "escape", "message", "parse", "peek", "read", "unescape"]

_HEADERS = ("MSH", "FHS", "BHS")
_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\x0b\x1c"


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
        text = self.field(number)
        if self.separators.repetition and self.separators.repetition in text:
            text = text.split(self.separators.repetition, 1)[0]
        if not self.separators.component:
            return text if component == 1 else ""
        parts = text.split(self.separators.component)
        return parts[component - 1] if component <= len(parts) else ""

    @property
    def kind(self) -> str:
        """``ADT^A01``, whatever the delimiters and shape of MSH-9; ``ACK`` when it has no event."""
        return _kind(self.field(9), self.separators.component)

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.field(10)

    @property
    def sender(self) -> str:
        """``MSH-3|MSH-4``, first components."""
        return f"{self.component(3)}|{self.component(4)}"


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

    Raises:
        ParseError: no header segment at the start, or delimiters that cannot be used (place ``MSH-1`` or ``MSH-2``).
    """
    start = 0
    if body[:3] not in (b"MSH", b"FHS", b"BHS"):
        start = 3 if body.startswith(_BOM) else 0
        while start < len(body) and body[start] in _BLANKS:
            start += 1
        if body[start : start + 3].upper() not in (b"MSH", b"FHS", b"BHS"):
            raise ParseError("the message does not begin with an MSH segment", "MSH")
    end = body.find(b"\r", start)
    if end < 0:
        end = len(body)
    newline = body.find(b"\n", start, end)
    if newline >= 0:
        end = newline
    raw = body[start:end]
    fields, separators = _split_header(raw, "utf-8")
    declared = fields[17] if len(fields) > 17 else ""
    if separators.repetition and separators.repetition in declared:
        declared = declared.split(separators.repetition, 1)[0]
    charset = codec_of(declared, body, default_charset)
    if charset != "utf-8" and not raw.isascii():
        fields, separators = _split_header(raw, charset)
    return Header(fields, separators, charset)


def _split_header(raw: bytes, charset: str) -> tuple[list[str], Separators]:
    line = raw.decode(charset, "surrogateescape")
    separators = Separators.read(line)
    return line.split(separators.field), separators


def message(body: bytes, received: float = 0.0, default_charset: str = "cp1252", **more: object) -> Message:
    """A Message with what its MSH tells. Raises ParseError when MSH cannot be read."""
    header = peek(body, default_charset)
    return Message(
        body,
        "hl7v2",
        header.charset,
        header.kind,
        header.control_id,
        header.sender,
        received,
        **more,  # type: ignore[arg-type]  # the remaining fields of Message, by name
    )


class Segment:
    """One segment: fields are split the first time one is read; ``segment[3]`` is the raw text of field 3."""

    __slots__ = ("_fields", "_owner", "changed", "end", "id", "start")

    def __init__(self, owner: Er7, start: int, end: int) -> None:
        """start, end: where it lies in the owner's body; both 0 for one that was inserted."""
        self._owner, self.start, self.end = owner, start, end
        self._fields: list[str] | None = None
        self.changed = False
        self.id = owner.body[start : start + 3].decode("ascii", "replace").upper()

    @property
    def fields(self) -> list[str]:
        """All fields as written; index 0 is the segment id, and in MSH index 1 is the separator itself."""
        if self._fields is None:
            owner = self._owner
            text = owner.body[self.start : self.end].decode(owner.charset, "surrogateescape")
            self._fields = self._split(text)
        return self._fields

    def _split(self, text: str) -> list[str]:
        fields = text.split(self._owner.separators.field)
        if self.id in _HEADERS:
            fields.insert(1, self._owner.separators.field)
        return fields

    def __getitem__(self, number: int) -> str:
        """Field ``number`` as written (escaped), ``""`` when absent."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def __setitem__(self, number: int, raw: str) -> None:
        """Replace field ``number`` by text that is already escaped."""
        fields = self.fields
        if number >= len(fields):
            fields.extend([""] * (number + 1 - len(fields)))
        fields[number] = raw
        self.changed = self._owner.changed = True

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field as written; none when the field is empty."""
        raw = self[number]
        if not raw:
            return []
        separator = self._owner.separators.repetition
        if self.id in _HEADERS and number <= 2:
            return [raw]
        return raw.split(separator) if separator else [raw]

    def get(self, path: str) -> str:
        """The unescaped value at ``3``, ``3[2]``, ``3[2].4`` or ``3[2].4.2`` of this segment."""
        return self.value(parse_path(f"{self.id}-{path}" if self.id.isalnum() else f"ZZZ-{path}"))

    def value(self, path: Path) -> str:
        """The unescaped value at ``path`` inside this segment, ``""`` when absent."""
        repetitions = self.repetitions(path.field)
        wanted = path.repetition or 1
        return self.part(repetitions[wanted - 1], path) if wanted <= len(repetitions) else ""

    def part(self, repetition: str, path: Path) -> str:
        """The unescaped component or sub-component of ``path`` in one repetition.

        A path that names neither gives the whole repetition; it stays escaped when it has several components.
        """
        separators = self._owner.separators
        if self.id in _HEADERS and path.field <= 2:
            return repetition
        text = repetition
        if path.component:
            parts = text.split(separators.component) if separators.component else [text]
            text = parts[path.component - 1] if path.component <= len(parts) else ""
        elif separators.component and separators.component in text:
            return text
        if path.sub:
            parts = text.split(separators.subcomponent) if separators.subcomponent else [text]
            text = parts[path.sub - 1] if path.sub <= len(parts) else ""
        return unescape(text, separators, self._owner.charset)

    def text(self) -> str:
        """The whole segment as written."""
        fields = self.fields
        separator = self._owner.separators.field
        if self.id in _HEADERS:
            return separator.join([fields[0], *fields[2:]])
        return separator.join(fields)


class Er7:
    """One message. Reading never changes ``body``; ``set``, ``delete`` and ``insert`` only change ``encode()``."""

    __slots__ = ("_segments", "body", "changed", "charset", "header", "separators")

    def __init__(self, body: bytes, header: Header, charset: str) -> None:
        """Use ``parse`` or ``read``."""
        self.body, self.header, self.charset = body, header, charset
        self.separators = header.separators
        self.changed = False
        self._segments: list[Segment] | None = None

    @property
    def segments(self) -> list[Segment]:
        """All segments in order; text outside any segment belongs to the one before it."""
        if self._segments is None:
            self._segments = [Segment(self, start, end) for start, end in self._spans()]
        return self._segments

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Where each segment lies. A line that does not begin with a segment id continues the segment before it."""
        separator = self.separators.field.encode(self.charset, "surrogateescape")
        begin, last = -1, 0
        for start, end in _lines(self.body):
            if _begins_segment(self.body, start, end, separator):
                if begin >= 0:
                    yield begin, last
                begin = start
            last = end
        if begin >= 0:
            yield begin, last

    def first(self, segment_id: str) -> Segment | None:
        """The first segment with this id, or None."""
        if self._segments is None and segment_id != "MSH":
            body = self.body
            mark = f"\r{segment_id}{self.separators.field}".encode(self.charset, "surrogateescape")
            at = body.find(mark)
            if at >= 0 and b"\n" not in body:
                end = body.find(b"\r", at + 1)
                end = len(body) if end < 0 else end
                follower = body[end + 1 : end + 5]
                if len(follower) < 4 or _begins_segment(follower, 0, 4, mark[4:]):
                    return Segment(self, at + 1, end)
        return next((segment for segment in self.segments if segment.id == segment_id), None)

    def all(self, segment_id: str) -> list[Segment]:
        """Every segment with this id, in order."""
        return [segment for segment in self.segments if segment.id == segment_id]

    def matching(self, path: Path) -> list[Segment]:
        """The segments that ``path`` speaks of: the one it counts or selects, else all with its id."""
        if path.selector:
            code = parse_path("OBX-3.1")
            return [one for one in self.all("OBX") if one.value(code) == path.selector]
        found = self.all(path.segment)
        return found[path.index - 1 : path.index] if path.index else found

    def get(self, path: str) -> str:
        """The unescaped value at ``path``, of the first segment that it matches; ``""`` when absent."""
        place = parse_path(path)
        if place.selector or place.index:
            found = self.matching(place)
            return found[0].value(place) if found else ""
        segment = self.first(place.segment)
        return segment.value(place) if segment else ""

    def values(self, path: str) -> list[str]:
        """Unescaped values of every repetition (the one named, if the path names one) of every matching segment."""
        place = parse_path(path)
        found = []
        for segment in self.matching(place):
            repetitions = segment.repetitions(place.field)
            if place.repetition:
                repetitions = repetitions[place.repetition - 1 : place.repetition]
            found += [segment.part(one, place) for one in repetitions]
        return found

    def set(self, path: str, value: str) -> None:
        """Write ``value``, escaped, at ``path``; missing fields, repetitions and components are made.

        Raises:
            MessageError: the message has no such segment, or the path names only a segment.
        """
        place = parse_path(path)
        segment = self._target(path, place)
        separators = self.separators
        raw = escape(value, separators)
        if place.component:
            raw = self._within(segment, place, raw)
        elif place.component == 0 and separators.component and separators.component in value:
            raw = value  # a whole field, written with its components
        repetitions = segment.repetitions(place.field)
        wanted = place.repetition or 1
        repetitions += [""] * (wanted - len(repetitions))
        repetitions[wanted - 1] = raw
        segment[place.field] = separators.repetition.join(repetitions) if len(repetitions) > 1 else repetitions[0]

    def _target(self, path: str, place: Path) -> Segment:
        if not place.field:
            raise MessageError(f"{path} names a segment, not a field", path)
        found = self.matching(place)
        if not found:
            raise MessageError("the message has no such segment", path, "100")
        return found[0]

    def _within(self, segment: Segment, place: Path, raw: str) -> str:
        """The repetition that ``place`` is in, with ``raw`` as its component or sub-component."""
        repetitions = segment.repetitions(place.field)
        wanted = place.repetition or 1
        whole = repetitions[wanted - 1] if wanted <= len(repetitions) else ""
        if place.sub:
            parts = whole.split(self.separators.component)
            component = parts[place.component - 1] if place.component <= len(parts) else ""
            raw = _replace(component, place.sub, raw, self.separators.subcomponent)
        return _replace(whole, place.component, raw, self.separators.component)

    def delete(self, path: str) -> int:
        """Remove what ``path`` names: whole segments (``ZFP``), a repetition (``PID-3[2]``), or a value, left empty.

        Returns how many segments were changed or removed; 0 when there was nothing.
        """
        place = parse_path(path)
        found = self.matching(place)
        if not place.field:
            for segment in found:
                self.segments.remove(segment)
            self.changed = self.changed or bool(found)
            return len(found)
        count = 0
        for segment in found:
            repetitions = segment.repetitions(place.field)
            wanted = place.repetition or 1
            if wanted > len(repetitions):
                continue
            if place.component:
                repetitions[wanted - 1] = self._within(segment, place, "")
            elif place.repetition:
                del repetitions[wanted - 1]
            else:
                repetitions = []
            segment[place.field] = self.separators.repetition.join(repetitions)
            count += 1
        return count

    def insert(self, index: int, text: str) -> Segment:
        """Put a new segment, written as text in this message's delimiters, before ``segments[index]``."""
        segments = self.segments
        segment = Segment(self, 0, 0)
        segment.id = text[:3].upper()
        segment._fields = segment._split(text)
        segment.changed = self.changed = True
        segments.insert(index, segment)
        return segment

    def encode(self) -> bytes:
        """The bytes: ``body`` itself when nothing was changed; unchanged segments byte for byte otherwise.

        Raises:
            MessageError: a written value has a character that the message's character set lacks (condition 102).
        """
        if not self.changed:
            return self.body
        segments = self.segments
        starts = [segment.start for segment in segments if segment.end]
        pieces = [self.body[: starts[0]]] if starts else []
        for number, segment in enumerate(segments):
            pieces.append(self._bytes(segment))
            pieces.append(self._terminator(segments, number))
        return b"".join(pieces)

    def _bytes(self, segment: Segment) -> bytes:
        if not segment.changed:
            return self.body[segment.start : segment.end]
        try:
            return segment.text().encode(self.charset, "surrogateescape")
        except UnicodeEncodeError as error:
            raise MessageError(f"a character does not exist in {self.charset}", segment.id, "102") from error

    def _terminator(self, segments: list[Segment], number: int) -> bytes:
        """The line end that followed the segment; CR after one that was inserted."""
        segment = segments[number]
        if not segment.end:
            return b"\r"
        end = segment.end
        while end < len(self.body) and self.body[end] in b" \t\r\n":
            end += 1
        own = self.body[segment.end : end]
        return own if own or number == len(segments) - 1 else b"\r"


def _replace(whole: str, number: int, part: str, separator: str) -> str:
    if not separator:
        return part
    parts = whole.split(separator)
    parts += [""] * (number - len(parts))
    parts[number - 1] = part
    return separator.join(parts)


def _lines(body: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each line that is not blank; leading blanks are left out of it."""
    newline = b"\n" in body
    position, size = 0, len(body)
    if body.startswith(_BOM):
        position = 3
    while position < size:
        end = body.find(b"\r", position)
        if newline:
            other = body.find(b"\n", position, end if end >= 0 else size)
            end = other if other >= 0 else end
        if end < 0:
            end = size
        start = position
        while start < end and body[start] in _BLANKS:
            start += 1
        if start < end:
            yield start, end
        position = end + 1


def _begins_segment(body: bytes, start: int, end: int, separator: bytes) -> bool:
    """A segment id is a letter, then two letters or digits, then the field separator or the end of the line."""
    head = body[start : min(start + 3, end)]
    if len(head) < 3 or not head.isalnum() or not head[:1].isalpha():
        return False
    return end == start + 3 or body.startswith(separator, start + 3)


def parse(body: bytes, charset: str = "") -> Er7:
    """A private, editable reading of ``body``. Raises ParseError when it has no readable MSH.

    charset: Python codec name; found from MSH-18 and the bytes when not given.
    """
    header = peek(body)
    return Er7(body, header, charset or header.charset)


def _read(message: Message) -> Er7:
    return parse(message.body, message.charset)


def read(message: Message) -> Er7:
    """The shared reading of a message's body: computed once, never to be edited."""
    return message.view(_read)
