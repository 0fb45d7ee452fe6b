"""HL7 v2 text (ER7), read lazily and written without losing a byte.

The received bytes are the truth: only what is asked for is split and decoded, only a segment that was written is
joined again. Everything else (custom delimiters, unknown segments, ``""``, trailing separators, line ends, bytes that
do not decode) leaves as it came.

Source: HL7 v2.5 chapter 2 (2.5 message delimiters, 2.7 escape sequences); IHE PAM France 2.11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from channels.errors import MessageError
from channels.message import Message
from transforms.escapes import Separators, escape, unescape
from transforms.header import Header, lines, peek, salvage
from transforms.paths import Path, parse_path
from transforms.segment import HEADERS, LARGE, Segment, Text

__all__ = [
    "Er7",
    "Header",
    "Segment",
    "Separators",
    "escape",
    "header_of",
    "is_regular",
    "lines",
    "mentions",
    "message",
    "parse",
    "peek",
    "read",
    "salvage",
    "segment_id",
    "unescape",
]


def message(body: bytes, received: float = 0.0, default_charset: str = "cp1252", **more: Any) -> Message:
    """A Message with what its MSH tells; ``more``: its other fields. Raises ParseError when MSH cannot be read."""
    header = peek(body, default_charset)
    views: dict[Callable[[Message], Any], Any] = {header_of: header}
    return Message(
        body, "hl7v2", header.charset, header.kind, header.control_id, header.sender, received, _views=views, **more
    )


def header_of(message: Message) -> Header:
    """The header of a message. Use ``message.view(header_of)``, which reads it once."""
    header = peek(message.body)
    header.charset = message.charset
    return header


@lru_cache(maxsize=64)
def _irregular(separator: str) -> re.Pattern[bytes]:
    """Finds a line that is not an upper-case segment id right after CR."""
    return re.compile(b"\r(?![A-Z][A-Z0-9]{2}[" + re.escape(separator.encode()) + b"\r]|\\Z)")


def is_regular(body: bytes, separator: str, end: int = -1) -> bool:
    """Whether a body that begins with MSH has CR alone between segments, and nothing but upper-case ids after CR.

    end: look no further than this.
    """
    end = end if end >= 0 else len(body)
    if body[:3] != b"MSH" or body.find(b"\n", 0, end) >= 0:
        return False
    if end <= LARGE:
        return _irregular(separator).search(body, 0, end) is None
    mark, at = separator.encode(), body.find(b"\r")
    while 0 <= at < end - 1:  # a search for one byte is a hundred times faster than the expression
        head = body[at + 1 : at + 5]
        if head[3:] not in (mark, b"\r") or segment_id(head, mark).encode() != head[:3]:
            return False
        at = body.find(b"\r", at + 1)
    return True


def mentions(body: bytes, *ids: bytes) -> bool:
    """Whether a line after the first may begin with one of these segment ids; sure when it says no."""
    if len(body) <= LARGE:
        return any(body.find(one, 3) >= 0 for one in ids)
    return any(body[start : start + 3] in ids for start, _ in lines(body) if start)


@lru_cache(maxsize=1024)
def _mark(segment_id: str, separator: str) -> bytes:
    return f"\r{segment_id}{separator}".encode()


class Er7:
    """One message. Reading never changes ``body``; ``set``, ``delete`` and ``insert`` only change ``encode()``."""

    __slots__ = ("_first", "_moved", "_regular", "_segments", "_text", "body", "charset", "header", "separators")

    def __init__(self, body: bytes, header: Header, charset: str) -> None:
        """Use ``parse`` or ``read``."""
        self.body, self.header, self.charset = body, header, charset
        self.separators = header.separators
        self._text = Text(body, charset, header.separators)
        self._moved = False
        self._segments: list[Segment] | None = None
        self._first: dict[str, Segment] = {}
        """What ``first`` found."""
        self._regular: bool | None = None
        """Whether the body is as ``is_regular`` says; None: not known yet."""

    @property
    def changed(self) -> bool:
        """True when ``encode()`` no longer gives ``body`` as it came."""
        return self._moved or any(segment.changed for segment in self._known())

    def _known(self) -> Collection[Segment]:
        """The segments that somebody may have changed."""
        return self._first.values() if self._segments is None else self._segments

    @property
    def segments(self) -> list[Segment]:
        """All segments in order; text outside any segment belongs to the one before it."""
        if self._segments is None:
            known = {one.start: one for one in self._first.values()}
            self._segments = [
                known.get(start) or Segment(self._text, segment_id, start, end)
                for segment_id, start, end in self._spans()
            ]
        return self._segments

    def _spans(self) -> list[tuple[str, int, int]]:
        """Id, start and end of each segment. A line that does not begin with a segment id continues the one before."""
        body, separator = self.body, self.separators[0].encode()
        spans: list[tuple[str, int, int]] = []
        for start, end in lines(body):
            name = segment_id(body[start : start + 4], separator)
            if name:
                spans.append((name, start, end))
            elif spans:
                spans[-1] = (*spans[-1][:2], end)
        return spans

    def first(self, segment_id: str) -> Segment | None:
        """The first segment with this id, or None."""
        found = self._first.get(segment_id)
        if found is not None:
            return found
        if self._segments is None:
            if self._regular is None and len(self.body) <= LARGE:
                self._regular = is_regular(self.body, self.separators[0])
            if self._regular is not False:
                found = self._find(segment_id)
            if found is None and self._regular:
                return None
        if found is None:
            found = next((segment for segment in self.segments if segment.id == segment_id), None)
        if found is not None:
            self._first[segment_id] = found
        return found

    def _find(self, segment_id: str) -> Segment | None:
        """The first segment with this id, looked for as in a regular message; None when it is not certain."""
        body, limit = self.body, LARGE
        if segment_id == "MSH":
            at = -1
        else:
            at = body.find(_mark(segment_id, self.separators[0]), 0, limit)
            bare = body.find(_mark(segment_id, "\r"), 0, at + 1 if at >= 0 else limit)  # one without fields may precede
            if bare >= 0:
                at = bare
            elif at < 0:
                return None
        at += 1
        end = body.find(b"\r", at)
        if end < 0:
            end = len(body)
        if self._regular or is_regular(body, self.separators[0], end + 5):
            return Segment(self._text, segment_id, at, end)
        return None

    def all(self, segment_id: str) -> list[Segment]:
        """Every segment with this id, in order."""
        return [segment for segment in self.segments if segment.id == segment_id]

    def matching(self, path: Path) -> list[Segment]:
        """The segments that ``path`` speaks of: the one it counts or selects, else all with its id."""
        if path.selector:
            code = parse_path("OBX-3.1")
            return [one for one in self.all("OBX") if one.value(code) == path.selector]
        found = self.all(path.segment)
        return found[path.which - 1 : path.which] if path.which else found

    def _one(self, place: Path) -> Segment | None:
        if place[1] or place[2]:
            found = self.matching(place)
            return found[0] if found else None
        return self.first(place[0])

    def get(self, path: str) -> str:
        """The unescaped value at ``path``, of the first segment that it matches; ``""`` when absent."""
        place = parse_path(path)
        segment = self._one(place) if place[1] or place[2] else self._first.get(place[0]) or self.first(place[0])
        return segment.value(place) if segment is not None else ""

    def raw(self, path: str) -> str:
        """What stands at ``path`` as written: delimiters, escape sequences and all. For ``put``."""
        place = parse_path(path)
        segment = self._one(place)
        return segment.raw(place) if segment is not None else ""

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

        A value with component separators at a path that names no component is written as a whole field.

        Raises:
            MessageError: the message has no such segment, the path names only a segment, or MSH-1 or MSH-2.
        """
        place, separators = parse_path(path), self.separators
        structured = not place.component and separators.component and separators.component in value
        self._write(path, place, value if structured else escape(value, separators))

    def put(self, path: str, raw: str) -> None:
        """Write what ``raw`` gave at another place, as it is. Raises MessageError as ``set`` does."""
        self._write(path, parse_path(path), raw)

    def _write(self, path: str, place: Path, raw: str) -> None:
        segment = self._one(place)
        _, _, _, field, wanted, component, _ = place
        if not field:
            raise MessageError(f"{path} names a segment, not a field", path)
        if segment is None:
            raise MessageError("the message has no such segment", path, "100")
        if field <= 2 and segment.id in HEADERS:
            raise MessageError("the delimiters of a message are not changed", path)
        repetition = self.separators.repetition
        whole = segment[field]
        if wanted > 1 or (repetition and repetition in whole):
            if not repetition and wanted > 1:
                raise MessageError("the message declares no repetition separator", path)
            repetitions = whole.split(repetition)
            wanted = wanted or 1
            repetitions += [""] * (wanted - len(repetitions))
            repetitions[wanted - 1] = self._within(repetitions[wanted - 1], place, raw) if component else raw
            segment[field] = repetition.join(repetitions)
        else:
            segment[field] = self._within(whole, place, raw) if component else raw

    def _within(self, whole: str, place: Path, raw: str) -> str:
        """A repetition with ``raw`` as its component or sub-component."""
        between, inside = self.separators.component, self.separators.subcomponent
        if place.sub:
            parts = whole.split(between) if between else [whole]
            component = parts[place.component - 1] if place.component <= len(parts) else ""
            raw = _replaced(component, place.sub, raw, inside)
        return _replaced(whole, place.component, raw, between)

    def delete(self, path: str) -> int:
        """Remove what ``path`` names: whole segments (``ZFP``), a repetition (``PID-3[2]``), or a value, left empty.

        Returns how many segments were changed or removed; 0 when there was nothing.
        """
        place = parse_path(path)
        found = self.matching(place)
        if place.field:
            return sum(self._empty(segment, place) for segment in found)
        if found:
            gone = {id(segment) for segment in found}
            self._rearrange([one for one in self.segments if id(one) not in gone])
        return len(found)

    def _rearrange(self, segments: list[Segment]) -> None:
        self._segments = segments
        self._first.clear()
        self._moved = True

    def _empty(self, segment: Segment, place: Path) -> bool:
        repetitions = segment.repetitions(place.field)
        wanted = place.repetition or 1
        if wanted > len(repetitions):
            return False
        if place.component:
            repetitions[wanted - 1] = self._within(repetitions[wanted - 1], place, "")
        elif place.repetition:
            del repetitions[wanted - 1]
        else:
            repetitions = []
        segment[place.field] = self.separators.repetition.join(repetitions)
        return True

    def insert(self, index: int, text: str) -> Segment:
        """Put a new segment, written as text in this message's delimiters, before ``segments[index]``.

        Raises:
            MessageError: the text does not begin with a segment id, or has a line break.
        """
        if not segment_id(text[:4].encode(), self.separators.field.encode()) or "\r" in text or "\n" in text:
            raise MessageError("what is inserted is not one segment", text[:3] if text[:3].isalnum() else "", "100")
        segment = Segment.written(self._text, text)
        segments = list(self.segments)
        segments.insert(index, segment)
        self._rearrange(segments)
        return segment

    def encode(self) -> bytes:
        """The bytes: ``body`` itself when nothing was changed; unchanged segments byte for byte otherwise.

        Raises:
            MessageError: a written value has a character that the message's character set lacks (condition 102).
        """
        if not self.changed:
            return self.body
        view = memoryview(self.body)
        return b"".join(self._rearranged(view) if self._moved else self._patched(view))

    def _patched(self, body: memoryview) -> Iterator[bytes | memoryview]:
        at = 0
        for segment in sorted((one for one in self._known() if one.changed), key=lambda one: one.start):
            yield body[at : segment.start]
            yield self._bytes(segment)
            at = segment.end
        yield body[at:]

    def _rearranged(self, body: memoryview) -> Iterator[bytes | memoryview]:
        segments = self._segments or []
        spans = self._spans()
        follower = {one[1]: other[1] for one, other in pairwise(spans)}
        yield body[: spans[0][1]]
        for segment in segments:
            yield self._bytes(segment) if segment.changed else body[segment.start : segment.end]
            if not segment.end:
                yield b"\r"
                continue
            stop = follower.get(segment.start, len(body))
            if segment.end < stop:
                yield body[segment.end : stop]
            elif segment is not segments[-1]:
                yield b"\r"  # it was the last one, and had no terminator

    def _bytes(self, segment: Segment) -> bytes:
        try:
            return segment.text().encode(self.charset, "surrogateescape")
        except UnicodeEncodeError as error:
            raise MessageError(f"a character does not exist in {self.charset}", segment.id, "102") from error


