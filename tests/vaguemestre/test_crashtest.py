"""The verdict of a crash test, and what it stands on: a judge that cannot say no proves nothing."""

import random
import struct
import zlib
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from vaguemestre.cli import app
from vaguemestre.measure.compare import compare
from vaguemestre.measure.crash import Options, Result
from vaguemestre.measure.traffic import Sender, _intact
from vaguemestre.measure.wal import committed, tear

STORIES = {
    "1": (("A", 1),),
    "2": (("A", 2),),
    "3": (("B", 1),),
    "4": (("A", 3), ("B", 2)),  # a merge
    "5": (("B", 3),),
}
ALL = list(STORIES)


def test_all_that_was_acknowledged_arrived_in_order() -> None:
    verdict = compare(STORIES, ALL, ALL)
    assert (verdict.acknowledged, verdict.delivered, verdict.lost, verdict.duplicates) == (5, 5, 0, 0)
    assert verdict.kept


def test_patients_do_not_wait_for_each_other() -> None:
    assert compare(STORIES, ALL, ["3", "1", "2", "4", "5"]).kept


def test_a_message_that_was_acknowledged_and_never_arrives_is_lost() -> None:
    verdict = compare(STORIES, ALL, ["1", "2", "4", "5"])
    assert (verdict.lost, verdict.kept) == (1, False)


def test_a_message_that_was_never_acknowledged_may_arrive_or_not() -> None:
    assert compare(STORIES, ALL[:4], ALL[:4]).kept
    verdict = compare(STORIES, ALL[:4], ALL)
    assert (verdict.unacknowledged_delivered, verdict.delivered, verdict.kept) == (1, 5, True)


def test_a_second_arrival_is_a_duplicate_and_does_not_count_for_order() -> None:
    verdict = compare(STORIES, ALL, ["1", "2", "3", "4", "1", "2", "5", "5"])
    assert (verdict.duplicates, verdict.out_of_order, verdict.kept) == (3, 0, True)


def test_a_first_arrival_after_a_later_message_of_the_patient_is_out_of_order() -> None:
    verdict = compare(STORIES, ALL, ["2", "1", "3", "4", "5"])
    assert (verdict.out_of_order, verdict.kept) == (1, False)


@pytest.mark.parametrize("arrived", [["1", "2", "4", "3", "5"], ["1", "2", "3", "5", "4"], ["1", "4", "3", "2", "5"]])
def test_a_merge_keeps_its_place_in_both_stories(arrived: list[str]) -> None:
    assert compare(STORIES, ALL, arrived).out_of_order > 0


def test_a_message_that_nobody_sent_is_an_alteration() -> None:
    verdict = compare(STORIES, ALL, [*ALL, "9"])
    assert (verdict.altered, verdict.kept) == (1, False)


def test_every_sender_numbers_the_steps_of_its_patients() -> None:
    sender = Sender(3, patients=4, seed=1)
    frames = dict(sender._next() for _ in range(300))
    assert list(sender.stories) == list(frames)
    merges = [steps for steps in sender.stories.values() if len(steps) == 2]
    assert merges
    seen: dict[str, int] = {}
    for steps in sender.stories.values():
        for patient, number in steps:
            assert number == seen.get(patient, 0) + 1
            seen[patient] = number


def test_one_changed_byte_is_an_alteration() -> None:
    _, frame = Sender(1, 1, 0)._next()
    body = frame[1:-2]
    assert _intact(body)
    assert not _intact(body.replace(b"CAMILLE", b"CAMILLF"))
    assert not _intact(body.replace(b"%08x" % zlib.crc32(body.rpartition(b"ZCK|")[0]), b"00000000"))
    assert not _intact(b"MSH|no check value\r")


@pytest.mark.parametrize("seed", range(12))
def test_a_torn_end_of_the_journal_takes_nothing_that_was_committed(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "segment-000001.db"
    database = apsw.Connection(str(path))
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t(x)")
    for number in range(20):
        database.execute("INSERT INTO t VALUES(?)", (b"%d" % number * 500,))
    wal = tmp_path / "segment-000001.db-wal"
    copy = tmp_path / "killed"
    copy.mkdir()
    for file in (path, wal):  # as SIGKILL leaves them
        (copy / file.name).write_bytes(file.read_bytes())
    database.close()
    end = committed(copy / wal.name)
    page = struct.unpack(">I", (copy / wal.name).read_bytes()[8:12])[0]
    assert end == (copy / wal.name).stat().st_size
    assert (end - 32) % (page + 24) == 0

    assert tear(copy, random.Random(seed)) in ("garbage", "half a frame", "cut")

    again = apsw.Connection(str(copy / path.name))
    assert again.execute("SELECT count(*) FROM t").fetchall() == [(20,)]
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_journal_without_a_wal_has_nothing_to_tear(tmp_path: Path) -> None:
    assert tear(tmp_path, random.Random(0)) == "nothing to tear"


def test_the_command_explains_itself() -> None:
    result = CliRunner().invoke(app, ["crashtest", "--help"])
    assert result.exit_code == 0
    assert "--kills" in result.output


@pytest.mark.parametrize(
    "arrived,problem,kept",
    [(ALL, "", True), (ALL[:-1], "", False), (ALL, "the engine does not come back", False)],
    ids=["all is well", "a loss", "an engine that stays down"],
)
def test_a_result_is_good_only_when_nothing_is_wrong(arrived: list[str], problem: str, *, kept: bool) -> None:
    verdict = compare(STORIES, ALL, arrived)
    result = Result(Options(kills=2, seed=5), verdict, 2, 1.5, [0.9, 0.5, 0.7], problem=problem)
    assert result.kept is kept
    values = result.values()
    assert values["kills"] == 2
    assert values["recovery_s"] == {"median": 0.7, "worst": 0.9}
    assert values["lost"] == 5 - len(arrived)
