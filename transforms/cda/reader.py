"""Reading a CR-Bio: a report from a CDA document, ours or another laboratory's.

What the document holds and the report cannot is listed in ``Report.left_out``. A document whose body is a PDF
(level 1) gives a report without chapters, whose copy is that PDF.

Source: CI-SIS volet CR d'examens de biologie médicale 2024.01; structuration minimale des documents de santé.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from lxml import etree

from channels.errors import ProfileError, UnsupportedError
from channels.ports import Context
from transforms.cda.reader_awaited import with_awaited
from transforms.cda.reader_entries import read_act
from transforms.cda.reader_people import (
    assigned,
    contact,
    facility,
    laboratory,
    organization,
    patient,
    person,
    sampler,
)
from transforms.cda.reader_xml import (
    HL7,
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
    words,
)
from transforms.ins import ins_key_is_right
from transforms.report import (
    Attachment,
    Chapter,
    Concept,
    Enclosed,
    Encounter,
    Note,
    Panel,
    Person,
    Prescription,
    Report,
    Specimen,
    Validation,
    Version,
)
from transforms.wording import specimen_name

_CODE = "11502-2"
_CHAPTER, _SUB_CHAPTER = "1.2.250.1.213.1.1.2.70", "1.2.250.1.213.1.1.2.71"
_COMMENT = "1.2.250.1.213.1.1.2.73"
_COPY, _OTHER = "1.2.250.1.213.1.1.2.243", "1.2.250.1.213.1.1.2.60"
_ENCLOSED = ("1.2.250.1.213.1.1.2.128", "1.2.250.1.213.1.1.2.147")
_OURS = re.compile(r"e\d+-")


def read_document(body: bytes, context: Context) -> Report:
    """The report that a CDA document holds.

    Raises:
        ParseError: not XML, or a number or time that is none.
        UnsupportedError: another kind of document.
        ProfileError: what every report has lacks; an INS whose key is wrong.
    """
    source = Source(body)
    root = source.root
    if value(root, "code", name="code") != _CODE:
        raise UnsupportedError("not a laboratory report (code 11502-2)", "/ClinicalDocument/code")
    found = _header(source, context.site.ins_domain)
    pdf = child(root, "component", "nonXMLBody", "text")
    if pdf is not None:
        copy = Attachment(pdf.get("mediaType", ""), "".join(text(pdf).split()), place=place(pdf))
        return replace(found, copies=(copy,), left_out=tuple(source.left_out))
    found = _body(found, children(root, "component", "structuredBody", "component"), source)
    return replace(_with_nonconformities(found), left_out=tuple(source.left_out))


def _header(source: Source, domain: Literal["test", "production"]) -> Report:
    root = source.root
    time = moment(root, "effectiveTime")
    role = child(root, "recordTarget", "patientRole")
    signatory = assigned(child(root, "legalAuthenticator", "assignedEntity"))
    events = children(root, "documentationOf")
    performer = child(root, "documentationOf", "serviceEvent", "performer")
    custodian = organization(
        child(root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    )  # fmt: skip
    if time is None or role is None or signatory is None or performer is None or custodian is None:
        absent = {
            "effectiveTime": time,
            "recordTarget": role,
            "legalAuthenticator": signatory,
            "documentationOf": performer,
            "custodian": custodian,
        }
        name = next(name for name, one in absent.items() if one is None)
        raise ProfileError("is required", f"/ClinicalDocument/{name}")
    who = patient(role, domain)
    if who.ins and not ins_key_is_right(who.ins.number):
        raise ProfileError("an INS with a wrong key", who.ins.place, "102")
    event = child(events[0], "serviceEvent")
    encounter = child(root, "componentOf", "encompassingEncounter")
    accredited = organization(
        child(encounter, "responsibleParty", "assignedEntity", "representedOrganization")
    )  # fmt: skip
    made = laboratory(performer)
    if accredited and accredited.accreditation:
        made = replace(made, organization=replace(made.organization, accreditation=accredited.accreditation))
    received = moment(event, "effectiveTime", "low") or time
    return Report(
        _version(root),
        time,
        who,
        _encounter(encounter),
        _prescription(root),
        replace(made, facility_type=facility(root)),
        custodian,
        signatory,
        (),
        received,
        tuple(filter(None, map(identifier, children(event, "id")))),
        _validators(root),
        tuple(filter(None, (sampler(one) for one in _participants(root, "PRF")))),
        tuple(filter(None, map(_recipient, children(root, "informationRecipient")))),
        tuple(filter(None, map(contact, children(root, "informant")))),
        moment(event, "effectiveTime", "high"),
    )


def _reference(element: Element | None) -> str:
    """``root``, or ``root^extension``."""
    found = identifier(element)
    return "" if found is None else f"{found.root}^{found.value}" if found.value else found.root


def _version(root: Element) -> Version:
    number = value(root, "versionNumber")
    if not number.isdecimal():
        raise ProfileError("the number of the version is required", "/ClinicalDocument/versionNumber")
    replaced = next((one for one in children(root, "relatedDocument") if one.get("typeCode") == "RPLC"), None)
    before = _reference(child(replaced, "parentDocument", "id"))
    return Version(_reference(child(root, "id")), _reference(child(root, "setId")), int(number), before)


def _encounter(element: Element | None) -> Encounter:
    return Encounter(
        identifier(child(element, "id")),
        coding(child(element, "code")),
        moment(element, "effectiveTime", "low") or moment(element, "effectiveTime"),
        moment(element, "effectiveTime", "high"),
    )


def _participants(root: Element, kind: str) -> list[Element]:
    return [one for one in children(root, "participant") if one.get("typeCode") == kind]


def _prescription(root: Element) -> Prescription:
    asked = [found for one in _participants(root, "REF") if (found := sampler(one))]
    treating = [found for one in _participants(root, "INF") if (found := sampler(one))]
    orders = [identifier(child(one, "order", "id")) for one in children(root, "inFulfillmentOf")]
    return Prescription(
        tuple(one for one in orders if one),
        tuple(who for who, _ in asked),
        next((when for _, when in asked if when), None),
        treating[0][0] if treating else None,
    )


def _validators(root: Element) -> tuple[Validation, ...]:
    found = []
    for one in children(root, "authenticator"):
        who = assigned(child(one, "assignedEntity"))
        if who:
            found.append(Validation(who, moment(one, "time")))
    return tuple(found)


def _recipient(element: Element) -> Person | None:
    return person(child(element, "intendedRecipient"), ("informationRecipient",), "receivedOrganization")


def _body(report: Report, components: list[Element], source: Source) -> Report:
    chapters: list[Chapter] = []
    notes: list[Note] = []
    enclosed: list[Enclosed] = []
    copies: list[Attachment] = []
    others: list[Attachment] = []
    own = report.laboratory.organization.id
    for component in components:
        section = child(component, "section")
        if section is None:
            continue
        if has_template(section, _CHAPTER):
            chapters.append(_chapter(section, own, source))
        elif has_template(section, _COMMENT):
            notes += _comment(section)
        elif has_template(section, _COPY):
            copies += _attached(section, source)
        elif has_template(section, _OTHER):
            others += _attached(section, source)
        elif any(has_template(section, one) for one in _ENCLOSED):
            enclosed.append(_enclosed(section, len(enclosed) + 1))
        else:
            source.skip(section, "a section that a report does not carry")
    return replace(
        report,
        chapters=tuple(chapters),
        notes=tuple(notes),
        enclosed=tuple(enclosed),
        copies=tuple(copies),
        other_reports=tuple(others),
    )


def _chapter(section: Element, own: str, source: Source) -> Chapter:
    code = coding(child(section, "code"))
    if code is None:
        raise ProfileError("a chapter without code", place(section))
    title = text(section, "title")
    if title in (code.label, code.label.upper()):
        title = ""
    subs = [one for component in children(section, "component") if (one := child(component, "section")) is not None]
    if subs:
        return Chapter(code, (), title, None, tuple(_chapter(one, own, source) for one in subs))
    act = child(section, "entry", "act")
    panels = with_awaited(read_act(act, own, source), section, source) if act is not None else ()
    return Chapter(code, panels, title, _act_code(act, code, source))


def _act_code(act: Element | None, code: object, source: Source) -> Concept | None:
    """What the act says besides the code of its section."""
    found = concept(child(act, "code"), source)
    if found is None or found.standard is None:
        return None
    same = getattr(code, "code", "") == found.standard.code
    return None if same and not found.others else found


def _comment(section: Element) -> list[Note]:
    said = child(section, "text")
    shown = words(said) if said is not None else ""
    title = text(section, "title")
    if not shown:
        return []
    return [Note(tuple(shown.split("\n")), "" if title == "Commentaire" else title, place(section))]


def _attached(section: Element, source: Source) -> list[Attachment]:
    found = []
    for media in section.iter(f"{{{HL7}}}observationMedia"):
        content = child(media, "value")
        if content is None:
            continue
        name = media.get("ID", "")
        title = source.words(f"titre-{name}")
        data = "".join("".join(content.itertext()).split())
        found.append(
            Attachment(
                content.get("mediaType", ""),
                data,
                "" if title == "Copie PDF du document" else title,
                source.words(f"labo-{name}"),
                place(media),
            )
        )
    return found


def _enclosed(section: Element, number: int) -> Enclosed:
    """The section as it is, with identifiers that cannot be those of our own narrative."""
    code = coding(child(section, "code"))
    if code is None:
        raise ProfileError("a section without code", place(section))
    said = child(section, "text")
    lines = tuple(words(said).split("\n")) if said is not None else ()
    at = place(section)
    copy = etree.fromstring(etree.tostring(section, with_tail=False))
    named = {str(one.get("ID")): one for one in copy.iter(f"{{{HL7}}}*") if one.get("ID")}
    whole = child(copy, "text")
    own = _renamed(whole.get("ID", "texte") if whole is not None else "texte", number)
    dangling = False
    for one in copy.iter(f"{{{HL7}}}reference", f"{{{HL7}}}renderMultiMedia"):
        attribute = "value" if local(one) == "reference" else "referencedObject"
        pointed = one.get(attribute, "").removeprefix("#")
        mark = "#" if attribute == "value" else ""
        if pointed in named:
            one.set(attribute, f"{mark}{_renamed(pointed, number)}")
        elif ":" not in pointed:  # the words of the section are the nearest that exists
            one.set(attribute, f"{mark}{own}")
            dangling = True
    if dangling and whole is not None:
        named.setdefault(whole.get("ID", "texte"), whole)
    for name, one in named.items():
        one.set("ID", _renamed(name, number))
    etree.cleanup_namespaces(copy)
    return Enclosed(code, text(section, "title"), lines, etree.tostring(copy, encoding="unicode"), at)


def _renamed(name: str, number: int) -> str:
    return f"e{number}-{_OURS.sub('', name, count=1)}"


def _with_nonconformities(report: Report) -> Report:
    """A comment on specimens that are not as they should be goes back to them, when it names them."""
    said: dict[str, str] = {}
    notes = []
    names = {specimen_name(one) for panel in report.panels() for one in panel.specimens}
    for note in report.notes:
        lines = [line.partition(" : ") for line in note.lines]
        if note.title == "Non-conformité" and all(name in names and why for name, _, why in lines):
            said.update({name: why for name, _, why in lines})
        else:
            notes.append(note)
    if not said:
        return report

    def marked(specimen: Specimen) -> Specimen:
        why = said.get(specimen_name(specimen))
        return replace(specimen, nonconformity=Concept(why)) if why else specimen

    def panel(one: Panel) -> Panel:
        return replace(one, specimens=tuple(map(marked, one.specimens)))

    def chapter(one: Chapter) -> Chapter:
        return replace(
            one, panels=tuple(map(panel, one.panels)), sub_chapters=tuple(map(chapter, one.sub_chapters))
        )  # fmt: skip

    return replace(report, chapters=tuple(map(chapter, report.chapters)), notes=tuple(notes))
