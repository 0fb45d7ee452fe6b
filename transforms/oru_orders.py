"""ORC, OBR, SPM and what hangs on them: one panel of the report for each OBR.

Source: HL7 v2.5 chapters 4 (ORC, OBR) and 7 (SPM), table 0123.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from channels.errors import MappingError, ProfileError
from transforms.oru_lines import Line
from transforms.oru_people import people
from transforms.oru_results import observation
from transforms.oru_rules import Rules
from transforms.report import Attachment, Coding, Concept, Identifier, LeftOut, Moment, Note, Panel, Result, Specimen
from transforms.tables import value_set

_STATUSES = frozenset("FCXPASRIOZY")
_SPECIMEN_TABLES = frozenset({"", "HL70487", "HL70070", "0487", "0070"})


@dataclass(slots=True)
class Order:
    """The segments of one order group. followers: where an NTE goes, that is with the segment just before it."""

    common: Line | None = None
    request: Line | None = None
    notes: list[Line] = field(default_factory=list)
    observations: list[tuple[Line, list[Line]]] = field(default_factory=list)
    specimens: list[tuple[Line, list[Line]]] = field(default_factory=list)
    followers: list[Line] | None = None
    specimen_first: bool = False

    def add(self, line: Line) -> None:
        """An OBX or SPM. An OBX after an SPM describes the specimen, unless SPM comes before all results."""
        if line.id == "SPM":
            self.specimen_first = self.specimen_first or not self.observations
            self.specimens.append((line, []))
            self.followers = self.specimens[-1][1]
        elif self.specimens and not self.specimen_first:
            self.followers = self.specimens[-1][1]
            self.followers.append(line)
        else:
            self.observations.append((line, []))
            self.followers = self.observations[-1][1]

    def note(self, line: Line) -> None:
        """An NTE: of the element just before it."""
        (self.notes if self.followers is None else self.followers).append(line)


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """What one order group gives. panel: None when it only carries files or directions."""

    order: Order
    panel: Panel | None
    chapter: Coding
    attachments: tuple[Attachment, ...]
    left_out: tuple[LeftOut, ...]


def panel(order: Order, rules: Rules) -> ReadOrder:
    """Read one order group."""
    obr = order.request
    if obr is None:
        raise ProfileError(
            "an order without its request line (OBR)", order.common.place if order.common else "OBR", "100"
        )
    if obr.value(26) or obr.value(29):
        raise ProfileError("a result linked to an isolate or to another order is not carried yet", obr.at(26))
    given = obr.value(25).upper()
    if given and given not in _STATUSES:
        raise MappingError("not a status of HL7 table 0123", obr.at(25))
    results: list[Result] = []
    attachments: list[Attachment] = []
    left_out: list[LeftOut] = []
    for obx, ntes in order.observations:
        found = observation(obx, notes(ntes), given, rules)
        if found.result:
            results.append(found.result)
        elif found.attachment:
            attachments.append(found.attachment)
        elif found.left_out:
            left_out.append(found.left_out)
    chapter = rules.chapter(obr.value(24), obr.value(4), obr.at(24))
    carries = bool(results) or not (attachments or left_out)
    made = _panel(order, obr, given, tuple(results), rules) if carries else None
    return ReadOrder(order, made, chapter, tuple(attachments), tuple(left_out))


def _panel(order: Order, obr: Line, given: str, results: tuple[Result, ...], rules: Rules) -> Panel:
    code = rules.concept(obr.parts(4), obr.at(4))
    if code is None:
        raise ProfileError("an order without code or name", obr.at(4))
    orc = order.common
    placer = rules.order(obr.parts(2), "placer_order", obr.at(2))
    filler = rules.order(obr.parts(3), "filler_order", obr.at(3))
    if orc:
        placer = placer or rules.order(orc.parts(2), "placer_order", orc.at(2))
        filler = filler or rules.order(orc.parts(3), "filler_order", orc.at(3))
    return Panel(
        code,
        results,
        given or _derived(results),
        placer,
        filler,
        _specimens(order, obr, filler, rules),
        rules.when(obr.value(22), obr.at(22)),
        (*_clinical(obr), *notes(order.notes), *_specimen_notes(order)),
        obr.place,
    )


def _derived(results: tuple[Result, ...]) -> str:
    """OBR-25 from the statuses of the results."""
    statuses = {one.status for one in results}
    if statuses == {"X"}:
        return "X"
    if statuses & set("PRSI"):
        return "P"
    return "C" if "C" in statuses else "F"


def _clinical(obr: Line) -> tuple[Note, ...]:
    text = "\n".join(one for one in obr.texts(13) if one.strip() and one != '""')
    return (Note(tuple(text.split("\n")), "Renseignements cliniques", obr.at(13)),) if text else ()


def notes(ntes: list[Line]) -> tuple[Note, ...]:
    """Consecutive NTE are one comment; every repetition of NTE-3 is a line."""
    lines = [line for nte in ntes if nte.id == "NTE" for text in nte.texts(3) or [""] for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    return (Note(tuple(lines), place=ntes[0].place),) if lines else ()


def _specimen_notes(order: Order) -> tuple[Note, ...]:
    """What NTE and OBX say of a specimen."""
    found = []
    for spm, followers in order.specimens:
        lines = []
        for line in followers:
            if line.id == "NTE":
                lines += [text for one in line.texts(3) for text in one.split("\n")]
                continue
            name = line.value(3, 2) or line.value(3, 5) or line.value(3)
            value = " ".join(part.replace("^", " ").strip() for part in line.texts(5))
            lines.append(f"{name} : {value} {line.value(6)}".strip())
        description = [text for text in spm.texts(14) if text.strip()]
        if lines or description:
            found.append(Note((*description, *lines), "Échantillon", spm.place))
    return tuple(found)


def _specimens(order: Order, obr: Line, filler: Identifier | None, rules: Rules) -> tuple[Specimen, ...]:
    collectors = people(obr, 10, rules)
    collector = collectors[0] if collectors else None
    collected, until = rules.when(obr.value(7), obr.at(7)), rules.when(obr.value(8), obr.at(8))
    received = rules.when(obr.value(14), obr.at(14))
    if not order.specimens:
        kind = _specimen_type(obr.subs(15, 1), obr.at(15), rules)
        if kind is None and collected is None and received is None:
            return ()
        return (Specimen(filler, kind, *_span(collected, until), received, collector, place=obr.at(15)),)
    found = []
    for spm, _ in order.specimens:
        begin = rules.when(spm.value(17), spm.at(17)) or collected
        end = rules.when(spm.value(17, 2), spm.at(17)) or (until if begin is collected else None)
        found.append(
            Specimen(
                _specimen_id(spm, rules) or filler,
                _specimen_type(spm.parts(4), spm.at(4), rules),
                *_span(begin, end),
                rules.when(spm.value(18), spm.at(18)) or received,
                collector,
                rules.concept(spm.parts(8), spm.at(8)),
                rules.concept(spm.parts(21), spm.at(21)) or rules.concept(spm.parts(24), spm.at(24)),
                spm.place,
            )
        )
    return tuple(found)


def _span(begin: Moment | None, end: Moment | None) -> tuple[Moment | None, Moment | None]:
    """A time range; one instant when both ends are the same."""
    return begin, end if end and begin and end.digits != begin.digits else None


def _specimen_id(spm: Line, rules: Rules) -> Identifier | None:
    """SPM-2: the filler's number, else the placer's."""
    for component in (2, 1):
        one = rules.order(spm.subs(2, component), "specimen", spm.at(2))
        if one:
            return one
    return None


def _specimen_type(parts: list[str], place: str, rules: Rules) -> Concept | None:
    """A code of HL7 table 0487 that the French value set holds, else words."""
    cells = [*(part.strip() for part in parts), "", "", ""]
    code, label, system = cells[:3]
    known = value_set("specimen_types").get(code) if system.upper() in _SPECIMEN_TABLES else None
    if known:
        oid = value_set("specimen_types", "system")[code]
        return Concept(label or known, Coding(code, known, oid, place=place), place=place)
    found = rules.concept(parts, place)
    return (
        Concept(found.text, None, found.others or ((found.standard,) if found.standard else ()), place)
        if found
        else None
    )
