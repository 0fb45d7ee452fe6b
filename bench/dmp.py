"""DMP: lots a second and CPU of one, signatures included; memory with a document that holds a PDF of 10 MB.

    python -m bench.dmp [--lots 200] [--json]

Lots go over mutual TLS to the simulated DMP, in a process of its own whose CPU is not counted; it checks every lot, and
is the slower of the two. A sink that only says yes is beside it: what the connector does when nobody holds it up.
Each lot is a request of its own, with its state on disk. Memory is the peak of a process that publishes one lot
from the message's bytes, above what it holds at rest.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import random
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import structlog

import vaguemestre
from channels.certificates import CertificateSettings
from channels.journal.keys import Hasher
from channels.message import Message
from channels.pfi_settings import PfiOrganization, PfiPerson, PfiProduct, PfiSettings
from channels.ports import Surroundings
from channels.site import Establishment, Site
from connectors.dmp.destination import DmpDestination
from connectors.dmp.lots import Lots
from connectors.dmp.service import Dmp
from connectors.dmp.settings import DmpDestinationSettings
from connectors.dmp.vihf import assertion
from connectors.dmp.xades import Signed, lot_signature
from connectors.shared.submissions import Submissions, open_submissions
from transforms import submission as submissions
from transforms.submission import Document, Organization, Patient, Person, Request, Sender, Submission
from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.pki import PASSWORD, Authority

INS = "279035121518989"
REPORT = (Path(vaguemestre.__file__).parent / "example/cases/oru_crp.cr-bio.xml").read_bytes()
REPORT = REPORT.replace(b"290067505600227", INS.encode())
HEAD, NUMBER = b'<id root="', b"1.2.250.1.999999.20."
PFI = PfiSettings(
    organization=PfiOrganization(id="1990000001", name="CHU Test"),
    source_oid="1.2.250.1.999999.7",
    responsible=PfiPerson(id="801000000058", family="DURAND", specialty="SM03"),
    product=PfiProduct(approval="BENCH"),
)
YES = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><r:RegistryResponse '
    b'xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" '
    b'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/></s:Body></s:Envelope>'
)
AT_ONCE = 8


def request(number: int, content: bytes = REPORT) -> Submission:
    """A request to publish one document."""
    unique_id = NUMBER.decode() + str(number)
    return Submission(
        Request(f"{number:032x}", str(number)), "create",
        Patient(ins=INS, ins_oid="1.2.250.1.213.1.4.10", family="FICTIVE", given="RUTH", birth_date="19790328"),
        (Document(numbered(content, unique_id), unique_id, "11502-2", "CR d'examens biologiques"),),
        Sender(Person("801000000058", "DURAND", "Anne"), Organization("1990000001", "CHU Test")),
        visit_class="I", to_dmp=True, wants_reception=True,
    )  # fmt: skip


def numbered(content: bytes, unique_id: str) -> bytes:
    """The document under another number: its own ``id`` is the first one."""
    before, _, rest = content.partition(HEAD)
    _, _, after = rest.partition(b'"')
    return before + HEAD + unique_id.encode() + b'"' + after


def with_pdf(size: int) -> bytes:
    """The report with a copy of so many bytes inside; 0: as it is."""
    if not size:
        return REPORT
    head, value, rest = REPORT.partition(b'representation="B64">')
    _, _, end = rest.partition(b"</value>")
    return head + value + base64.b64encode(b"%PDF-1.4\n" + random.Random(1).randbytes(size)) + b"</value>" + end


def surroundings(folder: Path) -> Surroundings:
    """An engine of its own, with the certificates of the folder."""
    named = {
        name: CertificateSettings.model_validate(
            {"file": folder / "pki" / f"{name}.p12", "use": name, "password": PASSWORD}
        )
        for name in ("client", "sign")
    }
    establishment = Establishment(name="CHU Test", finess="990000001")
    site = Site(site="bench", establishment=establishment, certificates=named, pfi=PFI)
    engine = Path(tempfile.mkdtemp(prefix="engine-", dir=folder))
    return Surroundings(site, engine, "publication", "dmp", engine, Hasher(b"k" * 32))


def options(folder: Path, url: str) -> DmpDestinationSettings:
    """Settings towards the services under an address."""
    values = {"tls": "client", "sign": "sign", "authorities": folder / "pki" / "authority.pem"}
    services = {name: f"{url}/{name}" for name in ("repository", "registry")}
    return DmpDestinationSettings.model_validate({**values, **services})


@asynccontextmanager
async def destination(folder: Path, url: str) -> AsyncIterator[tuple[DmpDestination, Submissions]]:
    """A destination, with its store on disk."""
    around = surroundings(folder)
    made, store = DmpDestination(options(folder, url), around), open_submissions(around)
    await made.start()
    try:
        yield made, store
    finally:
        await made.aclose()
        await store.aclose()


async def publish(folder: Path, url: str, requests: list[Submission]) -> dict[str, float]:
    """Publish them, eight at once; lots a second, CPU of this process."""
    bodies = [Message(submissions.encode(one), "submission") for one in requests]
    async with destination(folder, url) as (connector, store):
        for one in requests:
            await store.register(one, known_parents_only=False)
        room = asyncio.Semaphore(AT_ONCE)

        async def ship(message: Message) -> None:
            async with room:
                await connector.send(message)

        begin, clock = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ship(one) for one in bodies))
        seconds, used = time.perf_counter() - begin, time.process_time() - clock
    return {"lots a second": len(bodies) / seconds, "ms of CPU a lot": used / len(bodies) * 1000}


def parts(folder: Path) -> dict[str, float]:
    """Milliseconds of CPU of what a lot is made of."""
    around = surroundings(folder)
    settings = options(folder, "https://localhost")
    dmp, one, now = Dmp(settings, around), request(0), datetime.now(UTC)
    lots, signer, said = Lots(settings, dmp), dmp.signer(), dmp.identity.assertion(one, "_a", now)
    document = [Signed("1.2.3", REPORT)]
    return {
        "assertion (VIHF), ms of CPU": cpu(lambda: assertion(signer, said)),
        "lot signature, ms of CPU": cpu(lambda: lot_signature(signer, document, lot="1.2", unique_id="1.3", at=now)),
        "metadata and lot signature, ms of CPU": cpu(lambda: lots.ready(one, {})),
    }


def cpu(work: Callable[[], object], times: int = 100) -> float:
    """Milliseconds of CPU of one, the mean of so many after a first one."""
    work()
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times * 1000


def simulator(folder: str, told: Connection) -> None:
    """The simulated DMP, until it hears anything."""
    structlog.configure(processors=[_drop])

    async def run() -> None:
        dmp = DmpSimulator(authority=Authority(Path(folder) / "pki"))
        await dmp.start()
        told.send(dmp.url)
        await asyncio.to_thread(told.recv)
        told.send([len(dmp.published), max(dmp.published.values(), default=0)])
        await dmp.stop()

    asyncio.run(run())


def sink(folder: str, told: Connection) -> None:
    """Says yes to everything, over mutual TLS, until it hears anything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                left = int(length.split(b":")[1])
                while left > 0:
                    left -= len(await reader.read(min(left, 1_000_000)))
                top = f"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(YES)}\r\n\r\n"
                writer.write(top.encode() + YES)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        authority = Authority(Path(folder) / "pki")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.keep("sink", "server").pem)
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        told.send(f"https://localhost:{server.sockets[0].getsockname()[1]}")
        await asyncio.to_thread(told.recv)
        told.send([0, 0])
        server.close()

    asyncio.run(run())


