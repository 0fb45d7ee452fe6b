"""A hospital around one engine: the GAP sends over MLLP, the DPI and the SGL receive over MLLP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from channels.journal import MasterKeys
from channels.journal.search import Archive
from channels.loader import load_site
from channels.supervisor import Supervisor, master_keys
from vaguemestre.simulators.systems import Receiver, Sender
from vaguemestre.simulators.traffic import Traffic

CHANNEL = """
channel: adt-fanout
source:
  mllp: {{listen: "127.0.0.1:{listen}"}}
destinations:
  - name: dpi
    retry: {{first: 10ms, most: 50ms}}
    breaker: {{wait: 20ms}}
    mllp: {{connect: "127.0.0.1:{dpi}", timeout: 2s, resend_on: [AR]}}
  - name: sgl
    retry: {{first: 10ms, most: 50ms}}
    breaker: {{wait: 20ms}}
    mllp: {{connect: "127.0.0.1:{sgl}", timeout: 2s, resend_on: [AR]}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Hospital:
    """GAP → engine → DPI and SGL."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.listen = free_port()
        self.dpi, self.sgl = Receiver("dpi"), Receiver("sgl")
        self.traffic = Traffic(seed=5)
        self.senders: list[Sender] = []
        self.engine: Supervisor | None = None

    async def open(self, change: Callable[[str], str] = str) -> Supervisor:
        """Start (or start again) the engine on the site as it is now."""
        self.write(change)
        self.engine = Supervisor(load_site(self.site))
        await self.engine.start()
        return self.engine

    def write(self, change: Callable[[str], str] = str) -> None:
        text = CHANNEL.format(listen=self.listen, dpi=self.dpi.port, sgl=self.sgl.port)
        (self.site / "channels" / "adt-fanout.yaml").write_text(change(text))

    def gap(self) -> Sender:
        sender = Sender("gap", "127.0.0.1", self.listen)
        self.senders.append(sender)
        return sender

    async def drained(self) -> None:
        """Wait until nothing waits in any queue, and the journal says so."""
        assert self.engine is not None
        routes = [route for channel in self.engine.channels.values() for route in channel.routes.values()]
        while any(route.lanes.waiting for route in routes):
            await asyncio.sleep(0.01)
        await self.engine.journal.flushed()

    async def close(self) -> None:
        if self.engine is not None and self.engine.channels:
            await self.engine.stop()

    def archive(self) -> Archive:
        assert self.engine is not None
        return Archive(self.engine.journal.directory, master_keys(self.engine.loaded.site.journal, self.site))


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    site = tmp_path / "site"
    (site / "channels").mkdir(parents=True)
    (site / "site.yaml").write_text(
        "site: essai\nestablishment: {name: Essai, finess: '990000001'}\n"
        "journal: {key_file: master.key}\nstop_within: 2s\n"
    )
    (site / "master.key").write_text(MasterKeys.new_line("k1"))
    (site / "master.key").chmod(0o600)
    made = Hospital(site)
    await made.dpi.start()
    await made.sgl.start()
    yield made
    for sender in made.senders:
        sender.close()
    await made.close()
    await made.dpi.stop()
    await made.sgl.stop()
