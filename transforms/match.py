"""The conditions of ``filter:`` and ``when:``, compiled once to a predicate.

A row matches when each of its fields does; a field matches when any of its values is that of any repetition, in any
segment of that name. ``message`` is the kind of the message: ``ADT^A01``, or ``ADT`` for every event. A place without
a component (``PID-32``, ``OBX-3``) is compared by its first one, which is the whole of a simple field. ``"*"`` means
present (any text, ``""`` included) and an empty value means absent. Past lists of values, write a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from channels.errors import ConfigError, UnsupportedError
from channels.message import Message
from transforms import er7
from transforms.paths import Path, parse_path

Predicate = Callable[[Message], bool]
_KIND = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z0-9]{3})?")


class Match:
    """True for a message that any row matches."""

    def __init__(self, rows: Iterable[Mapping[str, Iterable[str]]]) -> None:
        """rows: place or ``message`` -> values. Raises ConfigError for what is neither."""
        self._rows = [_row(row) for row in rows]

    def __call__(self, message: Message) -> bool:
        """Raises ParseError, or UnsupportedError when a place is asked of a message that is not HL7 v2."""
        for row in self._rows:
            for condition in row:
                if not condition(message):
                    break
            else:
                return True
        return False


def _row(row: Mapping[str, Iterable[str]]) -> list[Predicate]:
    """The conditions of one row, the cheapest first."""
    ordered = sorted(row.items(), key=lambda item: item[0] != "message")
    return [_kind(values) if place == "message" else _field(place, values) for place, values in ordered]


def _kind(values: Iterable[str]) -> Predicate:
    kinds = frozenset(values)
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            looks = _KIND.fullmatch(kind.replace("_", "^").upper())
            raise ConfigError(
                f"{kind!r} is not a message such as ADT^A01 or ADT" + (f"; did you mean {looks[0]!r}?" if looks else "")
            )

    def condition(message: Message) -> bool:
        kind = message.kind
        return kind in kinds or kind.partition("^")[0] in kinds

    return condition


def _field(place: str, values: Iterable[str]) -> Predicate:
    path = parse_path(place)
    wanted = frozenset(values)
    present, absent = "*" in wanted, "" in wanted
    exact = path if path.component or not path.field else path._replace(component=1)

    def condition(message: Message) -> bool:
        if message.format != "hl7v2":
            raise UnsupportedError("a filter asks for a place of HL7 v2 and the message is of another format", place)
        view = er7.read(message)
        if not path.field:
            return present if view.matching(path) else absent
        if not wanted.isdisjoint(_values(view, exact)):
            return True
        if not (present or absent):
            return False
        filled = any(_values(view, path))
        return (present and filled) or (absent and not filled)

    return condition


def _values(view: er7.Er7, path: Path) -> list[str]:
    """The values at ``path`` in every segment that it speaks of."""
    found = []
    for segment in _segments(view, path):
        repetitions = segment.repetitions(path.field)
        if path.repetition:
            repetitions = repetitions[path.repetition - 1 : path.repetition]
        found += [segment.part(one, path) for one in repetitions]
    return found


def _segments(view: er7.Er7, path: Path) -> list[er7.Segment]:
    """The segments that a path speaks of; one that is alone, which most are, is found without splitting the message."""
    if path.which or path.selector or path.segment == "MSH":
        return view.matching(path)
    mark = f"\r{path.segment}{view.separators.field}".encode(view.charset, "surrogateescape")
    at = view.body.find(mark)
    if at < 0 or view.body.find(mark, at + 1) >= 0:
        return view.matching(path)
    segment = view.first(path.segment)
    return [segment] if segment else []
