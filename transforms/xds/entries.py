"""Metadata of documents: their CDA header, and what the request says of them.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (mapping to XDS); IHE ITI TF-3, 4.2.3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import tzinfo

from channels.errors import ProfileError
from transforms.submission import Document, Submission
from transforms.submission.authorities import is_oid
from transforms.xds import composed
from transforms.xds.header import Header, Traits, read_header
from transforms.xds.model import Code, DocumentEntry
from transforms.xds.settings import XdsSettings
from transforms.xds.values import values

_LONGEST_TITLE = 128
_REFERENCES = "urn:ihe:iti:xds:2013:"
_REFERENCE_TYPES = frozenset(
    {f"{_REFERENCES}order", f"{_REFERENCES}accession", "urn:ihe:iti:xds:2016:studyInstanceUID"}
)
"""JDV_J231."""


def entries(submission: Submission, settings: XdsSettings, zone: tzinfo) -> list[DocumentEntry]:
    """One entry a document, ``Document01``... Raises as ``transforms.xds.lot``."""
    headers = [read_header(one.content, settings, zone) for one in submission.documents]
    both = len({one.level for one in headers}) > 1
    made = []
    for number, (document, header) in enumerate(zip(submission.documents, headers, strict=True), 1):
        entry = _entry(submission, document, header, settings)
        comments = f"Niveau {header.level}" if both else ""
        made.append(replace(entry, id=f"Document{number:02d}", comments=comments))
    return made


def patient_id(submission: Submission) -> str:
    """CX of the patient: the INS, else the number of the establishment. Raises ProfileError: neither."""
    patient = submission.patient
    if patient.ins:
        return composed.patient_id(patient.ins, patient.ins_oid, "NH")
    if patient.local_id and is_oid(patient.local_oid):
        return composed.patient_id(patient.local_id, patient.local_oid, "PI")
    raise ProfileError("the patient has neither a qualified INS nor a number with its OID", "PID-3", "101")


def _entry(submission: Submission, document: Document, header: Header, settings: XdsSettings) -> DocumentEntry:
    patient = submission.patient
    if patient.ins and header.ins and (patient.ins, patient.ins_oid) not in header.ins:
        where = "/ClinicalDocument/recordTarget/patientRole/id"
        raise ProfileError("the INS of the document is not that of the request", where, "904")
    made = DocumentEntry(
        "",
        document.unique_id,
        patient_id(submission),
        header.mime_type,
        header.creation_time,
        language=header.language,
        legal_authenticator=header.legal_authenticator,
        service_start=header.service_start,
        service_stop=header.service_stop,
        source_patient_id=_source_patient(submission, header),
        source_patient_info=_info(header.traits) if settings.traits else (),
        reference_ids=_orders(submission, header) if settings.order_numbers else (),
        title=header.title[:_LONGEST_TITLE],
        authors=header.authors,
        class_code=header.class_code,
        confidentiality=(header.confidentiality, *_visibility(submission)),
        format_code=header.format_code,
        facility=header.facility,
        practice_setting=header.practice_setting,
        type_code=header.type_code,
    )
    return made.of(document.content) if settings.digest == "send" else made


def _source_patient(submission: Submission, header: Header) -> str:
    """The number of the establishment: of the request, else of the document; else the patient's number of the lot."""
    patient = submission.patient
    numbers = ((patient.local_id, patient.local_oid), *header.local_ids)
    known = next((one for one in numbers if one[0] and is_oid(one[1])), None)
    return composed.patient_id(*known, "PI") if known else patient_id(submission)


def _info(traits: Traits) -> tuple[str, ...]:
    name = f"PID-5|{composed.text(traits.family)}^{composed.text(traits.given)}^^^^^L" if traits.family else ""
    birth = f"PID-7|{traits.birth_date}" if traits.birth_date.isdecimal() else ""
    sex = {"M": "M", "F": "F", "U": "U", "UN": "U"}.get(traits.sex, "")
    return tuple(one for one in (name, birth, f"PID-8|{sex}" if sex else "") if one)


def _visibility(submission: Submission) -> list[Code]:
    flags, known = submission.visibility, values("confidentiality")
    asked = (
        ("MASQUE_PS", flags.masked_professionals), ("INVISIBLE_PATIENT", flags.hidden_patient),
        ("INVISIBLE_REPRESENTANTS_LEGAUX", flags.hidden_representatives),
    )  # fmt: skip
    return [known[code] for code, flag in asked if flag]


def _orders(submission: Submission, header: Header) -> tuple[str, ...]:
    """CXi: number, authority, kind; of the request and of the document, each once."""
    asked = [
        (kind if ":" in kind else f"{_REFERENCES}{kind}", number, oid) for kind, number, oid in submission.order_ids
    ]
    written = [(f"{_REFERENCES}order", number, oid) for number, oid in header.orders]
    return tuple(dict.fromkeys(_references([*asked, *written])))


def _references(found: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    for kind, number, oid in found:
        if kind in _REFERENCE_TYPES and number and is_oid(oid):
            yield f"{composed.text(number)}^^^&{oid}&ISO^{kind}"
