"""Metadata of a lot: every row of the tables of SubmissionSet and DocumentEntry, and the associations between them.

Source: IHE ITI TF-3 4.2.3; DMPi 2.10 (XDS metadata of the DMP); ANS volet "Transmission de documents CDA en HL7 v2".
"""

from __future__ import annotations

import hashlib
from collections import Counter

from vaguemestre.simulators.dmp import identifiers, names, soap
from vaguemestre.simulators.dmp.lot import Coded, Lot, RegistryObject
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.tables import class_of_type, formats, value_set

_CLASSES = "1.2.250.1.213.1.1.4.1"
_CONTENT_TYPES = "1.2.250.1.213.2.2"
_IHE_FORMATS = "1.3.6.1.4.1.19376.1.2.3"
_CONFIDENTIALITY, _VISIBILITY = "2.16.840.1.113883.5.25", "1.2.250.1.213.1.1.4.13"
_PDF_FORMAT = "urn:ihe:iti:xds-sd:pdf:2008"
_SIGNATURE = {
    names.CLASS: ("URN", "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1"),
    names.TYPE: ("ASTM", "E1762"),
    names.EVENT: ("1.2.840.10065.1.12", "1.2.840.10065.1.12.1.14"),
}
_SIGNATURE_FORMATS = {("URN", "http://www.w3.org/2000/09/xmldsig#"), (_IHE_FORMATS, "urn:ihe:iti:dsg:detached:2014")}
_SIGNATURE_HIDDEN = [
    (_CONFIDENTIALITY, "N"), (_VISIBILITY, "MASQUE_PS"), (_VISIBILITY, "INVISIBLE_PATIENT"),
]  # fmt: skip
_ASSIGNED = ("availabilityStatus", "logicalId", "version", "entryUUID", "repositoryUniqueId")


def submission_set(lot: Lot, judge: Judge) -> None:
    """SubmissionSet: one, classified, with its author, content type, patient, source, unique id, time."""
    marked = [soap.find(one.element, f"rim:Classification[@classificationNode='{names.SET_NODE}']") for one in lot.sets]
    judge.need(len(marked) == 1 and marked[0], "set.one")
    found = lot.set
    judge.check(identifiers.utc(found.slot("submissionTime"), full=True), "set.time", "submissionTime")
    authors = found.coded(names.SET_AUTHOR)
    judge.check(authors and all(_has_person(one) for one in authors), "set.author", "author")
    for author in authors:
        _author(author, judge, "SubmissionSet")
    system, code = found.code(names.SET_CONTENT_TYPE)
    known = system == _CONTENT_TYPES and len(code) == 2 and code.isdigit()
    judge.check(known, "set.content-type", "contentTypeCode")
    _displays(found, judge, "SubmissionSet")
    judge.check(_patient(lot.patient, judge, "SubmissionSet"), "set.patient", "patientId")
    judge.check(identifiers.is_oid(found.identifier(names.SET_SOURCE)), "set.source", "sourceId")
    judge.check(identifiers.is_oid(lot.unique_id), "set.unique", "uniqueId")


def entries(lot: Lot, judge: Judge) -> None:
    """Every DocumentEntry, its content, and that unique ids differ."""
    judge.check(lot.documents, "lot.documents")
    for entry in lot.entries:
        _common(entry, lot, judge)
        _content(entry, lot, judge)
        if entry.is_signature:
            _signature_entry(entry, judge)
        else:
            _document(entry, judge)
    for name, times in Counter(entry.unique_id for entry in lot.entries).items():
        judge.check(times == 1 or not name, "entry.unique-in-lot")
    known = {entry.id for entry in lot.entries}
    judge.check(set(lot.contents) <= known, "lot.metadata")
    _levels(lot, judge)


