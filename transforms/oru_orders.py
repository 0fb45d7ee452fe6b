"""ORC, OBR, SPM and what hangs on them: one panel of the report for each OBR.

Source: HL7 v2.5 chapters 4 (ORC, OBR) and 7 (SPM), table 0123.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from channels.errors import MappingError, ProfileError
from transforms import er7
from transforms.oru_lines import Line
from transforms.oru_people import people
from transforms.oru_results import Found, observation
from transforms.oru_rules import Rules
from transforms.oru_series import settle
from transforms.report import Attachment, Coding, Concept, Identifier, LeftOut, Moment, Note, Panel, Result, Specimen
from transforms.tables import value_set

_STATUSES = frozenset("FCXPASRIOZY")
_OUTSIDE = er7.parse("MSH|^~\\&\rOBR|1|||^Autres résultats\r".encode())
_SPECIMEN_TABLES = frozenset({"", "HL70487", "HL70070", "0487", "0070"})


@dataclass(slots=True)
class Order:
    """The segments of one order group. followers: where an NTE goes, that is with the segment just before it.

    outside: results that no OBR precedes, kept in a panel of their own.
    """

    common: Line | None = None
    request: Line | None = None
    notes: list[Line] = field(default_factory=list)
    observations: list[tuple[Line, list[Line]]] = field(default_factory=list)
    specimens: list[tuple[Line, list[Line]]] = field(default_factory=list)
    followers: list[Line] | None = None
    specimen_first: bool = False
    outside: bool = False

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
class Parent:
    """What an order is the follow-up of (OBR-26, OBR-29, ORC-8).

    codes, sub_id, text: of the parent result; empty when the order has only a parent order. group: ORC-8 as it is.
    """

    placer: str = ""
    filler: str = ""
    group: str = ""
    codes: frozenset[str] = frozenset()
    sub_id: str = ""
    text: str = ""
    place: str = ""

    @property
    def result(self) -> bool:
        """It names a result, not only an order."""
        return bool(self.codes or self.sub_id or self.text)


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """What one order group gives. head: its numbers, specimens, times; panel: None when it has no result.

    found: one for each result of the panel, in its order. withdrawn: results that the laboratory deleted.
    """

    order: Order
    head: Panel
    panel: Panel | None
    chapter: Coding
    attachments: tuple[Attachment, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    sub_chapter: Coding | None = None
    found: tuple[Found, ...] = ()
    withdrawn: tuple[Found, ...] = ()
    parent: Parent | None = None
    numbers: tuple[str, str] = ("", "")
    """Placer and filler numbers, as written."""


def panel(order: Order, rules: Rules, *, structured: bool = True) -> ReadOrder:
    """Read one order group. structured: False reads its files, and leaves its results to them."""
    obr = _request(order)
    given = obr.value(25).upper()
    if given and given not in _STATUSES:
        raise MappingError("not a status of HL7 table 0123", obr.at(25))
    read, skipped = _observations(order, given, rules, structured=structured)
    attachments = tuple(one.attachment for one in read if one.attachment)
    kept, replaced = settle([one for one in read if one.result], rules.when(obr.value(7), obr.at(7)), rules)
    images = tuple(one for one in attachments if one.media_type.startswith("image/"))
    left_out = (*skipped, *(one.left_out for one in read if one.left_out), *replaced)
    carries = bool(kept) or bool(images) or not (attachments or left_out)
    results = tuple(one.result for one in kept if one.result)
    made = _panel(order, obr, given, results, images, rules)
    if carries and not made.code.text:
        raise ProfileError("an order without code or name", obr.at(4))
    orc = order.common
    return ReadOrder(
        order,
        made,
        made if carries and structured else None,
        rules.chapter(obr.value(24), obr.value(4), obr.at(24)),
        tuple(one for one in attachments if one not in images),
        left_out,
        rules.sub_chapter(obr.value(4), obr.at(4)),
        tuple(kept),
        tuple(one for one in read if one.withdrawn),
        _parent(order, obr),
        (obr.value(2) or (orc.value(2) if orc else ""), obr.value(3) or (orc.value(3) if orc else "")),
    )


def _request(order: Order) -> Line:
    if order.request is not None:
        return order.request
    if order.outside:
        return Line(_OUTSIDE, _OUTSIDE.segments[1], order.observations[0][0].place if order.observations else "OBX")
    place = order.common.place if order.common else "OBR"
    raise ProfileError("an order without its request line (OBR)", place, "100")


def _observations(
    order: Order, given: str, rules: Rules, *, structured: bool
) -> tuple[list[Found], list[LeftOut]]:  # fmt: skip
    """What its OBX give; without structure, those that are files."""
    read: list[Found] = []
    skipped: list[LeftOut] = []
    for obx, ntes in order.observations:
        if structured or obx.value(2).upper() in ("ED", "RP"):
            read.append(observation(obx, notes(ntes), given, rules))
        else:
            skipped.append(LeftOut(obx.place, "in the laboratory's PDF, which is the body of the document"))
    return read, skipped


def _parent(order: Order, obr: Line) -> Parent | None:
    """OBR-26 (parent result), OBR-29 and ORC-8 (parent order: placer ^ filler)."""
    subs = obr.subs(26, 1)
    codes = frozenset(part.strip() for part in (subs[:1] + subs[3:4]) if part.strip())
    common = order.common
    group = common.value(8, 1, 1) + "|" + common.value(8, 2, 1) if common else ""
    found = Parent(
        obr.value(29, 1, 1),
        obr.value(29, 2, 1),
        group.strip("|") or obr.value(29, 1, 1) + obr.value(29, 2, 1),
        codes,
        obr.value(26, 2),
        obr.value(26, 3) or (subs[1].strip() if len(subs) > 1 and not obr.value(26, 2) and not codes else ""),
        obr.at(26) if obr.value(26) or obr.value(26, 2) or obr.value(26, 3) else obr.at(29),
    )
    return found if found.result or found.placer or found.filler or found.group else None


def _panel(
    order: Order, obr: Line, given: str, results: tuple[Result, ...], images: tuple[Attachment, ...], rules: Rules
) -> Panel:
    code = rules.concept(obr.parts(4), obr.at(4)) or Concept("")
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
        (*_clinical(obr), *notes(order.notes), *_specimen_notes(order), *_technician(obr)),
        images=images,
        place=obr.place,
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
    """Clinical information (OBR-13) and the reason of the study (OBR-31)."""
    found = []
    for number, title in ((13, "Renseignements cliniques"), (31, "Motif de l'examen")):
        if number == 31:  # CE
            shown = [
                cells[1].strip() or cells[0].strip() if len(cells) > 1 else cells[0].strip() for cells in obr.all(31)
            ]
        else:
            shown = obr.texts(number)
        text = "\n".join(one for one in shown if one.strip() and one != '""')
        if text:
            found.append(Note(tuple(text.split("\n")), title, obr.at(number)))
    return tuple(found)


def _technician(obr: Line) -> tuple[Note, ...]:
    """Technical validation: OBR-34 (NDL, whose first component is a CNN)."""
    said = []
    for number in range(1, len(obr.all(34)) + 1):
        cells = [part.strip() for part in obr.subs(34, 1, number)] + ["", "", ""]
        name = " ".join(part for part in (cells[2], cells[1]) if part) or cells[0]
        if name:
            said.append(name)
    return (Note((", ".join(said),), "Validation technique", obr.at(34)),) if said else ()


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
                place=spm.place,
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
    translated = rules.specimen(code)
    if translated:
        system, code = "", translated
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
