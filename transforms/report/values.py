"""Values of a report: codes, numbers, moments, results."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

LOINC = "2.16.840.1.113883.6.1"
SNOMED_CT = "2.16.840.1.113883.6.96"


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

    @property
    def shown(self) -> str:
        """``10/03/2026 à 08:15``."""
        return self.moment.french()


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
