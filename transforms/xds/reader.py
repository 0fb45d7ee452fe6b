"""ebRIM read back: answers of a registry, METADATA.XML of others. Never trusts order, ids or prefixes.

Source: IHE ITI TF-3, 4.2.3.
"""

from __future__ import annotations

from transforms.xds import names
from transforms.xds.ebrim import Element
from transforms.xds.model import Association, Author, Code, DocumentEntry, Lot, SubmissionSet

_RIM = f"{{{names.RIM}}}"


def read(element: Element) -> Lot:
    """The lot inside an element, wherever its objects are; what is absent is ``""``."""
    package = _package(element)
    submission_set = SubmissionSet("", "", "", "", "", Code(""))
    if package is not None:
        content = _codes(package, names.SET_CONTENT_TYPE)
        submission_set = SubmissionSet(
            package.get("id", ""), _identifier(package, names.SET_UNIQUE_ID), _identifier(package, names.SET_SOURCE),
            _identifier(package, names.SET_PATIENT), _slot(package, "submissionTime"),
            content[0] if content else Code(""), _authors(package, names.SET_AUTHOR), _text(package, "Name"),
            _text(package, "Description"),
        )  # fmt: skip
    return Lot(
        submission_set,
        tuple(entry(one) for one in element.iter(f"{_RIM}ExtrinsicObject")),
        tuple(_association(one) for one in element.iter(f"{_RIM}Association")),
    )


def entry(one: Element) -> DocumentEntry:
    """One ``ExtrinsicObject``."""
    return DocumentEntry(
        one.get("id", ""), _identifier(one, names.UNIQUE_ID), _identifier(one, names.PATIENT),
        one.get("mimeType", ""), _slot(one, "creationTime"), _slot(one, "hash").lower(), _slot(one, "languageCode"),
        _slot(one, "legalAuthenticator"), _slot(one, "serviceStartTime"), _slot(one, "serviceStopTime"),
        _slot(one, "size"), _slot(one, "sourcePatientId"), _slots(one, "sourcePatientInfo"),
        _slots(one, names.REFERENCES), _slot(one, "URI"), _text(one, "Name"), _text(one, "Description"),
        _authors(one, names.AUTHOR), _code(one, names.CLASS), _codes(one, names.CONFIDENTIALITY),
        _codes(one, names.EVENT), _code(one, names.FORMAT), _code(one, names.FACILITY), _code(one, names.SETTING),
        _code(one, names.TYPE), one.get("status", ""),
    )  # fmt: skip


def _package(element: Element) -> Element | None:
    """The package that is a submission set: classified as one, inside itself or beside it; else the only one."""
    packages = list(element.iter(f"{_RIM}RegistryPackage"))
    marked = {
        one.get("classifiedObject")
        for one in element.iter(f"{_RIM}Classification")
        if one.get("classificationNode", "").lower() == names.SET_NODE
    }
    return next((one for one in packages if one.get("id") in marked), packages[0] if packages else None)


def _association(one: Element) -> Association:
    slots = tuple((str(slot.get("name")), value) for slot in one.findall(f"{_RIM}Slot") for value in _values(slot))
    return Association(one.get("associationType", ""), one.get("sourceObject", ""), one.get("targetObject", ""), slots)


def _values(slot: Element) -> list[str]:
    return [(one.text or "").strip() for one in slot.iter(f"{_RIM}Value")]


def _slots(one: Element, name: str) -> tuple[str, ...]:
    for slot in one.findall(f"{_RIM}Slot"):
        if slot.get("name") == name:
            return tuple(_values(slot))
    return ()


def _slot(one: Element, name: str) -> str:
    found = _slots(one, name)
    return found[0] if found else ""


def _classifications(one: Element, scheme: str) -> list[Element]:
    return [
        found
        for found in one.findall(f"{_RIM}Classification")
        if found.get("classificationScheme", "").lower() == scheme
    ]


def _codes(one: Element, scheme: str) -> tuple[Code, ...]:
    return tuple(
        Code(found.get("nodeRepresentation", ""), _text(found, "Name"), _slot(found, "codingScheme"))
        for found in _classifications(one, scheme)
    )


def _code(one: Element, scheme: str) -> Code:
    found = _codes(one, scheme)
    return found[0] if found else Code("")


def _authors(one: Element, scheme: str) -> tuple[Author, ...]:
    return tuple(
        Author(
            _slots(found, "authorPerson"), _slots(found, "authorInstitution"), _slots(found, "authorRole"),
            _slots(found, "authorSpecialty"),
        )
        for found in _classifications(one, scheme)
    )  # fmt: skip


def _identifier(one: Element, scheme: str) -> str:
    for found in one.findall(f"{_RIM}ExternalIdentifier"):
        if found.get("identificationScheme", "").lower() == scheme:
            return found.get("value", "").strip()
    return ""


def _text(one: Element, name: str) -> str:
    found = one.find(f"{_RIM}{name}/{_RIM}LocalizedString")
    return "" if found is None else found.get("value", "")
