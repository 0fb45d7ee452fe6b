"""Metadata written as ebRIM: the order of children that the schema asks for, identifiers unique in the request.

Source: OASIS ebRIM 3.0 (rim.xsd, lcm.xsd); IHE ITI TF-3, 4.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lxml import etree

from transforms.xds import names
from transforms.xds.model import Author, Code, DocumentEntry, Lot, SubmissionSet

Element = etree._Element  # noqa: SLF001  # lxml has no public name for it

_LONGEST = 256
"""Characters of a Value (rim.xsd, LongName)."""
_MAP = {"lcm": names.LCM, "rim": names.RIM}


def submit_objects(lot: Lot) -> Element:
    """``lcm:SubmitObjectsRequest`` of a lot; the same lot gives the same bytes."""
    return _Writer().request(lot)


class _Writer:
    """One request. Symbolic ids of objects are the lot's; those of what is inside them are counted."""

    def __init__(self) -> None:
        self._count = 0

    def request(self, lot: Lot) -> Element:
        root = etree.Element(f"{{{names.LCM}}}SubmitObjectsRequest", nsmap=_MAP)
        objects = _child(root, "RegistryObjectList")
        self._set(objects, lot.submission_set)
        for entry in lot.entries:
            self._entry(objects, entry)
        for one in lot.associations:
            made = _child(
                objects, "Association", id=self._next("as"), associationType=one.kind, sourceObject=one.source,
                targetObject=one.target, objectType=names.ASSOCIATION_TYPE,
            )  # fmt: skip
            for name, value in one.slots:
                _slot(made, name, (value,))
        return root

    def _set(self, objects: Element, one: SubmissionSet) -> None:
        made = _child(objects, "RegistryPackage", id=one.id)
        _slot(made, "submissionTime", (one.submission_time,))
        _texts(made, one.title, one.comments)
        for author in one.authors:
            self._author(made, one.id, names.SET_AUTHOR, author)
        self._code(made, one.id, names.SET_CONTENT_TYPE, one.content_type)
        _child(made, "Classification", id=self._next("cl"), classificationNode=names.SET_NODE, classifiedObject=one.id)
        for scheme, value, name in (
            (names.SET_PATIENT, one.patient_id, "XDSSubmissionSet.patientId"),
            (names.SET_SOURCE, one.source_id, "XDSSubmissionSet.sourceId"),
            (names.SET_UNIQUE_ID, one.unique_id, "XDSSubmissionSet.uniqueId"),
        ):
            self._identifier(made, one.id, scheme, value, name)

    def _entry(self, objects: Element, one: DocumentEntry) -> None:
        made = _child(objects, "ExtrinsicObject", id=one.id, mimeType=one.mime_type, objectType=names.ENTRY_TYPE)
        for name, values in (
            ("creationTime", (one.creation_time,)), ("hash", (one.hash,)), ("languageCode", (one.language,)),
            ("legalAuthenticator", (one.legal_authenticator,)), (names.REFERENCES, one.reference_ids),
            ("serviceStartTime", (one.service_start,)), ("serviceStopTime", (one.service_stop,)), ("size", (one.size,)),
            ("sourcePatientId", (one.source_patient_id,)), ("sourcePatientInfo", one.source_patient_info),
            ("URI", (one.uri,)),
        ):  # fmt: skip
            _slot(made, name, values)
        _texts(made, one.title, one.comments)
        for author in one.authors:
            self._author(made, one.id, names.AUTHOR, author)
        self._code(made, one.id, names.CLASS, one.class_code)
        for code in one.confidentiality:
            self._code(made, one.id, names.CONFIDENTIALITY, code)
        for code in one.event_codes:
            self._code(made, one.id, names.EVENT, code)
        for scheme, code in (
            (names.FORMAT, one.format_code), (names.FACILITY, one.facility), (names.SETTING, one.practice_setting),
            (names.TYPE, one.type_code),
        ):  # fmt: skip
            self._code(made, one.id, scheme, code)
        self._identifier(made, one.id, names.PATIENT, one.patient_id, "XDSDocumentEntry.patientId")
        self._identifier(made, one.id, names.UNIQUE_ID, one.unique_id, "XDSDocumentEntry.uniqueId")

    def _author(self, parent: Element, owner: str, scheme: str, author: Author) -> None:
        made = _child(
            parent, "Classification", id=self._next("cl"), classificationScheme=scheme, classifiedObject=owner,
            nodeRepresentation="",
        )  # fmt: skip
        for name, values in (
            ("authorPerson", author.persons), ("authorInstitution", author.institutions),
            ("authorRole", author.roles), ("authorSpecialty", author.specialties),
        ):  # fmt: skip
            _slot(made, name, [_shortened(one) for one in values])

    def _code(self, parent: Element, owner: str, scheme: str, code: Code) -> None:
        if not code.code:
            return
        made = _child(
            parent, "Classification", id=self._next("cl"), classificationScheme=scheme, classifiedObject=owner,
            nodeRepresentation=code.code,
        )  # fmt: skip
        _slot(made, "codingScheme", (code.system,))
        _texts(made, code.display or code.code)

    def _identifier(self, parent: Element, owner: str, scheme: str, value: str, name: str) -> None:
        made = _child(
            parent, "ExternalIdentifier", id=self._next("ei"), identificationScheme=scheme, registryObject=owner,
            value=value,
        )  # fmt: skip
        _texts(made, name)

    def _next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count:02d}"


def _child(parent: Element, tag: str, /, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{names.RIM}}}{tag}", attributes)


def _slot(parent: Element, name: str, values: Sequence[str] | Iterable[str]) -> None:
    """A slot; nothing when no value is known."""
    known = [one for one in values if one]
    if not known:
        return
    listed = _child(_child(parent, "Slot", name=name), "ValueList")
    for one in known:
        _child(listed, "Value").text = one


def _texts(parent: Element, name: str, description: str = "") -> None:
    for tag, value in (("Name", name), ("Description", description)):
        if value:
            made = _child(_child(parent, tag), "LocalizedString", charset="UTF-8", value=value)
            made.set(f"{{{names.XML}}}lang", "fr-FR")


def _shortened(composed: str) -> str:
    """An author of at most 256 characters: names are cut, numbers never."""
    if len(composed) <= _LONGEST:
        return composed
    parts = composed.split("^")
    excess = len(composed) - _LONGEST
    for place in (2, 1, 0) if len(parts) > 2 and parts[2] else (1, 0):
        if place == 0 and parts[0][:1].isdigit():
            break
        cut = min(excess, len(parts[place]))
        parts[place] = parts[place][: len(parts[place]) - cut]
        excess -= cut
        if not excess:
            break
    return "^".join(parts)
