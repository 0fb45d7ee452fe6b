"""The laboratory report as a value, with no format: what readers give (ORU, later CDA, FHIR) and writers take.

Numbers keep the characters of their source (``digits`` differs from it only by a dot for a decimal comma); everything
carries its ``place`` in the source message, such as ``OBX[3]-5``, so that a fault or a trace can name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

LOINC = "2.16.840.1.113883.6.1"
RPPS_ROOT = "1.2.250.1.71.4.2.1"
FINESS_ROOT = "1.2.250.1.71.4.2.2"


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, or a date and time.

    digits: ``YYYY[MM[DD[HH[MM[SS]]]]]``, as precise as the source.
    zone: ``+0100`` when there are hours, ``""`` for a date.
    assumed: the zone is that of the site, the source gives none.
    """

    digits: str
    zone: str = ""
    assumed: bool = False
    place: str = ""

    def french(self) -> str:
        """``10/03/2026 à 08:15``; seconds when they are not zero."""
        digits = self.digits
        day = "/".join(part for part in (digits[6:8], digits[4:6], digits[:4]) if part)
        clock = ":".join(part for part in (digits[8:10], digits[10:12], digits[12:].removeprefix("00")) if part)
        if len(clock) == 2:
            clock += " h"
        return f"{day} à {clock}" if clock else day


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number in a numbering space. root: its OID."""

    value: str
    root: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of one code system. system: OID; name: the system's name as the source writes it."""

    code: str
    label: str
    system: str
    name: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """What a test, panel, germ, method... is: words, a standard code if there is one, and the other codes.

    standard: the LOINC code of a test or panel, the SNOMED CT code of an answer...
    others: the laboratory's own codes and further ones.
    """

    text: str
    standard: Coding | None = None
    others: tuple[Coding, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number. source: as written; digits: the same with a decimal dot."""

    source: str
    digits: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number."""

    number: Number
    place: str = ""

    @property
    def source(self) -> str:
        """As written."""
        return self.number.source


@dataclass(frozen=True, slots=True)
class Interval:
    """``<5``, ``>=10``, ``10-20``: one or two bounds. source: as shown."""

    source: str
    low: Number | None = None
    high: Number | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True
    place: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """``1:160``."""

    source: str
    numerator: Number
    denominator: Number
    place: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Words; lines are separated by a line feed."""

    source: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A coded answer."""

    concept: Concept
    place: str = ""

    @property
    def source(self) -> str:
        """The words that show it."""
        return self.concept.text


@dataclass(frozen=True, slots=True)
class Instant:
    """A date or time as a result. source: as written."""

    source: str
    moment: Moment
    place: str = ""


Value = Quantity | Interval | Ratio | Text | Answer | Instant


@dataclass(frozen=True, slots=True)
class Unit:
    """source: as written; ucum: its UCUM code, ``""`` when unknown.

    listed: the code may stand in ``@unit`` of a French report; one that is not (eGFR...) is a translation.
    """

    source: str
    ucum: str = ""
    listed: bool = False
    place: str = ""

    @property
    def dimensionless(self) -> bool:
        """A pure number: no unit, or nothing but an annotation such as ``{INR}``."""
        return self.ucum == "1" or (not self.listed and self.ucum.startswith("{") and self.ucum.endswith("}"))


@dataclass(frozen=True, slots=True)
class Range:
    """Usual values. bounds: None when they are words, or not sure enough to be read as numbers."""

    source: str
    bounds: Interval | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """One interpretation. label: ``""`` when the code is not of the French value set; then it is only shown."""

    code: str
    label: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A comment, line by line."""

    lines: tuple[str, ...]
    title: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Telecom:
    """A URI such as ``tel:0240000000``. use: CDA code (H, WP, MC) or ``""``."""

    uri: str
    use: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Either parts or lines. use: CDA code (H, TMP) or ``""``."""

    lines: tuple[str, ...] = ()
    street: str = ""
    more: str = ""
    postal_code: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    use: str = ""

    def shown(self) -> tuple[str, ...]:
        """Line by line, as printed."""
        town = " ".join(part for part in (self.postal_code, self.city) if part)
        return self.lines or tuple(part for part in (self.street, self.more, town, self.state, self.country) if part)


@dataclass(frozen=True, slots=True)
class Organization:
    """id: FINESS with its leading digit (``1`` + 9), or ``""``."""

    name: str
    id: str = ""
    address: Address | None = None
    telecom: Telecom | None = None
    practice_setting: str = ""
    accreditation: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A professional. id: national number with its leading digit (``8`` + RPPS), or ``""``."""

    family: str
    given: str = ""
    prefix: str = ""
    suffix: str = ""
    id: str = ""
    profession: Coding | None = None
    address: Address | None = None
    telecom: Telecom | None = None
    organization: Organization | None = None
    place: str = ""

    def shown(self) -> str:
        """``Dr Anne BIOLOGISTE``."""
        title = {"DR": "Dr", "PR": "Pr", "M": "M.", "MME": "Mme"}.get(self.suffix or self.prefix, "")
        return " ".join(part for part in (title, self.given, self.family) if part)


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Who made the tests."""

    organization: Organization
    director: Person
    facility_type: Coding | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """Who validated, and when if known."""

    person: Person
    time: Moment | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """An analyser. id: None when its number has no numbering space."""

    name: str
    id: Identifier | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Specimen:
    """What was taken. type: None when the source does not say."""

    id: Identifier | None
    type: Concept | None = None
    collected: Moment | None = None
    collected_until: Moment | None = None
    received: Moment | None = None
    collector: Person | None = None
    site: Concept | None = None
    nonconformity: Concept | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One test.

    status: HL7 table 0085 letter: F final, C corrected, P R S not final, X cannot be obtained, I awaited.
    values: several when the source repeats them; none for X and I.
    laboratory: the one that made it, when it is not the report's.
    """

    code: Concept
    values: tuple[Value, ...]
    status: str
    unit: Unit | None = None
    range: Range | None = None
    flags: tuple[Flag, ...] = ()
    sub_id: str = ""
    time: Moment | None = None
    method: Concept | None = None
    device: Device | None = None
    validations: tuple[Validation, ...] = ()
    laboratory: Laboratory | None = None
    notes: tuple[Note, ...] = ()
    place: str = ""

    @property
    def final(self) -> bool:
        """Validated: final or corrected."""
        return self.status in ("F", "C")


@dataclass(frozen=True, slots=True)
class Panel:
    """The results of one request line (OBR).

    status: HL7 table 0123 letter: F final, C corrected, X cancelled; any other is not complete.
    """

    code: Concept
    results: tuple[Result, ...]
    status: str
    placer: Identifier | None = None
    filler: Identifier | None = None
    specimens: tuple[Specimen, ...] = ()
    released: Moment | None = None
    notes: tuple[Note, ...] = ()
    place: str = ""

    @property
    def complete(self) -> bool:
        """Nothing of it is awaited or not validated."""
        return self.status in ("F", "C", "X") and all(result.status in ("F", "C", "X") for result in self.results)


@dataclass(frozen=True, slots=True)
class Chapter:
    """The panels of one discipline. code: LOINC."""

    code: Coding
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with the report. data: base64, checked."""

    media_type: str
    data: str
    title: str = ""
    laboratory: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Ins:
    """The national health identity, qualified."""

    number: str
    root: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient. sex: M, F or UN; birth_place: COG code of the commune or country.

    birth_given_names: the whole list; given: the first of them.
    used_family, used_given: the names in use, when they are given.
    """

    family: str
    given: str
    birth_given_names: str
    sex: str
    birth_date: Moment
    ins: Ins | None = None
    ids: tuple[Identifier, ...] = ()
    used_family: str = ""
    used_given: str = ""
    birth_place: str = ""
    birth_city: str = ""
    deceased: Moment | Literal["yes", "no"] | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    place: str = "PID"


@dataclass(frozen=True, slots=True)
class Encounter:
    """The stay or visit. code: JDV_J142, None when unknown."""

    id: Identifier | None = None
    code: Coding | None = None
    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class Prescription:
    """Who asked, when, under which numbers."""

    orders: tuple[Identifier, ...] = ()
    prescribers: tuple[Person, ...] = ()
    time: Moment | None = None
    general_practitioner: Person | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """set_id: the same for all versions of a report; replaces: id of the version before. All are UUIDs."""

    id: str
    set_id: str
    number: int = 1
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the source that the report does not carry, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report.

    time: creation of this version; received: of the request and specimens; released: of the results.
    requested: the laboratory's own numbers of the request.
    responsible: the biologist who answers for it; validators: the others who validated.
    copies: PDF of the whole report as the laboratory sent it; other_reports: PDF of other laboratories.
    """

    version: Version
    time: Moment
    patient: Patient
    encounter: Encounter
    prescription: Prescription
    laboratory: Laboratory
    custodian: Organization
    responsible: Person
    chapters: tuple[Chapter, ...]
    received: Moment
    requested: tuple[Identifier, ...] = ()
    validators: tuple[Validation, ...] = ()
    collectors: tuple[tuple[Person, Moment | None], ...] = ()
    recipients: tuple[Person, ...] = ()
    released: Moment | None = None
    notes: tuple[Note, ...] = ()
    copies: tuple[Attachment, ...] = ()
    other_reports: tuple[Attachment, ...] = ()
    left_out: tuple[LeftOut, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Every result is final, corrected or given up."""
        return all(panel.complete for chapter in self.chapters for panel in chapter.panels)

    def results(self) -> Iterator[Result]:
        """All results, in order."""
        for chapter in self.chapters:
            for panel in chapter.panels:
                yield from panel.results