def _replaced(whole: str, number: int, part: str, separator: str) -> str:
    """``whole`` with its part ``number`` replaced; parts that are missing are made."""
    if not separator:
        if number > 1:
            raise MessageError("the message declares no separator for this part", "MSH-2")
        return part
    parts = whole.split(separator)
    parts += [""] * (number - len(parts))
    parts[number - 1] = part
    return separator.join(parts)


@lru_cache(maxsize=4096)
def segment_id(head: bytes, separator: bytes) -> str:
    """The id in upper case when a line begins one: a letter, two letters or digits, then the separator or the end."""
    letters = head[:3]
    if len(letters) < 3 or not letters.isalnum() or not letters[:1].isalpha():
        return ""
    if head[3:] not in (separator, b"", b"\r", b"\n"):
        return ""
    return letters.decode("ascii").upper()


def parse(body: bytes, charset: str = "") -> Er7:
    """A private, editable reading of ``body``. Raises ParseError when it has no readable MSH.

    charset: Python codec name; found from MSH-18 and the bytes when not given.
    """
    header = peek(body)
    return Er7(body, header, charset or header.charset)


def _read(message: Message) -> Er7:
    return Er7(message.body, message.view(header_of), message.charset)


def read(message: Message) -> Er7:
    """The shared reading of a message's body: computed once, never to be edited."""
    return message.view(_read)
