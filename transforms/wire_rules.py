"""Defects of header and syntax: looked for in every message, in microseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from channels.errors import Level
from transforms import er7
from transforms.charsets import STANDARD, contradicts, declared_codec
from transforms.escapes import repaired_signs
from transforms.header import BOM, Header

MOMENT = re.compile(
    r"(?!0000)\d{4}((0[1-9]|1[0-2])((0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?"
)
"""TS or DTM of HL7 v2.5, from the year to parts of a second."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of defect.

    row: its number in the table of docs/tolerance.md. code: HL7 table 0357. level: unless a site says otherwise.
    """

    row: int
    name: str
    code: str
    problem: str
    level: Level = "warn"


WIRE = {
    rule.name: rule
    for rule in (
        Rule(5, "indented", "199", "blanks before a segment"),
        Rule(6, "byte_order_mark", "199", "a byte order mark before MSH"),
        Rule(8, "text_outside", "199", "text that is in no segment"),
        Rule(8, "much_text_outside", "199", "more than a fifth of the lines are in no segment", "reject"),
        Rule(12, "delimiters", "199", "MSH-2 is spoilt, or gives too few delimiters"),
        Rule(14, "message_type", "200", "the type is not written as code^event"),
        Rule(14, "message_type_missing", "200", "the type of the message is missing", "reject"),
        Rule(15, "control_id", "101", "the control id is missing"),
        Rule(17, "processing_id", "202", "the processing id is missing"),
        Rule(18, "message_time", "102", "the time of the message is missing or not a time"),
        Rule(19, "version", "203", "the version is missing or odd"),
        Rule(21, "charset", "199", "the bytes are not of the declared character set, or its name is not standard"),
        Rule(23, "segment_id", "199", "a segment id in lower case or of another length"),
    )
}

_EVENT = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2}(\^[A-Z0-9_]*)?)?")
_NO_EVENT = frozenset({"ACK", "MCF", "QCK", "RAR"})
_ODD_ID = re.compile(rb"[A-Za-z][A-Za-z0-9]{1,5}[^\w\s]")


def wire_defects(body: bytes, header: Header) -> list[tuple[Rule, str]]:
    """Defects of syntax and header: (rule, place)."""
    fields = header.fields
    size = len(fields)
    control_id = fields[9] if size > 9 else ""
    moment = fields[6] if size > 6 else ""
    defects = _header_defects(
        fields[1],
        fields[8] if size > 8 else "",
        fields[10] if size > 10 else "",
        fields[11] if size > 11 else "",
        fields[17] if size > 17 else "",
        header.charset,
        header.separators,
    )
    regular = body[:3] == b"MSH" and er7.is_regular(body, header.separators[0])
    if defects or not control_id or not regular or not MOMENT.fullmatch(moment):
        found = list(defects)
        if not control_id:
            found.append((WIRE["control_id"], "MSH-10"))
        if not MOMENT.fullmatch(moment):
            found.append((WIRE["message_time"], "MSH-7"))
        if not regular:
            found += _line_defects(body, header.separators[0])
        return found
    return []


@lru_cache(maxsize=1024)
def _header_defects(
    declared: str, kind: str, processing: str, version: str, charset: str, codec: str, separators: er7.Separators
) -> tuple[tuple[Rule, str], ...]:
    """Defects of the fields that messages of one sender share."""
    found = []
    if repaired_signs(declared) != declared or len(declared) < 3:
        found.append((WIRE["delimiters"], "MSH-2"))
    usual = kind.replace(separators.component, "^") if separators.component else kind
    parts = usual.split("^")
    if not usual.strip("^ "):
        found.append((WIRE["message_type_missing"], "MSH-9"))
    elif not _EVENT.fullmatch(usual) or (len(parts) == 1 and usual not in _NO_EVENT) or parts[0] in parts[1:2]:
        found.append((WIRE["message_type"], "MSH-9"))
    if not processing:
        found.append((WIRE["processing_id"], "MSH-11"))
    number = version.split(separators.component, 1)[0] if separators.component else version
    if not re.fullmatch(r"2(\.\d){1,2}", number):
        found.append((WIRE["version"], "MSH-12"))
    first = charset.split(separators.repetition, 1)[0] if separators.repetition else charset
    named = first in STANDARD or not first
    if not named or contradicts(first, codec) or (first and not declared_codec(first)):
        found.append((WIRE["charset"], "MSH-18"))
    return tuple(found)


def _line_defects(body: bytes, separator: str) -> list[tuple[Rule, str]]:
    """Defects of lines, each named once, at its first place."""
    found: dict[str, str] = {}
    if body.startswith(BOM):
        found["byte_order_mark"] = "MSH"
    mark, last, strays, count = separator.encode(), "", 0, 0
    for start, _ in er7.lines(body):
        count += 1
        head = body[start : start + 8]
        segment_id = er7.segment_id(head[:4], mark)
        if segment_id:
            last = segment_id
            if start and body[start - 1 : start] in (b" ", b"\t"):
                found.setdefault("indented", last)
            if head[:3] != segment_id.encode():
                found.setdefault("segment_id", last)
        else:
            strays += 1
            odd = _ODD_ID.match(head) and head[:7].find(mark) > 0
            found.setdefault("segment_id" if odd else "text_outside", last)
    if strays * 5 > count:
        found = {name: place for name, place in found.items() if name != "text_outside"} | {"much_text_outside": last}
    return [(WIRE[name], place) for name, place in found.items()]
