"""One measurement each: a floor or the engine, under load, counted at the far end with its queue empty."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.journal import Delivery, Journal, MasterKeys, Record
from channels.message import Message
from vaguemestre.measure import sites
from vaguemestre.measure.messages import template
from vaguemestre.measure.processes import Child, Engine, Usage, drained, free_port, python

PARALLEL = 16
"""Connections to the far end, of the engine and of the bare path."""

_SINK, _LOAD, _FLOORS = ("vaguemestre.measure." + name for name in ("sink", "load", "floors"))


@dataclass(frozen=True, slots=True)
class Flow:
    """How messages went through something.

    rate: messages a second, from the first one sent to the last one at the far end. acknowledged: a second, of the
    time in which the load ran. p50, p99: of the acknowledgement, milliseconds. cpu: of what is measured, microseconds
    a message; load, sink: of the tools.
    """

    what: str
    message: str
    connections: int
    messages: int
    rate: float
    acknowledged: float
    p50: float
    p99: float
    cpu: float
    load: float
    sink: float
    negative: int = 0


def loaded(port: int, message: str, connections: int, *more: object) -> dict[str, Any]:
    """Put load on a port and wait for its end: the figures of ``vaguemestre.measure.load``."""
    command = python(_LOAD, "--port", port, "--message", message, "--connections", connections, *more)
    with Child(command, has_port=False) as load:
        return load.result()


def _flow(what: str, message: str, connections: int, load: dict[str, Any], cpu: float, sink: dict[str, Any]) -> Flow:
    count = max(1, load["acknowledged"])
    spent = sink["last"] - load["begun"] if sink else load["seconds"]
    return Flow(
        what,
        message,
        connections,
        load["acknowledged"],
        load["acknowledged"] / spent,
        load["acknowledged"] / load["seconds"],
        load["ack_ms"]["p50"],
        load["ack_ms"]["p99"],
        cpu / count * 1e6,
        load["cpu"] / count * 1e6,
        sink.get("cpu", 0.0) / count * 1e6,
        load["negative"],
    )


def floor(name: str, folder: Path, *more: object) -> dict[str, Any]:
    """``disk``, ``writer`` or ``copy``: its figures."""
    with Child(python(_FLOORS, name, "--directory", folder, *more), has_port=False) as child:
        return child.result()


def echo(message: str, connections: int, seconds: float) -> Flow:
    """The floor without a journal and without a far end."""
    with Child(python(_FLOORS, "echo")) as child:
        before = child.usage.cpu()
        load = loaded(child.port, message, connections, "--seconds", seconds)
        return _flow("echo", message, connections, load, child.usage.cpu() - before, {})


def path(folder: Path, message: str, connections: int, seconds: float) -> Flow:
    """The floor that does what the engine promises, with nothing around it."""
    with (
        Child(python(_SINK)) as sink,
        Child(python(_FLOORS, "path", "--to", sink.port, "--parallel", PARALLEL, "--directory", folder)) as child,
    ):
        before = child.usage.cpu()
        load = loaded(child.port, message, connections, "--seconds", seconds)
        arrived = drained(sink, load["acknowledged"])
        return _flow("path", message, connections, load, child.usage.cpu() - before, arrived)


class Running:
    """An engine with one channel and its far end, for several loads one after the other."""

    def __init__(self, site: sites.MeasuredSite, sink: Child, engine: Engine) -> None:
        """See ``running``."""
        self.site, self.sink, self.engine = site, sink, engine
        self.started = engine.listening()
        """Seconds from the start of the process to its listening."""
        self._runs = 0
        self._expected = 0

    @property
    def usage(self) -> Usage:
        """Of the engine."""
        return self.engine.usage

    def load(self, message: str, connections: int, seconds: float, count: int = 10_000_000) -> Flow:
        """Send for so long (or so many), wait until the queue is empty."""
        self._runs += 1
        before, sink = self.usage.cpu(), self.sink.ask()["cpu"]
        more = ("--seconds", seconds, "--count", count, "--prefix", f"R{self._runs:03}")
        load = loaded(self.site.ports[0], message, connections, *more)
        self._expected += load["acknowledged"]
        arrived = drained(self.sink, self._expected)
        arrived["cpu"] -= sink
        return _flow("engine", message, connections, load, self.usage.cpu() - before, arrived)


@contextlib.contextmanager
def running(folder: Path, *, prepared: sites.MeasuredSite | None = None) -> Iterator[Running]:
    """An engine with one channel, listening. prepared: a site whose journal has been filled,."""
    with tempfile.TemporaryDirectory(dir=folder) as place, Child(python(_SINK)) as sink:
        site = prepared or sites.make(Path(place) / "site", sink.port, parallel=PARALLEL)
        if prepared is not None:
            _point(site, sink.port)
        with Engine(site.directory, *site.ports, site.web) as engine:
            yield Running(site, sink, engine)


def _point(site: sites.MeasuredSite, port: int) -> None:
    """Send what the first channel of a prepared site delivers to this port."""
    file = site.directory / "channels" / "mesure-1.yaml"
    head, _, _ = file.read_text(encoding="utf-8").rpartition("connect:")
    file.write_text(f'{head}connect: "127.0.0.1:{port}"}}\n', encoding="utf-8")


def at_rest(folder: Path, channels: int = 10) -> dict[str, float]:
    """Seconds from the start of the process to every port listening, and bytes resident then."""
    with tempfile.TemporaryDirectory(dir=folder) as place, Child(python(_SINK)) as sink:
        site = sites.make(Path(place) / "site", sink.port, channels=channels)
        with Engine(site.directory, *site.ports, site.web) as engine:
            seconds = engine.listening()
            time.sleep(1.0)
            return {"channels": channels, "start_s": seconds, "memory": engine.usage.memory()[0]}


def large(folder: Path, message: str = "10MB", count: int = 20) -> dict[str, float]:
    """Large messages: peak memory of one alone, then a row of them: bytes a second through, beside the floors."""
    size = len(template(message).frame)
    with running(folder) as engine:
        engine.load("adt", 1, 60, 100)
        rest, _ = engine.usage.memory()
        engine.usage.forget_peak()
        for _ in range(3):
            engine.load(message, 1, 60, 1)
        _, alone = engine.usage.memory()
        flow = engine.load(message, 1, 60, count)
        _, peak = engine.usage.memory()
    copied = floor("copy", folder, "--bytes", size * count)
    written = floor("disk", folder, "--size", size, "--seconds", 2.0)
    return {
        "size": size,
        "rate": flow.rate * size,
        "copy": copied["bytes"] / copied["seconds"],
        "disk": written["bytes"] / written["seconds"],
        "rest": rest,
        "alone": alone,
        "peak": peak,
        "p50": flow.p50,
    }


def deep_queue(folder: Path, count: int) -> dict[str, float]:
    """The far end is down while ``count`` messages come in, then is up: memory, and how fast the queue empties."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        site = sites.make(Path(place) / "site", port, parallel=PARALLEL)
        with Engine(site.directory, *site.ports, site.web) as engine:
            engine.listening()
            rest, _ = engine.usage.memory()
            load = loaded(site.ports[0], "adt", 16, "--seconds", 300, "--count", count)
            full, peak = engine.usage.memory()
            engine.kill()
            engine.start()
            restart = engine.listening()
            again, _ = engine.usage.memory()
            begun = time.monotonic()
            with Child(python(_SINK, port)) as sink:
                arrived = drained(sink, load["acknowledged"])
            spent = arrived["last"] - begun
            _, most = engine.usage.memory()
    return {
        "waiting": load["acknowledged"],
        "in_rate": load["acknowledged"] / load["seconds"],
        "rest": rest,
        "full": full,
        "peak": max(peak, most),
        "restart_s": restart,
        "restarted": again,
        "out_rate": arrived["received"] / spent,
    }


