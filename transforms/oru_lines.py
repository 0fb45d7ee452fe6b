"""Reading the segments of an ORU: values by number, with their place."""

from __future__ import annotations

import re

from transforms.er7 import Er7, Segment, unescape

_FORMATTING = re.compile(r"\\(?:\.(?P<command>[a-z]{2}) ?(?P<number>[+-]?\d*)|[HN])\\")
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class Line:
    """One segment, where it stands, and its fields unescaped. HL7's null (``""``) reads as no value."""

    __slots__ = ("_charset", "_segment", "_separators", "id", "place")

    def __init__(self, owner: Er7, segment: Segment, place: str) -> None:
        """place: ``OBX[3]``."""
        self._segment, self._separators, self._charset = segment, owner.separators, owner.charset
        self.id, self.place = segment.id, place

    def at(self, field: int) -> str:
        """``OBX[3]-5``."""
        return f"{self.place}-{field}"

    def value(self, field: int, component: int = 1, sub: int = 0) -> str:
        """One component of the first repetition, blanks around it removed."""
        raw = self._segment[field]
        if not raw:
            return ""
        separators = self._separators
        if separators.repetition and separators.repetition in raw:
            raw = raw.split(separators.repetition, 1)[0]
        raw = _nth(raw, separators.component, component)
        if sub:
            raw = _nth(raw, separators.subcomponent, sub)
        return self._plain(raw).strip()

    def parts(self, field: int) -> list[str]:
        """The components of the first repetition; none when the field is empty."""
        found = self.all(field)
        return found[0] if found else []

    def all(self, field: int) -> list[list[str]]:
        """The components of every repetition."""
        if not self._segment[field] or self._segment[field] == '""':
            return []
        component = self._separators.component
        return [
            [self._plain(part) for part in (raw.split(component) if component else [raw])]
            for raw in self._segment.repetitions(field)
        ]

    def subs(self, field: int, component: int, repetition: int = 1) -> list[str]:
        """The sub-components of one component."""
        repetitions = self._segment.repetitions(field)
        if repetition > len(repetitions):
            return []
        raw = _nth(repetitions[repetition - 1], self._separators.component, component)
        separator = self._separators.subcomponent
        return [self._plain(part) for part in (raw.split(separator) if separator else [raw])]

    def texts(self, field: int) -> list[str]:
        """Every repetition as free text: components are kept, FT commands become line breaks and blanks."""
        mark = self._separators.escape
        return [self._free(raw, mark) for raw in self._segment.repetitions(field)]

    def _free(self, raw: str, mark: str) -> str:
        text = self._plain(raw)
        if mark != "\\" or mark not in text:
            return text
        return _FORMATTING.sub(_layout, text)

    def _plain(self, raw: str) -> str:
        if raw == '""':
            return ""
        text = unescape(raw, self._separators, self._charset) if self._separators.escape in raw else raw
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def unwritable(self) -> int:
        """The first field with a character that a document cannot hold (control, undecodable); 0 when there is none."""
        numbers = range(1, len(self._segment.fields))
        return next((one for one in numbers if any(_UNWRITABLE.search(text) for text in self.texts(one))), 0)


def _nth(raw: str, separator: str, number: int) -> str:
    if not separator or separator not in raw:
        return raw if number == 1 else ""
    parts = raw.split(separator)
    return parts[number - 1] if number <= len(parts) else ""


def _layout(match: re.Match[str]) -> str:
    """Line commands become line breaks, skips become blanks; indents, fills and highlights only change the look."""
    number = int(match["number"]) if (match["number"] or "").lstrip("+-").isdigit() else 1
    if match["command"] in ("br", "ce"):
        return "\n"
    if match["command"] == "sp":
        return "\n" * min(max(number, 1), 10)
    if match["command"] == "sk":
        return " " * min(max(number, 1), 40)
    return "" if match["command"] in ("in", "ti", "fi", "nf", None) else match[0]
