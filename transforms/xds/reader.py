"""ebRIM read back: answers of a registry, METADATA.XML of others.

Never trusts order, prefixes, the version of ebRIM (2.1 or 3.0), the case of UUIDs, or that what describes an object
stands inside it.

Source: IHE ITI TF-3, 4.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from transforms.cda.reader_xml import Element, local
from transforms.xds import names
from transforms.xds.model import Association, Author, Code, DocumentEntry, Lot, SubmissionSet


def read(element: Element) -> Lot:
    """The lot inside an element, wherever its objects are; what is absent is ``""``."""
    return _Reader(element).lot()


class _Reader:
    """One request or answer."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._outside: dict[str, list[Element]] = {}
        for one in _named(element, "Classification", "ExternalIdentifier"):
            owner = one.get("classifiedObject") or one.get("registryObject") or ""
            if owner and not _is_inside(one, owner):
                self._outside.setdefault(owner, []).append(one)

    def lot(self) -> Lot:
        return Lot(
            self._set(self._package()),
            tuple(self._entry(one) for one in _named(self._element, "ExtrinsicObject")),
            tuple(_association(one) for one in _named(self._element, "Association")),
        )

    def _package(self) -> Element | None:
        """The package that is a submission set: classified as one, inside itself or beside it; else the first."""
        packages = list(_named(self._element, "RegistryPackage"))
        for one in packages:
            if any(each.get("classificationNode", "").lower() == names.SET_NODE for each in self._about(one)):
                return one
        return packages[0] if packages else None

    def _set(self, one: Element | None) -> SubmissionSet:
        if one is None:
            return SubmissionSet("", "", "", "", "", Code(""))
        return SubmissionSet(
            one.get("id", ""), self._identifier(one, names.SET_UNIQUE_ID), self._identifier(one, names.SET_SOURCE),
            self._identifier(one, names.SET_PATIENT), _slot(one, "submissionTime"),
            self._code(one, names.SET_CONTENT_TYPE), self._authors(one, names.SET_AUTHOR), _text(one, "Name"),
            _text(one, "Description"),
        )  # fmt: skip

    def _entry(self, one: Element) -> DocumentEntry:
        return DocumentEntry(
            one.get("id", ""), self._identifier(one, names.UNIQUE_ID), self._identifier(one, names.PATIENT),
            one.get("mimeType", ""), _slot(one, "creationTime"), _slot(one, "hash").lower(), _slot(one, "languageCode"),
            _slot(one, "legalAuthenticator"), _slot(one, "serviceStartTime"), _slot(one, "serviceStopTime"),
            _slot(one, "size"), _slot(one, "sourcePatientId"), _slots(one, "sourcePatientInfo"),
            _slots(one, names.REFERENCES), _slot(one, "URI"), _text(one, "Name"), _text(one, "Description"),
            self._authors(one, names.AUTHOR), self._code(one, names.CLASS), self._codes(one, names.CONFIDENTIALITY),
            self._codes(one, names.EVENT), self._code(one, names.FORMAT), self._code(one, names.FACILITY),
            self._code(one, names.SETTING), self._code(one, names.TYPE), one.get("status", ""),
        )  # fmt: skip

    def _about(self, one: Element) -> list[Element]:
        """Classifications and identifiers of an object."""
        outside = self._outside.get(one.get("id", ""), [])
        return [*_children(one, "Classification"), *_children(one, "ExternalIdentifier"), *outside]

    def _classified(self, one: Element, scheme: str) -> list[Element]:
        return [each for each in self._about(one) if each.get("classificationScheme", "").lower() == scheme]

    def _identifier(self, one: Element, scheme: str) -> str:
        found = (each for each in self._about(one) if each.get("identificationScheme", "").lower() == scheme)
        return next((each.get("value", "").strip() for each in found), "")

    def _codes(self, one: Element, scheme: str) -> tuple[Code, ...]:
        return tuple(
            Code(each.get("nodeRepresentation", ""), _text(each, "Name"), _slot(each, "codingScheme"))
            for each in self._classified(one, scheme)
        )

    def _code(self, one: Element, scheme: str) -> Code:
        return next(iter(self._codes(one, scheme)), Code(""))

    def _authors(self, one: Element, scheme: str) -> tuple[Author, ...]:
        return tuple(
            Author(
                _slots(each, "authorPerson"), _slots(each, "authorInstitution"), _slots(each, "authorRole"),
                _slots(each, "authorSpecialty"),
            )
            for each in self._classified(one, scheme)
        )  # fmt: skip


def _association(one: Element) -> Association:
    slots = tuple((slot.get("name", ""), value) for slot in _children(one, "Slot") for value in _values(slot))
    return Association(one.get("associationType", ""), one.get("sourceObject", ""), one.get("targetObject", ""), slots)


def _named(element: Element, *wanted: str) -> Iterator[Element]:
    return (one for one in element.iter() if local(one) in wanted)


def _children(element: Element, name: str) -> list[Element]:
    return [one for one in element if local(one) == name]


def _is_inside(one: Element, owner: str) -> bool:
    parent = one.getparent()
    return parent is not None and parent.get("id") == owner


def _values(slot: Element) -> list[str]:
    found = ((one.text or "").strip() for one in _named(slot, "Value"))
    return [one for one in found if one]


def _slots(one: Element, name: str) -> tuple[str, ...]:
    """Values of a slot, and of others of its name."""
    return tuple(value for slot in _children(one, "Slot") if slot.get("name") == name for value in _values(slot))


def _slot(one: Element, name: str) -> str:
    return next(iter(_slots(one, name)), "")


def _text(one: Element, name: str) -> str:
    """French when there are several languages."""
    found = [each for parent in _children(one, name) for each in _children(parent, "LocalizedString")]
    french = [each for each in found if each.get(f"{{{names.XML}}}lang", "").lower().startswith("fr")]
    return next((each.get("value", "") for each in [*french, *found]), "")
