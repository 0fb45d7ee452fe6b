"""A mail as it came, read whatever its form: hostile and broken ones too.

Nothing is raised for what a sender wrote badly: ``Mail.problems`` names it. Sizes, parts and depth are bounded.

Source: RFC 5322, 2045 to 2047, 2231, 6522.
"""

from __future__ import annotations

import binascii
import contextlib
import posixpath
import re
from collections.abc import Iterator
from email import policy
from email.errors import MessageError as EmailError
from email.header import decode_header, make_header
from email.message import Message as Part
from email.parser import BytesParser

from channels.message import Message
from transforms.mail.model import Attached, Mail, MailKind
from transforms.mail.names import one_line

PARTS, DEPTH, HEADER = 200, 20, 100_000
"""Parts and levels of a mail that are read; characters of a header."""
_SUBJECT = re.compile(r"\s*(?:\[[^\]]*\]\s*)*XDM\s*/\s*1\.0\s*/\s*DDM", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")
_QUOTED, _COMMENT, _ANGLE = re.compile(r'"(?:[^"\\]|\\.)*"'), re.compile(r"\([^()]*\)"), re.compile(r"<([^<>]*)>")
_ADDRESS = re.compile(r"[^\s<>,;:\"]{1,64}@[^\s<>,;:\"]{1,253}")
_FAULTS = (ValueError, LookupError, UnicodeError, AttributeError, TypeError, IndexError, EmailError)
"""What the standard library raises on malformed parts."""


def read(raw: bytes, *, contents: bool = True) -> Mail:
    """What a mail says. contents: false leaves the attachments' contents out, which is much faster."""
    root = parsed(raw)
    problems: list[str] = []
    attachments, text = _content(root, problems, contents=contents)
    report = _report_kind(root)
    subject = header(root, "Subject")
    kind: MailKind = report or ("XDM" if _is_documents(subject, attachments) else "MSG")
    return Mail(
        message_id=_first(_MESSAGE_ID, header(root, "Message-ID")),
        in_reply_to=_first(_MESSAGE_ID, header(root, "In-Reply-To")),
        references=tuple(_MESSAGE_ID.findall(header(root, "References"))[-100:]),
        subject=subject,
        sender=_address(header(root, "From")),
        recipients=tuple(_addresses(", ".join(headers(root, "To") + headers(root, "Cc")))),
        reply_to=_address(header(root, "Reply-To")),
        return_path=_address(header(root, "Return-Path")),
        notify=_address(header(root, "Disposition-Notification-To")),
        automatic=header(root, "Auto-Submitted").partition(";")[0].strip().lower() not in ("", "no"),
        kind=kind,
        text=text,
        attachments=tuple(attachments),
        problems=tuple(dict.fromkeys(problems)),
    )


def view(message: Message) -> Mail:
    """The mail that a message carries, read once for everyone who asks."""
    return message.view(_viewed)


def _viewed(message: Message) -> Mail:
    return read(message.body)


def parsed(raw: bytes) -> Part:
    """The tree of parts. What the library cannot read at all is a mail without headers."""
    try:
        return BytesParser(policy=policy.compat32).parsebytes(raw)
    except (RecursionError, *_FAULTS):  # nested without end
        return Part()


def header(part: Part, name: str) -> str:
    """A header decoded, on one line; the first one when there are several."""
    found = headers(part, name)
    return found[0] if found else ""


def headers(part: Part, name: str) -> list[str]:
    """The headers of this name, decoded, each on one line."""
    found = []
    for value in part.get_all(name, [])[:20]:
        shown = str(value)[:HEADER]
        with contextlib.suppress(*_FAULTS):  # unknown charset, broken encoded word: as it is written
            shown = str(make_header(decode_header(shown)))
        found.append(one_line(shown))
    return found


def walk(root: Part) -> Iterator[Part]:
    """The leaves of the tree, the report's messages not entered; bounded."""
    waiting, count = [(root, 0)], 0
    while waiting and count < PARTS:
        part, depth = waiting.pop()
        count += 1
        inside = payload(part)
        if part.get_content_maintype() == "multipart" and isinstance(inside, list) and depth < DEPTH:
            waiting += [(one, depth + 1) for one in reversed(inside)]
        else:
            yield part


def decoded(part: Part) -> bytes:
    """The bytes of a leaf. Raises ValueError: not what its Content-Transfer-Encoding says."""
    inside = payload(part)
    if not isinstance(inside, str):
        return b""
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
        packed = "".join(inside.split())
        packed = packed.rstrip("=")
        try:
            return binascii.a2b_base64(packed.encode("ascii") + b"=" * (-len(packed) % 4), strict_mode=True)
        except (binascii.Error, UnicodeError):
            raise ValueError("not Base64") from None
    made = part.get_payload(decode=True)
    return made if isinstance(made, bytes) else b""


def _content(root: Part, problems: list[str], *, contents: bool) -> tuple[list[Attached], str]:
    """Attachments, and the first plain text that is none."""
    attachments: list[Attached] = []
    text = ""
    for number, part in enumerate(walk(root), 1):
        if part.defects:
            problems.append(f"part {number}: {type(part.defects[0]).__name__}")
        name = _file_name(part)
        media_type = part.get_content_type()
        try:
            wanted = contents or media_type == "text/plain"
            content, problem = decoded(part) if wanted else b"", ""
        except _FAULTS:
            content, problem = b"", "cannot be decoded"
            problems.append(f"part {number}: {problem}")
        if name or media_type.startswith(("application/", "image/")):
            attachments.append(Attached(name, media_type, content, problem))
        elif media_type == "text/plain" and not text:
            text = _text(content, part)
    return attachments, text


def _file_name(part: Part) -> str:
    try:
        name = part.get_filename() or ""
        name = str(make_header(decode_header(name)))
    except _FAULTS:
        return ""
    return one_line(posixpath.basename(name.replace("\\", "/")))[:255]


def _text(content: bytes, part: Part) -> str:
    try:
        charset = part.get_content_charset() or "utf-8"
        return content.decode(charset, "replace").replace("\r\n", "\n")
    except _FAULTS:
        return content.decode("utf-8", "replace").replace("\r\n", "\n")


def _report_kind(root: Part) -> MailKind | None:
    if root.get_content_type() != "multipart/report":
        return None
    kinds = {part.get_content_type() for part in payload(root) if isinstance(part, Part)}
    if kinds & {"message/disposition-notification", "message/global-disposition-notification"}:
        return "MDN"
    if kinds & {"message/delivery-status", "message/global-delivery-status"}:
        return "DSN"
    asked = str(root.get_param("report-type", "")).lower()
    return {"disposition-notification": "MDN", "delivery-status": "DSN"}.get(asked)  # type: ignore[return-value]  # literals


def _is_documents(subject: str, attachments: list[Attached]) -> bool:
    return any(is_archive(one) for one in attachments) or _SUBJECT.match(subject) is not None


def is_archive(one: Attached) -> bool:
    """Whether an attachment is the archive of documents, by its name."""
    return one.name.lower() == "ihe_xdm.zip"


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def _address(text: str) -> str:
    return next(iter(_addresses(text)), "")


def _addresses(text: str) -> list[str]:
    """Addresses of a header, without names and comments; what is none is left out.

    Ours rather than the library's, which calls itself without end on nested comments.
    """
    found = []
    for one in _COMMENT.sub(" ", _QUOTED.sub(" ", text)).split(","):
        angle = _ANGLE.search(one)
        address = _ADDRESS.search(angle[1] if angle else one)
        if address:
            found.append(address[0])
    return found[:1000]


def payload(part: Part) -> list[Part] | str:
    """What a part holds: other parts, or text as it is written; empty when the library cannot say."""
    try:
        inside = part.get_payload()
    except _FAULTS:  # a charset that is none
        return ""
    if isinstance(inside, list):
        return [one for one in inside if isinstance(one, Part)]
    return inside if isinstance(inside, str) else ""
