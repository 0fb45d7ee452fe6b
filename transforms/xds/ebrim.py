"""Metadata written as ebRIM: the order of children that the schema asks for, identifiers unique in the request.

Source: OASIS ebRIM 3.0 (rim.xsd, lcm.xsd); IHE ITI TF-3, 4.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lxml import etree

from channels.errors import ProfileError
from transforms.xds import names
from transforms.xds.model import Author, Code, DocumentEntry, Lot, SubmissionSet

Element = etree._Element  # noqa: SLF001  # lxml has no public name for it

_LONGEST = 256
"""Characters of a Value (rim.xsd, LongName)."""
_LONGEST_TEXT = 1024
"""Characters of a LocalizedString (rim.xsd, FreeFormText)."""
_MAP = {"lcm": names.LCM, "rim": names.RIM}


def submit_objects(lot: Lot) -> Element:
    """``lcm:SubmitObjectsRequest`` of a lot; the same lot gives the same bytes.

    Raises:
        ProfileError: a value is longer than the schema allows; the place is its name.
    """
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
            ("legalAuthenticator", (_shortened(one.legal_authenticator, 2, 1),)), (names.REFERENCES, one.reference_ids),
            ("serviceStartTime", (one.service_start,)), ("serviceStopTime", (one.service_stop,)), ("size", (one.size,)),
            ("sourcePatientId", (one.source_patient_id,)),
            ("sourcePatientInfo", [_shortened(value, 1, 0) for value in one.source_patient_info]),
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
        for name, values, cut in (
            ("authorPerson", author.persons, (2, 1)), ("authorInstitution", author.institutions, (0,)),
            ("authorRole", author.roles, (0,)), ("authorSpecialty", author.specialties, (1,)),
        ):  # fmt: skip
            _slot(made, name, [_shortened(one, *cut) for one in values])

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
    """A slot; nothing when no value is known. Raises ProfileError: a value is too long, and cannot be cut."""
    known = [one for one in values if one]
    if not known:
        return
    if any(len(one) > _LONGEST for one in known):
        raise ProfileError("a value of metadata is longer than 256 characters", name, "102")
    listed = _child(_child(parent, "Slot", name=name), "ValueList")
    for one in known:
        _child(listed, "Value").text = one


def _texts(parent: Element, name: str, description: str = "") -> None:
    for tag, value in (("Name", name), ("Description", description)):
        if value:
            made = _child(_child(parent, tag), "LocalizedString", charset="UTF-8", value=value[:_LONGEST_TEXT])
            made.set(f"{{{names.XML}}}lang", "fr-FR")


def _shortened(composed: str, *places: int) -> str:
    """A composed value of at most 256 characters if cutting these components can make it so; numbers are never cut."""
    excess = len(composed) - _LONGEST
    if excess <= 0:
        return composed
    parts = composed.split("^")
    for place in places:
        if excess > 0 and place < len(parts):
            kept = parts[place][: max(len(parts[place]) - excess, 0)]
            if kept.count("\\") % 2:  # a separator, escaped, is cut whole or not at all
                kept = kept[: kept.rindex("\\")]
            excess -= len(parts[place]) - len(kept)
            parts[place] = kept
    return "^".join(parts)
