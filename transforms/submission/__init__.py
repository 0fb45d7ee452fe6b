"""Requests to publish or send documents: the *Submission* between business software and national services.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2", 1.2 to 2.1.
"""

from transforms.submission.codec import decode, encode, read
from transforms.submission.model import (
    Document,
    Organization,
    Patient,
    Person,
    Recipient,
    Request,
    Sender,
    Submission,
    Visibility,
)

FORMAT = "submission"
"""``Message.format`` of a submission."""

__all__ = [
    "FORMAT",
    "Document",
    "Organization",
    "Patient",
    "Person",
    "Recipient",
    "Request",
    "Sender",
    "Submission",
    "Visibility",
    "decode",
    "encode",
    "read",
]
