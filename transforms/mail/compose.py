"""The mails of a request, written: headers, text, IHE_XDM.zip, PDF. The same request gives the same bytes at every try.

Source: Référentiel socle MSSanté #2; REM of MSSanté 2.1 and 2.4 (headers); RFC 5322, 2045, 2047, 2231, 8098.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime

from channels.errors import MessageError
from transforms.mail.copies import Copy
from transforms.mail.model import Batch, Outgoing
from transforms.mail.names import checked_address, date, file_name, filled, one_line
from transforms.mail.settings import MailsSettings
from transforms.submission import Recipient, Submission
from transforms.submission.smtp import SMTP_CODES

ARCHIVE = "IHE_XDM.zip"
_NOT_OURS, _NOT_ALLOWED = "553", "541"


@dataclass(frozen=True, slots=True)
class Office:
    """Who writes. establishment: its name. product: X-MSS-NIL. at: Date of the mails, in the establishment's zone."""

    establishment: str
    product: str
    at: datetime


def compose(
    submission: Submission, archive: bytes, copies: list[Copy], settings: MailsSettings, office: Office
) -> Batch:
    """The mails of a request to its mailboxes, in the order of its recipients.

    A mailbox that must not get the document (outside MSSanté, a patient's that is not theirs, a patient who must not
    see it) has no mail but the code of its refusal.

    Raises:
        MessageError: an address that is none, at its place.
    """
    letter = _Letter(submission, settings, office)
    mails = []
    for number, one in enumerate(submission.recipients, 1):
        address = checked_address(one.address, f"{one.place}-15.4" if one.place else f"recipient {number}")
        message_id = f"<{submission.request.key}.{number}@{_domain(settings.sender)}>"
        code = _refusal(one, address, submission, settings)
        if code:
            mails.append(Outgoing(f"mail {number}", address, message_id, code=code, label=SMTP_CODES[code]))
            continue
        mails.append(Outgoing(f"mail {number}", address, message_id, letter.head(one, address, message_id)))
    tail = letter.tail(archive, copies)
    return Batch(submission.request.key, settings.sender, submission.wants_reception, tuple(mails), tail)


def _refusal(one: Recipient, address: str, submission: Submission, settings: MailsSettings) -> str:
    """SMTP code by which a mailbox is refused before anything is sent; empty: it may get the document."""
    local, _, domain = address.rpartition("@")
    domain = domain.lower()
    if domain == settings.patient_domain or one.kind == "patient":
        if domain != settings.patient_domain or not submission.patient.ins or local != submission.patient.ins:
            return _NOT_OURS
        return _NOT_ALLOWED if submission.visibility.hidden_patient else ""
    allowed = any(domain == known or domain.endswith(f".{known}") for known in settings.domains)
    return "" if allowed else _NOT_OURS


class _Letter:
    """What the mails of a request have in common."""

    def __init__(self, submission: Submission, settings: MailsSettings, office: Office) -> None:
        self._submission, self._settings, self._office = submission, settings, office
        # nothing in the attachments (Base64) or in quoted-printable text can begin a line with it
        self._boundary = f"=_{hashlib.sha256(submission.request.key.encode()).hexdigest()[:40]}"
        patient, document = submission.patient, submission.documents[0]
        self._values = {
            "label": one_line(document.label) or "Document médical",
            "family": one_line(patient.family or patient.used_family).upper(),
            "given": one_line(patient.given or patient.used_given),
            "birth": date(patient.birth_date),
            "establishment": one_line(office.establishment),
        }

    def head(self, one: Recipient, address: str, message_id: str) -> bytes:
        """Headers of the mail to one mailbox, and its text."""
        submission, settings = self._submission, self._settings
        to_patient = one.kind == "patient" or address.lower().endswith(f"@{settings.patient_domain}")
        fields = {
            "From": settings.sender,
            "To": address,
            "Reply-To": checked_address(submission.reply_to, "PRT-15.4") if submission.reply_to else "",
            "Subject": words(self._subject()),
            "Message-ID": message_id,
            "Date": format_datetime(self._office.at),
            "Disposition-Notification-To": f"<{settings.sender}>" if submission.wants_reading else "",
            "X-MSS-CODECDA": ",".join(dict.fromkeys(one_line(one.code) for one in submission.documents)),
            "X-MSS-INS": "O" if submission.patient.ins else "N",
            "X-MSS-NIL": words(one_line(self._office.product)),
            "X-MSS-MES": "FIN" if to_patient and submission.closes_conversation else "",
            "MIME-Version": "1.0",
            "Content-Type": f'multipart/mixed; boundary="{self._boundary}"',
        }
        lines = [f"{name}: {value}\r\n".encode("ascii") for name, value in fields.items() if value]
        return b"".join([*lines, b"\r\n", self._part(text_part(self._text(to_patient=to_patient)))])

    def tail(self, archive: bytes, copies: list[Copy]) -> bytes:
        """The attachments and the end of every mail."""
        parts = [self._part(file_part(archive, ARCHIVE, "application", "zip"))]
        values, used = self._values, set[str]()
        for one in copies:
            name = file_name(one.day, one.label or values["label"], values["family"], values["given"])
            while name in used:
                name = f"{name.removesuffix('.pdf')}_{len(used) + 1}.pdf"
            used.add(name)
            parts.append(self._part(file_part(one.content, name, "application", "pdf")))
        return b"".join([*parts, f"--{self._boundary}--\r\n".encode()])

    def _part(self, part: MIMEPart) -> bytes:
        return b"".join([f"--{self._boundary}\r\n".encode(), part.as_bytes(policy=SMTP), b"\r\n"])

    def _subject(self) -> str:
        marks = {"replace": self._settings.replacement_mark, "delete": self._settings.deletion_mark}
        mark = one_line(marks.get(self._submission.action, ""))
        values = {**self._values, "mark": f"{mark} " if mark else ""}
        return one_line(filled(self._settings.subject, values))

    def _text(self, *, to_patient: bool) -> str:
        submission, texts = self._submission, self._settings.texts
        given = submission.mail_patient if to_patient else submission.mail_professional
        if submission.action == "delete" and not given:
            return filled(texts.deletion, self._values)
        default = texts.patient if to_patient else texts.professional
        closing = texts.closing if submission.closes_conversation else ""
        text = given or filled(default, {**self._values, "closing": closing})
        return texts.replacement + text if submission.action == "replace" and not given else text


def text_part(text: str) -> MIMEPart:
    """``text/plain`` in UTF-8; control characters but line ends are left out."""
    shown = "".join(sign for sign in text.replace("\r\n", "\n").replace("\r", "\n") if sign >= " " or sign in "\n\t")
    part = MIMEPart(policy=SMTP)
    part.set_content(shown.encode("utf-8", "replace").decode(), charset="utf-8", cte="quoted-printable")
    return part


def file_part(content: bytes, name: str, kind: str, subtype: str) -> MIMEPart:
    """A file in Base64, its name in both places where readers look."""
    part = MIMEPart(policy=SMTP)
    part.set_content(
        content, kind, subtype, cte="base64", disposition="attachment", filename=name, params={"name": name}
    )
    return part


def words(text: str) -> str:
    """A header's text: as it is when ASCII and short, else in encoded words (RFC 2047)."""
    return Header(text, None if text.isascii() else "utf-8", maxlinelen=76, header_name="Subject").encode(
        linesep="\r\n"
    )


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def whole(batch: Batch, one: Outgoing) -> bytes:
    """One mail of a batch, as it goes over the wire. Raises MessageError when it must not leave."""
    if one.code:
        raise MessageError("this mailbox must not get the document", one.target)
    return one.head + batch.tail
