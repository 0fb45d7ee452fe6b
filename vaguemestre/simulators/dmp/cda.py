"""The little that the simulator reads of a document: who it is about, what it is, what it replaces.

Source: ANS volet "Transmission de documents CDA en HL7 v2"; CDA R2.
"""

from __future__ import annotations

from lxml import etree

from vaguemestre.simulators.dmp import identifiers, names, soap
from vaguemestre.simulators.dmp.lot import Lot, RegistryObject
from vaguemestre.simulators.dmp.rules import Judge

_DOCUMENT = f"{{{names.HL7}}}ClinicalDocument"


def check(lot: Lot, judge: Judge) -> None:
    """Compare each CDA with its entry. Other XML must be readable."""
    for entry in lot.documents:
        content = lot.contents.get(entry.id)
        root = soap.parse(content) if content is not None else None
        if content is None or not judge.check(root is not None, "cda.readable", entry.id) or root is None:
            continue
        if root.tag == _DOCUMENT:
            _document(root, entry, judge)


def _document(root: etree._Element, entry: RegistryObject, judge: Judge) -> None:
    found = [(one.get("root"), one.get("extension")) for one in soap.find(root, "hl7:id")]
    judge.check(found == [(entry.unique_id, None)], "cda.identifier", entry.id)
    patient = identifiers.ins(entry.identifier(names.ENTRY_PATIENT))
    known = {
        (one.get("extension"), one.get("root")) for one in soap.find(root, "hl7:recordTarget/hl7:patientRole/hl7:id")
    }
    judge.check(patient in known, "cda.patient", entry.id)


def parents(content: bytes) -> list[str] | None:
    """Identifiers that a CDA says it replaces; None for what is not a CDA."""
    root = soap.parse(content)
    if root is None or root.tag != _DOCUMENT:
        return None
    path = "hl7:relatedDocument[@typeCode='RPLC']/hl7:parentDocument/hl7:id"
    return [str(one.get("root", "")) for one in soap.find(root, path)]
