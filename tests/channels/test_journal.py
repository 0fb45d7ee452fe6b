"""The journal on a real disk: group commit, marks, segments, damage, keys."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from channels.errors import ConfigError, DamageError, StoreError
from channels.journal import Delivery, Journal, MasterKeys, Record
from channels.journal.records import Attempt, Row, State
from channels.journal.search import Archive, Criteria
from channels.journal.sqlite import one
from channels.journal.store import _Group
from channels.message import Message

BODY = b"MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^A01|1|P|2.5\rPID|1||700123\r"


@pytest.fixture
def keys() -> MasterKeys:
    return MasterKeys.read(MasterKeys.new_line("k1"))


@pytest.fixture
async def journal(tmp_path: Path, keys: MasterKeys) -> AsyncIterator[Journal]:
    opened = Journal(tmp_path / "journal", keys)
    opened.open()
    yield opened
    await opened.close()


async def write(
    journal: Journal,
    body: bytes = BODY,
    *,
    control_id: str = "1",
    routes: tuple[str, ...] = ("adt/dpi", "adt/sgl"),
    lanes: tuple[int, ...] = (7,),
    facets: tuple[str, ...] = (),
    refusal: tuple[str, str, str] | None = None,
) -> int:
    """One message on disk; its number."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def done(record: Record, error: StoreError | None) -> None:
        if error:
            future.set_exception(error)
        else:
            future.set_result(record.message.id)

    message = Message(
        body, kind="ADT^A01", control_id=control_id, sender="GAP|CH", received=time.time(), attributes={"file": "a"}
    )
    hashes = [journal.hasher.hash(one) for one in facets]
    record = Record(message, "adt", routes, lanes, hashes, done)
    record.identity, record.digest, record.refusal = hash(control_id), 1, refusal
    journal.append(record)
    return await future


def delivered(number: int, route: str, state: State = "delivered", **more: object) -> Delivery:
    return Delivery(number, route, state, time.time(), **more)  # type: ignore[arg-type]


async def test_a_message_comes_back_byte_for_byte(journal: Journal) -> None:
    number = await write(journal)
    message = journal.load(number)
    assert message is not None
    assert (message.body, message.kind, message.control_id, message.sender) == (BODY, "ADT^A01", "1", "GAP|CH")
    assert message.attributes == {"file": "a"}
    assert message.id == number


@pytest.mark.parametrize("size", [0, 1, 131_072, 131_073, 999_999, 1_000_000, 2_500_001])
async def test_bodies_of_every_size_come_back(journal: Journal, size: int) -> None:
    body = bytes(i * 7 % 256 for i in range(size))
    message = journal.load(await write(journal, body))
    assert message is not None
    assert message.body == body


async def test_large_bodies_are_files_of_their_own_that_go_with_their_segment(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys, segment_size=1)
    journal.open()
    number = await write(journal, b"NOM-MARQUE" * 300_000, routes=())
    file = tmp_path / "journal" / "segment-000001.bodies" / str(number)
    assert b"NOM-MARQUE" not in file.read_bytes()
    assert (tmp_path / "journal" / "segment-000001.db").stat().st_size < 1_000_000
    await write(journal, routes=())
    await journal.housekeeping(3600)
    message = journal.load(number)
    assert message is not None
    assert message.body == b"NOM-MARQUE" * 300_000
    await journal.housekeeping(0)
    assert not file.parent.exists()
    await journal.close()


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x10\x00\x00\x00short"])
async def test_a_damaged_large_body_is_said_not_given(journal: Journal, keys: MasterKeys, damage: bytes) -> None:
    number = await write(journal, bytes(1_200_000))
    (journal.directory / "segment-000001.bodies" / str(number)).write_bytes(damage)
    assert journal.load(number) is None
    archive = Archive(journal.directory, keys)
    with pytest.raises(DamageError):
        archive.message(number)
    archive.close()


async def test_a_disk_that_has_no_room_for_a_large_body_refuses_the_message(journal: Journal) -> None:
    (journal.directory / "segment-000001.bodies").write_text("not a folder")
    with pytest.raises(StoreError):
        await write(journal, bytes(1_200_000))
    assert not journal.healthy
    (journal.directory / "segment-000001.bodies").unlink()
    while not journal.healthy:
        await asyncio.sleep(0.05)
    message = journal.load(await write(journal, bytes(1_200_000)))
    assert message is not None


