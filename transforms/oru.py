"""ORU^R01 -> the laboratory report.

Nothing clinical is dropped, rounded or guessed: what the report cannot carry is refused with its place, what it leaves
out on purpose is listed in ``Report.left_out``.

Source: HL7 v2.5, 7.3.1; IHE LTW, LAB-3; grouping of segments as met in the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid5

from channels.errors import ProfileError, UnsupportedError
from channels.message import Message
from channels.ports import Context
from transforms import er7
from transforms.moments import instant
from transforms.oru_contacts import contacts, recipients
from transforms.oru_left_out import unused
from transforms.oru_lines import Line
from transforms.oru_microbiology import linked
from transforms.oru_orders import Order, ReadOrder, notes, panel
from transforms.oru_people import encounter, own_laboratory, patient, people, responsible
from transforms.oru_rules import Rules, organization, required
from transforms.report import (
    Attachment,
    Chapter,
    Coding,
    Contact,
    Identifier,
    LeftOut,
    Moment,
    Panel,
    Patient,
    Person,
    Prescription,
    Report,
    Validation,
    Version,
)

_REPORTS = UUID("6f1c0d4e-5d0b-5a53-9f0e-3c6a0c1b7d52")
"""Name space of our report identifiers (UUIDv5)."""

_CONTROLS = bytes(set(range(32)) - {9, 10, 13})
_ENVELOPE = frozenset("MSH SFT UAC DSC FHS BHS BTS FTS PID PV1 ORC OBR OBX NTE SPM ROL NK1 PRT".split())  # noqa: SIM905  # a table


@dataclass(slots=True)
class _Groups:
    """The segments of one message, grouped."""

    header: Line
    patient: Line | None = None
    visit: Line | None = None
    notes: list[Line] = field(default_factory=list)
    roles: list[Line] = field(default_factory=list)
    near: list[Line] = field(default_factory=list)
    participants: list[Line] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def read_report(message: Message, context: Context, *, structured: bool = True) -> Report:
    """The report of one patient that an ORU^R01 holds.

    structured: False reads people, times and files only, for a document whose body is the laboratory's PDF.

    Raises:
        ParseError, ProfileError, MappingError, UnsupportedError: with the place and the rule, never a value.
    """
    if message.kind.partition("^")[0] not in ("ORU", "OUL"):
        raise UnsupportedError("a laboratory report is read from ORU^R01", "MSH-9", "200")
    header = er7.read(message).header
    rules = Rules(context, header.component(3).strip(), header.component(4).strip())
    groups = _group(er7.read(message), rules)
    if groups.patient is None:
        raise ProfileError("a report needs its patient (PID)", "PID", "100")
    read = [panel(order, rules, structured=structured) for order in groups.orders]
    arranged = linked(read, rules) if structured else read
    if structured:
        _require_results(arranged, read)
    report = replace(_assemble(groups, rules, read), chapters=_chapters(arranged, structured=structured))
    for document in _documents(read):
        report = _merged(report, document, context)
    return report


def _require_results(arranged: list[ReadOrder], read: list[ReadOrder]) -> None:
    if any(one.panel and _says_something(one.panel) for one in arranged) or _documents(read):
        return
    if any(one.withdrawn for one in read):
        raise ProfileError("every result is withdrawn: the report is to be deleted, there is nothing to send", "OBX")
    raise ProfileError("the message has no result", "OBX", "100")


def _merged(report: Report, document: Attachment, context: Context) -> Report:
    """With what another laboratory reports in a CDA document."""
    from transforms.cda.merge import merged  # the writer of CDA reads ORU, so this cannot be at the top

    return merged(report, document, context)


def _says_something(one: Panel) -> bool:
    return bool(one.results or one.isolates or one.images)


def _documents(read: list[ReadOrder]) -> list[Attachment]:
    """Reports of other laboratories as CDA documents."""
    return [file for one in read for file in one.attachments if file.media_type == "text/xml"]


def _group(parsed: er7.Er7, rules: Rules) -> _Groups:
    """Segments in their groups: a new order at each ORC, or at an OBR when the current order has one."""
    counts: Counter[str] = Counter()
    lines = []
    for segment in parsed.segments:
        counts[segment.id] += 1
        lines.append(Line(parsed, segment, f"{segment.id}[{counts[segment.id]}]"))
    groups = _Groups(lines[0])
    suspicious = _suspicious(parsed)
    for line in lines:
        if counts[line.id] == 1:
            line.place = line.id
        if suspicious and (number := line.unwritable()):
            raise ProfileError("a character that a document cannot hold", line.at(number), "102")
        _place(line, groups, keep=rules.laboratory.outside_group == "keep")
    return groups


def _suspicious(parsed: er7.Er7) -> bool:
    """Whether some value may hold what XML cannot: control bytes, hexadecimal escapes, undecodable bytes."""
    body = parsed.body
    if len(body.translate(None, _CONTROLS)) < len(body) or f"{parsed.separators.escape}X".encode() in body:
        return True
    if body.isascii():
        return False
    try:
        return "\ufffe" in (text := body.decode(parsed.charset)) or "\uffff" in text
    except UnicodeDecodeError:
        return True


def _place(line: Line, groups: _Groups, *, keep: bool) -> None:
    """keep: a result before any OBR makes a panel of its own."""
    orders = groups.orders
    if line.id in ("PID", "PV1", "ROL", "NK1", "PRT"):
        _person(line, groups)
    elif line.id == "ORC":
        orders.append(Order(common=line))
    elif line.id == "OBR":
        if not orders or orders[-1].request or orders[-1].outside:
            orders.append(Order())
        orders[-1].request = line
    elif line.id in ("OBX", "SPM"):
        if not orders and keep:
            orders.append(Order(outside=True))
        if not orders or (orders[-1].request is None and not orders[-1].outside):
            raise ProfileError("a result or specimen outside an order group (no OBR before it)", line.place, "100")
        orders[-1].add(line)
    elif line.id == "NTE":
        if orders:
            orders[-1].note(line)
        elif groups.patient:
            groups.notes.append(line)
    elif line.id not in _ENVELOPE:
        groups.left_out.append(LeftOut(line.place, "a segment that a report does not carry"))


def _person(line: Line, groups: _Groups) -> None:
    if line.id == "PID":
        _patient(line, groups)
    elif line.id == "PV1":
        groups.visit = groups.visit or line
    else:
        {"ROL": groups.roles, "NK1": groups.near, "PRT": groups.participants}[line.id].append(line)


def _patient(line: Line, groups: _Groups) -> None:
    first = groups.patient
    if first is None:
        if groups.orders:
            raise ProfileError("the patient comes after an order", line.place, "100")
        groups.patient = line
        return
    if any(first.all(number) != line.all(number) for number in (3, 5, 7, 8)):
        raise ProfileError("two patients in one message", line.place, "204")


def _assemble(groups: _Groups, rules: Rules, read: list[ReadOrder]) -> Report:
    """Everything but the chapters."""
    panels = [one.head for one in read]
    settings = rules.laboratory
    header = groups.header
    released = _latest([one.released for one in panels])
    time = rules.when(header.value(7), header.at(7)) or released
    if time is None:
        raise ProfileError("the time of the message is required", header.at(7))
    orders = [one.order for one in read if not one.order.outside]
    requested = _distinct([one.filler for one in panels]) or _distinct([one.placer for one in panels])
    if not requested and orders:
        raise ProfileError("a report needs the number of its request (OBR-3)", "OBR-3")
    signatory, validators = _signatures(orders, panels, rules)
    collected = _earliest([specimen.collected for one in panels for specimen in one.specimens])
    received = _earliest([specimen.received for one in panels for specimen in one.specimens]) or collected
    if received is None and orders:
        raise ProfileError(
            "the time of reception (OBR-14, SPM-18) or of sampling (OBR-7, SPM-17) is required", "OBR-14"
        )
    files = [file for one in read for file in one.attachments if file.media_type != "text/xml"]
    assert groups.patient is not None  # noqa: S101  # read_report refused it before
    near, guardians = contacts(groups.near)
    who = replace(patient(groups.patient, rules), guardians=guardians)
    copied = recipients(groups.participants, rules)
    copies_to = [person for order in orders for person in people(_obr(order), 28, rules)]
    return Report(
        _version(header, requested, time),
        time,
        who,
        encounter(groups.visit, rules, collected),
        _prescription(groups, orders, read, rules),
        own_laboratory(rules),
        organization(settings.custodian) if settings.custodian else rules.own,
        signatory,
        (),
        received or time,
        requested,
        validators,
        _collectors(panels),
        tuple(dict.fromkeys((*copies_to, *copied))),
        near,
        released,
        notes(groups.notes),
        copies=tuple(file for file in files if not file.laboratory),
        other_reports=tuple(file for file in files if file.laboratory),
        left_out=(
            *groups.left_out,
            *(one for order in read for one in order.left_out),
            *_unused(groups, near, who),
        ),
    )


def _unused(groups: _Groups, near: tuple[Contact, ...], who: Patient) -> Iterator[LeftOut]:
    """Numbers of the patient, ROL, NK1 and PRT that the report does not hold."""
    kept = {one.place for one in groups.roles if one.value(3).upper() == "ODRP"}
    kept |= {one.place for one in groups.participants if one.value(4).upper() == "RCT"}
    kept |= {one.place for one in near} | {one.place.partition("-")[0] for one in who.guardians}
    assert groups.patient is not None  # noqa: S101  # read_report refused it before
    return unused(groups.patient, who, [*groups.roles, *groups.near, *groups.participants], kept)


def _obr(order: Order) -> Line:
    assert order.request is not None  # noqa: S101  # `panel` refused it before
    return order.request


def _distinct(identifiers: list[Identifier | None]) -> tuple[Identifier, ...]:
    found: dict[tuple[str, str], Identifier] = {}
    for one in identifiers:
        if one:
            found.setdefault((one.root, one.value), one)
    return tuple(found.values())


def _latest(moments: list[Moment | None]) -> Moment | None:
    return max(filter(None, moments), key=instant, default=None)


def _earliest(moments: list[Moment | None]) -> Moment | None:
    return min(filter(None, moments), key=instant, default=None)


def _version(header: Line, requested: tuple[Identifier, ...], time: Moment) -> Version:
    """Identifiers that a resend finds again: UUIDv5 of the sender and the request, then of this message."""
    request = (requested[0].root, requested[0].value) if requested else ("", header.value(10))
    sender = "|".join((header.value(3), header.value(4), *request))
    own = uuid5(_REPORTS, sender)
    number = 1
    message = "|".join((str(number), header.value(10), time.digits))
    return Version(str(uuid5(own, message)).upper(), str(own).upper(), number)


def _chapters(read: list[ReadOrder], *, structured: bool) -> tuple[Chapter, ...]:
    """Panels of the same chapter together, in the order of the message; in sub-chapters when one of them has one.

    structured: False gives the chapters only, without panels.
    """
    found: dict[str, list[ReadOrder]] = {}
    for one in read:
        if one.panel or not structured:
            found.setdefault(one.chapter.code, []).append(one)
    if not structured:
        return tuple(Chapter(orders[0].chapter, ()) for orders in found.values())
    return tuple(map(_chapter, found.values()))


def _chapter(orders: list[ReadOrder]) -> Chapter:
    code = orders[0].chapter
    if not any(one.sub_chapter for one in orders):
        return Chapter(code, tuple(one.panel for one in orders if one.panel))
    found: dict[str, tuple[Coding, list[Panel]]] = {}
    for one in orders:
        sub = one.sub_chapter or code
        if one.panel:
            found.setdefault(sub.code, (sub, []))[1].append(one.panel)
    return Chapter(code, (), sub_chapters=tuple(Chapter(sub, tuple(panels)) for sub, panels in found.values()))


def _signatures(orders: list[Order], panels: list[Panel], rules: Rules) -> tuple[Person, tuple[Validation, ...]]:
    """Who answers for the report (first OBR-32, else the settings), and the other biologists who validated."""
    signed = [person for order in orders if (person := responsible(_obr(order), rules))]
    settings = rules.laboratory
    if signed:
        first = signed[0]
    else:
        first = rules.professional(required(settings.biologist or settings.director, "laboratory.biologist", "OBR-32"))
    found: dict[str, Validation] = {}
    for one in [Validation(person) for person in signed] + [
        v for p in panels for r in p.every_result() for v in r.validations
    ]:
        if one.person.id and one.person.id != first.id:
            found.setdefault(one.person.id, one)
    return first, tuple(found.values())


def _prescribed(one: ReadOrder, rules: Rules) -> Identifier | None:
    """The prescriber's number of an order; without one, that of its group (ORC-4), which never names a request."""
    orc = one.order.common
    return one.head.placer or (rules.order(orc.parts(4), "placer_order", orc.at(4)) if orc else None)


def _prescription(groups: _Groups, orders: list[Order], read: list[ReadOrder], rules: Rules) -> Prescription:
    prescribers: dict[tuple[str, str], Person] = {}
    times = []
    for order in orders:
        found = people(_obr(order), 16, rules)
        if order.common:
            found += people(order.common, 12, rules)
            times.append(rules.when(order.common.value(9), order.common.at(9)))
        for person in found:
            prescribers.setdefault((person.id or person.family, person.given if not person.id else ""), person)
    declared = [person for role in groups.roles if role.value(3).upper() == "ODRP" for person in people(role, 4, rules)]
    return Prescription(
        _distinct([_prescribed(one, rules) for one in read]),
        tuple(prescribers.values()),
        _earliest(times),
        declared[0] if declared else None,
    )


def _collectors(panels: list[Panel]) -> tuple[tuple[Person, Moment | None], ...]:
    found: dict[tuple[str, str, str], tuple[Person, Moment | None]] = {}
    for one in panels:
        for specimen in one.specimens:
            if specimen.collector:
                person = specimen.collector
                found.setdefault((person.id, person.family, person.given), (person, specimen.collected))
    return tuple(found.values())
