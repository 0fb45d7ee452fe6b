"""Writing HL7 v2 segments by hand: values escaped, trailing separators left out."""

from __future__ import annotations

from transforms.escapes import Separators, escape

_USUAL = Separators("|", "^", "~", "\\", "&")


def text(value: str) -> str:
    """A value on one line, escaped."""
    return escape(" ".join(value.split()), _USUAL)


def whole(*components: str) -> str:
    """Components that are already escaped, as a field."""
    return "^".join(components).rstrip("^")


def field(*components: str) -> str:
    """Values as the components of a field."""
    return whole(*(text(one) for one in components))


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment from fields that are already escaped, by their numbers."""
    last = max((number for number, value in fields.items() if value), default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def message(lines: list[str]) -> bytes:
    """A message from its segments, UTF-8."""
    return ("\r".join(lines) + "\r").encode("utf-8", "replace")
