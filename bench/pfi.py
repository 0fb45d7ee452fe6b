"""DMP and MSSanté: lots and mails made and sent, beside the same bytes sent by a client that makes nothing.

Lots go over TLS with client certificates to a sink that answers at once, mails over STARTTLS to the simulated operator;
both are processes of their own whose CPU is not counted. Each request is another one, with its state on disk.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import resource
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx
import structlog

from bench import mssante
from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.loader import load_site
from channels.message import Message
from channels.ports import Surroundings
from connectors.dmp.destination import DmpDestination
from connectors.dmp.settings import DmpDestinationSettings
from connectors.shared.submissions import open_submissions
from transforms import submission as submissions
from transforms.mail import batch
from transforms.submission import Submission
from vaguemestre.measure import pfi_site
from vaguemestre.measure.parts import Plan
from vaguemestre.measure.pfi_site import PfiSite
from vaguemestre.measure.report import Part

_LOTS, _MAILS, _LARGE = 200, 500, 4
_AT_ONCE = 4
_MB = 1_000_000
_PDF = 10 * _MB
_ROOT = re.compile(rb'<id root="[^"]+"/>')
_FIRST = "first-lot"
_SPAWN = multiprocessing.get_context("spawn")
_ANSWER = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><RegistryResponse '
    b'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" '
    b'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/></s:Body></s:Envelope>'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER)


@dataclass(frozen=True, slots=True)
class Flow:
    """One run. rate: a second; cpu: milliseconds of each."""

    rate: float
    cpu: float


def measure(plan: Plan) -> list[Part]:
    """Lots, then mails; each round has its floors."""
    return [_lots(plan), _mails(plan)]


# lots


def _lots(plan: Plan) -> Part:
    part = Part(
        "DMP: lots to a TLS sink, 4 at once (floor: the same bytes by httpx)",
        ("document", "lot MB", "floor lots/s", "lots/s", "÷ floor", "floor CPU ms", "CPU ms", "peak MB"),
    )
    with tempfile.TemporaryDirectory(dir=plan.folder) as place:
        site = pfi_site.make(Path(place) / "site")
        for name, size, count in (("CR-Bio", 0, _LOTS), ("PDF of 10 MB", _PDF, _LARGE)):
            found = [_child(_lot_run, site, size, count) for _ in range(plan.rounds)]
            floor, ours, body = [one[0] for one in found], [one[1] for one in found], found[0][2]
            part.rows.append((
                name, body / _MB, *_compared(floor, ours),
                _child(_lot_peak, site, size) / _MB,
            ))  # fmt: skip
        base = _child(_lot_peak, site, -1) / _MB
    part.note = (
        "CPU: of the process that makes or sends, signature of the lot and of the assertion included, the least of the "
        f"rounds. peak: memory of a process that sends one lot; without any it takes {base:.0f} MB."
    )
    return part


def _compared(floor: Sequence[Flow], ours: Sequence[Flow]) -> tuple[float, ...]:
    rates = [statistics.median(one.rate for one in flows) for flows in (floor, ours)]
    shares = statistics.median(us.rate / them.rate for us, them in zip(ours, floor, strict=True))
    return (*rates, shares, min(one.cpu for one in floor), min(one.cpu for one in ours))


def _child(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function finds in a new process: its memory and CPU are its own."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_tell, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _tell(told: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the child: its log is written, and read by nobody."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(nowhere))
        told.send(work(*arguments))


def lot(number: int, content: bytes) -> Message:
    """A request to publish one document."""
    asked = mssante.request(number, _ROOT.sub(b'<id root="1.2.3.%d"/>' % number, content, count=1))
    asked = replace(asked, to_dmp=True, recipients=())
    return Message(submissions.encode(asked), "submission", received=mssante.AT.timestamp(), id=number)


def _lot_run(site: PfiSite, size: int, count: int) -> tuple[Flow, Flow, int]:
    """Floor and lots against one sink, and the bytes of a lot."""
    return asyncio.run(_lots_to_sink(site, mssante.with_pdf(size), count))


async def _lots_to_sink(site: PfiSite, content: bytes, count: int) -> tuple[Flow, Flow, int]:
    async with _sink(site) as port, _destination(site, port) as send:
        await send(lot(1_000_000, content))
        kind, _, body = (site.directory / _FIRST).read_bytes().partition(b"\n")
        context = ssl.create_default_context(cafile=str(site.certificates / "authority.pem"))
        context.load_cert_chain(site.certificates / "auth.pem")
        async with httpx.AsyncClient(verify=context, timeout=60) as client:

            async def post(_: int) -> None:
                answer = await client.post(f"https://localhost:{port}/", content=body, headers={b"Content-Type": kind})
                answer.raise_for_status()

            await post(0)
            floor = await _flow(post, count)
        messages = [lot(number, content) for number in range(count)]
        ours = await _flow(lambda number: send(messages[number]), count)
    return floor, ours, len(body)


async def _flow(one: Callable[[int], Awaitable[Any]], count: int) -> Flow:
    room = asyncio.Semaphore(_AT_ONCE)

    async def ship(number: int) -> None:
        async with room:
            await one(number)

    begin, clock = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ship(number) for number in range(count)))
    seconds, used = time.perf_counter() - begin, time.process_time() - clock
    return Flow(count / seconds, used / count * 1000)


def _lot_peak(site: PfiSite, size: int) -> int:
    """Peak memory of a process that sends one lot; size -1: that sends none."""

    async def run() -> None:
        async with _sink(site) as port, _destination(site, port) as send:
            if size >= 0:
                await send(lot(1, mssante.with_pdf(size)))

    asyncio.run(run())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@asynccontextmanager
async def _destination(site: PfiSite, port: int) -> Any:
    """The connector over the sink, with a store of its own on disk; what sends a message."""
    with tempfile.TemporaryDirectory(dir=site.directory) as place:
        journal = Path(place)
        catalog = Catalog(journal, MasterKeys.read(MasterKeys.new_line("bench")), write=True)
        around = Surroundings(
            load_site(site.directory).site, site.directory, "publication", "dmp", journal_directory=journal,
            hasher=catalog.hasher, sealer=catalog.sealer("pfi"),
        )  # fmt: skip
        url = f"https://localhost:{port}/"
        settings = DmpDestinationSettings.model_validate({
            "repository": url, "registry": url, "authorities": "var/certificates/authority.pem", "tls": "org-auth",
            "sign": "org-sign",
        })  # fmt: skip
        made, store = DmpDestination(settings, around), open_submissions(around)
        await made.start()

        async def send(message: Message) -> None:
            await store.register(submissions.read(message), known_parents_only=False)
            await made.send(message)

        try:
            yield send
        finally:
            await made.aclose()
            await store.aclose()
            catalog.close()


@asynccontextmanager
async def _sink(site: PfiSite) -> Any:
    """Its port; the first body that it takes is in a file of the site."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(site, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        await asyncio.to_thread(process.join)