async def test_nothing_of_a_message_is_readable_in_the_files(journal: Journal, tmp_path: Path) -> None:
    await write(journal, BODY.replace(b"700123", b"NOM-MARQUE"), facets=("patient NOM-MARQUE",))
    journal.settle(delivered(1, "adt/dpi", sent=b"NOM-MARQUE sent", answer=b"NOM-MARQUE answer"))
    await journal.flushed()
    for file in (tmp_path / "journal").iterdir():
        assert b"NOM-MARQUE" not in file.read_bytes(), file.name
    assert not any(b"NOM-MARQUE" in file.name.encode() for file in tmp_path.rglob("*"))


async def test_what_waits_is_known_after_a_restart(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys)
    journal.open()
    first, second = await write(journal, lanes=(1,)), await write(journal, lanes=(2, 3))
    journal.settle(delivered(first, "adt/dpi"))
    await journal.close()
    again = Journal(tmp_path / "journal", keys)
    again.open()
    assert again.waiting() == {"adt/dpi": 1, "adt/sgl": 2}
    assert again.pending("adt/sgl", 0, 10) == [(first, (1,)), (second, (2, 3))]
    assert again.pending("adt/sgl", first, 10) == [(second, (2, 3))]
    assert again.pending("adt/sgl", 0, 1) == [(first, (1,))]
    assert await write(again) == second + 1
    assert [row[0] for row in again.recent(2)] == [second + 1, second]
    await again.close()


async def test_one_commit_carries_all_that_came_during_the_one_before(journal: Journal) -> None:
    await asyncio.gather(*(write(journal, control_id=str(n)) for n in range(400)))
    assert journal.committed == 400
    assert journal.commits < 20


async def test_only_one_process_has_the_journal(journal: Journal, tmp_path: Path, keys: MasterKeys) -> None:
    with pytest.raises(ConfigError, match="another process"):
        Journal(tmp_path / "journal", keys).open()


async def test_the_journal_does_not_open_with_another_key(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys)
    journal.open()
    await journal.close()
    other = MasterKeys.read(MasterKeys.new_line("k1"))
    with pytest.raises(ConfigError, match="is not the one"):
        Journal(tmp_path / "journal", other).open()


async def test_rotation_wraps_every_key_again_and_the_old_key_can_go(tmp_path: Path) -> None:
    old, new = MasterKeys.new_line("k1"), MasterKeys.new_line("k2")
    journal = Journal(tmp_path / "journal", MasterKeys.read(old))
    journal.open()
    number = await write(journal)
    await journal.close()
    both = Journal(tmp_path / "journal", MasterKeys.read(new + old))
    both.open()
    assert both.catalog.rotate() == 2
    await both.close()
    only_new = Journal(tmp_path / "journal", MasterKeys.read(new))
    only_new.open()
    message = only_new.load(number)
    assert message is not None
    assert message.body == BODY
    await only_new.close()


async def test_a_segment_rolls_over_by_size_and_goes_when_it_is_old_and_drained(
    tmp_path: Path, keys: MasterKeys
) -> None:
    journal = Journal(tmp_path / "journal", keys, segment_size=200_000)
    journal.open()
    body = bytes(100_000)
    numbers = [await write(journal, body) for _ in range(6)]
    files = sorted((tmp_path / "journal").glob("segment-*.db"))
    assert len(files) > 1
    assert await journal.housekeeping(0) == 0  # everything still waits: nothing may go
    for number in numbers:
        for route in ("adt/dpi", "adt/sgl"):
            journal.settle(delivered(number, route))
    await journal.flushed()
    assert await journal.housekeeping(3600) == 0  # drained, but not old enough
    assert len(sorted((tmp_path / "journal").glob("segment-*.db"))) == len(files)
    assert await journal.housekeeping(0) == len(files) - 1
    assert sorted((tmp_path / "journal").glob("segment-*.db")) == files[-1:]
    assert journal.load(numbers[0]) is None
    assert journal.load(numbers[-1]) is not None
    assert await write(journal) == numbers[-1] + 1
    await journal.close()


