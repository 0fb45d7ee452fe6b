"""A document that came by MSSanté, as a message for the hospital's own software (LPS), and that software's answer.

Source: ANS CI-SIS volet "Transmission au LPS d'un document CDA provenant d'un courriel MSSanté" 1.1 and 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from channels.fields import Settings
from transforms.submission.model import Action, Organization, Patient, Person, Visibility

PROFILE = "1.1^CISIS_CDA_HL7_LPS"
OLD_PROFILE = "1.0^CISIS_CDA_HL7_LPS"
_VISIBLE = Visibility()


class LpsUnit(Settings):
    """Who is behind one of our mailboxes."""

    code: str = Field(min_length=1, description="Code of the unit (UF).")
    name: str = Field("", description="Name of the unit or service.")


class LpsSettings(Settings):
    """The messages to the hospital's software."""

    sending_application: str = Field("VAGUEMESTRE", description="MSH-3.")
    sending_facility: str = Field("", description="MSH-4; the site's FINESS number when empty.")
    receiving_application: str = Field("DPI", description="MSH-5.")
    receiving_facility: str = Field("", description="MSH-6; as MSH-4 when empty.")
    processing_id: Literal["P", "T", "D"] = Field("P", description="MSH-11.")
    profile: Literal["1.1", "1.0"] = Field("1.1", description="Version of the volet.")
    units: dict[str, LpsUnit] = Field({}, description="Mailbox -> unit, for PRT-8 of the recipient.")
    ins: Literal["required", "optional"] = Field(
        "required", description="A document without INS: refused to its sender (903), or handed over all the same."
    )
    traits: Literal["complete", "any"] = Field(
        "complete", description="An INS without name, sex, birth date or birth place: refused (905), or handed over."
    )


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail with documents, opened.

    message_id: with its angle brackets. sender, recipients, reply_to: addresses. text: body in clear.
    documents: CDA, byte for byte. patient: what METADATA.XML says of the patient (patientId, sourcePatientInfo), None
    when there is no METADATA. author, institution: of the lot. reading_asked: the mail wants an MDN (profile 1.0).
    """

    message_id: str
    subject: str
    sender: str
    recipients: tuple[str, ...]
    documents: tuple[bytes, ...]
    text: str = ""
    reply_to: str = ""
    action: Action = "create"
    visibility: Visibility = _VISIBLE
    patient: Patient | None = None
    author: Person | None = None
    institution: Organization | None = None
    reading_asked: bool = False


@dataclass(frozen=True, slots=True)
class Integration:
    """What the hospital's software said.

    code, label: of the refusal, for the MDN (``904``, ``INS different…``; a condition of table 0357 otherwise).
    retry: it may be handed over again as it is (AR).
    """

    positive: bool
    code: str = ""
    label: str = ""
    retry: bool = False


def messages(
    received: ReceivedMail, settings: LpsSettings, *, at: datetime, ins_domain: Literal["test", "production"],
    facility: str = "",
) -> list[bytes]:  # fmt: skip
    """One MDM^T02, T10 or T04 for each document. The same mail gives the same bytes.

    at: time of MSH-7 and EVN-2, aware. facility: MSH-4 when the settings have none.

    Raises:
        MessageError: the document cannot be integrated: 903 (no INS), 904 (it and METADATA.XML speak of different
            patients), 905 (traits lack), 102 (not a CDA document), 906 (masked from professionals).
    """
    raise NotImplementedError


def read_outcome(ack: bytes) -> Integration:
    """What an ACK says of the integration. Raises ParseError when it is none."""
    raise NotImplementedError


_ = Mapping