def _serve(site: PfiSite, told: Connection) -> None:
    """Take bodies and say yes, until something is heard."""
    first = True

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", head)[0]))
                if first:
                    first = False
                    kind = re.findall(rb"(?i)content-type: ([^\r]+)", head)[0]
                    (site.directory / _FIRST).write_bytes(kind + b"\n" + body)
                writer.write(_HEAD + _ANSWER)
        writer.close()

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site.certificates / "server.pem")
        context.load_verify_locations(site.certificates / "authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
        told.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(told.recv)
        server.close()

    asyncio.run(run())


# mails


def _mails(plan: Plan) -> Part:
    part = Part(
        "MSSanté: 500 mails to a local operator (floor: the same bytes by aiosmtplib)",
        ("document", "mail MB", "floor mails/s", "mails/s", "÷ floor", "floor CPU ms", "CPU ms", "made ms", "peak MB"),
    )
    with tempfile.TemporaryDirectory(dir=plan.folder) as place:
        folder = Path(place)
        ours, theirs = _SPAWN.Pipe()
        server = _SPAWN.Process(target=mssante.operator, args=(str(folder), theirs))
        server.start()
        port = ours.recv()
        for name, size, count in (("CR-Bio", 0, _MAILS), ("PDF of 10 MB", _PDF, _LARGE)):
            found = [_child(_mail_run, folder, port, size, count, turn) for turn in range(plan.rounds)]
            floor, sent = [one[0] for one in found], [one[1] for one in found]
            made, body = min(one[2] for one in found), found[0][3]
            peak = _child(_mail_peak, folder, port, size)
            part.rows.append((name, body / _MB, *_compared(floor, sent), made, peak / _MB))
        ours.send("enough")
        ours.recv()
        server.join()
    part.note = (
        "CPU ms: to send one, its state on disk and DSN asked for; made: CPU to write it before (XDM, text, PDF), in "
        "the worker. peak: memory of a process that makes one, sends it and opens it."
    )
    return part


def _mail_run(folder: Path, port: int, size: int, count: int, turn: int) -> tuple[Flow, Flow, float, int]:
    """Floor, mails, milliseconds of CPU to make one, bytes of one."""
    content = mssante.with_pdf(size)
    requests = [mssante.request(10_000_000 * (turn + 1) + size + number, content) for number in range(count)]
    clock = time.process_time()
    bodies = [mssante.mails_of(one) for one in requests]
    made = (time.process_time() - clock) / count * 1000
    one = batch.read(bodies[0])
    raw = one.mails[0].head + one.tail
    floor = asyncio.run(_bare_mails(folder, port, raw, count))
    return floor, asyncio.run(_true_mails(folder, port, requests, bodies)), made, len(raw)


async def _bare_mails(folder: Path, port: int, raw: bytes, count: int) -> Flow:
    context = ssl.create_default_context(cafile=str(folder / "pki" / "authority.pem"))
    context.load_cert_chain(folder / "pki" / "client.pem")
    clients: asyncio.Queue[aiosmtplib.SMTP] = asyncio.Queue()
    for _ in range(_AT_ONCE):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=True, tls_context=context)
        await client.connect()
        clients.put_nowait(client)

    async def send(_: int) -> None:
        client = await clients.get()
        await client.sendmail(mssante.SENDER, [mssante.DOCTOR], raw)
        clients.put_nowait(client)

    flow = await _flow(send, count)
    while not clients.empty():
        clients.get_nowait().close()
    return flow


async def _true_mails(folder: Path, port: int, requests: list[Submission], bodies: list[Message]) -> Flow:
    found = await mssante.send(folder, port, requests, bodies)
    return Flow(found["mails a second"], found["sent, ms of CPU"])


def _mail_peak(folder: Path, port: int, size: int) -> int:
    """As ``bench.mssante.memory``, in bytes."""
    ours, theirs = _SPAWN.Pipe()
    mssante.memory(str(folder), port, size, theirs)
    megabytes, _ = ours.recv()
    return int(megabytes * 1000 * 1000)
