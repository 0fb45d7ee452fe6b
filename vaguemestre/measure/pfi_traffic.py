"""The hospital around a PFI that is killed: laboratories that send and correct, and all who get something, counted."""

from __future__ import annotations

import asyncio
import io
import random
import re
import ssl
import zipfile
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from transforms.submission import zam
from vaguemestre.measure.messages import END, START
from vaguemestre.measure.pfi_compare import Mailed, Published, Step, Told
from vaguemestre.measure.traffic import Sender
from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.dmp.service import Case
from vaguemestre.simulators.mssante.checks import faults
from vaguemestre.simulators.mssante.smtp import Envelope, Rules, SmtpServer
from vaguemestre.simulators.people import ins_key
from vaguemestre.simulators.pki import Authority
from vaguemestre.simulators.systems import Receiver

CORRESPONDENT = "prescripteur@ch-testville.mssante.fr"
_CORRECTIONS, _CORRECTED = 0.35, 5
"""How many results are corrections, of one of so many reports before."""
_TOLD = 3
_OPEN = 12
"""Results of a sender that are on their way at once: more would only wait."""
_INS, _IPP, _NUMBER, _VALUE, _CONTROL_ID = b"290067505600227", b"700123", b"0000471", b"|12.4|", b"SGL000201"
_STEP = re.compile(
    rb'<order><id root="[0-9.]+" extension="DPI-([0-9]{7})1".*?xsi:type="PQ" value="([0-9]+)"', re.DOTALL
)


class Laboratory(Sender):
    """A sender of results: first versions and corrections, each of them with a PDF, for patients of its own.

    A result's number and version are in its document: the order number and the value.
    """

    def __init__(self, number: int, patients: int, seed: int, result: bytes, finished: Callable[[str], bool]) -> None:
        """result: the message that all of its messages are made from. finished: whether a result is everywhere."""
        super().__init__(number, patients, seed)
        self._result, self._finished = result, finished
        self._versions: dict[str, int] = {}
        self._patient: dict[str, bytes] = {}
        self._open: list[str] = []
        self.steps: dict[str, Step] = {}
        self.mailboxes: dict[Step, tuple[str, str]] = {}

    async def run(self, port: int) -> None:
        """Send until ``stopping`` and the last message is acknowledged."""
        while not self.stopping:
            self._open = [one for one in self._open if not self._finished(one)]
            if len(self._open) >= _OPEN:
                await asyncio.sleep(0.02)
                continue
            control_id, frame = self._next()
            await self._until_acknowledged(port, frame)
            self.acknowledged.append(control_id)
            self._open.append(control_id)
        self._close()

    def _next(self) -> tuple[str, bytes]:
        known = list(self._versions)[-_CORRECTED:]
        if known and self._random.random() < _CORRECTIONS:
            number = self._random.choice(known)
        else:
            number = f"{self.number:02}{len(self._versions):05}"
            self._patient[number] = _ins(self.number, self._random.randrange(len(self._patients)))
        version = self._versions[number] = self._versions.get(number, 0) + 1
        control_id, ins = f"R{number}.{version}", self._patient[number]
        self.steps[control_id] = number, version
        self.mailboxes[number, version] = CORRESPONDENT, f"{ins.decode()}@patient.mssante.fr"
        body = self._result.replace(_CONTROL_ID, control_id.encode()).replace(_NUMBER, number.encode())
        body = body.replace(_INS, ins).replace(_IPP, b"7%02d%s" % (self.number, ins[10:13]))
        body = body.replace(_VALUE, b"|%d|" % version)
        if version > 1:
            body = body.replace(b"|H|||F|", b"|H|||C|")
        return control_id, START + body + END


def _ins(sender: int, patient: int) -> bytes:
    thirteen = f"2900675{sender:03}{patient + 1:03}"
    return (thirteen + ins_key(thirteen)).encode()