def memory(folder: str, url: str, body: Path, told: Connection) -> None:
    """Publish one lot as the engine does, from the bytes of its message; tell memory before and at most, in MB."""
    structlog.configure(processors=[_drop])

    async def run() -> None:
        async with destination(Path(folder), url) as (connector, store):
            before = resident("VmRSS")
            message = Message(await asyncio.to_thread(body.read_bytes), "submission")
            await store.register(submissions.read(message), known_parents_only=False)
            await connector.send(message)
            told.send((before, resident("VmHWM")))

    asyncio.run(run())


def resident(what: str) -> float:
    """Memory of this process in MB. ``getrusage`` would tell the peak of its parent too."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    line = next(one for one in status.splitlines() if one.startswith(what))
    return int(line.split()[1]) / 1000


def _drop(*_: object) -> str:
    raise structlog.DropEvent


def measure(count: int = 200) -> dict[str, float]:
    """The figures, by name."""
    structlog.configure(processors=[_drop])
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="vaguemestre-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        authority = Authority(folder / "pki")
        authority.keep("client", "client")
        authority.keep("sign", "sign")
        found = parts(folder)
        for peer, label in ((sink, "to a sink"), (simulator, "to the simulated DMP")):
            ours, theirs = spawn.Pipe()
            server = spawn.Process(target=peer, args=(name, theirs))
            server.start()
            url = ours.recv()
            requests = [request(number) for number in range(count)]
            figures = asyncio.run(publish(folder, url, requests))
            found |= {f"{figure}, {label}": value for figure, value in figures.items()}
            if peer is sink:
                found |= _peaks(name, url)
            ours.send("enough")
            published, most = ours.recv()
            server.join()
            if peer is simulator:
                found |= {"published": published, "published at most, times": most}
    return found


def _peaks(folder: str, url: str) -> dict[str, float]:
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, float] = {}
    for size in (0, 10_000_000):
        one = request(9_000_000 + size, with_pdf(size))
        body = Path(folder) / f"{size}.json"
        body.write_bytes(submissions.encode(one))
        mine, its = spawn.Pipe()
        child = spawn.Process(target=memory, args=(folder, url, body, its))
        child.start()
        its.close()
        before, peak = mine.recv()
        child.join()
        label = f"a PDF of {size // 1_000_000} MB" if size else "an ordinary report"
        found |= {
            f"size of the message with {label}, MB": body.stat().st_size / 1e6,
            f"peak of memory above rest with {label}, MB": peak - before,
        }
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lots", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.lots)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:60} {value:10.1f}")


if __name__ == "__main__":
    main()
