"""A hospital in a box: the example site in one engine process; around it a GAP, an SGL, a DPI, a DMP and mailboxes.

The engine is the program ``vaguemestre run``, as a hospital runs it; the other systems are ``vaguemestre.simulators``.
Patients are invented.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from channels.control import NotRunning, ask
from channels.errors import ConfigError
from channels.journal import sqlite
from channels.loader import LoadedSite, load_site
from transforms import batch, er7
from vaguemestre import starter
from vaguemestre.demo_services import PRESCRIBER, NationalServices, can_render
from vaguemestre.simulators.systems import Receiver, Sender, Tally, pace
from vaguemestre.simulators.traffic import Sent, Traffic

_ADDRESS = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")
_READY_WITHIN, _DRAIN_WITHIN, _STOP_WITHIN = 30.0, 60.0, 30.0
_QUIET = 1.5
_RECEIVERS = {"2675": "dpi", "2676": "sgl", "2677": "dpi-oru", "2678": "sgl-zam", "2679": "dpi-mail"}
"""Ports of the example's destinations -> the simulated system that listens there."""
_FROM = {"dpi-oru": "SGL", "sgl-zam": "ZAM", "dpi-mail": "MSSanté"}
"""Whose messages they are, when not the GAP's."""
_LATEST = 8


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that reached a system, for the screen. where: ``GAP → DPI``."""

    time: float
    where: str
    kind: str
    control_id: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of one flow. lost: acknowledged by the engine, neither delivered nor filtered nor set aside."""

    where: str
    sent: int
    arrived: int
    filtered: int
    set_aside: int
    lost: int
    out_of_order: int
    place: str


