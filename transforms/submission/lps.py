"""A document that came by MSSanté, as a message for the hospital's own software (LPS), and that software's answer.

Source: ANS CI-SIS volet "Transmission au LPS d'un document CDA provenant d'un courriel MSSanté" 1.1 and 1.0.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import Field

from channels.errors import MessageError
from channels.fields import Settings
from transforms import er7
from transforms.ack import read_ack
from transforms.cda.reader_xml import child, value
from transforms.conditions import TEXTS
from transforms.submission.document import Facts, read_document
from transforms.submission.er7_text import field, message, segment, whole
from transforms.submission.lps_patient import match, pid
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
    made = []
    patients = set()
    for number, content in enumerate(received.documents, 1):
        root, facts = read_document(content, "")
        if received.visibility.masked_professionals:
            raise MessageError("a document hidden from professionals is not handed over", "", "906")
        qualified = match(
            facts,
            received.patient,
            ins_domain,
            required=settings.ins == "required",
            complete=settings.traits == "complete",
        )
        patients.add((facts.patient.ins, facts.patient.birth_date))
        if len(patients) > 1:
            raise MessageError("the documents of a mail are of different patients", "", "904")
        action = _action(received, facts)
        role = child(root, "recordTarget", "patientRole")
        person = pid(role, facts, qualified=qualified) if role is not None else "PID|1"
        stamp = at.strftime("%Y%m%d%H%M%S")
        writer = _Writer(received, settings, facts, action, facility)
        made.append(message([*writer.head(number, stamp), person, *writer.body(content, value(root, "effectiveTime"))]))
    return made


def _action(received: ReceivedMail, facts: Facts) -> Action:
    if received.action == "delete":
        return "delete"
    if facts.replaces:
        return "replace"
    if received.action == "replace":
        raise MessageError("the mail replaces a document, and the document does not say which one", "", "900")
    return "create"


_TRIGGERS = {"create": ("T02", "NW", "F"), "replace": ("T10", "RO", "C"), "delete": ("T04", "CA", "D")}
_FLAGS = (
    ("MASQUE_PS", "Masqué aux professionnels de Santé", "masked_professionals"),
    ("INVISIBLE_PATIENT", "Document Non Visible par le patient", "hidden_patient"),
    ("INVISIBLE_REP_LEGAUX", "Non visible par les représentants Légaux du patient", "hidden_representatives"),
    ("MODIF_CONF_CODE", "Modification Confidentiality Code", "changed"),
)
_ROLES = {"SB": "Send by", "RCT": "Result Copies To", "REPLY": "Reply To"}
_CODE_SYSTEMS = {"2.16.840.1.113883.6.1": "LN", "1.2.250.1.213.1.1.4.12": "TRE_A05"}


class _Writer:
    """The segments of one message, but for PID."""

    def __init__(
        self, received: ReceivedMail, settings: LpsSettings, facts: Facts, action: Action, facility: str
    ) -> None:
        self._received, self._settings, self._facts = received, settings, facts
        self._trigger, self._order, self._status = _TRIGGERS[action]
        self._replaced = facts.replaces if action == "replace" else ""
        self._old = settings.profile == "1.0"
        self._facility = settings.sending_facility or facility
        system = _CODE_SYSTEMS.get(facts.code_system, facts.code_system)
        self._code = field(facts.code, facts.label or facts.code, system)

    def head(self, number: int, stamp: str) -> list[str]:
        """MSH and EVN."""
        settings = self._settings
        words = f"{self._received.message_id} {number} {self._facts.unique_id} {self._trigger}"
        control_id = "LPS" + sha256(words.encode("utf-8", "replace")).hexdigest()[:17]
        profile = OLD_PROFILE if self._old else PROFILE
        route = "|".join(
            field(one)
            for one in (
                settings.sending_application,
                self._facility,
                settings.receiving_application,
                settings.receiving_facility or self._facility,
            )
        )
        header = f"MSH|^~\\&|{route}|{stamp}||MDM^{self._trigger}^MDM_T02|{control_id}|{settings.processing_id}|2.6"
        return [f"{header}|||||FRA|UNICODE UTF-8|||{profile}", f"EVN||{stamp}"]

    def body(self, content: bytes, created: str) -> list[str]:
        """From PV1 to the end. created: time of the document as it says it."""
        data = base64.b64encode(content).decode("ascii")
        orders = [] if self._old else [f"ORC|{self._order}", segment("OBR", {1: "1", 4: self._code})]
        txa = {
            1: "1",
            2: field(self._facts.code),
            3: "TEXT",
            4: field(created[:14].partition("+")[0]),
            12: _number(self._facts.unique_id),
            13: _number(self._replaced),
            17: "LA" if self._old else "AU",
        }
        document = {1: "1", 2: "ED", 3: self._code, 5: f"^text^XML^Base64^{data}", 11: self._status}
        lines = ["PV1|1|N", *orders, segment("TXA", txa), segment("OBX", document), *self._participants()]
        text = base64.b64encode(self._received.text.encode("utf-8", "replace")).decode("ascii")
        subject = field(self._received.message_id, self._received.subject)
        lines.append(segment("OBX", {1: "2", 2: "ED", 3: subject, 5: f"^text^^Base64^{text}", 11: "F"}))
        return [*lines, *self._flags()]

    def _participants(self) -> list[str]:
        received = self._received
        lines = [self._participant("SB", received.sender, received.author, _institution(received.institution))]
        for mailbox in received.recipients:
            unit = self._settings.units.get(mailbox) or self._settings.units.get(mailbox.lower())
            written = field(unit.name, *[""] * 4, self._facility, "UF", "", "", unit.code) if unit else ""
            lines.append(self._participant("RCT", mailbox, None, written))
        if received.reply_to:
            lines.append(self._participant("REPLY", received.reply_to, None, ""))
        return lines

    def _participant(self, role: str, address: str, person: Person | None, institution: str) -> str:
        shown = f"{role}^^HL70912" if self._old else f"{role}^{_ROLES[role]}^participation"
        fields = {2: "UC", 4: shown, 5: _person(person), 8: institution, 15: field("", "", "X.400", address)}
        return segment("PRT", fields)

    def _flags(self) -> list[str]:
        system = "HL70136" if self._old else "expandedYes-NoIndicator"
        flags = [(code, label, getattr(self._received.visibility, name)) for code, label, name in _FLAGS]
        if self._old:
            flags.append(("ACK_LECTURE_MSS", "Accusé de lecture", self._received.reading_asked))
        return [
            f"OBX|{number}|CWE|{code}^{label}^MetaDMPMSS||{'Y' if value else 'N'}^^{system}||||||F"
            for number, (code, label, value) in enumerate(flags, 3)
        ]


def _number(unique_id: str) -> str:
    root, _, extension = unique_id.partition("^")
    return field(extension, "", root, "ISO") if extension else field(root)


def _person(person: Person | None) -> str:
    if person is None:
        return ""
    authority = f"&{field(person.authority)}&ISO" if person.authority else ""
    return whole(field(person.id), field(person.family), field(person.given), *[""] * 5, authority, "D", "", "",
                 field(person.kind))  # fmt: skip


def _institution(one: Organization | None) -> str:
    if one is None:
        return ""
    authority = f"&{field(one.authority)}&ISO" if one.authority else ""
    return whole(field(one.name), *[""] * 4, authority, field(one.kind), "", "", field(one.id))


def read_outcome(ack: bytes) -> Integration:
    """What an ACK says of the integration. Raises ParseError when it is none.

    The words of the other side are not repeated: labels are ours.
    """
    answer = read_ack(ack)
    if answer.accepted:
        return Integration(positive=True)
    given = [one.get("5.1").strip() for one in er7.parse(ack).all("ERR")]
    own = next((one for one in given if one in _APPLICATION), "")
    if own:
        return Integration(positive=False, code=own, label=TEXTS[own])
    code = next((one.code for one in answer.errors if one.code != "207"), "906")
    return Integration(positive=False, code=code, label=TEXTS[code], retry=answer.code in ("AR", "CR"))


_APPLICATION = frozenset(str(number) for number in range(900, 907))
