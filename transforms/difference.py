"""Where two messages differ, field by field: for tests, whose values may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from channels.errors import ParseError
from transforms import er7


def differences(expected: bytes, got: bytes, ignore: Iterable[str] = ()) -> list[str]:
    """A line for each place that differs: ``PV1-3.1: expected 'NEPH' got '3120'``; ``[]`` when the bytes are the same.

    ignore: places of HL7 v2 that may differ.
    """
    if expected == got:
        return []
    try:
        one, other = er7.parse(expected), er7.parse(got)
    except ParseError:
        return list(_lines(expected, got))
    for place in ignore:
        one.delete(place)
        other.delete(place)
    if one.encode() == other.encode():
        return []
    if one.separators != other.separators:
        return ["MSH-2: other delimiters"]
    return list(_segments(one, other)) or [
        "the same fields, written in other bytes: line ends, trailing separators or charset"
    ]


def _segments(expected: er7.Er7, got: er7.Er7) -> Iterator[str]:
    """Segments are matched by their names, in order."""
    ours, theirs = expected.segments, got.segments
    names = [segment.id for segment in ours], [segment.id for segment in theirs]
    for kind, first, last, begin, end in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if kind == "equal":
            for offset in range(last - first):
                yield from _fields(_name(ours, first + offset), ours[first + offset], theirs[begin + offset], expected)
            continue
        for index in range(first, last):
            yield f"{_name(ours, index)}: expected, and it is not there"
        for index in range(begin, end):
            yield f"{_name(theirs, index)}: not expected: {theirs[index].text()!r}"


def _name(segments: list[er7.Segment], index: int) -> str:
    """``OBX[3]``, or ``PV1`` when it is the only one."""
    same = [number for number, segment in enumerate(segments) if segment.id == segments[index].id]
    return segments[index].id if len(same) == 1 else f"{segments[index].id}[{same.index(index) + 1}]"


def _fields(name: str, expected: er7.Segment, got: er7.Segment, message: er7.Er7) -> Iterator[str]:
    for number in range(1, max(len(expected.fields), len(got.fields))):
        if expected[number] != got[number]:
            separators = [message.separators.repetition, message.separators.component, message.separators.subcomponent]
            yield from _parts(f"{name}-{number}", expected[number], got[number], separators)


def _parts(place: str, expected: str, got: str, separators: list[str]) -> Iterator[str]:
    """Go down to the repetition, component or sub-component that differs."""
    while separators and (not separators[0] or (separators[0] not in expected and separators[0] not in got)):
        separators = separators[1:]
    if not separators:
        yield f"{place}: expected {expected!r} got {got!r}"
        return
    ours, theirs = expected.split(separators[0]), got.split(separators[0])
    for index in range(max(len(ours), len(theirs))):
        one = ours[index] if index < len(ours) else ""
        other = theirs[index] if index < len(theirs) else ""
        if one != other:
            part = f"[{index + 1}]" if len(separators) == 3 else f".{index + 1}"  # repetitions have brackets
            yield from _parts(place + part, one, other, separators[1:])


def _lines(expected: bytes, got: bytes) -> Iterator[str]:
    """For what is not HL7 v2: the first line that differs."""
    ours, theirs = expected.split(b"\n"), got.split(b"\n")
    for number in range(max(len(ours), len(theirs))):
        one = ours[number] if number < len(ours) else b""
        other = theirs[number] if number < len(theirs) else b""
        if one != other:
            yield f"line {number + 1}: expected {_short(one)} got {_short(other)}"
            return


def _short(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= 120 else text[:120] + "…")
