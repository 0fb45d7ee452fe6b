"""From a submission to a lot: metadata of the set and of its documents.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (mapping to XDS); IHE ITI TF-3, 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from channels.errors import ConfigError, ProfileError
from transforms.submission import Document, Submission
from transforms.xds import composed
from transforms.xds.header import Header, Reader
from transforms.xds.model import (
    APPROVED,
    DELETED,
    HAS_MEMBER,
    REPLACES,
    SIGNS,
    UPDATES,
    Association,
    Author,
    Code,
    DocumentEntry,
    Lot,
    SubmissionSet,
)
from transforms.xds.settings import XdsSettings
from transforms.xds.values import CONFIDENTIALITY, VISIBILITY, class_of, format_of, values

_PARIS = ZoneInfo("Europe/Paris")
_SET = "SubmissionSet01"
_LONGEST_TITLE = 128
_CONTENT_TYPES = {
    "I": Code("03", "Hospitalisation"), "O": Code("07", "Consultation"), "R": Code("19", "Séances"),
    "N": Code("97", "Sans venue"), "E": Code("07", "Urgences"),
}  # fmt: skip
_CONTENT_SYSTEM = "1.2.250.1.213.2.2"
_ORIGINAL = (("SubmissionSetStatus", "Original"),)
_NORMAL = Code("N", "Normal", CONFIDENTIALITY)
_MASKED = Code("MASQUE_PS", "Masqué aux professionnels de santé", VISIBILITY)
_HIDDEN = Code("INVISIBLE_PATIENT", "Non visible par le patient", VISIBILITY)
_FROM_REPRESENTATIVES = Code(
    "INVISIBLE_REPRESENTANTS_LEGAUX", "Non visible par les représentants légaux du patient", VISIBILITY
)


def lot(  # what a lot is made of
    submission: Submission,
    *,
    unique_id: str,
    source_id: str,
    at: datetime,
    settings: XdsSettings | None = None,
    parents: Mapping[str, str] | None = None,
    zone: tzinfo = _PARIS,
) -> Lot:
    """The lot that publishes, or replaces, the documents of a submission.

    unique_id, source_id: OIDs of the lot and of this engine. at: time of submission. parents: unique id of a document
    that is replaced -> its entryUUID in the registry; a replacement that is not in it has no association. zone: of
    times of documents that have none.

    Raises:
        ProfileError: what metadata needs is missing in a document (its path) or in the request, or is not of its value
            set.
        ParseError, UnsupportedError: a document is not CDA.
    """
    settings = settings or XdsSettings()
    headers = [Reader(one.content, settings, zone).header() for one in submission.documents]
    entries, associations = [], []
    for number, (document, header) in enumerate(zip(submission.documents, headers, strict=True), 1):
        entry = _entry(submission, document, header, f"Document{number:02d}", settings)
        entries.append(entry)
        associations.append(Association(HAS_MEMBER, _SET, entry.id, _ORIGINAL))
        parent = (parents or {}).get(document.replaces)
        if parent:
            associations.append(Association(REPLACES, entry.id, parent))
    authors = headers[0].authors if headers else ()
    return Lot(_set(submission, unique_id, source_id, at, settings, authors), tuple(entries), tuple(associations))


def deletion(  # what a lot is made of
    submission: Submission,
    *,
    unique_id: str,
    source_id: str,
    at: datetime,
    entries: Sequence[str],
    settings: XdsSettings | None = None,
) -> Lot:
    """The lot that deletes documents. entries: their entryUUIDs. Raises ProfileError as ``lot``."""
    slots = (("OriginalStatus", APPROVED), ("NewStatus", DELETED))
    return Lot(
        _set(submission, unique_id, source_id, at, settings or XdsSettings(), ()),
        (),
        tuple(Association(UPDATES, _SET, one, slots) for one in entries),
    )


def signed(lot: Lot, *, unique_id: str, at: datetime) -> Lot:
    """The lot with the entry of its signature (last, ``Signature01``); its hash and size are set with ``of``.

    Source: ANS CI-SIS, signature of lots; IHE DSG.
    """
    first = lot.entries[0]
    now = composed.stamp(at)
    entry = DocumentEntry(
        "Signature01",
        unique_id,
        first.patient_id,
        creation_time=now,
        language="art",
        legal_authenticator=first.legal_authenticator,
        service_start=now,
        service_stop=now,
        source_patient_id=first.patient_id,
        title="Source",
        authors=lot.submission_set.authors,
        class_code=Code("urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", "Digital Signature", "URN"),
        confidentiality=(_NORMAL, _MASKED, _HIDDEN),
        event_codes=(Code("1.2.840.10065.1.12.1.14", "Source", "1.2.840.10065.1.12"),),
        format_code=Code("http://www.w3.org/2000/09/xmldsig#", "Default Signature Style", "URN"),
        facility=first.facility,
        practice_setting=first.practice_setting,
        type_code=Code("E1762", "Full Document", "ASTM"),
    )
    more = (Association(HAS_MEMBER, _SET, entry.id, _ORIGINAL), Association(SIGNS, entry.id, _SET, _ORIGINAL))
    return replace(lot, entries=(*lot.entries, entry), associations=(*lot.associations, *more))


def _set(  # what a lot is made of
    submission: Submission, unique_id: str, source_id: str, at: datetime, settings: XdsSettings,
    authors: tuple[Author, ...],
) -> SubmissionSet:  # fmt: skip
    return SubmissionSet(
        _SET, unique_id, source_id, _patient(submission), composed.stamp(at), _content_type(submission, settings),
        (_sender(submission, settings, authors),), settings.title,
    )  # fmt: skip


def _patient(submission: Submission) -> str:
    patient = submission.patient
    if patient.ins:
        return composed.patient_id(patient.ins, patient.ins_oid, "NH")
    if patient.local_id and patient.local_oid:
        return composed.patient_id(patient.local_id, patient.local_oid, "PI")
    raise ProfileError("the patient has neither a qualified INS nor a number with its OID", "PID-3", "101")


def _content_type(submission: Submission, settings: XdsSettings) -> Code:
    own = settings.content_types.get(submission.visit_class)
    if own is not None:
        return Code(own.code, own.label or own.code, _CONTENT_SYSTEM)
    found = _CONTENT_TYPES.get(submission.visit_class)
    if found is None:
        raise ProfileError("no content type of a lot is known for this class of patient", "PV1-2", "103")
    return replace(found, system=_CONTENT_SYSTEM)


def _sender(submission: Submission, settings: XdsSettings, authors: tuple[Author, ...]) -> Author:
    """Author of the lot: who sends."""
    sender = submission.sender
    person = ""
    if sender.person is not None:
        person = composed.person(sender.person.id, sender.person.family, sender.person.given)
    elif sender.device:
        structure = sender.organization.id if sender.organization else ""
        own = sender.device if "/" in sender.device or not structure else f"3{structure[1:]}/{sender.device}"
        person = composed.device(own, sender.device)
    if not person:
        raise ProfileError("the request says neither who sends nor which device", "PRT-5", "101")
    organization = sender.organization
    institutions = (composed.institution(organization.id, organization.name),) if organization else ()
    specialties: tuple[str, ...] = ()
    if settings.specialty:
        code = values("specialties").get(settings.specialty)
        if code is None:
            raise ConfigError("the specialty of lots is not of JDV_J01")
        specialties = (f"{code.code}^{composed.text(code.display)}^{code.system}",)
    elif sender.person is not None:
        same = [one for one in authors if one.persons and one.persons[0].split("^")[0] == sender.person.id]
        specialties = same[0].specialties if same else ()
    return Author((person,), institutions, (), specialties)


def _entry(
    submission: Submission, document: Document, header: Header, name: str, settings: XdsSettings
) -> DocumentEntry:
    class_code = class_of(header.type_code.code, settings.classes)
    if class_code is None:
        raise ProfileError("no class is known for this type of document (ASS_X04)", "/ClinicalDocument/code", "103")
    form = format_of(header.templates, settings.formats, settings.format_system)
    if form is None:
        raise ProfileError("no format is known for these templates (ASS_A11)", "/ClinicalDocument/templateId", "103")
    made = DocumentEntry(
        name,
        document.unique_id,
        _patient(submission),
        header.mime_type,
        header.creation_time,
        language=header.language,
        legal_authenticator=header.legal_authenticator,
        service_start=header.service_start,
        service_stop=header.service_stop,
        source_patient_id=_source_patient(submission, header),
        source_patient_info=_traits(submission),
        reference_ids=_orders(submission) if settings.order_numbers else (),
        title=header.title[:_LONGEST_TITLE],
        authors=header.authors,
        class_code=class_code,
        confidentiality=(header.confidentiality, *_visibility(submission)),
        format_code=form,
        facility=header.facility,
        practice_setting=header.practice_setting,
        type_code=header.type_code,
    )
    return made.of(document.content)


def _source_patient(submission: Submission, header: Header) -> str:
    patient = submission.patient
    if patient.local_id and patient.local_oid:
        return composed.patient_id(patient.local_id, patient.local_oid, "PI")
    if header.local_ids:
        return composed.patient_id(*header.local_ids[0], "PI")
    return _patient(submission)


def _traits(submission: Submission) -> tuple[str, ...]:
    patient = submission.patient
    name = f"PID-5|{composed.text(patient.family)}^{composed.text(patient.given)}^^^^^L" if patient.family else ""
    birth = f"PID-7|{patient.birth_date[:8]}" if patient.birth_date else ""
    sex = f"PID-8|{patient.sex}" if patient.sex else ""
    return tuple(one for one in (name, birth, sex) if one)


def _visibility(submission: Submission) -> list[Code]:
    flags = submission.visibility
    asked = (
        (flags.masked_professionals, _MASKED), (flags.hidden_patient, _HIDDEN),
        (flags.hidden_representatives, _FROM_REPRESENTATIVES),
    )  # fmt: skip
    return [code for flag, code in asked if flag]


def _orders(submission: Submission) -> tuple[str, ...]:
    """CXi: number, authority, kind."""
    return tuple(
        f"{composed.text(number)}^^^&{oid}&ISO^urn:ihe:iti:xds:2013:{kind}"
        for kind, number, oid in submission.order_ids
        if kind in ("order", "accession") and number and oid
    )