def filled(folder: Path, rows: int) -> sites.MeasuredSite:
    """A site whose journal already holds ``rows`` delivered messages."""
    site = sites.make(folder, free_port(), parallel=PARALLEL)
    asyncio.run(_fill(site, rows))
    return site


async def _fill(site: sites.MeasuredSite, rows: int) -> None:
    keys = MasterKeys.load(site.directory / "master.key")
    journal = Journal(site.journal, keys)
    journal.open()
    kind, route = template("adt"), "mesure-1/dpi"
    done = 0

    def stored(record: Record, error: Exception | None) -> None:
        nonlocal done
        if error is not None:
            raise error
        done += 1
        journal.settle(Delivery(record.message.id, route, "delivered", record.message.received))

    for number in range(rows):
        control_id = b"ROW%09d" % number
        message = Message(
            kind.body(control_id, b"%08d" % (number % 50_000)),
            kind="ADT^A01",
            control_id=control_id.decode(),
            sender="GAP|CH",
            received=time.time(),
        )
        facets = [journal.hasher.hash(f"patient {number % 50_000}"), journal.hasher.hash(f"visit {number % 50_000}")]
        record = Record(message, "mesure-1", (route,), (number % 50_000,), facets, stored)
        record.identity = journal.hasher.hash(f"mesure-1\0GAP|CH\0{control_id.decode()}")
        record.digest = number + 1
        journal.append(record)
        if number % 4096 == 4095:
            await journal.flushed()
    await journal.flushed()
    await journal.close()
