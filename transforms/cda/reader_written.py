"""What our own narrative tells and no entry does: found again by the identifiers of ``transforms.cda.rows``."""

from __future__ import annotations

import re
from dataclasses import replace

from transforms.cda.reader_values import as_shown, unit_shown
from transforms.cda.reader_xml import Source
from transforms.report import Flag, Note, Range, Result, Text, Value
from transforms.wording import STATUS

_OWN = re.compile(r"#r(\d+)")
_SHOWN_FLAG = re.compile(r".* \((.+)\)", re.DOTALL)


def ours(reference: str) -> bool:
    """Whether a reference has the form of ours."""
    return bool(_OWN.fullmatch(reference))


def as_written(result: Result, reference: str, source: Source) -> Result:
    """With what our own narrative shows beside the entry. reference: of its code, ``#r3`` when it is ours."""
    match = _OWN.fullmatch(reference)
    number = match[1] if match and source.has(f"v{match[1]}") else ""
    status, notes, why = _status(result)
    if not number:
        return replace(result, status=status, notes=notes, values=why or result.values)
    values = tuple(
        as_shown(one, source.words(f"v{number}-{rank}" if rank > 1 else f"v{number}"), source.words(f"u{number}"))
        for rank, one in enumerate(why or result.values, 1)
    )
    unit = unit_shown(result.unit, source.words(f"u{number}"), result.place)
    usual = result.range
    if usual and (shown := source.words(f"g{number}")):
        usual = Range(shown, usual.bounds, usual.place)
    said = source.words(f"f{number}").split("\n")
    return replace(
        result,
        values=values,
        status=status,
        notes=notes,
        unit=unit,
        range=usual,
        flags=_flags(result.flags, [one for one in said if one]),
        sub_id=source.words(f"k{number}"),
    )


def _flags(known: tuple[Flag, ...], shown: list[str]) -> tuple[Flag, ...]:
    """In the order of the cell; a line without label is a code that no value set has."""
    by_code = {one.code: one for one in known}
    found = []
    for line in shown:
        match = _SHOWN_FLAG.fullmatch(line)
        found.append(by_code.pop(match[1]) if match and match[1] in by_code else Flag(line, ""))
    return (*found, *by_code.values())


def _status(result: Result) -> tuple[str, tuple[Note, ...], tuple[Value, ...]]:
    """The status that a comment of ours tells, the other comments, and why a result was given up."""
    for status, said in STATUS.items():
        last = "\n".join(result.notes[-1].lines) if result.notes else ""
        if last == f"{said}." and (status == "X") == (result.status == "X"):
            return status, result.notes[:-1], ()
        if status == "X" and last.startswith(f"{said} : "):
            return "X", result.notes[:-1], (Text(last.removeprefix(f"{said} : ")),)
    return result.status, result.notes, ()