def step_of(document: bytes) -> Step:
    """Which version of which report a document is; one that tells nothing is of no report."""
    found = _STEP.search(document)
    return (found[1].decode(), int(found[2])) if found else ("", 0)


class Dmp:
    """The DMP, and what it was sent."""

    def __init__(self, authority: Authority) -> None:
        """authority: of its certificate and of its clients'."""
        self.simulator = DmpSimulator(authority=authority, on_request=self._see)
        self.refused_duplicates = 0
        self.cuts: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def _see(self, case: Case) -> None:
        """Note one request, and forget it."""
        self.simulator.requests.clear()
        if case.misbehaviour:
            self.cuts["registered" if case.accepted else "not registered"] += 1
        if "registry.duplicate" in case.broken:
            self.refused_duplicates += 1
        else:
            self.problems.update(case.broken)

    def cut_next(self, *, registered: bool) -> None:
        """Close the connection of the next lot, before or after it is registered."""
        self.simulator.behave_well()
        self.simulator.behave("cut", service="repository", stored=registered)

    def published(self) -> list[Published]:
        """Every document that it has."""
        return [
            Published(step_of(one.content), one.unique_id, one.logical_id, one.version, one.is_current)
            for one in self.simulator.documents
        ]


class Operator:
    """The operator of mailboxes: takes everything, reports no delivery, counts."""

    def __init__(self, certificates: Path) -> None:
        """certificates: folder of ``server.pem`` and ``authority.pem``."""
        self.mailed: list[Mailed] = []
        self.lost_answers = self.to_lose = 0
        self.faults: Counter[str] = Counter()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem")
        context.load_verify_locations(certificates / "authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        rules = Rules(lambda _: "250 2.1.5 ok", self._accept, lambda: 30_000_000, lambda: False)
        self.server = SmtpServer(context, rules)

    async def _accept(self, envelope: Envelope) -> str | None:
        mail = message_from_bytes(envelope.content)
        for recipient in envelope.recipients:
            self._receive(mail, envelope, recipient)
        if self.to_lose:
            self.to_lose -= 1
            self.lost_answers += 1
            return None
        return "250 2.0.0 taken"

    def _receive(self, mail: Message, envelope: Envelope, recipient: str) -> None:
        wrong = faults(envelope.content, envelope.sender, recipient)
        self.faults.update(wrong)
        arrived = Mailed(step_of(_document(mail)), recipient, str(mail["Message-ID"]), bool(wrong))
        self.mailed.append(arrived)


def _document(mail: Message) -> bytes:
    """The CDA in the archive of a mail; empty without."""
    for part in mail.walk():
        if part.get_filename() == "IHE_XDM.zip":
            content = part.get_payload(decode=True)
            with zipfile.ZipFile(io.BytesIO(content if isinstance(content, bytes) else b"")) as archive:
                for name in archive.namelist():
                    if b"<ClinicalDocument" in (found := archive.read(name)):
                        return found
    return b""


class Software:
    """The laboratory's software, as it is told what became of its results."""

    def __init__(self, seed: int) -> None:
        """seed: of which answers it gives late."""
        self.receiver = Receiver("sgl")
        self.told: list[Told] = []
        self.published: set[str] = set()
        self._parts: dict[str, set[tuple[str, str]]] = {}
        self._draw = random.Random(seed)
        self.receiver.on_message = lambda _, body: self._note(body)

    def _note(self, body: bytes) -> None:
        self.receiver.behave(delay=0.02 if self._draw.random() < 0.05 else 0.0)
        one = zam.read(body)
        self.told.append(Told(one.of, one.kind, one.positive, one.address, one.control_id))
        self._parts.setdefault(one.of, set()).add((one.kind, one.address))
        if one.kind == "Z01":
            self.published.add(one.of)

    def finished(self, control_id: str) -> bool:
        """Whether a result's three acknowledgements are there: DMP, correspondent, patient."""
        return len(self._parts.get(control_id, ())) >= _TOLD
