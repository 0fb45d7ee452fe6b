"""Files in a folder become messages: whole, once, in order, and nothing is left lying about."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from channels.errors import MessageError, Refused, StoreError
from channels.message import Message
from connectors.file import FileSource, FileSourceSettings, LocalFolder
from connectors.shared.folders import Listed
from tests.connectors.conformance import hl7
from tests.connectors.intake import ListIntake, eventually, surroundings
from transforms import batch


class Drop:
    """A folder, and the source that takes its files."""

    def __init__(self, site: Path) -> None:
        self.site, self.folder, self.intake = site, site / "in", ListIntake()
        self.sources: list[FileSource] = []

    def build(self, **options: Any) -> FileSource:
        quick = {"directory": "in", "every": "5ms", "stable_for": "0s"}
        source = FileSource(FileSourceSettings.model_validate(quick | options), surroundings(self.site))
        self.sources.append(source)
        return source

    async def start(self, **options: Any) -> FileSource:
        source = self.build(**options)
        await source.start(self.intake)
        return source

    def put(self, name: str, body: bytes) -> Path:
        self.folder.mkdir(exist_ok=True)
        temporary = self.site / "being written"
        temporary.write_bytes(body)
        return temporary.rename(self.folder / name)

    def names(self, folder: str = ".") -> list[str]:
        path = self.folder / folder
        return sorted(one.name for one in path.iterdir() if one.is_file()) if path.is_dir() else []

    async def until(self, folder: str, *names: str) -> None:
        await eventually(lambda: self.names(folder) == sorted(names))


@pytest.fixture
async def drop(tmp_path: Path) -> Any:
    made = Drop(tmp_path)
    yield made
    made.intake.release()
    for source in made.sources:
        await source.stop()


async def test_a_folder_of_the_site_is_made(drop: Drop) -> None:
    await drop.start()
    await eventually((drop.folder / "error").is_dir)
    assert sorted(one.name for one in drop.folder.iterdir()) == [".work", "done", "error"]


async def test_a_share_that_is_not_mounted_is_waited_for(drop: Drop, tmp_path: Path) -> None:
    share = tmp_path / "share"
    await drop.start(directory=str(share))
    drop.put("a.hl7", hl7(1))
    await asyncio.sleep(0.05)
    assert not share.exists()
    drop.folder.rename(share)
    await drop.intake.until(lambda: drop.intake.bodies == [hl7(1)])
    drop.folder = share
    await drop.until("done", "a.hl7")


async def test_a_batch_is_one_file_and_each_message_has_its_outcome(drop: Drop) -> None:
    drop.intake.refuse_with = lambda one: MessageError("no", "PID-3", "204") if one.control_id == "2" else None
    head = b"FHS|^~\\&|GAP\rBHS|^~\\&|GAP|||||||LOT|LOT7\r"
    drop.put("lot.hl7", head + hl7(1) + hl7(2) + hl7(3) + b"BTS|9\rFTS|1\r")
    await drop.start(answers="all")
    await drop.until("error", "lot.hl7", "lot.hl7.reason")
    assert drop.intake.bodies == [hl7(1), hl7(3)]
    assert [one.attributes for one in drop.intake.messages] == [
        {"file": "lot.hl7", "batch": "1/3"},
        {"file": "lot.hl7", "batch": "3/3"},
    ]
    assert (drop.folder / "error/lot.hl7.reason").read_text() == "message 2 of 3: PID-3: no (204)\n"
    answers = batch.read((drop.folder / "answers/lot.hl7.ack").read_bytes())
    assert [b"MSA|AA|1" in answers.messages[0], b"MSA|AE|2" in answers.messages[1], b"MSA|AA|3" in answers.messages[2]]
    assert answers.findings == []
    assert b"|LOT7\r" in (drop.folder / "answers/lot.hl7.ack").read_bytes().split(b"MSH")[0]


async def test_only_errors_are_answered_when_asked(drop: Drop) -> None:
    drop.intake.refuse_with = lambda one: MessageError("no") if one.control_id == "2" else None
    drop.put("bad.hl7", hl7(1) + hl7(2))
    drop.put("good.hl7", hl7(3))
    await drop.start(answers="errors")
    await drop.until("done", "good.hl7")
    await drop.until("answers", "bad.hl7.ack")
    assert len(batch.split((drop.folder / "answers/bad.hl7.ack").read_bytes())) == 1


async def test_an_unreadable_message_has_no_answer(drop: Drop) -> None:
    drop.put("bad.hl7", b"hello")
    await drop.start(answers="all")
    await drop.until("error", "bad.hl7", "bad.hl7.reason")
    assert drop.names("answers") == []
    assert (drop.folder / "error/bad.hl7.reason").read_text() == (
        "message 1 of 1: MSH: the message does not begin with an MSH segment (199)\n"
    )


async def test_a_large_batch_is_split_beside_the_loop(drop: Drop) -> None:
    bodies = [hl7(number, b"NTE|1||" + b"x" * 300_000 + b"\r") for number in range(5)]
    drop.put("lot.hl7", b"".join(bodies))
    await drop.start(unanswered=2)
    await drop.until("done", "lot.hl7")
    assert drop.intake.bodies == bodies


async def test_an_empty_batch_is_put_away(drop: Drop) -> None:
    drop.put("lot.hl7", b"FHS|^~\\&|GAP\rFTS|0\r")
    await drop.start()
    await drop.until("done", "lot.hl7")
    assert drop.intake.seen == []


async def test_a_file_too_large_is_set_aside_unread(drop: Drop) -> None:
    drop.put("big.hl7", hl7(1, b"x" * 2000))
    drop.put("small.hl7", hl7(2))
    await drop.start(max_size="1kB")
    await drop.until("error", "big.hl7", "big.hl7.reason")
    await drop.until("done", "small.hl7")
    assert (drop.folder / "error/big.hl7.reason").read_text() == "the file is larger than max_size\n"


async def test_a_file_that_may_not_be_read_is_set_aside(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def closed(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if str(path).endswith("secret.hl7") and flags & os.O_NOFOLLOW:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", closed)
    drop.put("secret.hl7", hl7(1))
    await drop.start()
    await drop.until("error", "secret.hl7", "secret.hl7.reason")
    assert (drop.folder / "error/secret.hl7.reason").read_text() == "the file cannot be read: Permission denied\n"


async def test_a_refusal_of_the_destination_sets_the_file_aside(drop: Drop) -> None:
    drop.intake.refuse_with = lambda one: Refused("answered AE")
    drop.put("a.hl7", hl7(1))
    await drop.start()
    await drop.until("error", "a.hl7", "a.hl7.reason")
    assert (drop.folder / "error/a.hl7.reason").read_text() == "message 1 of 1: answered AE\n"


async def test_patterns_choose_and_every_case_of_a_suffix_is_taken(drop: Drop) -> None:
    for number, name in enumerate(["a.HL7", "b.er7", "c.txt", "d", "e.hl7.tmp", ".hidden.hl7"]):
        drop.put(name, hl7(number))
    (drop.folder / "link.hl7").symlink_to(drop.folder / "c.txt")
    await drop.start(pattern=["*.hl7", "*.er7"])
    await drop.until("done", "a.HL7", "b.er7")
    assert drop.names() == [".hidden.hl7", "c.txt", "d", "e.hl7.tmp", "link.hl7"]


async def test_files_are_taken_by_age_then_name(drop: Drop) -> None:
    for number, name in enumerate(["z", "y", "x"]):
        os.utime(drop.put(name, hl7(number)), ns=(0, 10**9 * (1 if name == "x" else number + 2)))
    for name in ("b", "a"):
        os.utime(drop.put(name, hl7(9, b"ZZZ|" + name.encode())), ns=(0, 10**10))
    await drop.start()
    await drop.until("done", "a", "b", "x", "y", "z")
    assert [one.attributes["file"] for one in drop.intake.messages] == ["x", "z", "y", "a", "b"]


async def test_a_file_that_grows_is_not_taken(drop: Drop) -> None:
    drop.folder.mkdir()
    await drop.start(stable_for="150ms")
    with (drop.folder / "slow.hl7").open("wb", buffering=0) as file:
        for byte in hl7(1)[:30]:
            file.write(bytes([byte]))
            await asyncio.sleep(0.01)
        assert drop.intake.seen == []
        file.write(hl7(1)[30:])
    await drop.until("done", "slow.hl7")
    assert drop.intake.bodies == [hl7(1)]


async def test_a_file_written_between_the_look_and_the_claim_is_given_back(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, surroundings(tmp_path))
    (tmp_path / "a").write_bytes(b"longer than it was")
    assert await folder.take(Listed("a", 4, 0), "b", 100) is None
    assert (tmp_path / "a").read_bytes() == b"longer than it was"
    assert await folder.take(Listed("gone", 4, 0), "b", 100) is None
    await folder.aclose()


async def test_a_file_that_another_engine_holds_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (LocalFolder(tmp_path, surroundings(tmp_path)) for _ in range(2))
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work/a").write_bytes(b"1")
    (file,) = await one.files(".work")
    file = file._replace(name=".work/a")
    assert await one.take(file, ".work/a", 100) == b"1"
    assert await other.take(file, ".work/a", 100) is None
    await one.release(".work/a")
    assert await other.take(file, ".work/a", 100) == b"1"
    await other.aclose()
    (tmp_path / ".work/a").unlink()
    assert await one.take(file, ".work/a", 100) is None
    real = fcntl.flock

    def put_away_meanwhile(lock: int, how: int) -> None:
        real(lock, how)
        (tmp_path / ".work/a").rename(tmp_path / "done")

    (tmp_path / ".work/a").write_bytes(b"1")
    monkeypatch.setattr(fcntl, "flock", put_away_meanwhile)
    assert await one.take(file, ".work/a", 100) is None

    def no_locks(lock: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / ".work/a").write_bytes(b"2")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert await one.take(file, ".work/a", 100) == b"2"
    await one.aclose()


async def test_done_files_may_be_deleted(drop: Drop) -> None:
    drop.put("a.hl7", hl7(1))
    await drop.start(afterwards="delete")
    await drop.intake.until(lambda: bool(drop.intake.messages))
    await eventually(lambda: drop.names() + drop.names(".work") + drop.names("done") == [])


async def test_names_may_come_again(drop: Drop) -> None:
    await drop.start()
    for number in range(1, 4):
        drop.put("a.hl7", hl7(number))
        await eventually(lambda count=number: len(drop.names("done")) == count)  # type: ignore[misc]  # bound early
    assert drop.names("done") == ["a-2.hl7", "a-3.hl7", "a.hl7"]


async def test_a_name_that_came_very_often_keeps_the_mark_of_its_claim(drop: Drop) -> None:
    (drop.folder / "done").mkdir(parents=True)
    for number in range(1, 101):
        (drop.folder / "done" / ("a.hl7" if number == 1 else f"a-{number}.hl7")).touch()
    drop.put("a.hl7", hl7(1))
    await drop.start()
    await eventually(lambda: len(drop.names("done")) == 101)
    assert [name for name in drop.names("done") if len(name) == len("0" * 16 + "-a.hl7")] != []


@pytest.mark.parametrize("name", ["é" * 100 + ".hl7", os.fsdecode(b"\xe9.hl7"), "a b\n'.hl7", "x" * 255])
async def test_odd_names_are_taken(drop: Drop, name: str) -> None:
    drop.put(name, hl7(1))
    await drop.start()
    await eventually(lambda: len(drop.names("done")) == 1)
    drop.intake.messages[0].attributes["file"].encode()
    assert drop.intake.bodies == [hl7(1)]


async def test_other_formats_are_one_message_a_file(drop: Drop) -> None:
    drop.put("a.pdf", b"%PDF-1.7 \xff")
    await drop.start(format="pdf")
    await drop.until("done", "a.pdf")
    (one,) = drop.intake.messages
    assert (one.format, one.body, one.attributes["file"]) == ("pdf", b"%PDF-1.7 \xff", "a.pdf")
    assert one.control_id == f"a.pdf@{(drop.folder / 'done/a.pdf').stat().st_mtime_ns}"


async def test_the_charset_is_assumed_when_the_message_says_nothing(drop: Drop) -> None:
    body = b"MSH|^~\\&|GAP|CHU|SGL|CHU|20261125||ADT^A01|1|P|2.5\rPID|1||1||\xa4\r"
    drop.put("a.hl7", body)
    await drop.start(charset="iso8859-15")
    await drop.until("done", "a.hl7")
    assert drop.intake.messages[0].charset == "iso8859-15"


async def test_two_engines_share_a_folder_and_take_each_file_once(drop: Drop) -> None:
    for number in range(100):
        drop.put(f"{number:03}.hl7", hl7(number))
    await asyncio.gather(drop.start(), drop.start())
    await eventually(lambda: len(drop.names("done")) == 100)
    assert sorted(drop.intake.bodies) == sorted(hl7(number) for number in range(100))
    assert drop.names("error") == []


async def test_files_left_by_a_crash_are_taken_again_first(drop: Drop) -> None:
    (drop.folder / ".work").mkdir(parents=True)
    (drop.folder / ".work/18a0000000000001-left.hl7").write_bytes(hl7(1))
    (drop.folder / ".work/put by hand.hl7").write_bytes(hl7(2))
    os.utime(drop.put("new.hl7", hl7(3)), ns=(0, 0))
    await drop.start()
    await drop.until("done", "left.hl7", "new.hl7", "put by hand.hl7")
    assert drop.intake.bodies == [hl7(1), hl7(2), hl7(3)]


async def test_a_stop_leaves_unfinished_files_for_the_next_start(drop: Drop) -> None:
    drop.put("lot.hl7", b"".join(hl7(number) for number in range(5)))
    drop.intake.held = True
    source = await drop.start(unanswered=2)
    await drop.intake.until(lambda: len(drop.intake.waiting) == 2)
    stopping = asyncio.create_task(source.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    drop.intake.release()
    await stopping
    assert len(drop.names(".work")) == 1
    assert drop.names("done") == []
    await drop.start()
    await drop.until("done", "lot.hl7")
    assert set(drop.intake.bodies) == {hl7(number) for number in range(5)}


async def test_nothing_overtakes_a_message_that_could_not_be_stored(drop: Drop) -> None:
    failures = [StoreError("full"), StoreError("full")]

    def fail(one: Message) -> StoreError | None:
        return failures.pop() if failures and one.control_id == "1" else None

    drop.intake.refuse_with = fail
    drop.put("a.hl7", hl7(0) + hl7(1) + hl7(2))
    drop.put("b.hl7", hl7(3))
    await drop.start(unanswered=1)
    await drop.until("done", "a.hl7", "b.hl7")
    assert drop.intake.bodies == [hl7(number) for number in range(4)]
    assert len(drop.intake.refused) == 2


async def test_a_stop_while_nothing_can_be_stored_keeps_the_file(drop: Drop) -> None:
    drop.intake.refuse_with = lambda one: StoreError("full")
    drop.put("a.hl7", hl7(1) + hl7(2))
    source = await drop.start()
    await drop.intake.until(lambda: len(drop.intake.refused) >= 2)
    await source.stop()
    assert drop.names("done") + drop.names("error") == []
    assert len(drop.names(".work")) == 1


async def test_a_file_that_cannot_be_put_away_is_tried_again(drop: Drop) -> None:
    drop.put("a.hl7", hl7(1))
    drop.intake.held = True
    source = await drop.start()
    await drop.intake.until(lambda: bool(drop.intake.waiting))
    (drop.folder / "done").rename(drop.folder / "moved")
    (drop.folder / "done").touch()  # not a folder
    drop.intake.release()
    await asyncio.sleep(0.05)
    assert len(drop.names(".work")) == 1
    stopping = asyncio.create_task(source.stop())
    await stopping
    assert drop.intake.bodies == [hl7(1)]
    (drop.folder / "done").unlink()
    await drop.start()
    await drop.until("done", "a.hl7")


async def test_a_file_that_someone_removed_meanwhile_is_forgotten(drop: Drop) -> None:
    drop.put("a.hl7", hl7(1))
    drop.intake.held = True
    await drop.start()
    await drop.intake.until(lambda: bool(drop.intake.waiting))
    next((drop.folder / ".work").iterdir()).unlink()
    drop.intake.release()
    drop.put("b.hl7", hl7(2))
    await drop.until("done", "b.hl7")


@pytest.mark.timeout(120)
async def test_a_folder_of_25_000_files_is_emptied(drop: Drop) -> None:
    drop.folder.mkdir()
    for number in range(25_000):
        (drop.folder / f"{number:05}.hl7").write_bytes(hl7(number))
    source = drop.build()
    looks = 0
    folder = source._folder
    real = folder.files

    async def counted(subfolder: str = "") -> list[Listed]:
        nonlocal looks
        looks += subfolder == ""
        return await real(subfolder)

    folder.files = counted  # type: ignore[method-assign]  # counts, and lists
    await source.start(drop.intake)
    await drop.intake.until(lambda: len(drop.intake.messages) == 25_000)
    await source.stop()
    assert [one.control_id for one in drop.intake.messages] == [str(number) for number in range(25_000)]
    assert len(drop.names("done")) == 25_000
    assert looks <= 3


@pytest.mark.parametrize(
    "options", [{"every": 5}, {"unanswered": 0}, {"format": "hl8"}, {"charset": "klingon"}, {"folder": "x"}]
)
def test_settings_that_are_wrong_are_said(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FileSourceSettings.model_validate({"directory": "in"} | options)


async def test_defects_of_syntax_are_noticed_and_the_grave_ones_refused_as_over_mllp(drop: Drop) -> None:
    drop.put("a", hl7(1).replace(b"|P|", b"||"))
    drop.put("b", hl7(2).replace(b"ADT^A01^ADT_A01", b""))
    await drop.start()
    await drop.until("done", "a")
    await drop.until("error", "b", "b.reason")
    (noticed,) = drop.intake.messages
    assert "MSH-11" in noticed.attributes["findings"]
    assert "MSH-9" in (drop.folder / "error/b.reason").read_text()
