"""Header of a CR-Bio 2024.01.

Source: CI-SIS volet CR d'examens de biologie médicale 2024.01 and structuration minimale; IHE XD-LAB.
"""

from __future__ import annotations

from typing import Literal

from transforms.cda.people import address, assigned, associated, name, organization, performer, person_id, telecom
from transforms.cda.xml import code, esc, ident, time
from transforms.report import LOINC, Coding, Contact, Encounter, Identifier, Moment, Patient, Person, Report, Validation

_SEXES = {"M": "Masculin", "F": "Féminin", "UN": "Indifférencié"}
_SAMPLER = '<functionCode code="PRELV" displayName="Préleveur" codeSystem="1.2.250.1.213.1.1.4.2.280"/>'
_PRACTITIONER = '<functionCode code="PCP" displayName="Médecin traitant" codeSystem="2.16.840.1.113883.5.88"/>'
_CR_BIO = '<templateId root="1.3.6.1.4.1.19376.1.3.3"/><templateId root="1.2.250.1.213.1.1.1.55" extension="2024.01"/>'
_UNSTRUCTURED = '<templateId root="1.3.6.1.4.1.19376.1.2.20"/>'
_POLYVALENT = code(Coding("26436-6", "Biologie polyvalente", LOINC, "LOINC"))
_START = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:lab="urn:oid:1.3.6.1.4.1.19376.1.3.2" xmlns:sdtc="urn:hl7-org:sdtc"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="FR"/>'
    '<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
    '<templateId root="2.16.840.1.113883.2.8.2.1"/><templateId root="1.2.250.1.213.1.1.1.1"/>'
)
_KIND = (
    '<code code="11502-2" displayName="CR d\'examens biologiques" codeSystem="2.16.840.1.113883.6.1"'
    ' codeSystemName="LOINC"/><title>Compte rendu d\'examens biologiques</title>'
)


def header(report: Report, *, structured: bool = True) -> str:
    """Everything before ``component``, from the XML declaration on. structured: False for a PDF as body (level 1)."""
    version = report.version
    laboratory = organization(report.laboratory.organization, "representedOrganization")
    legal_time = report.released or report.time
    return "".join(
        (
            _START,
            _CR_BIO if structured else _UNSTRUCTURED,
            f"{_reference('id', version.id)}{_KIND}{time(report.time)}",
            '<confidentialityCode code="N" displayName="Normal" codeSystem="2.16.840.1.113883.5.25"/>',
            f'<languageCode code="fr-FR"/>{_reference("setId", version.set_id)}',
            f'<versionNumber value="{version.number}"/>',
            f"<recordTarget>{_patient_role(report.patient)}</recordTarget>",
            f"<author>{time(report.time, 'time')}<assignedAuthor>",
            f"{assigned(report.responsible, laboratory)}</assignedAuthor></author>",
            "".join(map(_informant, report.contacts)),
            "<custodian><assignedCustodian>",
            organization(report.custodian, "representedCustodianOrganization"),
            "</assignedCustodian></custodian>",
            "".join(map(_recipient, report.recipients)),
            f'<legalAuthenticator>{time(legal_time, "time")}<signatureCode code="S"/>',
            f"<assignedEntity>{assigned(report.responsible, laboratory)}</assignedEntity></legalAuthenticator>",
            "".join(_authenticator(one, legal_time) for one in report.validators),
            _participants(report),
            "".join(
                f"<inFulfillmentOf><order>{ident(one)}</order></inFulfillmentOf>" for one in report.prescription.orders
            ),
            _events(report),
            _replaced(version.replaces),
            _encounter(report.encounter, report),
        )
    )


def _reference(tag: str, number: str) -> str:
    """An identifier of documents: ``root``, or ``root^extension``."""
    root, _, extension = number.partition("^")
    more = f' extension="{esc(extension)}"' if extension else ""
    return f'<{tag} root="{esc(root)}"{more}/>'


def _patient_role(patient: Patient) -> str:
    ids = [ident(Identifier(patient.ins.number, patient.ins.root))] if patient.ins else []
    ids += [ident(one) for one in patient.ids]
    addresses = "".join(map(address, patient.addresses)) or '<addr nullFlavor="UNK"/>'
    telecoms = "".join(map(telecom, patient.telecoms)) or '<telecom nullFlavor="UNK"/>'
    return (
        f"<patientRole>{''.join(dict.fromkeys(ids))}{addresses}{telecoms}<patient>{_patient_name(patient)}"
        f'<administrativeGenderCode code="{patient.sex}" displayName="{_SEXES[patient.sex]}"'
        f' codeSystem="2.16.840.1.113883.5.1"/>{time(patient.birth_date, "birthTime")}{_deceased(patient.deceased)}'
        f"{_multiple_birth(patient)}{''.join(map(_guardian, patient.guardians))}{_birth_place(patient)}"
        "</patient></patientRole>"
    )


def _patient_name(patient: Patient) -> str:
    parts = []
    if patient.family:
        parts.append(f'<family qualifier="BR">{esc(patient.family)}</family>')
    if patient.birth_given_names:
        parts.append(f"<given>{esc(patient.birth_given_names)}</given>")
    if patient.given:
        parts.append(f'<given qualifier="BR">{esc(patient.given)}</given>')
    if patient.used_family:
        parts.append(f'<family qualifier="CL">{esc(patient.used_family)}</family>')
    if patient.used_given:
        parts.append(f'<given qualifier="CL">{esc(patient.used_given)}</given>')
    return f"<name>{''.join(parts)}</name>"


