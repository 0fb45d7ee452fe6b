"""The operator's and the readers' reports about a mail: DSN (RFC 3464) and MDN (RFC 8098)."""

from __future__ import annotations

import email
import email.utils
import uuid
from email import policy
from email.message import EmailMessage

_TEXTS = {
    "delivered": ("Rapport de remise", "Votre message a été remis."),
    "failed": ("Message non distribué", "Votre message n'a pas pu être remis."),
    "delayed": ("Remise retardée", "La remise de votre message est retardée."),
}


def delivery(raw: bytes, recipient: str, action: str, status: str, diagnostic: str, envelope: str) -> bytes:
    """A DSN about a mail. action: ``delivered``, ``failed``, ``delayed``. envelope: ENVID, empty for none."""
    title, text = _TEXTS[action]
    head = _headers(raw)
    known = f"Original-Envelope-Id: {envelope}\r\n" if envelope else ""
    said = f"Diagnostic-Code: smtp; {diagnostic}\r\n" if diagnostic else ""
    fields = f"Reporting-MTA: dns; mssante.test\r\n{known}\r\n"
    fields += (
        f"Original-Recipient: rfc822;{recipient}\r\nFinal-Recipient: rfc822;{recipient}\r\nAction: {action}\r\n"
        f"Status: {status}\r\n{said}"
    )
    to = str(head["From"] or "")
    return _report("delivery-status", "MAILER-DAEMON@mssante.test", to, title, text, fields, raw)


def reading(raw: bytes, reader: str, state: str, error: str) -> bytes:
    """An MDN about a mail. state: ``displayed``, ``processed``, ``deleted``. error: ``902^label``, empty for none."""
    head = _headers(raw)
    manual = state in ("displayed", "deleted")
    mode = "manual-action/MDN-sent-manually" if manual else "automatic-action/MDN-sent-automatically"
    fields = (
        f"Reporting-UA: mssante.test; simulator\r\nOriginal-Recipient: rfc822;{reader}\r\n"
        f"Final-Recipient: rfc822;{reader}\r\nOriginal-Message-ID: {head['Message-ID']}\r\n"
        f"Disposition: {mode}; {state}{f'/Error: {error}' if error else ''}\r\n"
    )
    subject = str(head["Subject"] or "")
    subject = f"[KO Intégration système !][{error.partition('^')[0]}] {subject}" if error else f"Lu : {subject}"
    to = str(head["Disposition-Notification-To"] or "").strip("<>")
    return _report("disposition-notification", reader, to, subject, "Accusé de lecture.", fields, raw)


def _report(kind: str, sender: str, to: str, subject: str, text: str, fields: str, raw: bytes) -> bytes:
    boundary = f"r{uuid.uuid4().hex}"
    head = EmailMessage(policy=policy.SMTP)
    head["From"], head["To"], head["Subject"] = sender, to.strip("<>"), subject
    head["Date"], head["Message-ID"] = email.utils.formatdate(), f"<{uuid.uuid4().hex}@mssante.test>"
    head["Auto-Submitted"], head["MIME-Version"] = "auto-replied", "1.0"
    content_type = f'Content-Type: multipart/report; report-type={kind}; boundary="{boundary}"\r\n\r\n'
    original = raw.partition(b"\r\n\r\n")[0]
    parts = [
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n".encode(),
        f"Content-Type: message/{kind}\r\n\r\n{fields}".encode(),
        b"Content-Type: text/rfc822-headers\r\n\r\n" + original + b"\r\n",
    ]
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), one) for one in parts)
    return head.as_bytes().rstrip() + b"\r\n" + content_type.encode() + body + b"--%s--\r\n" % boundary.encode()


def _headers(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=policy.default)
    if not isinstance(found, EmailMessage):
        raise TypeError("the default policy makes an EmailMessage")
    return found
