"""The whole report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.report.people import Contact, Laboratory, Organization, Patient, Person, Validation
from transforms.report.results import Attachment, Chapter, Panel, Result
from transforms.report.values import Coding, Identifier, Moment, Note


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
class Enclosed:
    """A section that the report carries as it came: context of a screening, vaccinations.

    lines: its words. xml: the section itself, its identifiers made unlike ours.
    """

    code: Coding
    title: str
    lines: tuple[str, ...]
    xml: str = ""
    place: str = ""


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
    contacts: tuple[Contact, ...] = ()
    released: Moment | None = None
    notes: tuple[Note, ...] = ()
    enclosed: tuple[Enclosed, ...] = ()
    copies: tuple[Attachment, ...] = ()
    other_reports: tuple[Attachment, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def complete(self) -> bool:
        """Every result is final, corrected or given up."""
        return all(panel.complete for panel in self.panels())

    def panels(self) -> Iterator[Panel]:
        """All panels, in order; those of isolates are in their isolate."""
        for chapter in self.chapters:
            yield from chapter.every_panel()

    def results(self) -> Iterator[Result]:
        """All results, in order, those of isolates too."""
        for panel in self.panels():
            yield from panel.every_result()
