"""A hospital with its intermediation platform: the site of ``init --pfi``, a DMP, real mailboxes, an SGL and a DPI."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from channels.loader import load_site
from channels.supervisor import Supervisor
from tests.connectors.certificates import Certificates
from tests.connectors.dovecot import Dovecot
from tests.connectors.intake import eventually
from tests.connectors.mllp_peers import Sender
from tests.connectors.postfix import Postfix
from tests.scenarios.conftest import free_port
from transforms.submission import zam
from vaguemestre import starter
from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.pki import Authority
from vaguemestre.simulators.systems import Receiver

INS = "290067505600227"
ENGINE, DOCTOR, PATIENT = "pfi@chu.mssante.fr", "prescripteur@cabinet.mssante.fr", f"{INS}@patient.mssante.fr"
_ADDRESSES = {
    "pfi@ch-testville.mssante.fr": ENGINE,
    "prescripteur@ch-testville.mssante.fr": DOCTOR,
}


class PfiHospital:
    """Everything on free ports of this machine; ``folder`` must be one where other users may go."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        starter.write(self.site, pfi=True)
        self._pki = _as_the_mail_servers_want(self.site / starter.CERTIFICATES, folder / "certificates")
        for name in ("dovecot", "postfix"):
            (folder / name).mkdir()
        self.dovecot = Dovecot(folder / "dovecot", self._pki, [ENGINE, DOCTOR, PATIENT])
        self.postfix = Postfix(folder / "postfix", self._pki, self.dovecot, [ENGINE, DOCTOR, PATIENT])
        self.dmp = DmpSimulator(authority=Authority(self.site / starter.CERTIFICATES))
        self.sgl, self.dpi = Receiver("sgl"), Receiver("dpi")
        self.zams: list[zam.Acknowledgement] = []
        self.documents: list[bytes] = []
        self.engine: Supervisor | None = None
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        """Servers first, then the engine."""
        self.dovecot.start()
        self.postfix.start()
        await self.dmp.start()
        self.sgl.on_message = lambda _, body: self.zams.append(zam.read(body))
        self.dpi.on_message = lambda _, body: self.documents.append(body)
        await self.sgl.start()
        await self.dpi.start()
        self._write_ports()
        await self.open()

    async def open(self) -> None:
        """Start the engine, or start it again."""
        self.engine = Supervisor(load_site(self.site))
        await self.engine.start()

    async def close(self) -> None:
        """Stop the engine."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.stop()

    async def stop(self) -> None:
        """Stop everything."""
        with contextlib.suppress(Exception):
            await self.close()
        await self.dmp.stop()
        await self.sgl.stop()
        await self.dpi.stop()
        self.postfix.stop()
        self.dovecot.stop()

    def _write_ports(self) -> None:
        known = {
            "2587": self.postfix.port, "2143": self.dovecot.port, "2678": self.sgl.port, "2679": self.dpi.port,
            "8443": int(self.dmp.url.split(":")[2].partition("/")[0]),
        }  # fmt: skip
        self.ports = {name: free_port() for name in ("2581", "2585", "2575", "2580", "2590", "8470")}
        known |= self.ports
        password = self.site / starter.CERTIFICATES / "mailbox"
        password.write_text(self.dovecot.password)
        for file in (self.site / "site.yaml", *sorted((self.site / "channels").glob("*.yaml"))):
            text = file.read_text()
            text = re.sub(
                r"(127\.0\.0\.1|localhost):(\d+)", lambda one: f"{one[1]}:{known.get(one[2], free_port())}", text
            )
            for old, new in _ADDRESSES.items():
                text = text.replace(old, new)
            text = text.replace(
                "password: ${file:var/certificates/password}\n\ndest",
                "password: ${file:var/certificates/mailbox}\n\ndest",
            )
            text = text.replace("retry: {first: 10s, most: 5m}", "retry: {first: 50ms, most: 200ms}")
            text = text.replace("      tls: org-auth\n", "      tls: org-auth\n      lookups: [100ms, 100ms]\n")
            file.write_text(text)

    async def send(self, port: str, body: bytes) -> str:
        """MSA-1 of the answer to a message."""
        async with await Sender.connect(self.ports[port]) as sender:
            await sender.write(b"\x0b" + body + b"\x1c\r")
            answer = await sender.answer()
        return answer.split(b"\rMSA|")[1][:2].decode()

    def mails(self, user: str, folder: str = "INBOX") -> list[Message]:
        """Mails in a mailbox."""
        return [BytesParser(policy=SMTP).parsebytes(one) for one in self.dovecot.mails(user, folder)]

    def post(self, mail: EmailMessage) -> None:
        """Send a mail as a correspondent does, by the operator."""
        context = ssl.create_default_context(cafile=str(self._pki.authority))
        context.load_cert_chain(self._pki.directory / "client.pem", self._pki.directory / "client.key")
        with smtplib.SMTP("localhost", self.postfix.port) as connection:
            connection.starttls(context=context)
            connection.send_message(mail)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so."""
        await eventually(true)


def _as_the_mail_servers_want(pki: Path, folder: Path) -> Certificates:
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "authority.pem").write_bytes((pki / "authority.pem").read_bytes())
    for name, ours in (("client", "auth"), ("server", "server")):
        whole = (pki / f"{ours}.pem").read_bytes()
        (folder / f"{name}.pem").write_bytes(whole)
        key = serialization.load_pem_private_key(whole, None)
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return Certificates(folder)


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[PfiHospital]:
    """A hospital that runs."""
    hospital = PfiHospital(folder)
    try:
        await hospital.start()
        yield hospital
    finally:
        await hospital.stop()


__all__ = ["DOCTOR", "ENGINE", "INS", "PATIENT", "PfiHospital", "running"]
