"""From a submission to a lot: metadata of the set and of its documents.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (mapping to XDS); IHE ITI TF-3, 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from channels.errors import ProfileError
from transforms.submission import Submission
from transforms.xds import composed, entries
from transforms.xds.model import (
    APPROVED,
    DELETED,
    HAS_MEMBER,
    REPLACES,
    UPDATES,
    Association,
    Author,
    Code,
    Lot,
    SubmissionSet,
)
from transforms.xds.sender import lot_author
from transforms.xds.settings import XdsSettings
from transforms.xds.values import values

PARIS = ZoneInfo("Europe/Paris")
SET_ID = "SubmissionSet01"
ORIGINAL = (("SubmissionSetStatus", "Original"),)
_CONTENT_TYPES = {"I": "03", "O": "07", "R": "19", "N": "97", "E": "07"}


@dataclass(frozen=True, slots=True)
class _Request:
    """What the parts of a lot have in common."""

    submission: Submission
    unique_id: str
    source_id: str
    at: datetime
    settings: XdsSettings = field(default_factory=XdsSettings)

    def submission_set(self, authors: Sequence[Author] = ()) -> SubmissionSet:
        """authors: of the documents; who sends may be one of them."""
        submission, settings = self.submission, self.settings
        return SubmissionSet(
            SET_ID, self.unique_id, self.source_id, entries.patient_id(submission), composed.stamp(self.at),
            _content_type(submission.visit_class, settings), (lot_author(submission.sender, settings, authors),),
            settings.title,
        )  # fmt: skip


def lot(  # what a lot is made of
    submission: Submission,
    *,
    unique_id: str,
    source_id: str,
    at: datetime,
    settings: XdsSettings | None = None,
    parents: Mapping[str, str] | None = None,
    zone: tzinfo = PARIS,
) -> Lot:
    """The lot that publishes, or replaces, the documents of a submission.

    unique_id, source_id: OIDs of the lot and of this engine. at: time of submission. parents: unique id of a document
    that is replaced -> its entryUUID in the registry; without it no association says what is replaced. zone: of
    times of documents that have none.

    Raises:
        ProfileError: what metadata needs is missing in a document (its path) or in the request, or is not of its value
            set; a document is of another patient (904); a replaced document is not in ``parents`` (900).
        ParseError, UnsupportedError: a document is not CDA.
    """
    request = _Request(submission, unique_id, source_id, at, settings or XdsSettings())
    if not submission.documents:
        raise ProfileError("there is no document to submit", "OBX", "101")
    made = entries.entries(submission, request.settings, zone)
    associations = []
    for document, entry in zip(submission.documents, made, strict=True):
        associations.append(Association(HAS_MEMBER, SET_ID, entry.id, ORIGINAL))
        if parents is None or not document.replaces:
            continue
        if document.replaces in parents:
            associations.append(Association(REPLACES, entry.id, parents[document.replaces]))
        elif submission.action == "replace":
            raise ProfileError("the version before is not known to the registry", document.place, "900")
    return Lot(request.submission_set(made[0].authors), tuple(made), tuple(associations))


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
    request = _Request(submission, unique_id, source_id, at, settings or XdsSettings())
    slots = (("OriginalStatus", APPROVED), ("NewStatus", DELETED))
    return Lot(request.submission_set(), (), tuple(Association(UPDATES, SET_ID, one, slots) for one in entries))


def _content_type(visit_class: str, settings: XdsSettings) -> Code:
    known, own = values("content_types"), settings.content_types.get(visit_class)
    if own is not None:
        label = own.label or (known[own.code].display if own.code in known else own.code)
        return Code(own.code, label, own.system)
    found = _CONTENT_TYPES.get(visit_class)
    if found is None:
        raise ProfileError("no content type of a lot is known for this class of patient", "PV1-2", "103")
    return known[found]
