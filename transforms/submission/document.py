"""What a request needs to know of a CDA document: its header, read safely, and whether it is the patient's.

Source: CI-SIS, structuration minimale des documents de santé; ANS volet "Transmission de documents CDA en HL7v2" 2.1,
checks before the acknowledgement.
"""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from channels.errors import MessageError
from transforms.cda.reader_xml import HL7, Element, child, children, text, value
from transforms.submission.model import Patient
from transforms.submission.notes import Notes

_ROOT = f"{{{HL7}}}ClinicalDocument"
_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True, huge_tree=True
)
INS_ROOTS = frozenset(f"1.2.250.1.213.1.4.{number}" for number in (8, 9, 10, 11))


@dataclass(frozen=True, slots=True)
class Facts:
    """A CDA header. Identifiers are ``root``, or ``root^extension``.

    patient: its INS is that of the document whatever its key; ``local_id`` is the first other number.
    numbers: ``(root, extension)`` of every patient id.
    """

    unique_id: str
    code: str
    label: str
    code_system: str
    title: str
    set_id: str
    confidentiality: str
    level: Literal[1, 3]
    replaces: str
    patient: Patient
    numbers: tuple[tuple[str, str], ...]


def read_facts(content: bytes, place: str) -> Facts:
    """The header of a document.

    place: of the document in its message, for errors.

    Raises:
        MessageError: not well-formed XML, with a document type, not a CDA document, without id, code or patient (102).
    """
    return read_document(content, place)[1]


def read_document(content: bytes, place: str) -> tuple[Element, Facts]:
    """The root of a document, and its header. Raises MessageError as ``read_facts``."""
    root = _root(content, place)
    role = child(root, "recordTarget", "patientRole")
    unique_id, code = _reference(child(root, "id")), value(root, "code", name="code")
    if not unique_id or not code or role is None:
        raise MessageError("a CDA document without id, code or patient", place, "102")
    replaced = next((one for one in children(root, "relatedDocument") if one.get("typeCode") == "RPLC"), None)
    numbers = tuple((one.get("root", ""), one.get("extension", "").strip()) for one in children(role, "id"))
    return root, Facts(
        unique_id,
        code,
        value(root, "code", name="displayName"),
        value(root, "code", name="codeSystem"),
        text(root, "title"),
        _reference(child(root, "setId")),
        value(root, "confidentialityCode", name="code").strip().upper() or "N",
        1 if child(root, "component", "nonXMLBody") is not None else 3,
        _reference(child(replaced, "parentDocument", "id")),
        _patient(role, numbers),
        numbers,
    )


def _root(content: bytes, place: str) -> Element:
    try:
        # As far as the root element, with the parser's limits: a document type is seen before anything is expanded.
        start = _first_element(content)
        if start.getroottree().docinfo.doctype:
            raise MessageError("a document has no document type (DOCTYPE)", place, "102")
        root: Element = etree.fromstring(content, _PARSER)
    except (etree.XMLSyntaxError, StopIteration, ValueError):
        raise MessageError("the document is not well-formed XML", place, "102") from None
    if root.tag == _ROOT:
        return root
    inside = next(root.iter(_ROOT), None)  # self-presentable: inside a style sheet
    if inside is None:
        raise MessageError("the document is not a CDA document", place, "102")
    return inside


def _first_element(content: bytes) -> Element:
    events = etree.iterparse(io.BytesIO(content), events=("start",), resolve_entities=False, no_network=True)
    return next(iter(events))[1]


def _reference(element: Element | None) -> str:
    if element is None:
        return ""
    root, extension = element.get("root", "").strip(), element.get("extension", "").strip()
    return f"{root}^{extension}" if root and extension else root


def _patient(role: Element, numbers: tuple[tuple[str, str], ...]) -> Patient:
    one = child(role, "patient")
    name = child(one, "name")
    family = {each.get("qualifier", ""): text(each) for each in reversed(children(name, "family"))}
    given = {each.get("qualifier", ""): text(each) for each in reversed(children(name, "given"))}
    names = next((text(each) for each in children(name, "given") if not each.get("qualifier")), "")
    ins_oid, ins = next((each for each in numbers if each[0] in INS_ROOTS and each[1]), ("", ""))
    local_oid, local_id = next((each for each in numbers if each[0] not in INS_ROOTS and each[1]), ("", ""))
    sex = value(one, "administrativeGenderCode", name="code").upper()
    return Patient(
        ins,
        ins_oid,
        local_id,
        local_oid,
        family.get("BR") or family.get("", ""),
        given.get("BR") or names.partition(" ")[0],
        names,
        family.get("CL") or family.get("SP", ""),
        given.get("CL", ""),
        value(one, "birthTime").strip()[:8],
        {"UN": "U"}.get(sex, sex),
        text(child(one, "birthplace", "place", "addr"), "county"),
    )


_TRAITS = (
    ("family", "5", "the birth name"),
    ("given", "5", "the first given name"),
    ("birth_date", "7", "the birth date"),
    ("sex", "8", "the sex"),
    ("birth_place", "11", "the birth place"),
)


def check_patient(facts: Facts, asked: Patient, qualified: str, place: str, notes: Notes) -> None:
    """The document is about the patient of the message.

    asked: the message's patient. qualified: place of its INS, ``PID-3[2]``. place: of the document.

    Raises:
        MessageError: 903 (the document has no INS), 904 (another INS, or other traits), 905 (traits that lack).
    """
    own = facts.patient
    if asked.ins:
        if not own.ins:
            raise MessageError("the document has no INS", place, "903")
        if (asked.ins_oid, asked.ins) not in facts.numbers:
            raise MessageError("the INS of the document is not that of the message", qualified, "904")
    elif own.ins:
        notes.warn(place, "207", "the document has an INS, and the identity of the message is not qualified")
    elif asked.local_id and own.local_id and asked.local_id not in {one for _, one in facts.numbers}:
        raise MessageError("the document is of another patient", "PID-3", "904")
    for trait, field, name in _TRAITS:
        ours, theirs = getattr(asked, trait), getattr(own, trait)
        if ours and theirs:
            if not _same(trait, ours, theirs, exact=notes.strict):
                raise MessageError(f"{name} of the document is not that of the message", f"PID-{field}", "904")
        elif asked.ins and not theirs:
            if trait != "birth_place":
                raise MessageError(f"the document does not have {name}", place, "905")
            notes.warn(place, "905", f"the document does not have {name}")


def _same(trait: str, one: str, other: str, *, exact: bool) -> bool:
    if exact:
        return one == other
    if trait in ("family", "given"):
        return plain_name(one) == plain_name(other)
    if trait == "sex" and "U" in (one, other):
        return True
    return one.upper() == other.upper()


def plain_name(name: str) -> str:
    """Letters alone: without accents, case, hyphens or apostrophes."""
    parts = unicodedata.normalize("NFKD", name)
    return "".join(sign for sign in parts if sign.isalnum()).casefold()
