"""One segment of an HL7 v2 message, read lazily. Part of ``transforms.er7``, which is what others import."""

from __future__ import annotations

from typing import NamedTuple

from transforms.escapes import Separators, unescape
from transforms.paths import Path, parse_path

HEADERS = ("MSH", "FHS", "BHS")
LARGE = 65536
"""Bytes of a segment from which a field is cut out of it without splitting, or even decoding, the rest."""


class Text(NamedTuple):
    """What the segments of one message share.

    Not the message itself: a message and its segments that point at each other would stay in memory, body and all,
    until the next collection.
    """

    body: bytes
    charset: str
    separators: Separators


class Segment:
    """One segment: fields are split the first time one is read; ``segment[3]`` is the raw text of field 3."""

    __slots__ = ("_fields", "changed", "end", "id", "owner", "start")

    def __init__(self, owner: Text, segment_id: str, start: int, end: int) -> None:
        """start, end: where it lies in the message's body, without its terminator; both 0 for one that was inserted."""
        self.owner, self.id, self.start, self.end = owner, segment_id, start, end
        self._fields: list[str] | None = None
        self.changed = False

    @classmethod
    def written(cls, owner: Text, text: str) -> Segment:
        """A new segment from text in the message's delimiters."""
        made = cls(owner, text[:3].upper(), 0, 0)
        made._fields = made._split(text)
        made.changed = True
        return made

    @property
    def fields(self) -> list[str]:
        """All fields as written; index 0 is the segment id, and in MSH index 1 is the separator itself."""
        if self._fields is None:
            owner = self.owner
            self._fields = self._split(owner.body[self.start : self.end].decode(owner.charset, "surrogateescape"))
        return self._fields

    def _split(self, text: str) -> list[str]:
        field = self.owner.separators[0]
        fields = text.split(field)
        if self.id in HEADERS:
            fields.insert(1, field)
        return fields

    def __getitem__(self, number: int) -> str:
        """Field ``number`` as written (escaped), ``""`` when absent."""
        fields = self._fields
        if fields is None:
            if self.end - self.start >= LARGE and self.id not in HEADERS:
                return self._cut(number)
            fields = self.fields
        return fields[number] if number < len(fields) else ""

    def _cut(self, number: int) -> str:
        """One field of a large segment."""
        owner = self.owner
        body, separator, start = owner.body, owner.separators[0].encode(), self.start
        for _ in range(number):
            start = body.find(separator, start, self.end) + 1
            if not start:
                return ""
        end = body.find(separator, start, self.end)
        return body[start : end if end >= 0 else self.end].decode(owner.charset, "surrogateescape")

    def __setitem__(self, number: int, raw: str) -> None:
        """Replace field ``number`` by text that is already escaped."""
        fields = self._fields if self._fields is not None else self.fields
        if number >= len(fields):
            fields.extend([""] * (number + 1 - len(fields)))
        fields[number] = raw
        self.changed = True

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field as written; none when the field is empty."""
        raw = self[number]
        if not raw:
            return []
        separator = self.owner.separators[2]
        if self.id in HEADERS and number <= 2:
            return [raw]
        return raw.split(separator) if separator else [raw]

    def get(self, path: str) -> str:
        """The unescaped value at ``3``, ``3[2]``, ``3[2].4`` or ``3[2].4.2`` of this segment."""
        return self.value(parse_path(f"ZZZ-{path}"))

    def value(self, path: Path) -> str:
        """The unescaped value at ``path`` inside this segment, ``""`` when absent."""
        _, _, _, number, wanted, component, sub = path
        fields = self._fields
        raw = (fields[number] if number < len(fields) else "") if fields is not None else self[number]
        if not raw or (number <= 2 and self.id in HEADERS):
            return raw if wanted <= 1 else ""
        owner = self.owner
        separator = owner.separators[2]
        if separator and separator in raw:
            parts = raw.split(separator)
            if wanted > len(parts):
                return ""
            raw = parts[wanted - 1 if wanted else 0]
        elif wanted > 1:
            return ""
        return _part(raw, component, sub, owner)

    def raw(self, path: Path) -> str:
        """What stands at ``path`` inside this segment, as written."""
        repetitions = self.repetitions(path.field)
        wanted = path.repetition or 1
        text = repetitions[wanted - 1] if wanted <= len(repetitions) else ""
        separators = self.owner.separators
        for number, separator in ((path.component, separators.component), (path.sub, separators.subcomponent)):
            if number:
                parts = text.split(separator) if separator else [text]
                text = parts[number - 1] if number <= len(parts) else ""
        return text

    def part(self, repetition: str, path: Path) -> str:
        """The unescaped component or sub-component of ``path`` in one repetition.

        What has parts of its own (components of a repetition, sub-components of a component) stays escaped.
        """
        if path.field <= 2 and self.id in HEADERS:
            return repetition
        return _part(repetition, path.component, path.sub, self.owner)

    def text(self) -> str:
        """The whole segment as written."""
        fields = self.fields
        separator = self.owner.separators[0]
        if self.id in HEADERS:
            return separator.join([fields[0], *fields[2:]])
        return separator.join(fields)


def _part(text: str, component: int, sub: int, owner: Text) -> str:
    """See ``Segment.part``."""
    _, between, _, mark, inside = owner.separators
    if component:
        if between and between in text:
            parts = text.split(between, component)
            text = parts[component - 1] if component <= len(parts) else ""
        elif component > 1:
            return ""
        if sub:
            parts = text.split(inside) if inside else [text]
            text = parts[sub - 1] if sub <= len(parts) else ""
        elif inside and inside in text:
            return text
    elif between and between in text:
        return text
    return unescape(text, owner.separators, owner.charset) if mark and mark in text else text
