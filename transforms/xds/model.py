"""XDS metadata as values. Texts are as they travel: XCN, XON and CX composed, times in UTC (``YYYYMMDDHHMMSS``).

Source: IHE ITI TF-3, 4.2.3 (attributes), 4.2.2 (associations).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
REPLACES = "urn:ihe:iti:2007:AssociationType:RPLC"
SIGNS = "urn:ihe:iti:2007:AssociationType:signs"
UPDATES = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DELETED = "urn:asip:ci-sis:2010:StatusType:Deleted"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded attribute. system: its OID, or a name such as ``URN``."""

    code: str
    display: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Author:
    """One author: persons or devices (XCN), structures (XON), roles, specialties; ``()`` where nothing is known."""

    persons: tuple[str, ...] = ()
    institutions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubmissionSet:
    """The lot. patient_id: CX. id: symbolic, inside one request."""

    id: str
    unique_id: str
    source_id: str
    patient_id: str
    submission_time: str
    content_type: Code
    authors: tuple[Author, ...] = ()
    title: str = ""
    comments: str = ""


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document. id: symbolic, or the entryUUID in an answer; status: availabilityStatus of an answer.

    hash: SHA-1 of the exact bytes, hexadecimal. uri: name of the file in an archive.
    """

    id: str
    unique_id: str
    patient_id: str
    mime_type: str = "text/xml"
    creation_time: str = ""
    hash: str = ""
    language: str = "fr-FR"
    legal_authenticator: str = ""
    service_start: str = ""
    service_stop: str = ""
    size: str = ""
    source_patient_id: str = ""
    source_patient_info: tuple[str, ...] = ()
    reference_ids: tuple[str, ...] = ()
    uri: str = ""
    title: str = ""
    comments: str = ""
    authors: tuple[Author, ...] = ()
    class_code: Code = Code("")
    confidentiality: tuple[Code, ...] = ()
    event_codes: tuple[Code, ...] = ()
    format_code: Code = Code("")
    facility: Code = Code("")
    practice_setting: Code = Code("")
    type_code: Code = Code("")
    status: str = ""

    def of(self, content: bytes) -> DocumentEntry:
        """The same entry with the hash and the size of these bytes."""
        return replace(self, hash=hashlib.sha1(content, usedforsecurity=False).hexdigest(), size=str(len(content)))


@dataclass(frozen=True, slots=True)
class Association:
    """From an object of the request to another one, or to one of the registry. slots: name -> value."""

    kind: str
    source: str
    target: str
    slots: tuple[tuple[str, str], ...] = ()

    def is_of(self, kind: str) -> bool:
        """Whether it is of this kind, whatever the year and the namespace that its writer gave it."""
        return self.kind.rpartition(":")[2] == kind.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Lot:
    """What one request submits."""

    submission_set: SubmissionSet
    entries: tuple[DocumentEntry, ...] = ()
    associations: tuple[Association, ...] = ()

    @property
    def deletes(self) -> tuple[str, ...]:
        """Entries that this lot asks to delete."""
        return tuple(one.target for one in self.associations if one.is_of(UPDATES) and _deletes(one))

    @property
    def replaces(self) -> dict[str, str]:
        """Id of an entry -> entryUUID of the one that it replaces."""
        return {one.source: one.target for one in self.associations if one.is_of(REPLACES)}


def _deletes(one: Association) -> bool:
    return any(name == "NewStatus" and value.rpartition(":")[2] == "Deleted" for name, value in one.slots)
