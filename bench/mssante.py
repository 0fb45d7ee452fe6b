"""MSSanté: CPU of a mail made, sent, and opened; memory with a document that holds a PDF of 10 MB.

    python -m bench.mssante [--mails 500] [--json]

Mails go over STARTTLS with a client certificate to the simulated operator, in a process of its own whose CPU is not
counted. Each of the 500 is a request of its own, with its state on disk. Memory is the peak of one process that makes a
mail, sends it and opens it; a figure without a document is given beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import vaguemestre
from channels.certificates import CertificateSettings
from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.message import Message
from channels.pfi_settings import PfiOrganization, PfiSettings
from channels.ports import Context, Surroundings
from channels.site import Establishment, Site
from connectors.mssante import MssanteDestination, MssanteDestinationSettings
from connectors.shared.submissions import Submissions, open_submissions
from transforms import submission as submissions
from transforms.mail import batch
from transforms.mail.settings import MailsSettings, MdmSettings
from transforms.mail.steps import Mails, Mdm
from transforms.submission import Document, Organization, Patient, Person, Recipient, Request, Sender, Submission
from vaguemestre.simulators.mssante import Manners, MssanteSimulator
from vaguemestre.simulators.pki import PASSWORD

INS, SENDER, DOCTOR = "279035121518989", "labo@chu.mssante.fr", "anne.durand@cabinet.mssante.fr"
REPORT = (Path(vaguemestre.__file__).parent / "example/cases/oru_crp.cr-bio.xml").read_bytes()
REPORT = REPORT.replace(b"290067505600227", INS.encode())
AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SITE = Site(
    site="bench",
    establishment=Establishment(name="CHU Test", finess="990000001"),
    pfi=PfiSettings(organization=PfiOrganization(id="1990000001", name="CHU Test"), source_oid="1.2.250.1.999999.1.9"),
)
STEP = Mails(MailsSettings(sender=SENDER))


def request(number: int, content: bytes) -> Submission:
    """A request to send one document to one professional."""
    return Submission(
        Request(f"{number:032x}", str(number)), "create",
        Patient(ins=INS, ins_oid="1.2.250.1.213.1.4.10", family="FICTIVE", given="RUTH", birth_date="19790328"),
        (Document(content, f"1.2.3.{number}", "11502-2", "CR d'examens biologiques"),),
        Sender(Person("801000000058", "DURAND", "Anne"), Organization("1990000001", "CHU Test")),
        visit_class="I", recipients=(Recipient("professional", DOCTOR),), wants_reception=True,
    )  # fmt: skip


def mails_of(asked: Submission) -> Message:
    """What the step makes of a request."""
    context = Context(SITE, "pfi", AT, _no_table, "mssante")
    made = STEP(Message(submissions.encode(asked), "submission", received=AT.timestamp(), id=1), context)
    if not isinstance(made, Message):
        raise TypeError("a request with a mailbox gives mails")
    return made


def _no_table(name: str) -> Any:
    raise KeyError(name)


def opened(message: Message) -> int:
    """The mail as a colleague's engine opens it: messages that come out."""
    one = batch.read(message)
    raw = one.mails[0].head + one.tail
    received = Message(raw, "mail", received=AT.timestamp(), id=2)
    return len(Mdm(MdmSettings())(received, Context(SITE, "in", AT, _no_table, "dpi")))


def cpu(work: Callable[[], object], times: int) -> float:
    """Milliseconds of CPU of one, the mean of so many after a first one."""
    work()
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times * 1000


def operator(folder: str, told: Connection) -> None:
    """The simulated operator, until it hears anything."""

    async def run() -> None:
        simulator = MssanteSimulator(Path(folder), [SENDER, DOCTOR])
        simulator.behave(Manners(reading="", size=200_000_000))
        await simulator.start()
        told.send(simulator.smtp_port)
        await asyncio.to_thread(told.recv)
        told.send(simulator.count())
        await simulator.stop()

    asyncio.run(run())


