"""Connectors in a real channel: the engine's journal behind the source, its queues before the destinations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from channels.loader import load_site
from channels.supervisor import Supervisor
from tests.connectors.conformance import hl7
from tests.connectors.intake import eventually, free_port

SITE = "site: essai\nestablishment: {name: Essai, finess: '990000001'}\n"
FILES = """
channel: files
source:
  file: {directory: in, every: 5ms, stable_for: 0s, answers: all}
destinations:
  - name: night
    order: strict
    file: {directory: out/night, close: "02:00", envelope: {}}
  - name: each
    file: {directory: out/each, name: "{control_id}.hl7"}
"""
POSTED = """
channel: posted
ack: {delivered: each}
source:
  http: {listen: "127.0.0.1:%d"}
destinations:
  - name: each
    retry: {first: 1ms, most: 1ms}
    file: {directory: out, name: "{kind}.hl7", conflict: refuse}
"""


class Engine:
    """A site that is started and stopped."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.running: Supervisor | None = None
        (site / "channels").mkdir()
        (site / "site.yaml").write_text(SITE)

    async def start(self) -> None:
        self.running = Supervisor(load_site(self.site))
        await self.running.start()

    async def stop(self) -> None:
        if self.running is not None:
            running, self.running = self.running, None
            await running.stop()

    def names(self, folder: str) -> list[str]:
        path = self.site / folder
        return sorted(one.name for one in path.iterdir()) if path.is_dir() else []


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    made = Engine(tmp_path)
    yield made
    await made.stop()


async def test_a_batch_goes_through_the_journal_into_the_file_of_the_night(engine: Engine) -> None:
    (engine.site / "channels/files.yaml").write_text(FILES)
    (engine.site / "in").mkdir()
    lot = b"".join(hl7(number) for number in range(1, 51))
    (engine.site / "in/lot.hl7").write_bytes(lot)
    (engine.site / "in/bad.hl7").write_bytes(b"hello")
    await engine.start()
    await eventually(lambda: len(engine.names("out/each")) == 50)
    night = engine.site / "out/night/.open/files.night/data"
    await eventually(lambda: night.exists() and night.read_bytes().count(b"MSH|") == 50)
    await eventually(lambda: engine.names("in/done") == ["lot.hl7"])
    await eventually(lambda: engine.names("in/error") == ["bad.hl7", "bad.hl7.reason"])
    assert night.read_bytes().endswith(lot)
    assert (engine.site / "in/answers/lot.hl7.ack").read_bytes().count(b"MSA|AA|") == 50
    await engine.stop()

    await engine.start()
    (engine.site / "in/again.hl7").write_bytes(lot + hl7(51))
    await eventually(lambda: len(engine.names("out/each")) == 51)
    await eventually(lambda: engine.names("in/done") == ["again.hl7", "lot.hl7"])
    await eventually(lambda: night.read_bytes().endswith(lot + hl7(51)))
    assert night.read_bytes().count(b"MSH|") == 51


async def test_the_answer_of_the_destination_is_the_answer_to_a_post(engine: Engine) -> None:
    port = free_port()
    (engine.site / "channels/posted.yaml").write_text(POSTED % port)
    await engine.start()
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:

        async def post(number: int) -> httpx.Response:
            headers = {"Content-Type": "application/hl7-v2"}
            return await client.post(f"http://127.0.0.1:{port}/", content=hl7(number), headers=headers)

        taken = await post(1)
        again = await post(1)
        refused = await post(2)
    assert (taken.status_code, again.status_code, refused.status_code) == (200, 200, 422)
    assert b"MSA|AA|1\r" in taken.content
    assert again.content == taken.content
    assert b"MSA|AE|2\r" in refused.content
    assert (engine.site / "out/ADT_A01.hl7").read_bytes() == hl7(1)


async def test_what_a_stop_interrupted_is_finished_by_the_next_start(engine: Engine) -> None:
    (engine.site / "channels/files.yaml").write_text(FILES)
    (engine.site / "in").mkdir()
    lot = b"".join(hl7(number) for number in range(1, 301))
    (engine.site / "in/lot.hl7").write_bytes(lot)
    for _ in range(3):
        await engine.start()
        await asyncio.sleep(0.03)
        await engine.stop()
    await engine.start()
    await eventually(lambda: engine.names("in/done") == ["lot.hl7"])
    await eventually(lambda: len(engine.names("out/each")) == 300)
    night = engine.site / "out/night/.open/files.night/data"
    await eventually(lambda: night.read_bytes().endswith(hl7(300)))
    assert night.read_bytes().endswith(lot)
    assert night.read_bytes().count(b"MSH|") == 300
