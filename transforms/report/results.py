"""Results of a report, from the single test to the chapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.report.people import Laboratory, Person, Validation
from transforms.report.values import Coding, Concept, Flag, Identifier, Moment, Note, Range, Unit, Value

_DONE = frozenset("FCX")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with the report. data: base64, checked. laboratory: name of the one that made it."""

    media_type: str
    data: str
    title: str = ""
    laboratory: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """What a test was made with.

    id: None when its number has no numbering space. consumable: a medium or reagent, not a machine or kit.
    """

    name: str
    id: Identifier | None = None
    code: Coding | None = None
    consumable: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Specimen:
    """What was taken. type: None when the source does not say. act: the sampling act (NABM) when it is known."""

    id: Identifier | None
    type: Concept | None = None
    collected: Moment | None = None
    collected_until: Moment | None = None
    received: Moment | None = None
    collector: Person | None = None
    site: Concept | None = None
    nonconformity: Concept | None = None
    act: Concept | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Previous:
    """An earlier result of the same test. code: when it is not that of the test."""

    values: tuple[Value, ...]
    time: Moment
    unit: Unit | None = None
    code: Concept | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One test.

    status: HL7 table 0085 letter: F final, C corrected, P R S not final, X cannot be obtained, I awaited.
    values: several when the source repeats them; none for X and I.
    laboratory: the one that made it, when it is not the report's.
    previous: the latest first, as the source gives them.
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
    devices: tuple[Device, ...] = ()
    validations: tuple[Validation, ...] = ()
    laboratory: Laboratory | None = None
    notes: tuple[Note, ...] = ()
    previous: tuple[Previous, ...] = ()
    place: str = ""

    @property
    def final(self) -> bool:
        """Validated: final or corrected."""
        return self.status in ("F", "C")


@dataclass(frozen=True, slots=True)
class Isolate:
    """One germ of a culture.

    germ: SNOMED CT when it is known, else words. number: the laboratory's (OBX-4).
    results: identification, count...; panels: susceptibility tests. status: as for Panel.
    """

    germ: Concept
    status: str
    results: tuple[Result, ...] = ()
    panels: tuple[Panel, ...] = ()
    number: str = ""
    id: Identifier | None = None
    time: Moment | None = None
    notes: tuple[Note, ...] = ()
    place: str = ""

    @property
    def complete(self) -> bool:
        """Nothing of it is awaited or not validated."""
        return self.status in _DONE and _complete(self.results) and all(one.complete for one in self.panels)

    def every_result(self) -> Iterator[Result]:
        """Its results, then those of its susceptibility tests."""
        yield from self.results
        for panel in self.panels:
            yield from panel.every_result()


@dataclass(frozen=True, slots=True)
class Panel:
    """The results of one request line (OBR). code: without text when the source gives the group no name.

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
    isolates: tuple[Isolate, ...] = ()
    images: tuple[Attachment, ...] = ()
    place: str = ""

    @property
    def complete(self) -> bool:
        """Nothing of it is awaited or not validated."""
        return self.status in _DONE and _complete(self.results) and all(one.complete for one in self.isolates)

    def every_result(self) -> Iterator[Result]:
        """Its results, then those of its isolates."""
        yield from self.results
        for isolate in self.isolates:
            yield from isolate.every_result()


def _complete(results: tuple[Result, ...]) -> bool:
    return all(one.status in _DONE for one in results)


@dataclass(frozen=True, slots=True)
class Chapter:
    """The panels of one discipline, or its sub-chapters. code: LOINC.

    title: when it is not the label of the code. act: what the group of its results is called, when it is not the code.
    """

    code: Coding
    panels: tuple[Panel, ...]
    title: str = ""
    act: Concept | None = None
    sub_chapters: tuple[Chapter, ...] = ()

    def every_panel(self) -> Iterator[Panel]:
        """Its panels, or those of its sub-chapters."""
        yield from self.panels
        for one in self.sub_chapters:
            yield from one.every_panel()