def associations(lot: Lot, judge: Judge) -> None:
    """HasMember to every entry, one ``signs``, nothing else but replacements."""
    allowed = {names.HAS_MEMBER, names.SIGNS, names.REPLACES}
    judge.check(all(one.kind in allowed for one in lot.associations), "lot.association")
    members = Counter(
        one.target
        for one in lot.associations
        if one.kind == names.HAS_MEMBER
        and one.source == lot.set.id
        and one.slots.get("SubmissionSetStatus") == ["Original"]
    )
    for entry in lot.entries:
        judge.check(members[entry.id] == 1, "lot.has-member", entry.id)
    signatures = [entry for entry in lot.entries if entry.is_signature]
    judge.check(len(signatures) == 1, "signature.one")
    signs = [one for one in lot.associations if one.kind == names.SIGNS]
    kept = [(one.source, one.target, one.slots.get("SubmissionSetStatus")) for one in signs] == [
        (entry.id, lot.set.id, ["Original"]) for entry in signatures
    ]
    judge.check(kept, "signature.signs")


def _common(entry: RegistryObject, lot: Lot, judge: Judge) -> None:
    """Rows that documents and signatures share."""
    place = entry.id
    judge.check(entry.element.get("objectType") == names.ENTRY_TYPE, "entry.object-type", place)
    authors = entry.coded(names.AUTHOR)
    judge.check(authors and all(_has_person(one) for one in authors), "entry.author", place)
    for author in authors:
        _author(author, judge, place)
    facility, practice = entry.code(names.FACILITY), entry.code(names.PRACTICE)
    judge.check(facility in value_set("J02"), "entry.facility", place)
    judge.check(practice in value_set("J04"), "entry.practice", place)
    _displays(entry, judge, place)
    judge.check(identifiers.utc(entry.slot("creationTime")), "entry.creation-time", place)
    _service_times(entry, judge)
    authenticator = entry.slot("legalAuthenticator")
    judge.check(identifiers.is_xcn(authenticator), "entry.legal-authenticator", place)
    judge.check(0 < len(entry.title) <= 128, "entry.title", place)
    patient = entry.identifier(names.ENTRY_PATIENT)
    judge.check(patient and patient == lot.patient, "entry.patient", place)
    _patient(patient, judge, place)
    judge.check(identifiers.is_oid(entry.unique_id), "entry.unique", place)
    sent = [name for name in _ASSIGNED if name in entry.slots]
    kept = not sent and "lid" not in entry.element.attrib and "status" not in entry.element.attrib
    judge.check(kept, "entry.assigned", place)


def _document(entry: RegistryObject, judge: Judge) -> None:
    place = entry.id
    judge.check(entry.element.get("mimeType") in {"text/xml", "application/xslt+xml"}, "entry.mime-type", place)
    kind, group = entry.code(names.TYPE), entry.code(names.CLASS)
    judge.check(kind in value_set("J07"), "entry.type", place)
    judge.check(group[0] == _CLASSES and group[1], "entry.class", place)
    judge.check(class_of_type().get(kind, group[1]) == group[1], "entry.class-of-type", place)
    system, code = entry.code(names.FORMAT)
    table = formats().get(code)
    fits = system == _IHE_FORMATS if table == "TRE_A11" else table is not None and identifiers.is_oid(system)
    judge.check(fits, "entry.format", place)
    _confidentiality(entry, judge)
    judge.check(entry.slot("languageCode") == "fr-FR", "entry.language", place)
    source = identifiers.cx(entry.slot("sourcePatientId"))
    fits = source is not None and (source[2] == "PI" or identifiers.ins(entry.slot("sourcePatientId")) is not None)
    judge.check(fits, "entry.source-patient", place)
    judge.check(
        identifiers.is_patient_info(entry.slots.get("sourcePatientInfo", [])), "entry.source-patient-info", place
    )
    for value in entry.slots.get(names.REFERENCE_IDS, []):
        parts = value.split("^")
        known = len(parts) == 5 and bool(parts[0]) and ("1.2.250.1.213.1.1.4.347", parts[4]) in value_set("J231")
        judge.check(known, "entry.references", place)


