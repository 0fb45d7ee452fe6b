"""The national services around the demonstration's hospital: a DMP and an MSSanté operator, simulated."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path

from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.mssante import MssanteSimulator
from vaguemestre.simulators.pki import Authority
from vaguemestre.starter import CERTIFICATES

ENGINE, PRESCRIBER = "pfi@ch-testville.mssante.fr", "prescripteur@ch-testville.mssante.fr"
"""Mailboxes of the example: the engine's, and that of who prescribes."""
_ARCHIVE = "IHE_XDM.zip"
_REPORT = b"multipart/report"
"""Type of our answer to the correspondent, which is no document of ours."""


class NationalServices:
    """A DMP and mailboxes; they trust the certificates of the site that is in ``folder``."""

    def __init__(self, folder: Path) -> None:
        """folder: of the site, once it is made; what the services keep goes beside it."""
        beside = folder.parent / "services"
        beside.mkdir()
        authority = Authority(folder / CERTIFICATES)
        self.dmp = DmpSimulator(authority=authority)
        self.operator = MssanteSimulator(beside, [ENGINE, PRESCRIBER], authority=authority)
        self._told = 0
        self._published: dict[str, int] | None = None
        self._forwarded = False

    async def start(self) -> dict[str, int]:
        """Listen; returns the example's ports -> those taken. IMAP's is not in it without Dovecot."""
        await self.dmp.start()
        await self.operator.start()
        ports = {"8443": int(self.dmp.url.split(":")[2].partition("/")[0]), "2587": self.operator.smtp_port}
        return ports | ({"2143": self.operator.imap_port} if self.operator.imap_port else {})

    async def stop(self) -> None:
        """Close. What they got stays to be looked at. May be called twice."""
        if self._published is not None:
            return
        self._published = self.dmp.published
        await self.dmp.stop()
        await self.operator.stop()

    @property
    def documents(self) -> int:
        """Documents that the DMP has, each counted once."""
        return len(self._counted)

    @property
    def published_twice(self) -> int:
        """Documents that it registered more than once: none, if all is well."""
        return sum(1 for count in self._counted.values() if count > 1)

    @property
    def _counted(self) -> dict[str, int]:
        return self.dmp.published if self._published is None else self._published

    @property
    def mails(self) -> int:
        """Mails with a document to the prescriber, each counted once."""
        ours = {
            one.message_id
            for one in self.operator.mails
            if one.recipient == PRESCRIBER and _REPORT not in one.raw.partition(b"\r\n\r\n")[0]
        }
        return len(ours)

    @property
    def faults(self) -> list[str]:
        """Rules that something broke, as the simulators see it."""
        found = [fault for one in self.operator.mails for fault in one.faults]
        found += [rule for one in self.dmp.requests for rule in one.broken]
        return sorted(set(found))

    def look(self, arrived: Callable[[str, str, str], None]) -> None:
        """Tell of new mails and lots. arrived: where, kind, identifier."""
        for one in self.operator.mails[self._told :]:
            self._told += 1
            if one.recipient == ENGINE.lower():
                continue
            arrived("SGL → MSSanté", "IHE XDM", one.message_id.strip("<>")[:32])
            if not self._forwarded and one.recipient == PRESCRIBER:
                self._forwarded = True
                self._forward(one.raw)

    def _forward(self, raw: bytes) -> None:
        """A correspondent sends a document: the first one that came, to the hospital's own mailbox."""
        received: Message = BytesParser(policy=SMTP).parsebytes(raw)
        archives = [one.get_payload(decode=True) for one in received.walk() if one.get_filename() == _ARCHIVE]
        if not archives or not isinstance(archives[0], bytes):
            return
        mail = EmailMessage()
        mail["From"], mail["To"] = PRESCRIBER, ENGINE
        mail["Subject"], mail["Message-ID"] = "XDM/1.0/DDM+Compte rendu", f"<demo@{PRESCRIBER.partition('@')[2]}>"
        mail["Disposition-Notification-To"] = PRESCRIBER
        mail.set_content("Compte rendu transmis pour votre patient.")
        mail.add_attachment(archives[0], maintype="application", subtype="zip", filename=_ARCHIVE)
        self.operator.deliver(ENGINE, mail.as_bytes(policy=SMTP), PRESCRIBER)


def can_render() -> bool:
    """Whether PDF copies can be made here: weasyprint and the system's Pango are there."""
    try:
        from transforms import pdf
    except (ImportError, OSError):
        return False
    return pdf is not None
