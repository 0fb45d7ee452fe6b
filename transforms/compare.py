"""What differs between two reports, fact by fact: for round trips, and to say what a new version changes.

Facts are compared, not spellings: ``12,5`` and ``12.5`` are one number, places and the words of a numeric range do not
count. Digits do: ``1.50`` is not ``1.5``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.report import (
    Address,
    Answer,
    Attachment,
    Chapter,
    Concept,
    Identifier,
    Instant,
    Interval,
    Isolate,
    Laboratory,
    Moment,
    Note,
    Number,
    Organization,
    Panel,
    Patient,
    Person,
    Quantity,
    Ratio,
    Report,
    Result,
    Specimen,
    Unit,
    Value,
)

Fact = tuple[str, str]
_CLASSES = {"F": "completed", "C": "completed", "X": "aborted"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that two reports do not say alike. ``""``: the report does not say it."""

    name: str
    one: str
    other: str

    def __str__(self) -> str:
        """The fact without its values, which are clinical."""
        how = "only in the first" if not self.other else "only in the second" if not self.one else "differs"
        return f"{self.name}: {how}"


def compare(one: Report, other: Report) -> list[Difference]:
    """Every fact that the two reports do not say alike, in the order of the first."""
    left, right = dict(facts(one)), dict(facts(other))
    names = [*left, *(name for name in right if name not in left)]
    return [
        Difference(name, left.get(name, ""), right.get(name, ""))
        for name in names
        if left.get(name, "") != right.get(name, "")
    ]


def facts(report: Report) -> Iterator[Fact]:
    """Everything that a report says, as names and texts; what it does not say is not there."""
    for name, text in _facts(report):
        if text:
            yield name, text


def _facts(report: Report) -> Iterator[Fact]:
    version = report.version
    yield "version.set", version.set_id
    yield "version.number", str(version.number)
    yield "version.replaces", version.replaces
    yield "time", _moment(report.time)
    yield from _patient(report.patient)
    yield from _circumstances(report)
    for number, chapter in enumerate(report.chapters, 1):
        yield from _chapter(f"chapter[{number}]", chapter)
    yield from _notes("report", report.notes)
    for number, enclosed in enumerate(report.enclosed, 1):
        yield f"enclosed[{number}]", f"{enclosed.code.code}|{enclosed.title}|{'/'.join(enclosed.lines)}"
        yield f"enclosed[{number}].xml", enclosed.xml
    yield from _files("copy", report.copies)
    yield from _files("other report", report.other_reports)


def _circumstances(report: Report) -> Iterator[Fact]:
    encounter, prescription = report.encounter, report.prescription
    yield "encounter.id", _identifier(encounter.id)
    yield "encounter.code", encounter.code.code if encounter.code else ""
    yield "encounter.start", _moment(encounter.start)
    yield "encounter.end", _moment(encounter.end)
    yield "orders", _each(map(_identifier, prescription.orders))
    yield "prescribers", _each(map(_person, prescription.prescribers))
    yield "prescription.time", _moment(prescription.time) if prescription.prescribers else ""
    yield "general practitioner", _person(prescription.general_practitioner)
    yield "laboratory", _laboratory(report.laboratory)
    yield "custodian", _organization(report.custodian)
    yield "responsible", _person(report.responsible)
    yield "received", _moment(report.received)
    yield "released", _moment(report.released or report.time)
    yield "requested", _each(map(_identifier, report.requested))
    yield "validators", _each(_person(one.person) for one in report.validators)
    yield "collectors", _each(f"{_person(who)} {_moment(when)}" for who, when in report.collectors)
    yield "recipients", _each(map(_person, report.recipients))
    yield (
        "contacts",
        _each(
            f"{one.kind} {one.relation.code if one.relation else ''} {_person(one.person)}" for one in report.contacts
        ),
    )