def make_site(folder: Path, ports: dict[str, int]) -> None:
    """Copy the example site into ``folder``, a key for its journal, and ``ports`` in the place of the example's.

    ports: port of the example -> the port to write; others get a free one. A channel that reads a mailbox is off when
    there is none.
    """
    if not folder.exists():
        starter.write(folder, pfi=True, key="demo")
    mailbox = folder / "channels" / "mssante-in.yaml"
    if "2143" not in ports:
        mailbox.write_text(mailbox.read_text("utf-8") + "enabled: false\n", "utf-8")
    if not can_render():
        publication = folder / "channels" / "publication.yaml"
        plain = publication.read_text("utf-8").replace("mails: {", "mails: {pdf: false, ")
        publication.write_text(plain, "utf-8")
    chosen = dict(ports)
    for file in (folder / "site.yaml", *sorted((folder / "channels").glob("*.yaml"))):
        text = file.read_text(encoding="utf-8")
        for _, old in _ADDRESS.findall(text):
            chosen.setdefault(old, _free_port())
        file.write_text(_ADDRESS.sub(lambda match: f"{match[1]}:{chosen[match[2]]}", text), encoding="utf-8")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Hospital:
    """The engine, and the systems around it."""

    def __init__(self, folder: Path, *, haste: float = 1.0, seed: int = 1) -> None:
        """folder: where the site is made. haste: how many times faster than a hospital messages are sent."""
        self.folder, self._haste = folder, haste
        self.receivers = {name: Receiver(name) for name in _RECEIVERS.values()}
        self.latest: deque[Arrival] = deque(maxlen=_LATEST)
        self.state: dict[str, Any] = {}
        self.loaded: LoadedSite | None = None
        self.senders: dict[str, Sender] = {}
        self._seed = seed
        self._files: set[str] = set()
        self._until = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._engine: asyncio.subprocess.Process | None = None
        self.services: NationalServices | None = None

    @property
    def log(self) -> Path:
        """The engine's log."""
        return self.folder / "var" / "engine.log"

    @property
    def site(self) -> LoadedSite:
        """The site, once started."""
        if self.loaded is None:
            raise ConfigError("the demonstration has not started")
        return self.loaded

    # life

    async def start(self) -> None:
        """Start the receivers, then the engine, then the senders. Raises ConfigError when the engine does not start."""
        for name, receiver in self.receivers.items():
            source = _FROM.get(name, "GAP")
            receiver.on_message = self._noted(f"{source} → {name.partition('-')[0].upper()}")
            await receiver.start()
        starter.write(self.folder, pfi=True, key="demo")
        self.services = NationalServices(self.folder)
        ports = await self.services.start()
        make_site(self.folder, ports | {port: self.receivers[name].port for port, name in _RECEIVERS.items()})
        self.loaded = load_site(self.folder)
        with self.log.open("wb") as log:
            self._engine = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "vaguemestre", "run", str(self.folder),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        await self._ready()
        self._send()

    async def _ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not self.state.get("ready"):
            if self._engine is None or self._engine.returncode is not None or time.monotonic() > deadline:
                raise ConfigError(f"the engine did not start: see {self.log}")
            await asyncio.sleep(0.05)
            await self.look()

    def _noted(self, where: str) -> Callable[[er7.Header, bytes], None]:
        def note(header: er7.Header, _: bytes) -> None:
            self.latest.append(Arrival(time.time(), where, header.kind, header.control_id))

        return note

    def _send(self) -> None:
        """The rhythm of a hospital: movements all the time, results a little less, acts now and then."""
        zone = self.site.site.timezone
        run = _letters(int(time.time()) // 10)
        traffic = Traffic(self._seed, run=run, start=datetime.now(zone), charsets={"GAP": "iso8859-15"})
        for _ in range(100):
            traffic.admit()
        reports = _Twice(traffic)
        for channel, make, rate in (
            ("adt-fanout", traffic.adt, 6.0),
            ("oru-dpi", reports.to_dpi, 2.0),
            ("oru-cr-bio", reports.to_cr_bio, 2.0),
            ("dft-file", traffic.dft, 1.0),
        ):
            listen = self.site.channels[channel].source.settings.listen
            sender = self.senders[channel] = Sender(channel, *listen)
            steady = pace(sender, make, rate=rate * self._haste, until=self._until, seed=len(self.senders))
            self._tasks.append(asyncio.create_task(steady, name=f"sender {channel}"))

    def restart_sgl(self, *, over: bool) -> None:
        """The SGL answers AR, as one that restarts; ``over``: it is back."""
        self.receivers["sgl"].behave(answers=() if over else itertools.repeat("AR"))

    async def look(self) -> None:
        """Ask the engine how it is, and see which files are new."""
        try:
            self.state = await asyncio.to_thread(
                ask, self.folder / "var" / "control.sock", {"do": "state", "who": "demo"}
            )
        except (NotRunning, OSError):
            return
        for file in self._reports():
            if file.name not in self._files:
                self._files.add(file.name)
                self.latest.append(Arrival(time.time(), "SGL → CR-Bio", "CDA R2", file.name))
        if self.services is not None:
            self.services.look(lambda *said: self.latest.append(Arrival(time.time(), *said)))

    async def stop(self) -> None:
        """Send nothing more, wait until nothing waits, stop the engine and the systems. May be called twice."""
        self._until.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._drained()
        if self._engine is not None and self._engine.returncode is None:
            self._engine.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_WITHIN):
                    await self._engine.wait()
            except TimeoutError:
                self._engine.kill()
                await self._engine.wait()
        for sender in self.senders.values():
            await sender.aclose()
        for receiver in self.receivers.values():
            await receiver.stop()
        if self.services is not None:
            await self.services.stop()

    async def _drained(self) -> None:
        """Wait until nothing waits, and nothing came for a moment: reports of mails bring acknowledgements."""
        deadline = quiet = time.monotonic() + _DRAIN_WITHIN
        before = -1
        while self._engine is not None and self._engine.returncode is None and time.monotonic() < deadline:
            await self.look()
            count = self.receivers["sgl-zam"].tally.messages
            if _waiting(self.state) or count != before:
                before, quiet = count, time.monotonic() + _QUIET
            elif time.monotonic() > quiet:
                return
            await asyncio.sleep(0.1)

    # what happened

    def _reports(self) -> list[Path]:
        return sorted((self.folder / "var" / "out" / "cr-bio").glob("*.xml"))

    def bills(self) -> list[Path]:
        """Files of acts: those of past nights, and the one that is open until the hour of its channel."""
        folder = self.folder / "var" / "out" / "dft"
        return sorted([*folder.glob("*.hl7"), *folder.glob(".open/*/data")])

    def flows(self) -> list[Flow]:
        """What was sent and what became of it, flow by flow; after ``stop``."""
        billed = Tally()
        for file in self.bills():
            for body in batch.split(file.read_bytes()):
                header = er7.peek(body)
                billed.add(header.kind, header.control_id)
        tallies = {name: receiver.tally for name, receiver in self.receivers.items()}
        folder, files = self.folder / "var" / "out", len(self._reports())
        return [
            self._flow("GAP → DPI", "adt-fanout", "dpi", tallies["dpi"].distinct, tallies["dpi"].out_of_order, "DPI"),
            self._flow("GAP → SGL", "adt-fanout", "sgl", tallies["sgl"].distinct, tallies["sgl"].out_of_order, "SGL"),
            self._flow(
                "SGL → DPI", "oru-dpi", "dpi", tallies["dpi-oru"].distinct, tallies["dpi-oru"].out_of_order, "DPI"
            ),
            self._flow("SGL → CR-Bio", "oru-cr-bio", "cr-bio", files, 0, str(folder / "cr-bio")),
            *self._published(),
            self._flow(
                "DPI → facturation",
                "dft-file",
                "facturation",
                billed.distinct,
                billed.out_of_order,
                str(folder / "dft"),
            ),
        ]

    def _published(self) -> list[Flow]:
        """What became of the reports that were to be published."""
        services = self.services
        if services is None:
            return []
        sent = _counts(self.state, "oru-cr-bio", "publication").get("delivered", 0)
        without_ins = sent - self._asked_for("dmp")
        found = []
        for where, name, arrived, filtered, place in (
            ("CR-Bio → DMP", "dmp", services.documents, without_ins, "DMP"),
            ("CR-Bio → MSSanté", "mssante", services.mails, 0, PRESCRIBER),
        ):
            counts = _counts(self.state, "publication", name)
            aside = sum(counts.get(state, 0) for state in ("failed", "refused", "expired", "skipped"))
            lost = sent - arrived - filtered - aside
            found.append(Flow(where, sent, arrived, filtered, aside, lost, 0, place))
        due, told = self._counted("SELECT count(*) FROM answer"), self.receivers["sgl-zam"].tally.distinct
        return [*found, Flow("ZAM → SGL", due, told, 0, 0, due - told, 0, "SGL")]

    def _asked_for(self, target: str) -> int:
        """How many requests are for a target: what has no INS is not for the DMP."""
        return self._counted("SELECT count(*) FROM target WHERE name=?", target)

    def _counted(self, sql: str, *values: str) -> int:
        file = self.folder / "var" / "journal" / "pfi.db"
        return int(sqlite.one(sqlite.connect(file), sql, values) or 0) if file.exists() else 0

    def _flow(self, where: str, channel: str, destination: str, arrived: int, out_of_order: int, place: str) -> Flow:
        sent = len(self.senders[channel].acknowledged) if channel in self.senders else 0
        counts = _counts(self.state, channel, destination)
        filtered = counts.get("filtered", 0)
        aside = sum(counts.get(name, 0) for name in ("failed", "refused", "expired", "skipped"))
        return Flow(where, sent, arrived, filtered, aside, sent - arrived - filtered - aside, out_of_order, place)


class _Twice:
    """The SGL sends each report to two channels; each keeps its own pace."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._queues: tuple[deque[Sent], deque[Sent]] = (deque(), deque())
        self._count = 0

    def to_dpi(self) -> Sent:
        return self._next(0)

    def to_cr_bio(self) -> Sent:
        return self._next(1)

    def _next(self, which: int) -> Sent:
        if not self._queues[which]:
            self._count += 1
            made = self._traffic.oru(pdf_bytes=0 if self._count % 5 == 0 else 20_000)
            for queue in self._queues:
                queue.append(made)
        return self._queues[which].popleft()


def _letters(number: int) -> str:
    """Four letters or digits: with them control ids have 20 characters, what HL7 v2.5 allows."""
    signs = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(signs[number // 36**power % 36] for power in (3, 2, 1, 0))


def _counts(state: dict[str, Any], channel: str, destination: str) -> dict[str, int]:
    for one in state.get("channels", ()):
        if one["channel"] == channel:
            found: dict[str, int] = one["destinations"][destination]
            return found
    return {}


def _waiting(state: dict[str, Any]) -> int:
    return sum(
        values["waiting"] + values["in_flight"]
        for one in state.get("channels", ())
        for values in one["destinations"].values()
    )
