"""The report to the sender of a mail with documents: integrated, or why not; or an ordinary mail when none was asked.

Source: ANS CI-SIS volet LPS 1.1; RFC 8098, RFC 6522, RFC 3834 (loops).
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.policy import SMTP
from email.utils import format_datetime

from transforms.mail.compose import file_part, text_part, words
from transforms.mail.model import Mail
from transforms.mail.names import one_line
from transforms.mail.settings import MdnSettings

_SUCCESS = "Le document a été intégré.\n"
_FAILURE = "Le document n'a pas pu être intégré.\n\nMotif : {code} {label}\n"


@dataclass(frozen=True, slots=True)
class Integrated:
    """How it ended. code, label: of a refusal (``904``), of our own words: they quote nothing."""

    positive: bool
    code: str = ""
    label: str = ""


def may_answer(mail: Mail) -> bool:
    """False for what must never be answered: reports, what no person sent, mails without sender."""
    return mail.kind not in ("DSN", "MDN") and not mail.automatic and bool(mail.sender)


def wants_report(mail: Mail) -> bool:
    """Whether an MDN was asked for, and may be sent: to the one who sent the mail (RFC 8098, 2.1).

    A mailbox does not always keep Return-Path; From stands for it then.
    """
    returned = mail.return_path or mail.sender
    return bool(mail.notify) and mail.notify.lower() == returned.lower()


def write(
    mail: Mail, raw: bytes, how: Integrated, settings: MdnSettings, *, at: datetime, product: str
) -> tuple[str, str, bytes] | None:
    """Recipient, Message-ID and bytes of the answer; None when there is nothing to say.

    raw: the mail as it came. at: Date. The same mail and outcome give the same bytes.
    """
    if not may_answer(mail) or mail.sender.lower() == settings.sender.lower():
        return None
    if wants_report(mail):
        if how.positive and not settings.success:
            return None
        return _sealed(mail, raw, how, settings, mail.notify, at=at, product=product, report=True)
    if how.positive or mail.notify:  # asked for, but not by the sender: a loop, or somebody else's mailbox
        return None
    to = settings.errors_to or mail.reply_to or mail.sender
    return _sealed(mail, raw, how, settings, to, at=at, product=product, report=False)


def _sealed(
    mail: Mail, raw: bytes, how: Integrated, settings: MdnSettings, to: str, *, at: datetime, product: str, report: bool
) -> tuple[str, str, bytes]:
    seed = hashlib.sha256(b"\0".join([raw, f"{how.positive} {how.code} {report}".encode()])).hexdigest()
    domain = settings.sender.rpartition("@")[2].lower()
    message_id, boundary = f"<{seed[:32]}.r@{domain}>", f"=_{seed[:40]}"
    mark = "" if how.positive else settings.mark.replace("{code}", how.code)
    kind = "multipart/report; report-type=disposition-notification" if report else "multipart/mixed"
    fields = {
        "From": settings.sender,
        "To": to,
        "Subject": words(one_line(mark + mail.subject)[:900]),
        "Message-ID": message_id,
        "In-Reply-To": mail.message_id,
        "References": mail.message_id,
        "Date": format_datetime(at),
        "Auto-Submitted": "auto-replied",
        "X-MSS-NIL": words(one_line(product)),
        "MIME-Version": "1.0",
        "Content-Type": f'{kind}; boundary="{boundary}"',
    }
    parts = [text_part(_text(how)).as_bytes(policy=SMTP)]
    if report:
        parts.append(_notification(mail, how, settings, domain, product))
    parts.append(_headers(raw))
    if mail.text:
        parts.append(text_part(mail.text).as_bytes(policy=SMTP))
    parts += [file_part(one.content, one.name or "document", *_type(one.media_type)).as_bytes(policy=SMTP)
              for one in mail.attachments if not one.problem]  # fmt: skip
    lines = [f"{name}: {value}\r\n".encode("utf-8", "replace") for name, value in fields.items() if value]
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return to, message_id, b"".join([*lines, b"\r\n", body, b"--%s--\r\n" % boundary.encode()])


def _text(how: Integrated) -> str:
    return _SUCCESS if how.positive else _FAILURE.format(code=how.code, label=how.label)


def _notification(mail: Mail, how: Integrated, settings: MdnSettings, domain: str, product: str) -> bytes:
    """The machine's part: the guide's form of an error, and the separate ``Error`` field of RFC 8098."""
    state = "processed" if how.positive else f"processed/Error: {how.code}^{one_line(how.label)}"
    fields = {
        "Reporting-UA": settings.reporting_ua or f"{domain}; {one_line(product)}",
        "Original-Recipient": f"rfc822;{settings.sender}",
        "Final-Recipient": f"rfc822;{settings.sender}",
        "Original-Message-ID": mail.message_id,
        "Disposition": f"automatic-action/MDN-sent-automatically; {state}",
        "Error": "" if how.positive else f"{how.code} {one_line(how.label)}",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"Content-Type: message/disposition-notification\r\n\r\n{_ascii(lines)}".encode("ascii")


def _ascii(text: str) -> str:
    """Fields of a notification are ASCII: accents are left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _headers(raw: bytes) -> bytes:
    """The headers of the mail that is answered (RFC 6522, 4); its text and attachments follow as parts of their own."""
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = lines.partition(b"\n\n")[0][:100_000].replace(b"\n", b"\r\n")
    encoding = b"" if lines.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return b"Content-Type: text/rfc822-headers\r\n" + encoding + b"\r\n" + lines + b"\r\n"


def _type(media_type: str) -> tuple[str, str]:
    kind, _, subtype = media_type.partition("/")
    return (kind, subtype) if kind in ("application", "image") and subtype else ("application", "octet-stream")