def _patient(one: Patient) -> Iterator[Fact]:
    yield "patient.ins", f"{one.ins.root} {one.ins.number}" if one.ins else ""
    yield "patient.ids", _each(map(_identifier, one.ids))
    yield "patient.family", one.family
    yield "patient.given", one.given
    yield "patient.birth given names", one.birth_given_names
    yield "patient.used", f"{one.used_family} {one.used_given}".strip()
    yield "patient.sex", one.sex
    yield "patient.birth date", _moment(one.birth_date)
    yield "patient.birth place", f"{one.birth_place} {one.birth_city}".strip()
    yield "patient.multiple birth", "" if one.multiple_birth is None else f"{one.multiple_birth} {one.birth_order}"
    yield "patient.deceased", _moment(one.deceased) if isinstance(one.deceased, Moment) else one.deceased or ""
    yield "patient.guardians", _each(map(_person, one.guardians))
    yield "patient.addresses", _each(map(_address, one.addresses))
    yield "patient.telecoms", _each(f"{each.uri} {each.use}" for each in one.telecoms)


def _chapter(at: str, chapter: Chapter) -> Iterator[Fact]:
    yield f"{at}.code", f"{chapter.code.system} {chapter.code.code}"
    yield f"{at}.title", chapter.title
    yield f"{at}.act", _concept(chapter.act)
    for number, panel in enumerate(chapter.panels, 1):
        yield from _panel(f"{at}.panel[{number}]", panel)
    for number, one in enumerate(chapter.sub_chapters, 1):
        yield from _chapter(f"{at}.sub-chapter[{number}]", one)


def _panel(at: str, panel: Panel) -> Iterator[Fact]:
    yield f"{at}.code", _concept(panel.code)
    yield f"{at}.status", _CLASSES.get(panel.status, "active") if panel.complete else "active"
    yield f"{at}.filler", _identifier(panel.filler)
    yield f"{at}.released", _moment(panel.released)
    for number, specimen in enumerate(panel.specimens, 1):
        yield from _specimen(f"{at}.specimen[{number}]", specimen)
    yield from _results(at, panel.results)
    for number, isolate in enumerate(panel.isolates, 1):
        yield from _isolate(f"{at}.isolate[{number}]", isolate)
    yield from _files(f"{at}.image", panel.images)
    yield from _notes(at, panel.notes)


def _isolate(at: str, isolate: Isolate) -> Iterator[Fact]:
    germ = isolate.germ
    yield f"{at}.germ", germ.text
    yield f"{at}.germ code", f"{germ.standard.system} {germ.standard.code}" if germ.standard else ""
    yield f"{at}.number", isolate.number
    yield f"{at}.id", _identifier(isolate.id)
    yield f"{at}.status", _CLASSES.get(isolate.status, "active") if isolate.complete else "active"
    yield f"{at}.time", _moment(isolate.time)
    yield from _results(at, isolate.results)
    for number, panel in enumerate(isolate.panels, 1):
        yield from _panel(f"{at}.test[{number}]", panel)
    yield from _notes(at, isolate.notes)


def _specimen(at: str, one: Specimen) -> Iterator[Fact]:
    yield f"{at}.id", _identifier(one.id)
    yield f"{at}.type", _concept(one.type)
    yield f"{at}.collected", f"{_moment(one.collected)} {_moment(one.collected_until)}".strip()
    yield f"{at}.received", _moment(one.received)
    yield f"{at}.collector", _person(one.collector)
    yield f"{at}.site", (one.site.text if not one.site.standard else one.site.standard.code) if one.site else ""
    yield f"{at}.nonconformity", one.nonconformity.text if one.nonconformity else ""
    yield f"{at}.act", _concept(one.act)


def _results(at: str, results: tuple[Result, ...]) -> Iterator[Fact]:
    """Awaited ones apart: a document shows them and does not code them."""
    made = [one for one in results if one.status != "I"]
    awaited = [one for one in results if one.status == "I"]
    for number, result in enumerate(made, 1):
        yield from _result(f"{at}.result[{number}]", result)
    for number, result in enumerate(awaited, 1):
        yield f"{at}.awaited[{number}]", f"{result.code.text}|{result.sub_id}"
        yield from _notes(f"{at}.awaited[{number}]", result.notes)


