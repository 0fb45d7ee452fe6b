"""The tools of a measurement count what they should; the goals can be missed."""

import asyncio
import socket
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from channels.journal import Journal, MasterKeys
from transforms import er7
from vaguemestre.cli import app
from vaguemestre.measure import runs
from vaguemestre.measure.load import percentile
from vaguemestre.measure.messages import NAMES, template
from vaguemestre.measure.processes import Child, MeasureError, drained, python
from vaguemestre.measure.report import Goal, Part, number


@pytest.mark.parametrize("name", NAMES)
def test_a_prebuilt_message_is_one_message_of_the_patient_that_is_written_into_it(name: str) -> None:
    body = template(name).body(b"LOAD00000007", b"00000042")
    message = er7.message(body)
    assert message.control_id == "LOAD00000007"
    assert er7.read(message).get("PID-3.1") == "00000042"
    assert b"@" not in body
    assert b"#" not in body


def test_messages_have_the_sizes_of_the_goals() -> None:
    sizes = [len(template(name).frame) for name in NAMES]
    assert [round(size, -2) for size in sizes] == [1100, 3600, 300600, 10000600]


@pytest.mark.parametrize("message,connections,count", [("adt", 4, 200), ("300kB", 2, 6)])
def test_every_message_sent_through_the_bare_path_is_counted_at_the_far_end(
    tmp_path: Path, message: str, connections: int, count: int
) -> None:
    with (
        Child(python("vaguemestre.measure.sink")) as sink,
        Child(python("vaguemestre.measure.floors", "path", "--to", sink.port, "--directory", tmp_path)) as floor,
    ):
        load = runs.loaded(floor.port, message, connections, "--seconds", 20, "--count", count)
        assert (load["sent"], load["acknowledged"], load["negative"]) == (count, count, 0)
        assert drained(sink, count)["received"] == count
        assert 0 < load["ack_ms"]["p50"] <= load["ack_ms"]["p99"]


def test_an_answer_that_says_no_is_not_counted_as_acknowledged() -> None:
    answer = b"\x0bMSH|^~\\&|A|A|A|A|20260310||ACK|1|P|2.5\rMSA|AE|1\r\x1c\r"
    with socket.create_server(("127.0.0.1", 0)) as refusing:
        command = python("vaguemestre.measure.load", "--port", refusing.getsockname()[1], "--count", 1)
        with Child(command, has_port=False) as load:
            peer, _ = refusing.accept()
            with peer:
                while not peer.recv(65536).endswith(b"\x1c\r"):
                    pass
                peer.sendall(answer)
                figures = load.result()
    assert (figures["acknowledged"], figures["negative"]) == (0, 1)


def test_a_far_end_where_nothing_arrives_ends_the_measurement() -> None:
    with Child(python("vaguemestre.measure.sink")) as sink, pytest.raises(MeasureError, match="0 messages of 1"):
        drained(sink, 1, within=0.1)


def test_a_child_that_cannot_run_is_said_to_have_ended() -> None:
    with pytest.raises(MeasureError, match="ended with code 2"):
        Child(python("vaguemestre.measure.floors", "no-such-floor"))


def test_the_floors_of_the_disk_give_figures(tmp_path: Path) -> None:
    disk = runs.floor("disk", tmp_path, "--seconds", 0.1)
    writer = runs.floor("writer", tmp_path, "--seconds", 0.1, "--producers", 4)
    assert disk["count"] > 0
    assert writer["messages"] >= writer["count"] > 0
    assert not list(tmp_path.iterdir())


async def test_a_journal_is_filled_with_delivered_messages_that_read_back(tmp_path: Path) -> None:
    site = await asyncio.to_thread(runs.filled, tmp_path / "site", 300)
    journal = Journal(site.journal, MasterKeys.load(site.directory / "master.key"))
    journal.open()
    last = journal.load(300)
    assert last is not None
    assert er7.peek(last.body).control_id == last.control_id == "ROW000000299"
    assert journal.load(301) is None
    assert journal.waiting() == {}
    await journal.close()


def test_percentiles() -> None:
    ordered = [float(value) for value in range(100)]
    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile([], 0.5)) == (50.0, 99.0, 0.0)


def test_a_goal_can_be_missed() -> None:
    assert Goal("share", 0.6, at_least=0.6).met
    assert not Goal("share", 0.59, at_least=0.6).met
    assert Goal("cpu", 150.0, "µs", at_most=150.0).met
    missed = Goal("cpu", 151.0, "µs", at_most=150.0)
    assert (missed.met, missed.wanted) == (False, "≤ 150 µs")


def test_a_part_prints_its_table_and_says_which_goals_are_missed() -> None:
    console = Console(record=True, width=100, quiet=False)
    part = Part("Speed", ("what", "msg/s"), [("engine", 12345.6)], [Goal("share", 0.5, at_least=0.6)], "a note")
    with console.capture() as shown:
        part.show(console)
    text = shown.get()
    assert "12 346" in text
    assert "miss  share: 0.5  (goal ≥ 0.6)" in text
    assert part.values()["goals"][0]["met"] is False


@pytest.mark.parametrize("value,text", [(0.0, "0"), (0.1234, "0.123"), (45.67, "45.7"), (1_000_000, "1 000 000")])
def test_numbers_are_printed_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_the_command_explains_itself() -> None:
    result = CliRunner().invoke(app, ["bench", "--help"])
    assert result.exit_code == 0
    assert "--seconds" in result.output
