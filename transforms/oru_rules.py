"""How one site reads its ORU: numbering spaces, code systems, units, chapters, people (``laboratory`` in site.yaml)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from zoneinfo import ZoneInfo

from channels.errors import MappingError, ProfileError
from channels.laboratory import Biologist, LaboratorySettings, Organization
from channels.ports import Context
from transforms import report
from transforms.measures import unit as read_unit
from transforms.moments import moment
from transforms.report import Address, Coding, Concept, Identifier, Moment, Person, Telecom, Unit
from transforms.tables import table, value_set

T = TypeVar("T")
OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")
_LOINC_CODE = re.compile(r"(\d{1,7})-(\d)")
_SYSTEMS = {
    "SCT": ("2.16.840.1.113883.6.96", "SNOMED CT"),
    "SNOMED-CT": ("2.16.840.1.113883.6.96", "SNOMED CT"),
    "I10": ("2.16.840.1.113883.6.3", "CIM-10"),
    "NABM": ("1.2.250.1.213.2.7", "NABM"),
    "UCUM": ("2.16.840.1.113883.6.8", "UCUM"),
}
TECHNIQUES = ("1.2.250.1.213.2.3.5", "ANSM – Table de codage commune des réactifs")
_POLYVALENT = "26436-6"
_LOINC_NAMES = frozenset({"LN", "LOINC", report.LOINC})
_STANDARD = frozenset({"2.16.840.1.113883.6.96", report.LOINC})


def required(value: T | None, setting: str, place: str = "") -> T:
    """The value of a setting. Raises ProfileError with its name when the site does not have it."""
    if value is None or value == ():
        raise ProfileError(f"needs the setting {setting} of site.yaml", place, "207")
    return value


def is_loinc(code: str) -> bool:
    """Whether a code has the shape of LOINC and the right check digit (mod 10, as in the LOINC users' guide)."""
    match = _LOINC_CODE.fullmatch(code)
    if not match:
        return False
    total = 0
    for position, digit in enumerate(reversed(match[1])):
        doubled = int(digit) * (1 if position % 2 else 2)
        total += doubled // 10 + doubled % 10
    return (10 - total % 10) % 10 == int(match[2])


class Rules:
    """The site's settings as the reader asks them."""

    def __init__(self, context: Context, application: str = "", facility: str = "") -> None:
        """application, facility: who sent the message (MSH-3.1, MSH-4.1).

        Raises ProfileError when the site has no laboratory, UnknownNameError when it names a table it has not.
        """
        settings: LaboratorySettings = required(context.site.laboratory, "laboratory")
        self.laboratory = settings.of(application, facility)
        self.zone: ZoneInfo = context.site.timezone
        self.ins_domain = context.site.ins_domain
        self.comma = self.laboratory.decimal_comma
        self.own = organization(self.laboratory, self.laboratory.practice_setting, self.laboratory.accreditation)
        self._units = _table(context, self.laboratory.units)
        self._chapters = _table(context, self.laboratory.chapters)
        self._sub_chapters = _table(context, self.laboratory.sub_chapters)
        self._flags = _table(context, self.laboratory.flags)
        self._methods = _table(context, self.laboratory.methods)
        self._specimens = _table(context, self.laboratory.specimens)
        self._germs = _table(context, self.laboratory.microorganisms)
        self._antibiotics = _table(context, self.laboratory.antibiotics)

    def when(self, text: str, place: str) -> Moment | None:
        """A date or time of the message, in the site's zone when it has none."""
        return moment(text, self.zone, place)

    def root(self, authority: tuple[str, str], setting: str, place: str) -> str:
        """OID of a numbering space: the one that the message gives, the one of its authority's name, else the default.

        authority: name and universal id (CX-4.1 and .2, EI-2 and .3). setting: name in ``laboratory.oids``.
        """
        name, universal = authority
        if OID.fullmatch(universal):
            return universal
        known = self.laboratory.authorities
        found = known.get(universal) or known.get(name) if universal or name else None
        return found or required(getattr(self.laboratory.oids, setting), f"laboratory.oids.{setting}", place)

    def order(self, parts: list[str], setting: str, place: str) -> Identifier | None:
        """An EI: number ^ namespace ^ universal id; None when it is empty."""
        number, name, universal = ([part.strip() for part in parts] + ["", "", ""])[:3]
        return Identifier(number, self.root((name, universal), setting, place), place) if number else None

    def system(self, name: str, place: str) -> tuple[str, str]:
        """OID and name of a code system as HL7 v2 names it; an unknown or local one is the laboratory's."""
        upper = name.upper()
        if name in self.laboratory.code_systems:
            return self.laboratory.code_systems[name], name
        if upper in _SYSTEMS:
            return _SYSTEMS[upper]
        if OID.fullmatch(name):
            return name, ""
        if upper.startswith("HL7") and upper[3:].isdigit():
            return f"2.16.840.1.113883.12.{int(upper[3:])}", name
        local = required(self.laboratory.oids.local_codes, "laboratory.oids.local_codes", place)
        return local, self.laboratory.name if upper in ("", "L") else name

    def concept(self, parts: list[str], place: str) -> Concept | None:
        """A CE, CWE or CNE, whatever the order of its triplets; None when it is empty.

        The standard code is LOINC or SNOMED CT; the words shown are the original text, else the laboratory's own.

        Raises:
            MappingError: a code is said to be LOINC and cannot be.
        """
        cells = [part.strip() for part in parts] + [""] * 12
        standard: Coding | None = None
        others: list[Coding] = []
        words = [cells[8]]
        named = []
        for start in (0, 3, 9):
            code, label, name = cells[start : start + 3]
            if name.upper() in _LOINC_NAMES and code:
                found = self._loinc(code, label, f"{place}.{start + 1}")
                named.append(label)
            elif code:
                oid, shown = self.system(name, f"{place}.{start + 3}")
                found = Coding(code, label or cells[8] or code, oid, shown, f"{place}.{start + 1}")
                (named if oid in _STANDARD else words).append(label)
            else:
                words.append(label)
                continue
            if standard is None and found.system in _STANDARD:
                standard = found
            else:
                others.append(found)
        text = next((one for one in (*words, *named) if one), "")
        if not text and (standard or others):
            text = (standard or others[0]).label
        return Concept(text, standard, tuple(dict.fromkeys(others)), place) if text else None

    def _loinc(self, code: str, label: str, place: str) -> Coding:
        if not is_loinc(code):
            raise MappingError("said to be LOINC, but not the shape or the check digit of a LOINC code", place)
        french = value_set("loinc_fr").get(code)
        return Coding(code, french or label or code, report.LOINC, "LOINC", place)

    def unit(self, parts: list[str], place: str) -> Unit | None:
        """OBX-6. Raises MappingError for a unit that no table knows, unless the site keeps it as text."""
        found = read_unit(parts, place, self._units)
        if found and not found.ucum and self.laboratory.unknown_unit == "refuse":
            raise MappingError("a unit that neither the table of units nor UCUM knows", place)
        return found

    def chapter(self, discipline: str, code: str, place: str) -> Coding:
        """LOINC chapter of an OBR by its code (site's table), else by OBR-24; else the polyvalent chapter."""
        known = table("chapters")
        labels = value_set("chapters")
        chosen = self._chapters(code) or self._chapters(discipline) or known.get(discipline.upper(), _POLYVALENT)
        if chosen not in labels:
            raise MappingError("the site's table gives a chapter that has no French label (chapters.csv)", place)
        return Coding(chosen, labels[chosen], report.LOINC, "LOINC")

    def sub_chapter(self, code: str, place: str) -> Coding | None:
        """LOINC sub-chapter of an OBR by its code, when the site's table has one."""
        chosen = self._sub_chapters(code)
        return self._loinc(chosen, "", place) if chosen else None

    def flag(self, code: str) -> str:
        """The interpretation code that the site's table gives, or ``""``."""
        return self._flags(code) or ""

    def specimen(self, code: str) -> str:
        """The code of HL7 table 0487 that the site's table gives, or ``""``."""
        return self._specimens(code) or ""

    def method(self, parts: list[str], place: str) -> Concept | None:
        """OBX-17, with the technique (ANSM) that the site's table gives its code."""
        return self._translated(self.concept(parts, place), self._methods, TECHNIQUES, place)

    def germ(self, concept: Concept, place: str) -> Concept:
        """A germ, with the SNOMED CT code that the site's table gives its code."""
        return self._translated(concept, self._germs, ("2.16.840.1.113883.6.96", "SNOMED CT"), place) or concept

    def antibiotic(self, concept: Concept, place: str) -> Concept:
        """An antibiotic, with the LOINC code that the site's table gives its code."""
        found = self._translated(concept, self._antibiotics, (report.LOINC, "LOINC"), place) or concept
        if found.standard and found.standard.system == report.LOINC:
            return replace(found, standard=self._loinc(found.standard.code, found.standard.label, place))
        return found

    @staticmethod
    def _translated(
        concept: Concept | None, table: Callable[[str], str | None], system: tuple[str, str], place: str
    ) -> Concept | None:
        """The concept, with a standard code by the first of its own codes (or its words) that the table knows."""
        if concept is None or concept.standard is not None:
            return concept
        for one in (*(other.code for other in concept.others), concept.text):
            known = table(one)
            if known:
                return replace(concept, standard=Coding(known, concept.text, *system, place))
        return concept

    def professional(self, person: Biologist) -> Person:
        """A biologist of the settings, at the laboratory."""
        return Person(
            person.family,
            person.given or "",
            person.civility or "",
            person.title or "",
            f"8{person.rpps}",
            self.profession(person.profession, "laboratory.biologists.profession"),
            self.own.address,
            self.own.telecom,
            self.own,
        )

    def profession(self, code: str, setting: str) -> Coding:
        """Profession and speciality with its label. Raises MappingError when the table has no such code."""
        label = value_set("professions").get(code)
        if label is None:
            raise MappingError(f"the setting {setting} is not a profession of the table professions.csv")
        return Coding(code, label, "1.2.250.1.213.1.1.4.5")

    def biologist(self, identifier: str) -> Biologist | None:
        """The biologist of the settings with this RPPS (11 digits, or 12 with the leading 8) or alias."""
        settings = self.laboratory
        for one in (settings.biologist, settings.director, *settings.biologists):
            if one is not None and identifier in (one.rpps, f"8{one.rpps}", *one.aliases):
                return one
        return None


def organization(
    settings: Organization, practice_setting: str = "", accreditation: str | None = None
) -> report.Organization:
    """An organization of the settings."""
    return report.Organization(
        settings.name,
        f"1{settings.finess}",
        Address(settings.address) if settings.address else None,
        Telecom(f"tel:{settings.telecom}", "WP") if settings.telecom else None,
        practice_setting,
        accreditation or "",
    )


def _table(context: Context, name: str | None) -> Callable[[str], str | None]:
    return context.table(name).translate if name else lambda _: None
