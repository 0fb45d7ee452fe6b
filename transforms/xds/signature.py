"""The signature of a lot as one of its documents.

Source: ANS CI-SIS, signature of lots; IHE DSG.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from transforms.xds import composed
from transforms.xds.build import ORIGINAL
from transforms.xds.model import HAS_MEMBER, SIGNS, Association, Code, DocumentEntry, Lot
from transforms.xds.values import values


def signature_entry(lot: Lot, *, unique_id: str, at: datetime) -> DocumentEntry:
    """The entry ``Signature01`` of a lot's signature; its hash and size are set with ``of``. at: time of signing."""
    first, known, now = lot.entries[0], values("confidentiality"), composed.stamp(at)
    return DocumentEntry(
        "Signature01",
        unique_id,
        lot.submission_set.patient_id,
        creation_time=now,
        language="art",
        legal_authenticator=first.legal_authenticator,
        service_start=now,
        service_stop=now,
        source_patient_id=lot.submission_set.patient_id,
        title="Source",
        authors=lot.submission_set.authors,
        class_code=values("class_codes")["urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1"],
        confidentiality=(known["N"], known["MASQUE_PS"], known["INVISIBLE_PATIENT"]),
        event_codes=(Code("1.2.840.10065.1.12.1.14", "Source", "1.2.840.10065.1.12"),),
        format_code=Code("http://www.w3.org/2000/09/xmldsig#", "Default Signature Style", "URN"),
        facility=first.facility,
        practice_setting=first.practice_setting,
        type_code=Code("E1762", "Full Document", "ASTM"),
    )


def signed(lot: Lot, *, unique_id: str, at: datetime, signature: bytes = b"") -> Lot:
    """The lot with its signature: the entry (last), HasMember, and signs. signature: its bytes, for hash and size."""
    entry = signature_entry(lot, unique_id=unique_id, at=at)
    if signature:
        entry = entry.of(signature)
    more = (
        Association(HAS_MEMBER, lot.submission_set.id, entry.id, ORIGINAL),
        Association(SIGNS, entry.id, lot.submission_set.id, ORIGINAL),
    )
    return replace(lot, entries=(*lot.entries, entry), associations=(*lot.associations, *more))
