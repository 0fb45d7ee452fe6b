"""XDS metadata of submissions: lots, entries, associations; written as ebRIM, and read.

Source: IHE ITI TF-3 (4.1, 4.2: metadata and ebRIM); ANS CI-SIS, volet Partage de documents de santé; ASS_X04, ASS_A11.
"""

from transforms.xds.build import deletion, lot
from transforms.xds.ebrim import submit_objects
from transforms.xds.model import Association, Author, Code, DocumentEntry, Lot, SubmissionSet
from transforms.xds.reader import read
from transforms.xds.settings import ContentType, XdsSettings
from transforms.xds.signature import signature_entry, signed

__all__ = [
    "Association",
    "Author",
    "Code",
    "ContentType",
    "DocumentEntry",
    "Lot",
    "SubmissionSet",
    "XdsSettings",
    "deletion",
    "lot",
    "read",
    "signature_entry",
    "signed",
    "submit_objects",
]
