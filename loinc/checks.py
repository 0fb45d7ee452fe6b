"""What is wrong in a laboratory's catalogue and transcoding, each fault at its line.

Source: LOINC Users' Guide (axes, status of terms); UCUM for units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from itertools import combinations
from typing import Literal, NamedTuple

from loinc import catalogue as catalogue_file
from loinc import transcoding as transcoding_file
from loinc.assistant.methods import read_technique
from loinc.assistant.normalise import fold
from loinc.assistant.specimens import fits_of_specimen
from loinc.catalogue import Catalogue, Entry
from loinc.laboratory_units import CannotConvert, conversion, fold_unit, ucum_of
from loinc.learn import Traffic
from loinc.properties import agrees
from loinc.terms import Term, Terms
from loinc.transcoding import Row, Transcoding
from loinc.ucum import UcumError, is_finite, parse, validate

__all__ = ["Fault", "Laboratory", "check", "check_row"]

Level = Literal["fault", "warning"]
_WRONG_SCALES: Mapping[str, Mapping[str, Level]] = {
    "numeric": dict.fromkeys(("Ord", "Nom", "Nar", "Doc", "Multi", "Set"), "fault"),
    "coded": {"Qn": "fault", "Doc": "fault"},
    "text": {"Qn": "warning"},
    "titre": {"Qn": "warning", "Nom": "warning", "Nar": "warning", "Doc": "warning"},
    "image": {"Qn": "warning", "Ord": "warning", "Nom": "warning"},
}
"""Kind of results -> scales that they cannot have."""
_COLLECTED = re.compile(r"\b(?:24 ?h(?:eures?)?|des 24|diurese|24 heures)\b")
_LIKELY = 0.3


class Fault(NamedTuple):
    """One thing that is wrong. level: a ``fault`` must be corrected, a ``warning`` looked at. rule: its short name."""

    file: str
    line: int
    level: Level
    rule: str
    problem: str


@dataclass(frozen=True)
class Laboratory:
    """All that is checked together.

    terms: the LOINC table; whole: whether it is a full release, so that a code that it lacks does not exist.
    replacements: code -> the codes that LOINC gives in its place. spelled: tables of unit spellings (``ucum_of``).
    """

    catalogue: Catalogue
    transcoding: Transcoding
    traffic: Traffic
    terms: Terms
    whole: bool = False
    replacements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spelled: Callable[[str], str | None] = str

    def ucum(self, unit: str) -> str:
        """The UCUM code of a unit of the catalogue, ``""`` when it is not known."""
        return ucum_of(unit, self.spelled)


def check(laboratory: Laboratory, today: date) -> list[Fault]:
    """Every fault of what was checked, in the order of files and lines. Proposals are checked when accepted."""
    found = [*_catalogue(laboratory), *_together(laboratory, today)]
    for row in laboratory.transcoding:
        if row.status == "checked":
            found += check_row(laboratory, row)
    return sorted(set(found), key=lambda one: (one.file, one.line, one.rule, one.problem))


def check_row(laboratory: Laboratory, row: Row) -> Iterator[Fault]:
    """What is wrong with one row: its code, and every axis of it against the analyses that it speaks of."""
    term = laboratory.terms.get(row.loinc)
    if term is None:
        yield _missing(laboratory, row)
        return
    yield from _term(laboratory, row, term)
    entries = _entries(laboratory, row)
    if not entries:
        yield _at(
            row, "warning", "catalogue", f"the catalogue has no analysis {row.local_code!r} with these conditions"
        )
    for entry in entries:
        for rule, level, problem in _axes(laboratory, row, term, entry):
            yield _at(row, level, rule, problem)
    yield from _conversion(laboratory, row, entries)


def _at(row: Row, level: Level, rule: str, problem: str) -> Fault:
    return Fault(transcoding_file.FILE, row.line, level, rule, problem)


def _entries(laboratory: Laboratory, row: Row) -> list[Entry]:
    return [entry for entry in laboratory.catalogue.of(row.local_code) if row.speaks_of(entry.key)]


# the code


def _missing(laboratory: Laboratory, row: Row) -> Fault:
    if laboratory.whole:
        return _at(row, "fault", "code", f"{row.loinc} is not in the LOINC table of the site")
    problem = f"{row.loinc} is not in the subset that ships: import the LOINC release to check it"
    return _at(row, "warning", "code", problem)


def _term(laboratory: Laboratory, row: Row, term: Term) -> Iterator[Fault]:
    if term.status in ("DEPRECATED", "DISCOURAGED"):
        instead = laboratory.replacements.get(term.code, ())
        advice = f"; LOINC gives {' or '.join(instead)} in its place" if instead else ""
        level: Level = "fault" if term.status == "DEPRECATED" else "warning"
        yield _at(row, level, "status", f"{term.code} is {term.status.lower()}{advice}")
    if term.order == "Order" or re.search(r"\bpanel\b", term.name):
        yield _at(row, "fault", "order", f"{term.code} is a panel or an order, and no result")


# the axes


def _axes(laboratory: Laboratory, row: Row, term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    yield from _property(laboratory, row, term, entry)
    yield from _scale(laboratory, term, entry)
    yield from _system(term, entry)
    yield from _time(term, entry)
    yield from _method(term, entry)


def _property(laboratory: Laboratory, row: Row, term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    code = row.ucum or laboratory.ucum(entry.unit)
    if not code or validate(code):
        return
    unit = parse(code)
    if agrees(term, unit) is False:
        twin = _twin(laboratory.terms, term, code)
        advice = f"; {twin.code} is the same with {twin.property}" if twin else ""
        yield "property", "fault", f"the unit {code} does not measure {term.property} ({term.code}){advice}"


def _twin(terms: Terms, term: Term, code: str) -> Term | None:
    """The term that differs by its property alone and takes the unit."""
    same = ("time", "system", "scale", "method", "challenge")
    for other in terms.where("component", term.component):
        alike = all(getattr(other, axis) == getattr(term, axis) for axis in same)
        if alike and other.property != term.property and agrees(other, parse(code)):
            return other
    return None


def _scale(laboratory: Laboratory, term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    kind = entry.value_type
    if not kind:
        seen = [observed.kind for _, observed in laboratory.traffic.of(entry.local_code)]
        kind = seen[0] if seen and len(set(seen)) == 1 else ""
    wrong = _WRONG_SCALES.get(kind, {}).get(term.scale)
    if wrong and not (kind == "titre" and term.property == "Titr"):
        yield "scale", wrong, f"results are {kind} and the scale of {term.code} is {term.scale}"


def _system(term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    fits, read = fits_of_specimen(entry.specimen) if entry.specimen else ({}, "")
    if fits and fits.get(term.system, 0.0) < _LIKELY:
        yield "system", "fault", f"the specimen is {read} and {term.code} is of {term.system or 'no specimen'}"


def _time(term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    said = bool(_COLLECTED.search(fold(f"{entry.label} {entry.specimen} {entry.unit}"))) or _per_day(entry.unit)
    if said and term.time == "Pt":
        yield "time", "fault", f"the catalogue says a collection of 24 hours and {term.code} is of one moment (Pt)"
    elif term.time == "24H" and not said:
        yield "time", "warning", f"{term.code} is of a collection of 24 hours and the catalogue does not say so"


def _per_day(unit: str) -> bool:
    return bool(re.search(r"/\(?(?:24\.?)?(?:h\)|d$|j$|jour$)|/24h", fold_unit(unit)))


def _method(term: Term, entry: Entry) -> Iterator[tuple[str, Level, str]]:
    if not term.method:
        return
    technique = read_technique((entry.technique,)) if entry.technique else None
    if technique is not None and (technique.pattern is None or not technique.pattern.search(term.method)):
        yield "method", "fault", f"the technique of the catalogue is not the method of {term.code}: {term.method}"
    elif technique is None:
        problem = f"{term.code} names a method ({term.method}) that the catalogue does not confirm"
        yield "method", "warning", problem


# the unit that leaves


def _conversion(laboratory: Laboratory, row: Row, entries: list[Entry]) -> Iterator[Fault]:
    if not row.ucum:
        if row.molar_mass:
            yield _at(row, "fault", "conversion", "`molar_mass` without `ucum`: no unit to convert to")
        return
    problem = validate(row.ucum)
    if problem:
        yield _at(row, "fault", "conversion", f"`ucum`: {problem}")
        return
    for unit in sorted(_units(laboratory, row, entries)):
        source = laboratory.ucum(unit)
        if not source:
            yield _at(row, "fault", "conversion", f"the unit {unit!r} is not known: no value in it can be converted")
        elif source != row.ucum:
            yield from _exactness(row, source)


def _units(laboratory: Laboratory, row: Row, entries: list[Entry]) -> set[str]:
    """The units that values of a row may come in: its condition, else those of the catalogue and of the traffic."""
    if row.unit:
        return {row.unit}
    seen = {key.unit for key, _ in laboratory.traffic.of(row.local_code) if key.unit}
    return {entry.unit for entry in entries if entry.unit} | seen


def _exactness(row: Row, source: str) -> Iterator[Fault]:
    try:
        turn = conversion(source, row.ucum, row.molar_mass)
        endless = not row.decimals and not is_finite(turn(Fraction(1)))
    except CannotConvert as error:
        yield _at(row, "fault", "conversion", f"from {source} to {row.ucum}: {error}")
        return
    except UcumError:
        endless = False
    if endless:
        yield _at(row, "fault", "conversion", f"from {source} to {row.ucum}: `decimals` must say how many are kept")


# the catalogue, and rows together


def _catalogue(laboratory: Laboratory) -> Iterator[Fault]:
    for entry in laboratory.catalogue:
        if entry.unit and not laboratory.ucum(entry.unit):
            problem = f"the unit {entry.unit!r} is in no table of spellings and is not UCUM"
            yield Fault(catalogue_file.FILE, entry.line, "warning", "unit", problem)
        mine = {fold_unit(one.unit) for one in laboratory.catalogue.of(entry.local_code)}
        codes = {laboratory.ucum(one.unit) for one in laboratory.catalogue.of(entry.local_code)} - {""}
        for key, observed in laboratory.traffic.of(entry.local_code):
            if key.unit and fold_unit(key.unit) not in mine and laboratory.ucum(key.unit) not in codes:
                problem = (
                    f"messages have the unit {key.unit!r} ({observed.count} results), the catalogue {entry.unit!r}"
                )
                yield Fault(catalogue_file.FILE, entry.line, "warning", "traffic", problem)


def _together(laboratory: Laboratory, today: date) -> Iterator[Fault]:
    checked = [row for row in laboratory.transcoding if row.status == "checked"]
    by_code: dict[str, list[Row]] = {}
    by_loinc: dict[str, list[Row]] = {}
    for row in checked:
        by_code.setdefault(row.local_code, []).append(row)
        if row.valid(today):
            by_loinc.setdefault(row.loinc, []).append(row)
    for rows in by_code.values():
        for one, other in combinations(sorted(rows, key=lambda row: row.line), 2):
            yield from _rivals(one, other)
    for rows in by_loinc.values():
        yield from _shared(laboratory, rows)


def _rivals(one: Row, other: Row) -> Iterator[Fault]:
    """Two rows of one local code that may answer the same result."""
    if not one.overlaps(other) or (one.loinc, one.ucum, one.decimals) == (other.loinc, other.ucum, other.decimals):
        return
    pairs = list(zip(one.key[1:], other.key[1:], strict=True))
    if all(fold(mine) == fold(theirs) for mine, theirs in pairs):
        problem = f"{one.local_code!r} has two checked codes under the same conditions: see line {one.line}"
        yield _at(other, "fault", "several", problem)
        return
    apart = any(mine and theirs and fold(mine) != fold(theirs) for mine, theirs in pairs)
    as_many = sum(bool(mine) for mine, _ in pairs) == sum(bool(theirs) for _, theirs in pairs)
    if not apart and as_many:
        yield _at(other, "fault", "several", f"the conditions do not tell this row from line {one.line}: both may hold")


def _shared(laboratory: Laboratory, rows: list[Row]) -> Iterator[Fault]:
    """Several local codes on one LOINC; different analysers are a good reason."""
    first: dict[str, Row] = {}
    for row in rows:
        entries = [entry for entry in _entries(laboratory, row) if entry.active]
        for analyser in {entry.analyser for entry in entries} or {""}:
            other = first.setdefault(fold(analyser), row)
            if other.local_code != row.local_code:
                problem = f"{row.loinc} is also the code of {other.local_code!r} (line {other.line})"
                yield _at(row, "warning", "shared", problem)