def _confidentiality(entry: RegistryObject, judge: Judge) -> None:
    codes = [(one.system, one.code) for one in entry.coded(names.CONFIDENTIALITY)]
    first = codes[:1]
    plain = [one for one in codes if one[1] in {"N", "R", "V"}]
    judge.check(plain == first and first and first[0][0] == _CONFIDENTIALITY, "entry.confidentiality", entry.id)
    others = [one for one in codes if one not in plain]
    hidden = all(one[0] == _VISIBILITY and one in value_set("J08") for one in others)
    judge.check(hidden and len(set(others)) == len(others), "entry.visibility", entry.id)


def _signature_entry(entry: RegistryObject, judge: Judge) -> None:
    codes = all(entry.code(scheme) == wanted for scheme, wanted in _SIGNATURE.items())
    hidden = [(one.system, one.code) for one in entry.coded(names.CONFIDENTIALITY)] == _SIGNATURE_HIDDEN
    formed = entry.code(names.FORMAT) in _SIGNATURE_FORMATS
    plain = (entry.element.get("mimeType"), entry.slot("languageCode"), entry.title) == ("text/xml", "art", "Source")
    judge.check(codes and hidden and formed and plain, "signature.entry", entry.id)
    source = identifiers.ins(entry.slot("sourcePatientId"))
    judge.check(source is not None and "sourcePatientInfo" not in entry.slots, "signature.patient", entry.id)


def _content(entry: RegistryObject, lot: Lot, judge: Judge) -> None:
    content = lot.contents.get(entry.id)
    if not judge.check(content is not None, "lot.document", entry.id) or content is None:
        return
    stated = entry.slot("hash")
    known = hashlib.sha1(content).hexdigest()  # noqa: S324  # what XDS says
    judge.check(stated.lower() == known, "entry.hash", entry.id)
    judge.check(entry.slot("size") == str(len(content)), "entry.size", entry.id)


def _service_times(entry: RegistryObject, judge: Judge) -> None:
    start = identifiers.utc(entry.slot("serviceStartTime"))
    stop = identifiers.utc(entry.slot("serviceStopTime")) if "serviceStopTime" in entry.slots else start
    judge.check(start is not None and stop is not None and start <= stop, "entry.service-times", entry.id)


def _levels(lot: Lot, judge: Judge) -> None:
    """Two levels of one document: one entry with a PDF body, the other structured."""
    documents = lot.documents
    flat = [one for one in documents if one.code(names.FORMAT)[1] == _PDF_FORMAT]
    if len(documents) != 2 or len(flat) != 1:
        return
    first, second = ((one.code(names.TYPE), one.code(names.CLASS), _people(one)) for one in documents)
    judge.check(first == second, "entry.levels")


def _people(entry: RegistryObject) -> list[list[str]]:
    return [one.slots.get("authorPerson", []) for one in entry.coded(names.AUTHOR)]


def _has_person(author: Coded) -> bool:
    return len(author.slots.get("authorPerson", [])) == 1


def _author(author: Coded, judge: Judge, place: str) -> None:
    judge.check(author.element.get("nodeRepresentation") == "", "entry.author-node", place)
    for name, rule, good in (
        ("authorPerson", "author.person", identifiers.is_xcn),
        ("authorInstitution", "author.institution", identifiers.is_xon),
        ("authorSpecialty", "author.specialty", identifiers.is_specialty),
    ):
        judge.check(all(good(value) for value in author.slots.get(name, [])), rule, place)


def _displays(found: RegistryObject, judge: Judge, place: str) -> None:
    for scheme, name in names.CODED.items():
        for one in found.coded(scheme):
            judge.check(one.code and one.system and one.display, "entry.coding-scheme", f"{place} {name}")


def _patient(value: str, judge: Judge, place: str) -> bool:
    found = identifiers.ins(value)
    if found is None:
        return False
    judge.check(found[1] in names.INS_TEST, "ins.production", place)
    judge.check(identifiers.has_ins_key(found[0]), "ins.key", place)
    return True