def _deceased(deceased: Moment | Literal["yes", "no"] | None) -> str:
    if deceased is None:
        return ""
    if isinstance(deceased, Moment):
        return f'<sdtc:deceasedInd value="true"/>{time(deceased, "sdtc:deceasedTime")}'
    return f'<sdtc:deceasedInd value="{"true" if deceased == "yes" else "false"}"/>'


def _multiple_birth(patient: Patient) -> str:
    order = f'<sdtc:multipleBirthOrderNumber value="{int(patient.birth_order)}"/>' if patient.birth_order else ""
    if patient.multiple_birth is None:
        return order
    return f'<sdtc:multipleBirthInd value="{"true" if patient.multiple_birth else "false"}"/>{order}'


def _guardian(person: Person) -> str:
    return (
        f"<guardian>{address(person.address)}{telecom(person.telecom)}"
        f"<guardianPerson>{name(person)}</guardianPerson></guardian>"
    )


def _informant(contact: Contact) -> str:
    person = contact.person
    return (
        f'<informant><relatedEntity classCode="{contact.kind}">{code(contact.relation)}{address(person.address)}'
        f"{telecom(person.telecom)}<relatedPerson>{name(person)}</relatedPerson></relatedEntity></informant>"
    )


def _birth_place(patient: Patient) -> str:
    county = f"<county>{esc(patient.birth_place)}</county>" if patient.birth_place else ""
    city = f"<city>{esc(patient.birth_city)}</city>" if patient.birth_city else ""
    return f"<birthplace><place><addr>{county}{city}</addr></place></birthplace>" if county or city else ""


def _recipient(person: Person) -> str:
    received = organization(person.organization, "receivedOrganization") if person.organization else ""
    return (
        '<informationRecipient><intendedRecipient><templateId root="1.3.6.1.4.1.19376.1.3.3.1.4"/>'
        f"{person_id(person)}{address(person.address)}{telecom(person.telecom)}"
        f"{f'<informationRecipient>{name(person)}</informationRecipient>' if person.family else ''}{received}"
        "</intendedRecipient></informationRecipient>"
    )


def _authenticator(validation: Validation, otherwise: Moment) -> str:
    person = validation.person
    own = organization(person.organization, "representedOrganization") if person.organization else ""
    return (
        '<authenticator><templateId root="1.3.6.1.4.1.19376.1.3.3.1.5"/>'
        f'{time(validation.time or otherwise, "time")}<signatureCode code="S"/>'
        f"<assignedEntity>{assigned(person, own)}</assignedEntity></authenticator>"
    )


def _until(moment: Moment | None) -> str:
    if moment is None:
        return '<time nullFlavor="NA"/>'
    return f'<time xsi:type="IVL_TS">{time(moment, "high")}</time>'


def _participants(report: Report) -> str:
    prescription = report.prescription
    found = [
        f'<participant typeCode="REF"><templateId root="1.3.6.1.4.1.19376.1.3.3.1.6"/>{_until(prescription.time)}'
        f"{associated(one)}</participant>"
        for one in prescription.prescribers
    ]
    found += [
        f'<participant typeCode="PRF">{_SAMPLER}{_until(moment)}{associated(person)}</participant>'
        for person, moment in report.collectors
    ]
    if prescription.general_practitioner:
        practitioner = associated(prescription.general_practitioner)
        found.append(f'<participant typeCode="INF">{_PRACTITIONER}<time nullFlavor="NA"/>{practitioner}</participant>')
    return "".join(found)


def _events(report: Report) -> str:
    """The request and its laboratory with the first chapter, then one event for each other chapter."""
    first, *others = [code(chapter.code) for chapter in report.chapters] or [_POLYVALENT]
    status = "completed" if report.complete else "active"
    end = report.released or report.time
    event = (
        f"<documentationOf><serviceEvent>{''.join(map(ident, report.requested))}{first}"
        f'<lab:statusCode code="{status}"/><effectiveTime>{time(report.received, "low")}{time(end, "high")}'
        f"</effectiveTime>{performer(report.laboratory, end)}</serviceEvent></documentationOf>"
    )
    return event + "".join(f"<documentationOf><serviceEvent>{one}</serviceEvent></documentationOf>" for one in others)


def _replaced(document_id: str) -> str:
    if not document_id:
        return ""
    return (
        '<relatedDocument typeCode="RPLC"><parentDocument>'
        f"{_reference('id', document_id)}</parentDocument></relatedDocument>"
    )


def _encounter(encounter: Encounter, report: Report) -> str:
    if encounter.start or encounter.end:
        when = f"<effectiveTime>{time(encounter.start, 'low')}{time(encounter.end, 'high')}</effectiveTime>"
    else:
        when = '<effectiveTime nullFlavor="UNK"/>'
    laboratory = report.laboratory
    represented = organization(laboratory.organization, "representedOrganization", accreditation=True)
    return (
        f"<componentOf><encompassingEncounter>{ident(encounter.id)}{code(encounter.code)}{when}"
        f"<responsibleParty><assignedEntity>{assigned(report.responsible, represented)}"
        "</assignedEntity></responsibleParty>"
        f"<location><healthCareFacility>{code(laboratory.facility_type)}<location>"
        f"<name>{esc(laboratory.organization.name)}</name>{address(laboratory.organization.address)}"
        "</location></healthCareFacility></location></encompassingEncounter></componentOf>"
    )