def _result(at: str, one: Result) -> Iterator[Fact]:
    yield f"{at}.code", _concept(one.code)
    yield f"{at}.status", one.status
    words = one.status == "X"
    yield f"{at}.value", _each((value.source if words else _value(value)) for value in one.values)
    yield f"{at}.unit", _unit(one.unit)
    usual = one.range
    yield f"{at}.range", (_value(usual.bounds) if usual.bounds else usual.source) if usual else ""
    yield f"{at}.flags", _each(flag.code for flag in one.flags)
    yield f"{at}.sub-id", one.sub_id
    yield f"{at}.time", _moment(one.time)
    yield f"{at}.method", _concept(one.method)
    yield f"{at}.devices", _each(f"{each.name} {_identifier(each.id)}" for each in one.devices)
    yield f"{at}.validations", _each(f"{_named(each.person)} {_moment(each.time)}" for each in one.validations)
    yield f"{at}.laboratory", _laboratory(one.laboratory)
    for number, previous in enumerate(one.previous, 1):
        values = _each(map(_value, previous.values))
        yield f"{at}.previous[{number}]", f"{values} {_unit(previous.unit)} {_moment(previous.time)}"
        yield f"{at}.previous[{number}].code", _concept(previous.code)
    yield from _notes(at, one.notes)


def _notes(at: str, notes: tuple[Note, ...]) -> Iterator[Fact]:
    for number, note in enumerate(notes, 1):
        said = "\n".join(note.lines)
        yield f"{at}.note[{number}]", f"{note.title} : {said}" if note.title else said


def _files(at: str, files: tuple[Attachment, ...]) -> Iterator[Fact]:
    for number, one in enumerate(files, 1):
        yield f"{at}[{number}]", f"{one.media_type} {one.laboratory} {one.data}"


def _each(found: Iterator[str]) -> str:
    return "; ".join(found)


def _moment(one: Moment | None) -> str:
    return f"{one.digits}{one.zone}" if one else ""


def _identifier(one: Identifier | None) -> str:
    return f"{one.root} {one.value}".strip() if one else ""


def _concept(one: Concept | None) -> str:
    if one is None or not one.text:
        return ""
    codes = sorted(f"{each.system} {each.code}" for each in one.others)
    main = f"{one.standard.system} {one.standard.code}" if one.standard else ""
    return f"{one.text} [{main}] {' '.join(codes)}".strip()


def _number(one: Number | None) -> str:
    return one.digits if one else ""


def _value(one: Value) -> str:
    if isinstance(one, Quantity):
        return one.number.digits
    if isinstance(one, Interval):
        low = f"{'[' if one.low_inclusive else ']'}{_number(one.low)}" if one.low else ""
        high = f"{_number(one.high)}{']' if one.high_inclusive else '['}" if one.high else ""
        return f"{low};{high}"
    if isinstance(one, Ratio):
        return f"{one.numerator.digits}:{one.denominator.digits}"
    if isinstance(one, Answer):
        return _concept(one.concept)
    if isinstance(one, Instant):
        return _moment(one.moment)
    return one.source


def _unit(one: Unit | None) -> str:
    return (one.ucum or one.source) if one else ""


def _address(one: Address | None) -> str:
    return ", ".join(one.shown()) if one else ""


def _organization(one: Organization | None) -> str:
    return f"{one.id} {one.name}".strip() if one else ""


def _person(one: Person | None) -> str:
    if one is None:
        return ""
    number = f"{one.id} " if one.id else ""
    profession = f" ({one.profession.code})" if one.profession else ""
    of = f" of {_organization(one.organization)}" if one.organization else ""
    return f"{number}{one.prefix} {one.suffix} {one.given} {one.family}{profession}{of}".strip()


def _laboratory(one: Laboratory | None) -> str:
    return f"{_organization(one.organization)}, {_named(one.director)}" if one else ""


def _named(one: Person) -> str:
    """Who somebody is; where a person works is not said with every result."""
    return " ".join(part for part in (one.id, one.suffix, one.given, one.family) if part)
