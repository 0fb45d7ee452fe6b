"""Mails as values: those to send, and what is read of those that came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MailKind = Literal["XDM", "DSN", "MDN", "MSG"]
"""Documents in an IHE_XDM.ZIP, delivery report, read or processing report, anything else."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One mail of a request, for one mailbox.

    target: its name in the store of submissions (``mail 1``). message_id: with its brackets, the same at every try.
    head: header and text part; ``Batch.tail`` follows. code, label: why it must not leave (SMTP code of the ZAM); then
    there is no head.
    """

    target: str
    address: str
    message_id: str
    head: bytes = b""
    code: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """The mails of one request: they differ in their heads, and share the attachments.

    key: of the request. sender: address of the envelope, that of From. wants_reception: delivery reports are asked for.
    """

    key: str
    sender: str
    wants_reception: bool
    mails: tuple[Outgoing, ...]
    tail: bytes


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a mail. name: its last part, without folders. problem: why it could not be decoded."""

    name: str
    media_type: str
    content: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """What is read of a mail; texts are ``""`` when the mail does not say.

    message_id, in_reply_to: with their brackets. references: the same, oldest first. sender: address of From.
    return_path, notify: addresses of Return-Path and Disposition-Notification-To. automatic: Auto-Submitted says that
    no person sent it. kind: what it is. problems: what is wrong with its form (places and rules).
    """

    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    reply_to: str = ""
    return_path: str = ""
    notify: str = ""
    automatic: bool = False
    kind: MailKind = "MSG"
    text: str = ""
    attachments: tuple[Attached, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient of a DSN.

    action: ``delivered``, ``failed``, ``delayed``, ``relayed``, ``expanded``. status: ``5.1.1``. diagnostic: the
    server's own words: for a code to be read in them, never to be shown.
    """

    address: str
    action: str
    status: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A DSN. envelope: ENVID. returned: Message-ID of the mail that it is about."""

    envelope: str
    returned: str
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Disposition:
    """An MDN.

    original: Message-ID of the mail that it is about. recipient: Final-Recipient, else Original-Recipient.
    state: ``displayed``, ``processed``, ``dispatched``, ``deleted``, ``denied``, ``failed``. error: whether it tells of
    one; code: ``902``... of it, ``""`` when it names none. manual: a person did it. subject: of the report.
    """

    original: str
    recipient: str
    state: str
    error: bool = False
    code: str = ""
    manual: bool = False
    references: tuple[str, ...] = field(default=())
