"""The engine is killed between a hand-over and its note: nothing is lost, and the other channel has it once."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from channels.journal.search import Archive, Criteria
from channels.loader import load_site
from channels.supervisor import Supervisor, master_keys
from tests.channels.test_runtime import SITE

REPOSITORY = Path(__file__).resolve().parents[2]
CHANNELS = {
    "first": "source: {file: {directory: in}}\ndestinations:\n  - {name: over, parallel: 1, channel: {to: second}}\n",
    "second": "source: {channel: {}}\n"
    "destinations:\n  - {name: far, answers: third, file: {directory: out, name: '{control_id}-{id}.hl7'}}\n",
    "third": "source: {channel: {}}\ndestinations:\n  - {name: told, file: {directory: told, name: '{id}.txt'}}\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "channels").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "site.yaml").write_text(SITE)
    for name, text in CHANNELS.items():
        (tmp_path / "channels" / f"{name}.yaml").write_text(f"channel: {name}\n{text}")
    return tmp_path


def killed(site: Path, route: str, messages: int) -> None:
    command = [sys.executable, "-m", "tests.channels.killed_engine", str(site), "first", route, str(messages)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=50, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


async def run_until_nothing_waits(site: Path) -> Archive:
    engine = Supervisor(load_site(site))
    await engine.start()
    routes = [route for channel in engine.channels.values() for route in channel.routes.values()]
    for _ in range(3):  # a message may wait in the next channel once it has left this one
        while any(route.lanes.waiting for route in routes):
            await asyncio.sleep(0.005)
        await engine.journal.flushed()
    await engine.stop()
    return Archive(engine.journal.directory, master_keys(engine.loaded.site.journal, site))


def control_ids(archive: Archive, channel: str) -> list[str]:
    return sorted(row.control_id for row in archive.find(Criteria(channel=channel, limit=1000)))


@pytest.mark.timeout(100)
async def test_a_hand_over_that_was_not_noted_is_not_a_second_message(site: Path) -> None:
    killed(site, "first/over", 5)
    before = Archive(site / "var" / "journal", None)
    first = [row for row in before.find(Criteria(channel="first", limit=1000)) if row.waiting]
    handed = control_ids(before, "second")
    before.close()
    assert handed, "the hand-over was on disk before its note"
    assert set(handed) <= {row.control_id for row in first}
    archive = await run_until_nothing_waits(site)
    received = control_ids(archive, "first")
    assert control_ids(archive, "second") == received
    assert len(control_ids(archive, "third")) == len(received)
    for row in archive.find(Criteria(channel="first", limit=1000)):
        (delivery,) = row.deliveries
        (child, *_) = archive.descendants(row.id)
        assert (delivery.state, delivery.reference) == ("delivered", str(child.id))
    archive.close()
    assert sorted(one.name.partition("-")[0] for one in (site / "out").glob("*.hl7")) == received


@pytest.mark.timeout(100)
async def test_an_answer_that_was_handed_over_is_not_told_twice(site: Path) -> None:
    killed(site, "second/far", 3)
    before = Archive(site / "var" / "journal", None)
    assert control_ids(before, "third"), "the answer was on disk before the delivery was noted"
    before.close()
    archive = await run_until_nothing_waits(site)
    received = control_ids(archive, "first")
    told = archive.find(Criteria(channel="third", limit=1000))
    assert len(told) == len({row.parents for row in told}) == len(received)
    assert {archive.message(row.id).attributes["answer_state"] for row in told} == {"delivered"}
    archive.close()
