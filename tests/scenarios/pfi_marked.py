"""A hospital with a PFI in a process of its own, patients whose every value is marked, and a search for the marks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from channels.control import ask
from tests.connectors.dmp_server import DmpServer
from tests.connectors.intake import eventually
from tests.parts import require
from transforms import er7
from transforms.submission import zam
from vaguemestre.measure import pfi_site
from vaguemestre.measure.processes import Engine, free_port
from vaguemestre.simulators.mssante import MssanteSimulator
from vaguemestre.simulators.people import ins_key
from vaguemestre.simulators.systems import answer_to
from vaguemestre.simulators.wire import Client, Listener

OURS, DOCTOR = "pfi@ch-testville.mssante.fr", "prescripteur@ch-testville.mssante.fr"
FAMILY, GIVEN, STREET, TEXT, NUMBER = "XQFAMILLE", "XQPRENOM", "XQADRESSE", "XQSECRET", "XQ700123"
_THIRTEEN = "2900675056789"
INS = _THIRTEEN + ins_key(_THIRTEEN)
MARKS = (FAMILY, GIVEN, STREET, TEXT, NUMBER, INS, _THIRTEEN)
EVERY = " ".join(MARKS)
ADT, RESULTS, REQUESTS, DPI, IMAP, WEB = 2575, 2581, 2585, 2679, 2143, 8470
"""Ports of the example."""
_KEY = "${file:var/certificates/password}"
_ANNUAIRE = "  - pfi.request\n  - annuaire: {{key: '{key}', base: 'http://127.0.0.1:{port}', timeout: 1s}}\n"


def traces(data: bytes, marks: Iterable[str] = MARKS) -> list[str]:
    """The marks that some bytes show: as they are, in any case, in UTF-16, hexadecimal or Base64."""
    low = data.lower()
    found = []
    for mark in marks:
        raw = mark.encode()
        forms = [raw.hex().encode(), mark.lower().encode("utf-16-le"), mark.lower().encode()]
        if any(one in low for one in forms) or any(one in data for one in _base64(raw)):
            found.append(mark)
    return found


def _base64(raw: bytes) -> list[bytes]:
    """What Base64 makes of some bytes wherever they stand: the signs that no neighbour changes."""
    found = []
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw + b"\0" * 3)
        found.append(whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6])
    return found


class MarkedHospital:
    """Everything around one engine; what it says to anyone is kept in ``said``, by who heard it."""

    def __init__(self, folder: Path) -> None:
        require("dovecot", "dovecot-imapd")
        self.site = pfi_site.make(folder / "site")
        (folder / "operator").mkdir()
        (folder / "operator" / "pki").symlink_to(self.site.certificates)
        self.operator = MssanteSimulator(folder / "operator", [OURS, DOCTOR])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.site.certificates / "server.pem")
        context.load_verify_locations(self.site.certificates / "authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self.dmp = DmpServer(context)
        self.dpi_refuses = False
        self.documents: list[bytes] = []
        self.zams: list[zam.Acknowledgement] = []
        self.answers: list[bytes] = []
        self._dpi, self._sgl = Listener(self._take), Listener(self._hear)
        self.ports = {one: free_port() for one in (ADT, REQUESTS, WEB)}
        self.ports[RESULTS] = self.site.port
        self._numbers = 0
        self.result = self._marked(self.site.result)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[MarkedHospital]:
        """Far ends and engine."""
        async with contextlib.AsyncExitStack() as stack:
            for one in (self.dmp, self.operator, self._dpi, self._sgl):
                await one.start()
                stack.push_async_callback(one.stop)
            self._configure()
            self.engine = Engine(self.site.directory, *self.ports.values())
            stack.push_async_callback(asyncio.to_thread, self.engine.stop)  # far ends answer until it has stopped
            await asyncio.to_thread(self.engine.listening)
            yield self

    def _configure(self) -> None:
        requests = self.site.directory / "channels" / "pfi-requests.yaml"
        text = requests.read_text()
        requests.write_text(text.replace("  - pfi.request\n", _ANNUAIRE.format(key=_KEY, port=free_port())))
        dmp = int(self.dmp.url.rpartition(":")[2])
        known = {
            pfi_site.DMP: dmp, pfi_site.SMTP: self.operator.smtp_port, IMAP: self.operator.imap_port,
            pfi_site.ZAM: self._sgl.port, DPI: self._dpi.port,
        }  # fmt: skip
        self.site.connect(known | self.ports)

    async def _take(self, body: bytes) -> bytes | None:
        """The DPI: takes a document, or refuses it with everything it knows of the patient."""
        self.documents.append(body)
        answer = answer_to(er7.peek(body), "AE" if self.dpi_refuses else "AA")
        if self.dpi_refuses:
            answer += f"ERR||PID^1^5|204^{FAMILY}|E|||{EVERY}|{EVERY}\r".encode()
        return answer

    async def _hear(self, body: bytes) -> bytes | None:
        self.zams.append(zam.read(body))
        return answer_to(er7.peek(body), "AA")

    # what is sent

    def _marked(self, body: bytes) -> bytes:
        pdf = base64.b64encode(f"%PDF-1.4\n%{TEXT}\n%%EOF\n".encode())
        head, mark, _ = body.replace(b"\r\n", b"\r").replace(b"\n", b"\r").partition(b"^Base64^")
        body = head + mark + pdf + b"||||||F\r"
        for old, new in (
            (b"290067505600227", INS), (b"MODELE", FAMILY), (b"ALIX", GIVEN), (b"Alix", GIVEN),
            ("4 rue de l'Église".encode(), STREET), (b"700123", NUMBER),
        ):  # fmt: skip
            body = body.replace(old, new.encode())
        return body.replace(b"\rSPM|", f"\rNTE|1||{TEXT}\rSPM|".encode())

    def new_result(self, **changes: str) -> tuple[str, bytes]:
        """Another result: its control id and its bytes. changes: text -> other text."""
        self._numbers += 1
        control_id = f"SGL{self._numbers:06}"
        body = self.result.replace(b"SGL000201", control_id.encode()).replace(b"0000471", b"%07d" % self._numbers)
        for old, new in changes.items():
            assert old.encode() in body
            body = body.replace(old.encode(), new.encode())
        return control_id, body

    async def send(self, port: int, body: bytes, *, within: float = 30.0) -> str:
        """MSA-1 of the answer to a message, which is kept."""
        client = Client("127.0.0.1", self.ports[port], timeout=within)
        answer = await client.exchange(body)
        await client.aclose()
        self.answers.append(answer)
        return answer.split(b"\rMSA|")[1][:2].decode()

    async def published(self, **changes: str) -> zam.Acknowledgement:
        """Send a result and wait for what became of it at the DMP."""
        control_id, body = self.new_result(**changes)
        assert await self.send(RESULTS, body) == "AA"
        await self.until(lambda: any((one.of, one.kind) == (control_id, "Z01") for one in self.zams))
        return next(one for one in self.zams if (one.of, one.kind) == (control_id, "Z01"))

    def mail(self, attachment: bytes = b"", name: str = "IHE_XDM.zip", **headers: str) -> bytes:
        """A mail from a correspondent."""
        made = EmailMessage()
        told = {
            "From": f'"{FAMILY}" <{DOCTOR}>', "To": OURS, "Subject": f"XDM/1.0/DDM+{FAMILY} {GIVEN}",
            "Message-ID": f"<{len(self.operator.mails)}.{len(name)}.{len(attachment)}@cabinet.test>",
            "Disposition-Notification-To": DOCTOR,
        }  # fmt: skip
        for header, value in (told | headers).items():
            made[header] = value
        made.set_content(EVERY)
        if attachment:
            made.add_attachment(attachment, maintype="application", subtype="zip", filename=name)
        return made.as_bytes()

    # what is said

    async def state(self) -> Any:
        """What the engine says of itself to operators."""
        control = self.site.directory / "var" / "control.sock"
        return await asyncio.to_thread(ask, control, {"do": "state", "who": "test"})

    async def metrics(self) -> bytes:
        """Metrics, health and readiness."""

        def get(path: str) -> bytes:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.ports[WEB]}{path}") as one,
            ):
                return bytes(one.read())
            return b""

        return b"".join([await asyncio.to_thread(get, path) for path in ("/metrics", "/health", "/ready")])

    def log(self) -> bytes:
        """Standard output and error of the engine."""
        return (self.site.directory / "engine.log").read_bytes()

    async def count(self, channel: str, destination: str, what: str) -> int:
        """A counter of a destination."""
        for one in (await self.state())["channels"]:
            if one["channel"] == channel:
                return int(one["destinations"][destination][what])
        raise KeyError(channel)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so."""
        await eventually(true)
