"""The tree of a message: every segment, field, component and sub-component that has a value, with its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from channels.errors import Finding
from transforms import er7
from transforms.paths import Path, parse_path
from vaguemestre.explain.names import Name, Names

_HEADERS = ("MSH", "FHS", "BHS")


@dataclass(slots=True)
class Node:
    """One part of the message.

    place: ``OBX[2]-3.1``. value: unescaped; ``""`` when it has parts. faults: what is wrong exactly here.
    """

    place: str
    name: Name
    value: str = ""
    parts: list[Node] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        name = {"type": self.name.datatype, "table": self.name.table, "added_in": self.name.added}
        made: dict[str, Any] = {"place": self.place, "name": self.name.text}
        made |= {key: value for key, value in name.items() if value}
        if self.parts:
            made["parts"] = [part.as_json() for part in self.parts]
        else:
            made["value"] = self.value
        if self.faults:
            made["faults"] = [fault_as_json(fault) for fault in self.faults]
        return made


def fault_as_json(fault: Finding) -> dict[str, str]:
    """For scripts."""
    return {"place": fault.place, "code": fault.code, "level": fault.level, "problem": fault.problem}


def build(parsed: er7.Er7, names: Names, findings: tuple[Finding, ...] = ()) -> list[Node]:
    """The segments of a message, in order; each fault hangs at its place, or at the nearest part that is there."""
    counts: dict[str, int] = {}
    nodes = []
    for segment in parsed.segments:
        counts[segment.id] = index = counts.get(segment.id, 0) + 1
        nodes.append(_segment(segment, index, names, parsed))
    for finding in findings:
        _hang(nodes, finding)
    return nodes


def _segment(segment: er7.Segment, index: int, names: Names, parsed: er7.Er7) -> Node:
    place = f"{segment.id}[{index}]" if index > 1 else segment.id
    node = Node(place, Name(names.segment(segment.id)))
    for number in range(1, len(segment.fields)):
        if segment[number]:
            node.parts += _field(segment, number, f"{place}-{number}", names, parsed)
    return node


def _field(segment: er7.Segment, number: int, place: str, names: Names, parsed: er7.Er7) -> Iterator[Node]:
    name = names.field(segment.id, number)
    if segment.id == "OBX" and number == 5:
        name = name._replace(datatype=segment.get("2.1"))
    if segment.id in _HEADERS and number <= 2:
        yield Node(place, name, segment[number])
        return
    repetitions = segment.repetitions(number)
    for rank, raw in enumerate(repetitions, 1):
        if raw:
            yield _part(raw, f"{place}[{rank}]" if len(repetitions) > 1 else place, name, names, parsed, depth=0)


def _part(raw: str, place: str, name: Name, names: Names, parsed: er7.Er7, *, depth: int) -> Node:
    """A repetition (depth 0), a component (1) or a sub-component (2)."""
    separators = parsed.separators
    separator = (separators.component, separators.subcomponent, "")[depth]
    pieces = raw.split(separator) if separator else [raw]
    if len(pieces) == 1 and not (depth == 0 and names.component(name.datatype, 1).text):
        return Node(place, name, er7.unescape(raw, separators, parsed.charset))
    parts = [
        _part(piece, f"{place}.{rank}", names.component(name.datatype, rank), names, parsed, depth=depth + 1)
        for rank, piece in enumerate(pieces, 1)
        if piece
    ]
    return Node(place, name, "", parts)


def _hang(nodes: list[Node], finding: Finding) -> None:
    """Put a fault on the part that it names, or on the smallest part around it that the message has."""
    wanted = _path(finding.place)
    here = nodes if wanted is not None else []
    best: Node | None = None
    while here and wanted is not None:
        inner = next((node for node in here if _contains(node.place, wanted)), None)
        if inner is None:
            break
        best, here = inner, inner.parts
    if best is not None:
        best.faults.append(finding)


def _path(place: str) -> Path | None:
    from channels.errors import ConfigError

    try:
        return parse_path(place) if place else None
    except ConfigError:
        return None


def _contains(place: str, wanted: Path) -> bool:
    """Whether a part is the wanted one, or around it; what ``wanted`` does not count is the first."""
    part = parse_path(place)
    pairs = (
        (part.field, wanted.field),
        (part.repetition or (1 if part.field else 0), wanted.repetition or (1 if wanted.field else 0)),
        (part.component, wanted.component),
        (part.sub, wanted.sub),
    )
    same = part.segment == wanted.segment and (part.which or 1) == (wanted.which or 1)
    return same and all(own in (0, other) for own, other in pairs)