async def test_marks_reach_an_old_segment(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys, segment_size=1)
    journal.open()
    numbers = [await write(journal) for _ in range(3)]
    journal.settle(delivered(numbers[0], "adt/dpi"))
    await journal.close()
    again = Journal(tmp_path / "journal", keys, segment_size=1)
    again.open()
    assert again.waiting() == {"adt/dpi": 2, "adt/sgl": 3}
    await again.close()


async def test_garbage_after_the_last_commit_is_ignored(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys)
    journal.open()
    number = await write(journal)
    wal = tmp_path / "journal" / "segment-000001.db-wal"
    copy = {file.name: file.read_bytes() for file in (tmp_path / "journal").iterdir()}
    await journal.close()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name, data in copy.items():
        if not name.endswith("-shm"):
            (crashed / name).write_bytes(data)
    with (crashed / wal.name).open("ab") as file:
        file.write(b"\xff" * 5000)  # a torn write
    again = Journal(crashed, keys)
    again.open()
    message = again.load(number)
    assert message is not None
    assert message.body == BODY
    assert await write(again) == number + 1
    await again.close()


async def test_a_spoilt_segment_is_set_aside_and_the_engine_goes_on(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys)
    journal.open()
    await write(journal)
    await journal.close()
    path = tmp_path / "journal" / "segment-000001.db"
    path.write_bytes(b"\x00" * 4096 + path.read_bytes()[4096:])
    again = Journal(tmp_path / "journal", keys)
    again.open()
    assert [info.damaged is not None for info in again.catalog.segments()] == [True, False]
    assert again.waiting() == {}
    number = await write(again)
    assert number > 1
    assert again.load(number) is not None
    assert again.load(1) is None
    await again.close()


async def test_a_full_disk_refuses_and_recovers(journal: Journal) -> None:
    health: list[bool] = []
    journal.on_health = health.append
    number = await write(journal)
    journal.settle(delivered(number, "adt/dpi"))
    await journal.flushed()
    pages = one(journal._files.active.db, "PRAGMA page_count")
    journal._files.active.db.execute(f"PRAGMA max_page_count={pages + 2}")
    journal.settle(delivered(number, "adt/sgl"))
    with pytest.raises(StoreError):
        await write(journal, os.urandom(100_000))
    assert health == [False]
    with pytest.raises(StoreError):
        await write(journal)  # refused at once, without trying the disk
    journal._files.active.db.execute("PRAGMA max_page_count=1000000")
    while not journal.healthy:
        await asyncio.sleep(0.05)
    assert health == [False, True]
    assert journal.load(await write(journal)) is not None
    await journal.flushed()
    assert journal.waiting() == {"adt/dpi": 1, "adt/sgl": 1}  # of the message that was taken; the mark was not lost


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal").open()


async def story(journal: Journal, keys: MasterKeys, number: int) -> tuple[Row, list[Attempt]]:
    await journal.flushed()
    archive = Archive(journal.directory, keys)
    try:
        return archive.row(number), archive.attempts(number)
    finally:
        archive.close()


async def test_every_message_has_one_story(journal: Journal, keys: MasterKeys) -> None:
    number = await write(journal)
    journal.note(Attempt(number, "adt/dpi", 1, time.time(), "no answer"))
    journal.settle(delivered(number, "adt/dpi", attempts=2, reference="42", sent=b"other", answer=b"MSA|AA"))
    row, attempts = await story(journal, keys, number)
    assert row.state == "waiting"
    assert row.waiting == ("adt/sgl",)
    assert [(one.number, one.problem) for one in attempts] == [(1, "no answer")]
    journal.settle(delivered(number, "adt/sgl", "failed", place="PV1-3.1", code="103", problem="no translation"))
    row, _ = await story(journal, keys, number)
    assert row.state == "failed"
    assert row.deliveries[0].attempts == 2
    assert (row.deliveries[1].place, row.deliveries[1].code) == ("PV1-3.1", "103")
    archive = Archive(journal.directory, keys)
    assert archive.content(number, "adt/dpi", "sent") == b"other"
    assert archive.content(number, "adt/dpi", "answer") == b"MSA|AA"
    assert archive.content(number, "adt/sgl", "sent") == b""
    assert [one.message for one in archive.dead("adt/sgl")] == [number]
    archive.close()