@asynccontextmanager
async def destination(folder: Path, port: int) -> AsyncIterator[tuple[MssanteDestination, Submissions]]:
    """A destination over the operator, with its store on disk."""
    engine = Path(tempfile.mkdtemp(prefix="engine-", dir=folder))
    catalog = Catalog(engine, MasterKeys.read(MasterKeys.new_line("bench")), write=True)
    client = CertificateSettings.model_validate(
        {"file": folder / "pki" / "client.p12", "password": PASSWORD, "use": "client"}
    )
    site = SITE.model_copy(update={"certificates": {"mssante": client}})
    around = Surroundings(site, engine, "pfi", "mssante", journal_directory=engine)
    around = replace(around, hasher=catalog.hasher, sealer=catalog.sealer("pfi"))
    settings = MssanteDestinationSettings.model_validate(
        {"connect": f"127.0.0.1:{port}", "certificate": "mssante", "authorities": folder / "pki" / "authority.pem",
         "connections": 4}
    )  # fmt: skip
    made, store = MssanteDestination(settings, around), open_submissions(around)
    await made.start()
    try:
        yield made, store
    finally:
        await made.aclose()
        await store.aclose()
        catalog.close()


async def send(folder: Path, port: int, requests: list[Submission], bodies: list[Message]) -> dict[str, float]:
    """Send them, eight at once; seconds and CPU of this process."""
    async with destination(folder, port) as (connector, store):
        for one in requests:
            await store.register(one, known_parents_only=False)
        room = asyncio.Semaphore(8)

        async def ship(message: Message) -> None:
            async with room:
                await connector.send(message)

        begin, clock = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ship(one) for one in bodies))
        seconds, used = time.perf_counter() - begin, time.process_time() - clock
    return {"mails a second": len(bodies) / seconds, "sent, ms of CPU": used / len(bodies) * 1000}


def memory(folder: str, port: int, size: int, told: Connection) -> None:
    """Make, send and open one mail whose document holds a PDF of so many bytes; tell the peak in MB."""
    content = with_pdf(size)
    asked = request(9_000_000 + size, content)
    made = mails_of(asked)
    asyncio.run(send(Path(folder), port, [asked], [made]))
    opened(made)
    told.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, len(made.body) / 1e6))


def with_pdf(size: int) -> bytes:
    """The report with a copy of so many bytes inside; 0: as it is."""
    if not size:
        return REPORT
    head, value, rest = REPORT.partition(b'representation="B64">')
    _, _, end = rest.partition(b"</value>")
    noise = b"%PDF-1.4\n" + resource_noise(size)
    return head + value + base64.b64encode(noise) + b"</value>" + end


def resource_noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(1).randbytes(size)


def measure(count: int) -> dict[str, float]:
    """The figures, by name."""
    requests = [request(number, REPORT) for number in range(count)]
    plain = mails_of(requests[0])
    without = REPORT.replace(b"1.2.250.1.213.1.1.2.243", b"1.2.250.1.213.1.1.2.999")
    found = {
        "made, ms of CPU": cpu(lambda: mails_of(requests[0]), 50),
        "made with its PDF rendered, ms of CPU": cpu(lambda: mails_of(request(1, without)), 5),
        "opened, ms of CPU": cpu(lambda: opened(plain), 50),
    }
    bodies = [mails_of(one) for one in requests]
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="vaguemestre-bench-", ignore_cleanup_errors=True) as folder:
        ours, theirs = spawn.Pipe()
        server = spawn.Process(target=operator, args=(folder, theirs))
        server.start()
        port = ours.recv()
        found |= asyncio.run(send(Path(folder), port, requests, bodies))
        for size in (0, 10_000_000):
            mine, its = spawn.Pipe()
            child = spawn.Process(target=memory, args=(folder, port, size, its))
            child.start()
            its.close()
            peak, body = mine.recv()
            child.join()
            name = f"a PDF of {size // 1_000_000} MB" if size else "an ordinary report"
            found |= {f"peak of memory with {name}, MB": peak, f"size of its mail with {name}, MB": body}
        ours.send("enough")
        found["arrived, each once"] = ours.recv() - 2
        server.join()
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.mails)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:45} {value:10.1f}")


if __name__ == "__main__":
    main()
