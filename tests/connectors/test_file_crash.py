"""A file of the night that is killed at any moment holds each message once, in order, whole."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.file import FileDestination, FileDestinationSettings
from tests.connectors.conformance import hl7, message
from tests.connectors.intake import surroundings
from transforms import batch

REPOSITORY = Path(__file__).resolve().parents[2]


def write_until_killed(folder: Path, first: int, count: int) -> int:
    """Let the writer confirm ``count`` messages, then kill it; the number of the last that it confirmed."""
    command = [sys.executable, "-m", "tests.connectors.night_writer", str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as writer:
        assert writer.stdout is not None
        for _ in range(count):
            assert writer.stdout.readline()
        writer.kill()
        rest = writer.stdout.read().split(b"\n")[:-1]
    return int(rest[-1]) if rest else first + count - 1


@pytest.mark.timeout(120)
async def test_a_killed_writer_leaves_whole_messages_once_and_in_order(tmp_path: Path) -> None:
    dice = random.Random(7)
    confirmed = 0
    for _ in range(8):
        # What the engine does after a crash: what it does not know delivered is sent again, here up to three too many.
        first = max(1, confirmed + 1 - dice.randint(0, 3))
        confirmed = max(confirmed, write_until_killed(tmp_path, first, dice.randint(4, 25)))
    settings = FileDestinationSettings.model_validate({"directory": "out", "close": "02:00", "name": "night.hl7"})
    destination = FileDestination(settings, surroundings(tmp_path, "sgl"))
    destination.clock = lambda: 1_795_593_600.0 + 2 * 86_400
    await destination.start()
    await destination.send(message(0))
    await destination.aclose()
    found = batch.split((tmp_path / "out/night.hl7").read_bytes())
    more = b"NTE|1||" + b"x" * 20_000 + b"\r"
    assert len(found) >= confirmed > 30
    assert found == [hl7(number, more) for number in range(1, len(found) + 1)]
