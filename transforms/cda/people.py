"""People and organizations of a CDA document.

Source: CI-SIS, structuration minimale des documents de santé; order of children as in the CDA schema.
"""

from __future__ import annotations

from transforms.cda.xml import code, esc, time
from transforms.report import (
    FINESS_ROOT,
    RPPS_ROOT,
    Address,
    Coding,
    Laboratory,
    Moment,
    Organization,
    Person,
    Telecom,
    Validation,
)

_PRACTICE = {"ETABLISSEMENT": "Etablissement de santé", "AMBULATOIRE": "Ambulatoire"}
PERFORMER = '<templateId root="1.3.6.1.4.1.19376.1.3.3.1.7"/><templateId root="1.2.250.1.213.1.1.3.23"/>'
VALIDATOR = '<templateId root="1.3.6.1.4.1.19376.1.3.3.1.5"/><templateId root="1.2.250.1.213.1.1.3.109"/>'


def address(value: Address | None, absent: str = "NAV") -> str:
    """``addr``, in lines or in parts; ``absent`` is the nullFlavor when there is none."""
    if value is None:
        return f'<addr nullFlavor="{absent}"/>'
    use = f' use="{value.use}"' if value.use else ""
    if value.lines:
        inside = "".join(f"<streetAddressLine>{esc(line)}</streetAddressLine>" for line in value.lines)
        return f"<addr{use}>{inside}</addr>"
    parts = (
        ("streetName", value.street),
        ("additionalLocator", value.more),
        ("postalCode", value.postal_code),
        ("city", value.city),
        ("state", value.state),
        ("country", value.country),
    )
    return f"<addr{use}>{''.join(f'<{tag}>{esc(text)}</{tag}>' for tag, text in parts if text)}</addr>"


def telecom(value: Telecom | None, absent: str = "NAV") -> str:
    """``telecom``; ``absent`` is the nullFlavor when there is none."""
    if value is None:
        return f'<telecom nullFlavor="{absent}"/>'
    use = f' use="{value.use}"' if value.use else ""
    return f'<telecom value="{esc(value.uri)}"{use}/>'


def name(person: Person) -> str:
    """The name of a professional."""
    parts = (("prefix", person.prefix), ("given", person.given), ("family", person.family), ("suffix", person.suffix))
    return f"<name>{''.join(f'<{tag}>{esc(text)}</{tag}>' for tag, text in parts if text)}</name>"


def person_id(person: Person) -> str:
    """``id`` by national number; nothing when it has none."""
    return f'<id root="{RPPS_ROOT}" extension="{esc(person.id)}"/>' if person.id else ""


def organization(value: Organization, tag: str, *, practice: bool = False, accreditation: bool = False) -> str:
    """An organization: telecom stands before addr, the reverse of persons."""
    inside = f'<id root="{FINESS_ROOT}" extension="{esc(value.id)}"/>' if value.id else ""
    if accreditation and value.accreditation:
        number = esc(value.accreditation)
        inside += f'<id root="1.2.250.1.213.6.3.1" extension="{number}" assigningAuthorityName="COFRAC"/>'
    inside += f"<name>{esc(value.name)}</name>{telecom(value.telecom)}{address(value.address)}"
    if practice:
        setting = Coding(
            value.practice_setting,
            _PRACTICE.get(value.practice_setting, ""),
            "1.2.250.1.213.1.1.4.9",
            "practiceSettingCode",
        )
        inside += code(setting, "standardIndustryClassCode")
    return f"<{tag}>{inside}</{tag}>"


def assigned(person: Person, organization_xml: str) -> str:
    """What is inside ``assignedEntity`` or ``assignedAuthor``."""
    number = person_id(person) or '<id nullFlavor="UNK"/>'
    return (
        f"{number}{code(person.profession)}{address(person.address)}{telecom(person.telecom)}"
        f"<assignedPerson>{name(person)}</assignedPerson>{organization_xml}"
    )


def associated(person: Person) -> str:
    """``associatedEntity`` of a prescriber, sampler or general practitioner."""
    scoping = organization(person.organization, "scopingOrganization") if person.organization else ""
    return (
        f'<associatedEntity classCode="PROV">{person_id(person)}{code(person.profession)}'
        f"{address(person.address)}{telecom(person.telecom)}"
        f"<associatedPerson>{name(person)}</associatedPerson>{scoping}</associatedEntity>"
    )


def performer(laboratory: Laboratory, moment: Moment | None) -> str:
    """FR-Laboratoire-executant: the laboratory that made the tests, and its director."""
    represented = organization(laboratory.organization, "representedOrganization", practice=True)
    when = f"<time>{time(moment, 'high')}</time>" if moment else '<time nullFlavor="UNK"/>'
    inside = assigned(laboratory.director, represented)
    return f'<performer typeCode="PRF">{PERFORMER}{when}<assignedEntity>{inside}</assignedEntity></performer>'


def validator(validation: Validation) -> str:
    """FR-Participant: the biologist who validated a result."""
    person = validation.person
    when = f"<time>{time(validation.time, 'high')}</time>" if validation.time else '<time nullFlavor="UNK"/>'
    return (
        f'<participant typeCode="AUTHEN">{VALIDATOR}{when}<participantRole>{person_id(person)}'
        f"{address(person.address)}{telecom(person.telecom)}<playingEntity>{name(person)}</playingEntity>"
        "</participantRole></participant>"
    )
