"""People and organizations of a CDA document that is read."""

from __future__ import annotations

from typing import Literal

from channels.errors import ProfileError
from transforms.cda.reader_xml import Element, child, children, coding, identifier, moment, place, text, value
from transforms.ins import ins_kind
from transforms.report import (
    FINESS_ROOT,
    RPPS_ROOT,
    Address,
    Coding,
    Contact,
    Identifier,
    Ins,
    Laboratory,
    Moment,
    Organization,
    Patient,
    Person,
    Telecom,
    Validation,
)

_COFRAC = "1.2.250.1.213.6.3.1"


def address(element: Element | None) -> Address | None:
    """An AD; None for a null one."""
    if element is None or element.get("nullFlavor") or not len(element):
        return None
    lines = tuple(text(one) for one in children(element, "streetAddressLine"))
    use = element.get("use", "")
    if lines:
        return Address(lines, use=use)
    street = " ".join(filter(None, (text(element, "houseNumber"), text(element, "streetName"))))
    names = ("unitID", "additionalLocator", "postBox", "precinct")
    more = ", ".join(filter(None, (text(element, name) for name in names)))
    code, city, state, country = (text(element, name) for name in ("postalCode", "city", "state", "country"))
    if not any((street, more, code, city, state, country)):
        return None
    return Address((), street, more, code, city, state, country, use)


def telecom(element: Element | None) -> Telecom | None:
    """A TEL; None for a null one."""
    uri = value(element)
    return Telecom(uri, element.get("use", "")) if element is not None and uri else None


def organization(element: Element | None) -> Organization | None:
    """An organization with its FINESS number."""
    if element is None:
        return None
    ids = {one.get("root"): one.get("extension", "") for one in children(element, "id")}
    return Organization(
        text(element, "name"),
        ids.get(FINESS_ROOT, ""),
        address(child(element, "addr")),
        telecom(child(element, "telecom")),
        value(element, "standardIndustryClassCode", name="code"),
        ids.get(_COFRAC, ""),
    )


def person(element: Element | None, name_path: tuple[str, ...], organization_name: str = "") -> Person | None:
    """Somebody with a role. name_path: where the name stands; organization_name: element of the organization."""
    if element is None:
        return None
    name = child(element, *name_path, "name")
    own = organization(child(element, organization_name)) if organization_name else None
    if name is None and own is None:
        return None
    number = next((one.get("extension", "") for one in children(element, "id") if one.get("root") == RPPS_ROOT), "")
    family = text(name, "family") or ("" if len(name) else text(name)) if name is not None else ""
    given = " ".join(text(one) for one in children(name, "given")) if name is not None else ""
    return Person(
        family,
        given,
        text(name, "prefix"),
        text(name, "suffix"),
        number,
        coding(child(element, "code")),
        address(child(element, "addr")),
        telecom(child(element, "telecom")),
        own,
        place(element),
    )


def assigned(element: Element | None) -> Person | None:
    """``assignedEntity`` or ``assignedAuthor``."""
    return person(element, ("assignedPerson",), "representedOrganization")


def laboratory(performer: Element) -> Laboratory:
    """FR-Laboratoire-executant. Raises ProfileError when it has no name."""
    entity = child(performer, "assignedEntity")
    made = organization(child(entity, "representedOrganization"))
    director = person(entity, ("assignedPerson",))
    if made is None or director is None or not made.name:
        raise ProfileError("a laboratory without name or director", place(performer))
    return Laboratory(made, director, place=place(performer))


def validation(participant: Element) -> Validation | None:
    """FR-Participant: who validated."""
    role = child(participant, "participantRole")
    found = person(role, ("playingEntity",))
    when = moment(participant, "time", "high") or moment(participant, "time")
    return Validation(found, when) if found else None


def patient(role: Element, domain: Literal["test", "production"]) -> Patient:
    """``patientRole``.

    domain: an INS of another domain is not taken.

    Raises:
        ProfileError: a trait that every report has lacks.
    """
    one = child(role, "patient")
    name = child(one, "name")
    birth = moment(one, "birthTime")
    sex = value(one, "administrativeGenderCode", name="code")
    if one is None or name is None or birth is None or not sex:
        raise ProfileError("the patient's name, birth date and sex are required", place(role))
    ids = [found for each in children(role, "id") if (found := identifier(each)) and found.value]
    ins = next((each for each in ids if ins_kind(each.root, domain)), None)
    family = {each.get("qualifier", ""): text(each) for each in reversed(children(name, "family"))}
    given = {each.get("qualifier", ""): text(each) for each in reversed(children(name, "given"))}
    names = " ".join(text(each) for each in children(name, "given") if not each.get("qualifier"))
    deceased = value(one, "sdtc:deceasedInd")
    born = child(one, "birthplace", "place", "addr")
    multiple = value(one, "sdtc:multipleBirthInd")
    return Patient(
        family.get("BR", family.get("", "")),
        given.get("BR", ""),
        names or given.get("BR", ""),
        sex,
        birth,
        Ins(ins.value, ins.root, ins.place) if ins else None,
        tuple(each for each in ids if not _national(each)),
        family.get("CL", ""),
        given.get("CL", ""),
        text(born, "county"),
        text(born, "city"),
        {"true": True, "false": False}.get(multiple),
        value(one, "sdtc:multipleBirthOrderNumber"),
        tuple(filter(None, map(_guardian, children(one, "guardian")))),
        moment(one, "sdtc:deceasedTime") or ("yes" if deceased == "true" else "no" if deceased == "false" else None),
        tuple(filter(None, map(address, children(role, "addr")))),
        tuple(filter(None, map(telecom, children(role, "telecom")))),
        place(role),
    )


def _national(one: Identifier) -> bool:
    return bool(ins_kind(one.root, "test") or ins_kind(one.root, "production"))


def _guardian(element: Element) -> Person | None:
    return person(element, ("guardianPerson",))


def contact(informant: Element) -> Contact | None:
    """``informant``: somebody near the patient."""
    entity = child(informant, "relatedEntity")
    found = person(entity, ("relatedPerson",))
    if entity is None or found is None:
        return None
    relation = coding(child(entity, "code"))
    plain = Person(found.family, found.given, found.prefix, found.suffix, "", None, found.address, found.telecom)
    return Contact(plain, entity.get("classCode", "CON"), relation, place(informant))


def facility(root: Element) -> Coding | None:
    """Type of the facility."""
    encounter = child(root, "componentOf", "encompassingEncounter")
    return coding(child(encounter, "location", "healthCareFacility", "code"))


def sampler(participant: Element) -> tuple[Person, Moment | None] | None:
    """``participant``: somebody and when."""
    found = person(child(participant, "associatedEntity"), ("associatedPerson",), "scopingOrganization")
    when = moment(participant, "time", "high") or moment(participant, "time")
    return (found, when) if found else None
