"""Entries of a chapter of a CDA document that is read: specimens, panels, isolates, results.

What our own writer tells in the narrative only (a sub-id, a unit that may not stand in ``@unit``, an interpretation
that is not of the value set, that a result is provisional) is found again by its identifiers: ``transforms.cda.rows``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from transforms.cda.reader_people import assigned, laboratory, validation
from transforms.cda.reader_values import as_shown, read_range, read_value, unit_shown
from transforms.cda.reader_written import as_written, ours
from transforms.cda.reader_xml import (
    Element,
    Source,
    child,
    children,
    coding,
    concept,
    has_template,
    identifier,
    local,
    moment,
    place,
    text,
    value,
)
from transforms.report import (
    Attachment,
    Coding,
    Concept,
    Device,
    Flag,
    Isolate,
    Laboratory,
    Note,
    Panel,
    Previous,
    Result,
    Specimen,
    Unit,
    Validation,
    Value,
)
from transforms.tables import value_set

_SAMPLING = "33882-2"
_GROUP = ("templateId", "id", "code", "statusCode", "effectiveTime", "performer", "participant")
_ACT = frozenset((*_GROUP, "text", "entryRelationship"))
_ORGANIZER = frozenset((*_GROUP, "specimen", "component"))
_OBSERVATION = frozenset(
    (*_GROUP, "text", "value", "interpretationCode", "methodCode", "entryRelationship", "referenceRange")
)
_STATUSES = {"active": "P", "aborted": "X"}


@dataclass(slots=True)
class Shared:
    """What a group says once for all its results."""

    laboratory: Laboratory | None = None
    validations: tuple[Validation, ...] = ()
    devices: tuple[Device, ...] = ()


@dataclass(slots=True)
class _Group:
    """An act or organizer being read."""

    panels: list[Panel] = field(default_factory=list)
    specimens: list[Specimen] = field(default_factory=list)

    def last(self) -> Panel:
        """The panel before, or a new one without name."""
        if not self.panels:
            self.panels.append(Panel(Concept(""), (), "F"))
        return self.panels[-1]

    def change(self, panel: Panel) -> None:
        self.panels[-1] = panel


def read_act(act: Element, own: str, source: Source) -> tuple[Panel, ...]:
    """FR-Resultats-examens-de-biologie-medicale. own: id of the laboratory that signs, which needs no performer."""
    source.skip_others(act, _ACT)
    shared = _shared(act, Shared(), own, source)
    group = _Group()
    for relation in children(act, "entryRelationship"):
        for one in relation:
            _read_part(one, group, shared, own, source)
    found = []
    for panel in group.panels:
        status = _panel_status(value(act, "statusCode", name="code"), panel) if not panel.place else panel.status
        found.append(replace(panel, status=status, specimens=(*group.specimens, *panel.specimens)))
    return tuple(found)


def _read_part(one: Element, group: _Group, shared: Shared, own: str, source: Source) -> None:
    name = local(one)
    if name == "procedure":
        group.specimens.append(_specimen(one, source))
    elif name == "organizer" and one.get("classCode") == "BATTERY":
        group.panels.append(_panel(one, shared, own, source))
    elif name == "organizer" and one.get("classCode") == "CLUSTER":
        last = group.last()
        group.change(replace(last, isolates=(*last.isolates, _isolate(one, shared, own, source))))
    elif name == "observation":
        if not group.panels or group.panels[-1].place:
            group.panels.append(Panel(Concept(""), (), "F"))
        last = group.last()
        result, specimens = _result(one, shared, own, source)
        group.change(replace(last, results=(*last.results, result), specimens=(*last.specimens, *specimens)))
    elif name == "observationMedia":
        last = group.last()
        group.change(replace(last, images=(*last.images, _image(one, source))))
    elif name == "act":
        last = group.last()
        group.change(replace(last, notes=(*last.notes, *_note(one, source))))
    elif name:
        source.skip(one, "an entry that a report does not carry")


def _shared(element: Element, above: Shared, own: str, source: Source) -> Shared:
    """Performer, validators and devices of an element, else those of the group that it is in."""
    made = above.laboratory
    for performer in children(element, "performer"):
        one = laboratory(performer)
        made = one if one.organization.id != own or not own else None
    validations = []
    devices = []
    for participant in children(element, "participant"):
        kind = participant.get("typeCode")
        found = validation(participant) if kind in ("AUTHEN", "RESP") else None
        if found:
            validations.append(found)
        elif kind in ("DEV", "CSM"):
            devices.append(_device(participant, source))
        else:
            source.skip(participant, "a participant that a report does not carry")
    return Shared(made, tuple(validations) or above.validations, tuple(devices) or above.devices)


def _device(participant: Element, source: Source) -> Device:
    role = child(participant, "participantRole")
    device = child(role, "playingDevice")
    code = coding(child(device, "code"))
    shown = source.referred(child(device, "code", "originalText"))
    name = text(device, "manufacturerModelName") or shown or (code.label if code else "")
    number = identifier(child(role, "id"))
    return Device(name, number, code, participant.get("typeCode") == "CSM", place(participant))


def _panel(organizer: Element, above: Shared, own: str, source: Source) -> Panel:
    source.skip_others(organizer, _ORGANIZER)
    shared = _shared(organizer, above, own, source)
    group = _Group([Panel(Concept(""), (), "F")])
    for component in children(organizer, "component"):
        for one in component:
            _read_part(one, group, shared, own, source)
    found = group.panels[0]
    if len(group.panels) > 1:
        source.skip(organizer, "panels inside a panel: their names are not carried")
        for more in group.panels[1:]:
            found = replace(found, results=(*found.results, *more.results), notes=(*found.notes, *more.notes))
    return replace(
        found,
        code=concept(child(organizer, "code"), source) or Concept(""),
        status=_panel_status(value(organizer, "statusCode", name="code"), found),
        filler=identifier(child(organizer, "id")),
        specimens=(*group.specimens, *found.specimens),
        released=moment(organizer, "effectiveTime") or moment(organizer, "effectiveTime", "high"),
        place=place(organizer),
    )


def _panel_status(code: str, panel: Panel | Isolate) -> str:
    if code in _STATUSES:
        return _STATUSES[code]
    return "C" if any(one.status == "C" for one in panel.results) else "F"


def _isolate(organizer: Element, above: Shared, own: str, source: Source) -> Isolate:
    source.skip_others(organizer, _ORGANIZER)
    shared = _shared(organizer, above, own, source)
    role = child(organizer, "specimen", "specimenRole")
    code = child(role, "specimenPlayingEntity", "code")
    results: list[Result] = []
    panels: list[Panel] = []
    notes: list[Note] = []
    for component in children(organizer, "component"):
        for one in component:
            name = local(one)
            if name == "observation":
                results.append(_result(one, shared, own, source)[0])
            elif name == "organizer":
                panels.append(_panel(one, shared, own, source))
            elif name == "act":
                notes += _note(one, source)
            elif name:
                source.skip(one, "an entry that an isolate does not carry")
    reference = value(child(code, "originalText"), "reference")
    found = Isolate(
        concept(code, source) or Concept(""),
        "F",
        tuple(results),
        tuple(panels),
        source.words(f"j{reference[2:]}") if reference.startswith("#i") else "",
        identifier(child(role, "id")),
        moment(organizer, "effectiveTime"),
        tuple(notes),
        place(organizer),
    )
    return replace(found, status=_panel_status(value(organizer, "statusCode", name="code"), found))


def _image(media: Element, source: Source) -> Attachment:
    content = child(media, "value")
    data = "".join("".join(content.itertext()).split()) if content is not None else ""
    name = media.get("ID", "")
    title = source.words(f"t{name[2:]}") if name.startswith("im") else ""
    return Attachment(value(content, name="mediaType"), data, "" if title == "Image" else title, place=place(media))


def _note(act: Element, source: Source) -> tuple[Note, ...]:
    said = source.referred(child(act, "text"))
    return (Note(tuple(said.split("\n")), place=place(act)),) if said else ()


def _specimen(procedure: Element, source: Source) -> Specimen:
    role = child(procedure, "participant", "participantRole")
    performer = child(procedure, "performer", "assignedEntity")
    times = child(procedure, "effectiveTime")
    low, high = moment(times, "low"), moment(times, "high")
    received = next(
        (
            moment(inside, "effectiveTime")
            for relation in children(procedure, "entryRelationship")
            if (inside := child(relation, "act")) is not None and has_template(inside, "1.3.6.1.4.1.19376.1.3.1.3")
        ),
        None,
    )
    act = concept(child(procedure, "code"), source)
    return Specimen(
        identifier(child(role, "id")),
        concept(child(role, "playingEntity", "code"), source),
        low or high or moment(times),
        high if low else None,
        received,
        assigned(performer),
        concept(child(procedure, "targetSiteCode"), source),
        act=None if act and act.standard and act.standard.code == _SAMPLING else act,
        place=place(procedure),
    )


def _result(
    observation: Element, above: Shared, own: str, source: Source
) -> tuple[Result, tuple[Specimen, ...]]:  # fmt: skip
    """One observation, and specimens that only it has."""
    source.skip_others(observation, _OBSERVATION)
    shared = _shared(observation, above, own, source)
    values, unit = _values(observation, source)
    notes: list[Note] = []
    previous: list[Previous] = []
    specimens: list[Specimen] = []
    code = _code(observation, source)
    for relation in children(observation, "entryRelationship"):
        inside = next((one for one in relation if isinstance(one.tag, str)), None)
        if inside is None:
            continue
        name = local(inside)
        if relation.get("typeCode") == "REFR" and name == "observation":
            previous += _previous(inside, code, source)
        elif name == "act":
            notes += _note(inside, source)
        elif name == "procedure":
            specimens.append(_specimen(inside, source))
        else:
            source.skip(relation, "an entry that a result does not carry")
    ranges = [child(one, "observationRange") for one in children(observation, "referenceRange")]
    found = Result(
        code,
        values,
        "X" if value(observation, "statusCode", name="code") == "aborted" else "F",
        unit,
        next((read_range(one, source) for one in ranges if one is not None), None),
        tuple(map(_flag, filter(None, map(coding, children(observation, "interpretationCode"))))),
        "",
        moment(observation, "effectiveTime") or moment(observation, "effectiveTime", "high"),
        concept(child(observation, "methodCode"), source),
        shared.devices,
        shared.validations,
        shared.laboratory,
        tuple(notes),
        tuple(previous),
        place(observation),
    )
    return as_written(found, _reference(observation), source), tuple(specimens)


def _code(observation: Element, source: Source) -> Concept:
    """The words shown, unless they are the value itself: then the label."""
    found = concept(child(observation, "code"), source) or Concept("")
    if found.text[:1].isdigit() and found.standard and not ours(_reference(observation)):
        return replace(found, text=found.standard.label)
    return found


def _reference(observation: Element) -> str:
    return value(child(observation, "code"), "originalText", "reference")


def _values(observation: Element, source: Source) -> tuple[tuple[Value, ...], Unit | None]:
    values: list[Value] = []
    unit: Unit | None = None
    for one in children(observation, "value"):
        found, its_unit = read_value(one, source)
        if found is not None:
            values.append(found)
            unit = unit or its_unit
    return tuple(values), unit


def _previous(observation: Element, code: Concept, source: Source) -> list[Previous]:
    values, unit = _values(observation, source)
    when = moment(observation, "effectiveTime") or moment(observation, "effectiveTime", "high")
    if not values or when is None:
        source.skip(observation, "a previous result without value or time")
        return []
    shown = value(child(observation, "text"), "reference").removeprefix("#b")
    if shown.isdecimal():  # ours
        words = source.words(f"w{shown}")
        unit = unit_shown(unit, words, place(observation))
        if len(values) == 1:
            values = (as_shown(values[0], source.words(f"b{shown}"), words),)
    its_code = concept(child(observation, "code"), source)
    same = its_code is None or {_key(one) for one in _codings(its_code)} <= {_key(one) for one in _codings(code)}
    return [Previous(values, when, unit, None if same else its_code, place(observation))]


def _codings(one: Concept) -> list[Coding]:
    return [*filter(None, (one.standard,)), *one.others]


def _key(one: Coding) -> tuple[str, str]:
    return one.system, one.code


def _flag(one: Coding) -> Flag:
    return Flag(one.code, value_set("interpretations").get(one.code, one.label), one.place)
