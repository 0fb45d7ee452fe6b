"""The operator: takes mails, checks them, delivers and reports; misbehaves when it is told to.

    operator = MssanteSimulator(directory, mailboxes=["anne@cabinet.mssante.fr", "labo@chu.mssante.fr"])
    await operator.start()                        # operator.smtp_port, operator.imap_port (0: no Dovecot here)
    operator.behave(bounce={"anne@cabinet.mssante.fr"}, reading="displayed")
    operator.mails[0].faults                      # what is wrong with a mail, by place and rule
    await operator.stop()

Certificates are in ``directory/pki``: ``client.p12`` (password ``pki.PASSWORD``) is the one to show, ``authority.pem``
the one to trust. A patient's mailbox exists for every INS whose key is right.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Literal

from vaguemestre.simulators.mssante import reports
from vaguemestre.simulators.mssante.checks import faults
from vaguemestre.simulators.mssante.imap import PASSWORD, Imap, Mailboxes
from vaguemestre.simulators.mssante.smtp import Envelope, Rules, SmtpServer
from vaguemestre.simulators.pki import Authority

_PATIENT = re.compile(r"([12378]\d{4}(?:\d{2}|2[ab])\d{6})(\d{2})@patient\.mssante\.fr", re.IGNORECASE)
__all__ = ["PASSWORD", "Manners", "MssanteSimulator", "Received"]


@dataclass(frozen=True, slots=True)
class Received:
    """One mail for one mailbox. faults: empty when it is as it must be; reports and other mails are not checked."""

    at: float
    sender: str
    recipient: str
    message_id: str
    subject: str
    raw: bytes
    faults: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Manners:
    """How it behaves.

    bounce: addresses that are accepted and then cannot be reached (DSN ``failed``). reports: offers DSN. reading: what
    readers send back when asked (MDN); empty: nothing. error: ``902^label``, of an MDN that tells of an error. slow:
    seconds before each answer to a mail. size: the largest mail. strict: a mail with a fault is refused (554).
    """

    bounce: frozenset[str] = frozenset()
    reports: bool = True
    reading: Literal["", "displayed", "processed", "deleted"] = "displayed"
    error: str = ""
    slow: float = 0.0
    size: int = 26_214_400
    strict: bool = False


@dataclass(slots=True)
class _Next:
    """Misfortunes to come."""

    refuse: list[str] = field(default_factory=list)
    cut: int = 0


class MssanteSimulator:
    """See the module."""

    def __init__(
        self,
        directory: Path,
        mailboxes: Iterable[str] = (),
        *,
        authority: Authority | None = None,
        smtp_port: int = 0,
        imap_port: int = 0,
    ) -> None:
        """directory: of mails, and of certificates without ``authority``; kept.

        mailboxes: of professionals and structures, our own too.
        """
        self.directory = directory
        self.mailboxes = {one.lower() for one in mailboxes}
        self.mails: list[Received] = []
        self.authority = authority or Authority(directory / "pki")
        self.server = self.authority.keep("server", "server", common_name="localhost")
        self.client = self.authority.keep("client", "client")
        self.boxes = Mailboxes(directory / "mail")
        self._manners, self._next = Manners(), _Next()
        self._known: set[tuple[str, str]] = set()
        self._ports = (smtp_port, imap_port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server.pem)
        context.load_verify_locations(self.authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        rules = Rules(self._recipient, self._accepted, lambda: self._manners.size, lambda: self._manners.reports)
        self._smtp = SmtpServer(context, rules)
        self._imap = Imap(directory / "imap", self.boxes, self.server.pem, self.authority.file)

    @property
    def smtp_port(self) -> int:
        """Where mails are taken, once started."""
        return self._smtp.port

    @property
    def imap_port(self) -> int:
        """Where mailboxes are read; 0 without Dovecot."""
        return self._imap.port

    async def start(self, host: str = "127.0.0.1") -> None:
        """Listen. Raises OSError."""
        await self._smtp.start(host, self._ports[0])
        await self._imap.start(host, self._ports[1])

    async def stop(self) -> None:
        """Close; mails stay in ``directory``."""
        await self._smtp.stop()
        await self._imap.stop()

    def behave(self, manners: Manners | None = None, *, refuse: Iterable[str] = (), cut: int = 0) -> None:
        """Change manners (the usual ones when None).

        refuse: answers to the next mails (``451 4.3.0 …``). cut: mails that are taken without an answer.
        """
        self._manners = manners or Manners()
        self._next = _Next(list(refuse), cut)

    def deliver(self, recipient: str, raw: bytes, return_path: str = "") -> None:
        """Put a mail into a mailbox, as if a correspondent had sent it."""
        self.boxes.add(recipient.lower(), f"Return-Path: <{return_path}>\r\n".encode() + raw)

    def count(self, recipient: str = "") -> int:
        """Mails that arrived (for one mailbox), repetitions not counted."""
        return len({one.message_id for one in self.mails if recipient in ("", one.recipient)})

    # what the server asks

    def _recipient(self, address: str) -> str:
        if address in self.mailboxes:
            return "250 2.1.5 ok"
        patient = _PATIENT.fullmatch(address)
        if patient is not None and _right(patient[1], patient[2]):
            return "250 2.1.5 ok"
        return "550 5.1.1 no such mailbox"

    async def _accepted(self, mail: Envelope) -> str | None:
        manners = self._manners
        if manners.slow:
            await asyncio.sleep(manners.slow)
        if self._next.refuse:
            return self._next.refuse.pop(0)
        wrong: list[str] = []
        for one in mail.recipients:
            wrong += self._received(mail, one).faults
        if wrong and manners.strict:
            return "554 5.6.0 the mail is not as it must be"
        for one in mail.recipients:
            self._deliver(mail, one)
        if self._next.cut:
            self._next.cut -= 1
            return None
        return "250 2.0.0 taken"

    def _received(self, mail: Envelope, recipient: str) -> Received:
        head = message_from_bytes(mail.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=policy.default)
        message_id, subject = str(head["Message-ID"] or ""), str(head["Subject"] or "")
        carries = head.get_content_type() == "multipart/mixed" and "XDM/1.0/DDM" in subject and "[KO" not in subject
        wrong = faults(mail.content, mail.sender, recipient) if carries else []
        known = (message_id, recipient) in self._known
        self._known.add((message_id, recipient))
        made = Received(
            time.time(), mail.sender, recipient, message_id, subject, mail.content, tuple(wrong), repeated=known
        )  # fmt: skip
        self.mails.append(made)
        return made

    def _deliver(self, mail: Envelope, recipient: str) -> None:
        """Into the mailbox, or back; then what its reader sends."""
        manners = self._manners
        asked = mail.options.get("NOTIFY", "").upper().split(",")
        envelope = mail.options.get("ENVID", "")
        if recipient in manners.bounce:
            if "NEVER" not in asked and mail.sender:
                text = "550 5.1.1 no such mailbox here"
                self.deliver(mail.sender, reports.delivery(mail.content, recipient, "failed", "5.1.1", text, envelope))
            return
        self.deliver(recipient, mail.content, mail.sender)
        if "SUCCESS" in asked and manners.reports:
            self.deliver(mail.sender, reports.delivery(mail.content, recipient, "delivered", "2.0.0", "", envelope))
        if manners.reading and re.search(
            rb"(?im)^Disposition-Notification-To:", mail.content.partition(b"\r\n\r\n")[0]
        ):
            self.deliver(mail.sender, reports.reading(mail.content, recipient, manners.reading, manners.error))


def _right(number: str, key: str) -> bool:
    """The key of an INS: 97 less the number modulo 97."""
    digits = number.upper().replace("2A", "19").replace("2B", "18")
    return int(key) == 97 - int(digits) % 97