async def test_searches_find_what_they_should(tmp_path: Path, keys: MasterKeys) -> None:
    journal = Journal(tmp_path / "journal", keys, segment_size=1)  # one segment a commit: searches cross them
    journal.open()
    first = await write(journal, control_id="A", facets=("patient 1", "visit 9"))
    second = await write(journal, control_id="B", facets=("patient 2",), refusal=("PID-3", "101", "missing"), routes=())
    third = await write(journal, control_id="C", facets=("patient 1",), routes=("adt/dpi",))
    journal.settle(delivered(third, "adt/dpi", "refused"))
    await journal.flushed()
    archive = Archive(journal.directory, keys)

    def found(**criteria: object) -> list[int]:
        return [row.id for row in archive.find(Criteria(**criteria))]  # type: ignore[arg-type]

    assert found() == [third, second, first]
    assert found(limit=2) == [third, second]
    assert found(control_id="B") == [second]
    assert found(patient="1") == [third, first]
    assert found(patient="1", visit="9") == [first]
    assert found(patient="3") == []
    assert found(kind="ADT") == found(kind="ADT^A01") == [third, second, first]
    assert found(kind="ORU") == []
    assert found(state="waiting") == [first]
    assert found(state="refused") == [third, second]
    assert found(state="dead") == [third, second]
    assert found(channel="other") == []
    assert found(since=time.time() + 60) == []
    assert found(until=time.time() + 60, sender="GAP|CH") == [third, second, first]
    with pytest.raises(ConfigError, match="a state is one of"):
        found(state="lost")
    with pytest.raises(ConfigError, match="no message 99"):
        archive.message(99)
    archive.close()
    await journal.close()


async def test_what_came_of_a_message_is_found_from_the_first_one_and_back(journal: Journal, keys: MasterKeys) -> None:
    number = await write(journal)
    loaded = journal.load(number)
    assert loaded is not None
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    copy = loaded.with_body(loaded.body, id=0, parents=(number,))
    journal.append(Record(copy, "adt", (), (1,), [], lambda record, error: future.set_result(record.message.id)))
    child = await future
    again = asyncio.get_running_loop().create_future()
    copy = loaded.with_body(loaded.body, id=0, parents=(child,))
    journal.append(Record(copy, "next", (), (1,), [], lambda record, error: again.set_result(record.message.id)))
    await write(journal)
    archive = Archive(journal.directory, keys)
    assert [row.id for row in archive.descendants(number)] == [child, await again]
    assert [row.id for row in archive.ancestors(await again)] == [child, number]
    assert archive.row(child).parents == (number,)
    archive.close()


def test_an_archive_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has not run yet"):
        Archive(tmp_path, None)


async def test_holds_configurations_and_audit_are_kept(journal: Journal) -> None:
    catalog = journal.catalog
    catalog.hold("adt/dpi", "anne", "maintenance")
    assert catalog.holds()["adt/dpi"][1:] == ("anne", "maintenance")
    catalog.release("adt/dpi")
    assert catalog.holds() == {}
    assert catalog.applied("anne", "first", {"site.yaml": "site: x"}) == 1
    assert [(number, who, files) for number, _, who, _, files in catalog.configurations()] == [
        (1, "anne", {"site.yaml": "site: x"})
    ]
    catalog.audit("anne", "show", "message 1")
    assert catalog.audited()[0][1:] == ("anne", "show", "message 1", "")


async def test_a_failed_write_begins_a_new_segment(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a file after a failed fsync is unknown: the journal does not go on in it."""
    await write(journal)
    journal._failed(_Group(), apsw.IOError("fsync"))
    assert not journal.healthy
    while not journal.healthy:
        await asyncio.sleep(0.05)
    number = await write(journal)
    assert journal.load(number) is not None
    assert len(journal.catalog.segments()) == 2


async def test_a_body_that_is_on_disk_is_not_held_in_memory(journal: Journal) -> None:
    body = BODY + bytes(2_000_000)
    before = sys.getrefcount(body)
    number = await write(journal, body)
    await journal.flushed()
    while sys.getrefcount(body) != before:  # the commit thread lets go when it has turned once more
        await asyncio.sleep(0.01)
    loaded = journal.load(number)
    assert loaded is not None
    assert loaded.body == body
