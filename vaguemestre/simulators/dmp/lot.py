"""A submission as ebRIM objects, read without judging: sets, entries, associations, and their documents.

Source: ebRIM 3.0; IHE ITI TF-3 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from vaguemestre.simulators.dmp import names, soap, wire, xmlsig
from vaguemestre.simulators.dmp.rules import Judge


def slots(element: etree._Element) -> dict[str, list[str]]:
    """Values of each slot by its name."""
    return {
        str(slot.get("name", "")): [value.text or "" for value in soap.find(slot, "rim:ValueList/rim:Value")]
        for slot in soap.find(element, "rim:Slot")
    }


def label(element: etree._Element, name: str) -> str:
    """``Name`` or ``Description``: the first of its strings."""
    found = soap.find(element, f"rim:{name}/rim:LocalizedString")
    return str(found[0].get("value", "")) if found else ""


@dataclass(frozen=True, slots=True)
class Coded:
    """A classification: its scheme, code, the code's system, its display; slots of an author."""

    scheme: str
    code: str
    system: str
    display: str
    slots: dict[str, list[str]]
    element: etree._Element

    @classmethod
    def of(cls, element: etree._Element) -> Coded:
        """Read ``rim:Classification``."""
        inner = slots(element)
        system = inner.get("codingScheme", [""])
        return cls(
            str(element.get("classificationScheme", "")), str(element.get("nodeRepresentation", "")),
            system[0] if len(system) == 1 else "", label(element, "Name"), inner, element,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegistryObject:
    """A set or an entry: its symbolic identifier, its slots, its classifications and external identifiers."""

    element: etree._Element
    id: str
    slots: dict[str, list[str]]
    classifications: list[Coded]
    identifiers: list[tuple[str, str]]

    @classmethod
    def of(cls, element: etree._Element) -> RegistryObject:
        """Read ``rim:RegistryPackage`` or ``rim:ExtrinsicObject``."""
        identifiers = [
            (str(one.get("identificationScheme", "")), str(one.get("value", "")))
            for one in soap.find(element, "rim:ExternalIdentifier")
        ]
        classifications = [Coded.of(one) for one in soap.find(element, "rim:Classification")]
        return cls(element, str(element.get("id", "")), slots(element), classifications, identifiers)

    def slot(self, name: str) -> str:
        """The only value of a slot; empty without, or with several."""
        values = self.slots.get(name, [])
        return values[0] if len(values) == 1 else ""

    def coded(self, scheme: str) -> list[Coded]:
        """Classifications of a scheme, in their order."""
        return [one for one in self.classifications if one.scheme == scheme]

    def code(self, scheme: str) -> tuple[str, str]:
        """``(system, code)`` of the only classification of a scheme; empty ones without."""
        found = self.coded(scheme)
        return (found[0].system, found[0].code) if len(found) == 1 else ("", "")

    def identifier(self, scheme: str) -> str:
        """The only external identifier of a scheme; empty without."""
        found = [value for known, value in self.identifiers if known == scheme]
        return found[0] if len(found) == 1 else ""

    @property
    def unique_id(self) -> str:
        """The uniqueId of a document entry."""
        return self.identifier(names.ENTRY_UNIQUE)

    @property
    def is_signature(self) -> bool:
        """The entry of a lot signature, by its type."""
        return self.code(names.TYPE) == ("ASTM", "E1762")

    @property
    def title(self) -> str:
        """Its ``Name``."""
        return label(self.element, "Name")


@dataclass(frozen=True, slots=True)
class Association:
    """From ``source`` to ``target``."""

    kind: str
    source: str
    target: str
    slots: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Lot:
    """What one SubmitObjectsRequest holds, and the content of its documents by the entry's id."""

    element: etree._Element
    sets: list[RegistryObject]
    entries: list[RegistryObject]
    associations: list[Association]
    contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def set(self) -> RegistryObject:
        """The submission set; there is one, or the request was refused before."""
        return self.sets[0]

    @property
    def documents(self) -> list[RegistryObject]:
        """Entries that are not signatures."""
        return [entry for entry in self.entries if not entry.is_signature]

    @property
    def patient(self) -> str:
        """The patientId of the set, as CX."""
        return self.set.identifier(names.SET_PATIENT)

    @property
    def unique_id(self) -> str:
        """The uniqueId of the set."""
        return self.set.identifier(names.SET_UNIQUE)

    def targets(self, kind: str) -> list[str]:
        """Targets of the associations of a kind."""
        return [one.target for one in self.associations if one.kind == kind]


def read(submit: etree._Element, contents: dict[str, bytes] | None = None) -> Lot:
    """Read ``lcm:SubmitObjectsRequest``."""
    objects = "rim:RegistryObjectList/rim:"
    associations = [
        Association(
            str(one.get("associationType", "")), str(one.get("sourceObject", "")), str(one.get("targetObject", "")),
            slots(one),
        )
        for one in soap.find(submit, objects + "Association")
    ]  # fmt: skip
    return Lot(
        submit,
        [RegistryObject.of(one) for one in soap.find(submit, objects + "RegistryPackage")],
        [RegistryObject.of(one) for one in soap.find(submit, objects + "ExtrinsicObject")],
        associations,
        contents or {},
    )


def contents(request: etree._Element, received: wire.Received, judge: Judge, *, inline: bool) -> dict[str, bytes]:
    """Bytes of each ``xds:Document`` by its id. inline: Base64 in the envelope is taken too."""
    found: dict[str, bytes] = {}
    named = set()
    for document in soap.find(request, "xds:Document"):
        name = str(document.get("id", ""))
        includes = soap.find(document, "*")
        part = wire.content_id(includes[0].get("href", "")) if len(includes) == 1 else None
        alone = (
            len(includes) == 1 and includes[0].tag == f"{{{names.XOP}}}Include" and not (document.text or "").strip()
        )
        if alone and part in received.parts and part not in named:
            named.add(part)
            found[name] = received.parts[str(part)].content
        elif inline and not includes and (content := xmlsig.decode(document.text or "")):
            found[name] = content
        else:
            judge.check(kept=False, name="mtom.include", place=f"Document[@id={name}]")
    judge.check(named == set(received.parts), "mtom.unused")
    return found
