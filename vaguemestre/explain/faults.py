"""What is wrong with a message: our own inspection, and hl7apy's reading of the standard's structure.

hl7apy drops segments that it does not know, without a word: they are counted and told. Its texts quote values: only
their place and rule are kept.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from channels.errors import Finding, Level
from channels.message import Message
from transforms import er7
from transforms.tolerance import Inspector

_FORMS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"Missing required child (\S+)$"), "", "required by the standard"),
    (re.compile(r"Child limit exceeded (\S+)$"), "198", "more repetitions than the standard allows"),
    (re.compile(r"Exceeded max length \(\d+\) of (\S+)$"), "102", "longer than the standard says"),
    (re.compile(r"Datatype \S+ is not correct for (\S+) "), "102", "not of the data type that the standard says"),
)
_TABLE = re.compile(r"Value (.*) not in table (?:HL7)?(\S+) in element (\S+)$", re.DOTALL)
_FRENCH_TABLES = frozenset({"0007", "0069", "0112", "0203", "0200", "0287", "0430", "0445"})
"""Tables to which the French profiles add values (IHE PAM France 2.11, French constraints on data types)."""
_PART = re.compile(r"([A-Z][A-Z0-9]{1,2})_(\d+)")


@dataclass(frozen=True, slots=True)
class Faults:
    """What was found. dropped: segments that hl7apy left out of its reading, and so did not validate."""

    findings: tuple[Finding, ...]
    dropped: dict[str, int]


def inspect(message: Message, version: str) -> Faults:
    """All that is noticed in a message; its own defects first, then those of structure."""
    parsed = er7.read(message)
    ours = Inspector({}, {}, full=True).findings(message, parsed.header)
    theirs, dropped = _structure(parsed, version)
    told = {(one.place, one.code) for one in ours}
    return Faults((*ours, *(one for one in theirs if (one.place, one.code) not in told)), dropped)


def _structure(parsed: er7.Er7, version: str) -> tuple[list[Finding], dict[str, int]]:
    """What hl7apy says, and the segments that it left out."""
    from hl7apy.exceptions import HL7apyException
    from hl7apy.parser import parse_message

    counted = Counter(segment.id for segment in parsed.segments)
    try:
        element = parse_message(_plain(parsed, version), find_groups=True)
    except (HL7apyException, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # hl7apy raises the last five on input that it does not foresee
        problem = f"hl7apy cannot read this message ({type(error).__name__}): its structure is not validated"
        return [Finding("", "207", problem)], dict(counted)
    left = counted - Counter(_segments(element))
    return list(dict.fromkeys(_validated(element, parsed))), dict(left)


def _plain(parsed: er7.Er7, version: str) -> str:
    """A copy for hl7apy: CR after each segment, and a version that it knows."""
    separators = parsed.separators
    lines = []
    for segment in parsed.segments:
        fields = list(segment.fields)
        if segment.id == "MSH" and len(fields) > 12:
            fields[12] = version
        lines.append(separators.field.join([fields[0], *fields[2:]] if segment.id == "MSH" else fields))
    return "\r".join(lines) + "\r"


def _segments(element: Any) -> Iterator[str]:
    for child in element.children:
        if child.classname == "Segment":
            yield child.name
        else:
            yield from _segments(child)


def _validated(element: Any, parsed: er7.Er7) -> Iterator[Finding]:
    from hl7apy.exceptions import HL7apyException
    from hl7apy.validation import Validator

    with tempfile.NamedTemporaryFile("r", encoding="utf-8", suffix=".txt") as report:
        # All faults are in the report, the exception is the first of them; the others are those of _structure.
        with suppress(HL7apyException, AttributeError, IndexError, KeyError, TypeError, ValueError):
            Validator.validate(element, report_file=report.name)
        text = report.read()
    for entry in re.split(r"^(?=Error: |Warning: )", text, flags=re.MULTILINE):
        kind, _, said = entry.strip().partition(": ")
        table = _TABLE.match(said)
        if table:
            yield from _not_of_table(table[1], table[2], _place(table[3], parsed), parsed)
        elif said:
            yield _finding(said, parsed, grave=kind == "Error")


def _not_of_table(value: str, table: str, place: str, parsed: er7.Er7) -> Iterator[Finding]:
    """Where the value is: hl7apy names neither segment nor repetition."""
    french = table in _FRENCH_TABLES and "FRA" in (parsed.header.component(17), parsed.header.component(12, 2))
    level: Level = "ignore" if french else "warn"
    problem = f"not a value of table {table}" + (", to which French profiles add some" if french else "")
    segment, _, rest = place.partition("-")
    field, _, component = rest.partition(".")
    found = False
    for index, one in enumerate(parsed.all(segment), 1):
        repetitions = one.repetitions(int(field)) if field else []
        for rank, raw in enumerate(repetitions, 1):
            if _component(raw, component, parsed) != value:
                continue
            found = True
            count = f"[{index}]" if index > 1 else ""
            where = f"{segment}{count}-{field}" + (f"[{rank}]" if len(repetitions) > 1 else "")
            yield Finding(
                f"{where}.{component}" if component else where, "103", problem, "ignore" if french else "warn"
            )
    if not found:
        yield Finding(place, "103", problem, level)


def _component(raw: str, component: str, parsed: er7.Er7) -> str:
    parts = raw.split(parsed.separators.component) if component and parsed.separators.component else [raw]
    number = int(component or 1)
    return parts[number - 1] if number <= len(parts) else ""


def _finding(said: str, parsed: er7.Er7, *, grave: bool) -> Finding:
    level: Level = "reject" if grave else "warn"
    for form, code, problem in _FORMS:
        match = form.match(said)
        if match:
            place = _place(match[1], parsed)
            return Finding(place, code or ("101" if "-" in place else "100"), problem, level)
    return Finding("", "207", "not of the structure that the standard says", level)


def _place(path: str, parsed: er7.Er7) -> str:
    """hl7apy's ``PID.PID_3`` -> ``PID-3``, ``PID_3.CX_5`` -> ``PID-3.5``, ``ADT_A01.EVN`` -> ``EVN``.

    Inside a component hl7apy no longer says which segment it speaks of: ``""``.
    """
    parent, _, child = path.rpartition(".")
    outer, inner = _PART.fullmatch(parent), _PART.fullmatch(child)
    if inner is None:
        return child if len(child) == 3 else ""
    here, tail = (outer[1], f"{outer[2]}.{inner[2]}") if outer else (inner[1], inner[2])
    return f"{here}-{tail}" if parsed.first(here) else ""
