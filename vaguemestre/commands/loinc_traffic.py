"""What the ORU of the journal say of the laboratory's codes; values of results are never read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from channels.errors import DamageError, MessageError
from channels.journal.search import Archive, Criteria
from channels.message import Message
from loinc.learn import Seen, Traffic
from transforms import er7
from transforms.oru_lines import Line

__all__ = ["learn_from", "seen_in"]

_NAMES = ("LN", "LOINC")
_SKIPPED = ("ED", "RP")


def learn_from(archive: Archive, criteria: Criteria, zone: ZoneInfo) -> tuple[Traffic, int, int]:
    """The traffic of the matching messages; how many were read, and how many could not be."""
    traffic, read, unreadable = Traffic(), 0, 0
    for number in archive.numbers(criteria):
        try:
            message = archive.message(number)
            for seen in seen_in(message, zone):
                traffic.add(seen)
        except (MessageError, DamageError):
            unreadable += 1
        else:
            read += 1
    return traffic, read, unreadable


def seen_in(message: Message, zone: ZoneInfo) -> Iterator[Seen]:
    """The results of one message that have a local code. Raises ParseError when it is not HL7 v2."""
    day = datetime.fromtimestamp(message.received, UTC).astimezone(zone).date().isoformat()
    view = er7.parse(message.body, message.charset)
    group: list[Line] = []
    section, specimen = "", ""
    for segment in view.segments:
        line = Line(view, segment, segment.id)
        if segment.id in ("ORC", "OBR") and group:
            yield from _results(group, section, specimen, day)
            group, section, specimen = [], "", ""
        if segment.id == "OBR":
            section = line.value(24)
            specimen = line.value(15, 1, 2) or line.value(15, 1, 1) or specimen
        elif segment.id == "SPM":
            specimen = line.value(4, 2) or line.value(4) or specimen
        elif segment.id == "OBX":
            group.append(line)
    yield from _results(group, section, specimen, day)


def _results(group: list[Line], section: str, specimen: str, day: str) -> Iterator[Seen]:
    for line in group:
        if line.value(2).upper() in _SKIPPED or line.value(3, 3) == "MetaDMPMSS":
            continue
        local = loinc = ("", "")
        for start in (1, 4, 10):
            code, label, system = (line.value(3, start + at) for at in range(3))
            if system.upper() in _NAMES:
                loinc = loinc if loinc[0] else (code, label)
            elif code and not local[0]:
                local = (code, label)
        if local[0]:
            unit = line.value(6) or line.value(6, 2)
            technique = line.value(17, 2) or line.value(17)
            yield Seen(
                local[0], local[1], specimen, unit, technique, section, line.value(2), line.value(7), loinc[0], day
            )
