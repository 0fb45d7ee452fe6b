"""The same lots' metadata, deletions and questions, as text."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.vaguemestre.dmp_lots import Document, Lot

INS = "279035121518989"
STRUCTURE = "1990000001"
ROOT = "1.2.250.1.999.1.1.9001"
XDS = "urn:ihe:iti:xds-b:2007"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
DS = "http://www.w3.org/2000/09/xmldsig#"
LEVEL_3, LEVEL_1 = "urn:ihe:lab:xd-lab:2008", "urn:ihe:iti:xds-sd:pdf:2008"


def cx(ins: str = INS) -> str:
    return f"{ins}^^^&amp;1.2.250.1.213.1.4.10&amp;ISO^NH"


PERSON = "810123456781^BIOLOGISTE^Anne^^^^^^&amp;1.2.250.1.71.4.2.1&amp;ISO^D^^^IDNPS"
PLACE = f"CENTRE HOSPITALIER^^^^^&amp;1.2.250.1.71.4.2.2&amp;ISO^IDNST^^^{STRUCTURE}"
SPECIALTY = "G15_10/SM03^Médecin - Biologie médicale (SM)^1.2.250.1.213.1.1.4.5"
_IDS = count(1)


def slot(name: str, *values: str) -> str:
    inner = "".join(f"<rim:Value>{one}</rim:Value>" for one in values)
    return f'<rim:Slot name="{name}"><rim:ValueList>{inner}</rim:ValueList></rim:Slot>'


def _name(text: str, tag: str = "Name") -> str:
    return f'<rim:{tag}><rim:LocalizedString charset="UTF-8" xml:lang="fr-FR" value="{text}"/></rim:{tag}>'


def coded(owner: str, scheme: str, code: str, system: str, display: str) -> str:
    return (
        f'<rim:Classification id="c{next(_IDS)}" classificationScheme="urn:uuid:{scheme}" classifiedObject="{owner}" '
        f'nodeRepresentation="{code}">{slot("codingScheme", system)}{_name(display)}</rim:Classification>'
    )


def _author(owner: str, scheme: str) -> str:
    inner = slot("authorPerson", PERSON) + slot("authorInstitution", PLACE) + slot("authorSpecialty", SPECIALTY)
    return (
        f'<rim:Classification id="c{next(_IDS)}" classificationScheme="urn:uuid:{scheme}" classifiedObject="{owner}" '
        f'nodeRepresentation="">{inner}</rim:Classification>'
    )


def _identifier(owner: str, scheme: str, value: str, name: str) -> str:
    return (
        f'<rim:ExternalIdentifier id="e{next(_IDS)}" registryObject="{owner}" identificationScheme="urn:uuid:{scheme}" '
        f'value="{value}">{_name(name)}</rim:ExternalIdentifier>'
    )


def _set(lot: Lot) -> str:
    return (
        f'<rim:RegistryPackage id="SubmissionSet01">{slot("submissionTime", "20260115101530")}{_name("Biologie")}'
        + _author("SubmissionSet01", "a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d")
        + coded("SubmissionSet01", "aa543740-bdda-424e-8c96-df4873be8500", "03", "1.2.250.1.213.2.2", "Hospitalisation")
        + f'<rim:Classification id="c{next(_IDS)}" classifiedObject="SubmissionSet01" '
        'classificationNode="urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"/>'
        + _identifier("SubmissionSet01", "6b5aea1a-874d-4603-a4bc-96a0a7b38446", cx(lot.ins), "patientId")
        + _identifier("SubmissionSet01", "554ac39e-e3fe-47fe-b233-965d2a147832", ROOT, "sourceId")
        + _identifier("SubmissionSet01", "96fdda7c-d067-4183-912e-bf5ee74998a8", lot.unique_id, "uniqueId")
        + "</rim:RegistryPackage>"
    )


def _entry(
    name: str, unique_id: str, ins: str, content: bytes, slots: str, title: str, codes: list[tuple[str, ...]]
) -> str:
    size = slot("hash", hashlib.sha1(content).hexdigest()) + slot("size", str(len(content)))
    times = slot("creationTime", "20260115101530") + slot("serviceStartTime", "20260115073000")
    return (
        f'<rim:ExtrinsicObject id="{name}" mimeType="text/xml" '
        'objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">'
        + times
        + size
        + slot("legalAuthenticator", PERSON)
        + slots
        + _name(title)
        + _author(name, "93606bcf-9494-43ec-9b4e-a7748d1a838d")
        + "".join(coded(name, *code) for code in codes)
        + coded(name, "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "SA01", "1.2.250.1.71.4.2.4", "Etablissement public")
        + coded(name, "cccf5598-8b07-4b77-a05e-ae952c785ead", "ETABLISSEMENT", "1.2.250.1.213.1.1.4.9", "Etablissement")
        + _identifier(name, "58a6f841-87b3-4a3e-92fd-a8ffeff98427", cx(ins), "patientId")
        + _identifier(name, "2e82c1f6-a085-4c72-9da3-8640a32e42ab", unique_id, "uniqueId")
        + "</rim:ExtrinsicObject>"
    )


def _document(name: str, document: Document, ins: str, content: bytes) -> str:
    slots = (
        slot("languageCode", "fr-FR")
        + slot("sourcePatientId", "0456789^^^&amp;1.2.250.1.999.1.1.9001.2&amp;ISO^PI")
        + slot("sourcePatientInfo", "PID-5|LEFICTIF^RUTH^^^^^L", "PID-7|19790328", "PID-8|F")
    )
    codes: list[tuple[str, ...]] = [
        ("41a5887f-8865-4c09-adf7-e362475b143a", "10", "1.2.250.1.213.1.1.4.1", "Compte rendu"),
        ("f4f85eac-e6cb-4883-b524-f2705394840f", "N", "2.16.840.1.113883.5.25", "Normal"),
        ("a09d5840-386c-46f2-b5ad-9c3699a4309d", document.format, "1.3.6.1.4.1.19376.1.2.3", "Biologie"),
        ("f0306f51-975f-434e-a61c-c59651d33983", "11502-2", "2.16.840.1.113883.6.1", "CR biologie"),
    ]
    return _entry(name, document.unique_id, ins, content, slots, "CR d'examens biologiques", codes)


def _signature_entry(lot: Lot, content: bytes) -> str:
    slots = slot("languageCode", "art") + slot("sourcePatientId", cx(lot.ins))
    confidentiality, visibility = "f4f85eac-e6cb-4883-b524-f2705394840f", "1.2.250.1.213.1.1.4.13"
    codes: list[tuple[str, ...]] = [
        ("41a5887f-8865-4c09-adf7-e362475b143a", "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", "URN", "Digital Signature"),
        (confidentiality, "N", "2.16.840.1.113883.5.25", "Normal"),
        (confidentiality, "MASQUE_PS", visibility, "Masqué aux professionnels de santé"),
        (confidentiality, "INVISIBLE_PATIENT", visibility, "Non visible par le patient"),
        ("2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4", "1.2.840.10065.1.12.1.14", "1.2.840.10065.1.12", "Source"),
        ("a09d5840-386c-46f2-b5ad-9c3699a4309d", DS, "URN", "Default Signature Style"),
        ("f0306f51-975f-434e-a61c-c59651d33983", "E1762", "ASTM", "Full Document"),
    ]
    return _entry("Signature01", lot.signature_id, lot.ins, content, slots, "Source", codes)


def association(kind: str, source: str, target: str, inner: str | None = None) -> str:
    inner = slot("SubmissionSetStatus", "Original") if inner is None else inner
    return (
        f'<rim:Association id="a{next(_IDS)}" associationType="{kind}" sourceObject="{source}" targetObject="{target}">'
        f"{inner}</rim:Association>"
    )


def _status_change(entry: str) -> str:
    inner = slot("OriginalStatus", "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved")
    inner += slot("NewStatus", "urn:asip:ci-sis:2010:StatusType:Deleted")
    return association("urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus", "SubmissionSet01", entry, inner)


def submission(lot: Lot, contents: dict[str, bytes]) -> str:
    member = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
    objects, links = _set(lot), ""
    for name, document in zip(contents, lot.documents, strict=False):
        objects += _document(name, document, lot.ins, contents[name])
        links += association(member, "SubmissionSet01", name)
        for entry in document.replaces:
            links += association("urn:ihe:iti:2007:AssociationType:RPLC", name, entry, "")
    objects += _signature_entry(lot, contents["Signature01"])
    links += association(member, "SubmissionSet01", "Signature01")
    links += association("urn:ihe:iti:2007:AssociationType:signs", "Signature01", "SubmissionSet01")
    documents = "".join(
        f'<xds:Document id="{name}"><xop:Include href="cid:{name}@test"/></xds:Document>' for name in contents
    )
    return (
        f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{XDS}" xmlns:lcm="{LCM}" xmlns:rim="{RIM}" '
        'xmlns:xop="http://www.w3.org/2004/08/xop/include"><lcm:SubmitObjectsRequest><rim:RegistryObjectList>'
        f"{objects}{links}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>{documents}"
        "</xds:ProvideAndRegisterDocumentSetRequest>"
    )


def existence(ins: str) -> str:
    def device(name: str, root: str) -> str:
        return f'<{name} typeCode="{name[:3].upper()}"><device><id root="{root}"/></device></{name}>'

    return (
        '<PRPA_IN201307UV02 xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'ITSVersion="XML_1.0"><id root="{ROOT}.5" extension="{uuid.uuid4()}"/><creationTime value="20260115101530"/>'
        '<interactionId root="2.16.840.1.113883.1.6" extension="PRPA_IN201307UV02"/><processingCode code="D"/>'
        '<processingModeCode code="T"/><acceptAckCode code="AL"/>'
        f"{device('receiver', '1.2.250.1.213.4.1.1.1')}{device('sender', ROOT)}"
        '<attentionLine xsi:nil="true"/><controlActProcess classCode="CACT" moodCode="EVN">'
        '<reasonCode code="TEST_EXST" codeSystem="1.2.250.1.213.1.1.4.11"/><queryByParameter>'
        f'<queryId root="{ROOT}.6" extension="1"/><statusCode code="new"/><parameterList><dataSource xsi:nil="true"/>'
        f'<patientIdentifier><value root="1.2.250.1.213.1.4.10" extension="{ins}"/><semanticsText>Patient.id'
        "</semanticsText></patientIdentifier></parameterList></queryByParameter></controlActProcess></PRPA_IN201307UV02>"
    )


def deletion(lot: Lot, entries: Sequence[str]) -> str:
    objects = _set(lot) + "".join(map(_status_change, entries))
    return (
        f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}"><rim:RegistryObjectList>{objects}'
        "</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
    )
