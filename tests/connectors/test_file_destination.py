"""Messages become files: whole, on disk, under a name that stays inside the folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import Refused, Undelivered
from channels.message import Message
from connectors.file import FileDestination, FileDestinationSettings, LocalFolder
from connectors.shared import names
from connectors.shared.folder_destination import period
from tests.connectors.conformance import hl7, message
from tests.connectors.intake import eventually, surroundings
from transforms import batch

PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> float:
    """Seconds since the epoch of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


class Out:
    """A folder, a clock, and the destinations that write there."""

    def __init__(self, site: Path) -> None:
        self.site, self.folder = site, site / "out"
        self.now = at("2026-11-25 10:00")
        self.built: list[FileDestination] = []

    async def start(self, **options: Any) -> FileDestination:
        settings = FileDestinationSettings.model_validate({"directory": "out"} | options)
        destination = FileDestination(settings, surroundings(self.site, "sgl"))
        destination.clock = lambda: self.now
        self.built.append(destination)
        await destination.start()
        return destination

    async def crash(self, destination: FileDestination) -> None:
        """End without closing anything that a closed process would not close."""
        await destination.aclose()

    def names(self) -> list[str]:
        return sorted(str(one.relative_to(self.folder)) for one in self.folder.rglob("*") if one.is_file())

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


DATA = ".open/adt-fanout.sgl/data"
INDEX = f"{DATA}.index"


@pytest.fixture
async def out(tmp_path: Path) -> AsyncIterator[Out]:
    made = Out(tmp_path)
    yield made
    for destination in made.built:
        await destination.aclose()


# one file a message


async def test_the_name_is_the_journals_number_by_default(out: Out) -> None:
    destination = await out.start()
    receipt = await destination.send(message(7))
    assert receipt.reference == "7.hl7"
    assert out.read("7.hl7") == hl7(7)


async def test_a_name_is_made_of_the_message(out: Out) -> None:
    template = (
        "{kind}/{received:%Y%m%d-%H%M}-{id:06}-{control_id}-{sender}-{channel}-{destination}-{file}-{format}{suffix}"
    )
    destination = await out.start(name=template)
    one = Message(
        b"<xml/>", "cda", kind="ADT^A01", control_id="../É 1", sender="GAP|CHU", received=at("2026-11-25 02:30"), id=42,
        attributes={"file": "lot.hl7"},
    )  # fmt: skip
    receipt = await destination.send(one)
    assert receipt.reference == "ADT_A01/20261125-0230-000042-_E_1-GAP_CHU-adt-fanout-sgl-lot.hl7-cda.xml"
    assert out.read(receipt.reference) == b"<xml/>"


@given(st.text(), st.text())
def test_no_value_leads_out_of_the_folder(one: str, other: str) -> None:
    made = names.fill("{a}{b}/{a}.{b}", {"a": one, "b": other})
    assert made.count("/") == 1
    assert all(part and not part.startswith(".") and len(part) <= 200 for part in made.split("/"))
    assert made.isascii()


def test_a_long_name_keeps_its_suffix() -> None:
    assert names.fill("{a}{a}{a}.hl7", {"a": "x" * 99}) == "x" * 190 + ".hl7"
    assert names.fill("{a}{a}{a}", {"a": "x" * 99}) == "x" * 200


@pytest.mark.parametrize(
    "name, problem",
    [
        ("{control-id}", "no field is called 'control-id'; did you mean 'control_id'"),
        ("{}", "no field is called ''"),
        ("{id.real}", "no field is called 'id.real'"),
        ("{id!r}", "a field of a name is written"),
        ("{id:{id}}", "a field of a name is written"),
        ("{control_id:d}", "name: "),
        ("{id", "name: "),
        ("../{id}", "inside the folder"),
        ("/tmp/{id}", "inside the folder"),
        ("a//{id}", "inside the folder"),
        (".{id}", "inside the folder"),
        ("a\\{id}", "inside the folder"),
        ("{begin:%Y}", "no field is called 'begin'"),
    ],
)
def test_a_name_that_cannot_be_filled_is_said(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        FileDestinationSettings.model_validate({"directory": "out", "name": name})


async def test_another_message_of_the_same_name_gets_a_number(out: Out) -> None:
    destination = await out.start(name="{kind}.hl7")
    references = [(await destination.send(message(number))).reference for number in (1, 2, 1, 2, 3)]
    assert references == ["ADT_A01.hl7", "ADT_A01-2.hl7", "ADT_A01.hl7", "ADT_A01-2.hl7", "ADT_A01-3.hl7"]
    assert out.read("ADT_A01-2.hl7") == hl7(2)
    assert names.numbered("a/b", 2) == "a/b-2"


async def test_a_name_that_never_changes_ends_in_a_refusal(out: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.shared.folder_destination._MANY", 3)
    destination = await out.start(name="out.hl7")
    await destination.send(message(1))
    await destination.send(message(2))
    with pytest.raises(Refused, match="too many files of one name"):
        await destination.send(message(3))


async def test_a_conflict_may_replace_or_refuse(out: Out) -> None:
    replacing = await out.start(name="a.hl7", conflict="replace")
    await replacing.send(message(1))
    await replacing.send(message(2))
    assert out.read("a.hl7") == hl7(2)
    refusing = await out.start(name="a.hl7", conflict="refuse")
    assert (await refusing.send(message(2))).reference == "a.hl7"
    with pytest.raises(Refused, match="a file of this name exists with other contents"):
        await refusing.send(message(1))
    assert out.names() == ["a.hl7"]


async def test_an_envelope_counts_its_message_and_is_the_same_when_sent_again(out: Out) -> None:
    destination = await out.start(envelope={"receiving_application": "T2A"})
    await destination.send(message(1))
    await destination.send(message(1))
    assert out.names() == ["1.hl7"]
    found = batch.read(out.read("1.hl7"))
    assert (found.messages, found.findings, found.control_id) == ([hl7(1)], [], "1")
    assert out.read("1.hl7").startswith(b"FHS|^~\\&|VAGUEMESTRE|750000001|T2A||2026")


async def test_a_write_that_fails_is_undelivered_and_leaves_nothing(out: Out) -> None:
    destination = await out.start(name="{kind}/{id}.hl7")
    out.folder.mkdir()
    (out.folder / "ADT_A01").touch()  # a file where a folder must be
    with pytest.raises(Undelivered, match=r"^the file cannot be written: Not a directory$"):
        await destination.send(message(1))
    assert out.names() == ["ADT_A01"]


async def test_where_links_do_not_exist_a_file_is_still_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*arguments: Any, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    folder = LocalFolder(tmp_path, surroundings(tmp_path))
    await folder.put("a", b"1", replace=False)
    with pytest.raises(FileExistsError):
        await folder.put("a", b"2", replace=False)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a", b"1")]
    await folder.aclose()


# one file a night


async def test_messages_of_a_night_are_one_file_closed_at_its_hour(out: Out) -> None:
    destination = await out.start(close="02:00", envelope={})
    for number in (3, 1, 2):
        assert (await destination.send(message(number))).reference == "adt-fanout-20261125.hl7"
    assert "adt-fanout-20261125.hl7" not in out.names()
    out.now = at("2026-11-26 02:00")
    destination._look.set()
    await eventually(lambda: "adt-fanout-20261125.hl7" in out.names())
    found = batch.read(out.read("adt-fanout-20261125.hl7"))
    assert (found.messages, found.findings) == ([hl7(3), hl7(1), hl7(2)], [])
    assert found.control_id == "202611250200"
    await destination.send(message(4))
    assert out.read(DATA).endswith(hl7(4))


async def test_a_message_after_the_hour_goes_to_the_next_file(out: Out) -> None:
    destination = await out.start(close="02:00", name="dft-{begin:%Y%m%d}-{end:%Y%m%d}.txt")
    await destination.send(message(1))
    out.now = at("2026-11-26 02:00:01")
    assert (await destination.send(message(2))).reference == "dft-20261126-20261127.txt"
    assert out.read("dft-20261125-20261126.txt") == hl7(1)


async def test_a_name_that_is_taken_gets_a_number_at_the_close(out: Out) -> None:
    destination = await out.start(close="02:00", name="dft.hl7")
    for day in (25, 26, 27):
        out.now = at(f"2026-11-{day} 12:00")
        await destination.send(message(day))
    assert {name: out.read(name) for name in out.names() if name.startswith("dft")} == {
        "dft.hl7": hl7(25),
        "dft-2.hl7": hl7(26),
    }


async def test_a_restart_goes_on_in_the_open_file_and_knows_its_messages(out: Out) -> None:
    first = await out.start(close="02:00")
    await first.send(message(1))
    await first.aclose()
    second = await out.start(close="02:00")
    await second.send(message(1))
    await second.send(message(2))
    assert out.read(DATA) == hl7(1) + hl7(2)


@pytest.mark.parametrize("tail", [b"M", hl7(2)[:50], hl7(2)])
async def test_what_a_crash_left_behind_the_last_whole_message_is_cut(out: Out, tail: bytes) -> None:
    first = await out.start(close="02:00")
    await first.send(message(1))
    await first.aclose()
    with (out.folder / DATA).open("ab") as data, (out.folder / INDEX).open("ab") as index:
        data.write(tail)
        index.write(b"2-0123")  # half a line
    second = await out.start(close="02:00")
    await second.send(message(3))
    assert out.read(DATA) == hl7(1) + hl7(3)
    out.now = at("2026-11-26 09:00")
    await second.send(message(4))
    assert out.read("adt-fanout-20261125.hl7") == hl7(1) + hl7(3)


async def test_a_file_whose_hour_passed_while_the_engine_was_off_is_closed_at_start(out: Out) -> None:
    first = await out.start(close="02:00")
    await first.send(message(1))
    await first.aclose()
    with (out.folder / DATA).open("ab") as data:
        data.write(b"half a mess")
    out.now = at("2026-11-28 09:00")
    await out.start(close="02:00")
    await eventually(lambda: "adt-fanout-20261125.hl7" in out.names() and INDEX not in out.names())
    assert out.read("adt-fanout-20261125.hl7") == hl7(1)


async def test_a_resend_after_the_hour_is_still_recognised(out: Out) -> None:
    destination = await out.start(close="02:00")
    await destination.send(message(1))
    out.now = at("2026-11-26 03:00")
    await destination.send(message(1))
    await destination.send(message(2))
    assert out.read(DATA) == hl7(2)
    await destination.aclose()
    again = await out.start(close="02:00")
    await again.send(message(1))
    assert out.read(DATA) == hl7(2)


async def test_a_crash_between_the_final_name_and_the_end_of_the_index(out: Out) -> None:
    first = await out.start(close="02:00")
    await first.send(message(1))
    await first.aclose()
    (out.folder / DATA).rename(out.folder / "adt-fanout-20261125.hl7")
    second = await out.start(close="02:00")
    await second.send(message(1))
    await second.send(message(2))
    assert out.read("adt-fanout-20261125.hl7") == hl7(1)
    assert out.read(DATA) == hl7(2)


async def test_an_open_file_without_messages_gives_no_file(out: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await out.start(close="02:00", envelope={})
    real = LocalFolder._append

    def full(self: LocalFolder, path: Path, at: int, body: bytes) -> None:
        real(self, path, at, body[:20])
        if body:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFolder, "_append", full)
    with pytest.raises(Undelivered, match=r"No space left on device$"):
        await first.send(message(1))
    monkeypatch.setattr(LocalFolder, "_append", real)
    out.now = at("2026-11-26 03:00")
    await first.send(message(2))
    assert [name for name in out.names() if not name.startswith(".open")] == []
    assert batch.split(out.read(DATA)) == [hl7(2)]


async def test_a_damaged_index_stops_the_destination_and_nothing_is_written(out: Out) -> None:
    first = await out.start(close="02:00")
    await first.send(message(1))
    await first.aclose()
    (out.folder / INDEX).write_bytes(b"\0" * 100)
    second = await out.start(close="02:00")
    with pytest.raises(Undelivered, match="the index of the open file is damaged"):
        await second.send(message(2))
    assert out.read(DATA) == hl7(1)


async def test_a_clock_set_back_does_not_open_a_file_of_the_past(out: Out) -> None:
    destination = await out.start(close="02:00")
    await destination.send(message(1))
    out.now = at("2026-11-24 10:00")
    assert (await destination.send(message(2))).reference == "adt-fanout-20261125.hl7"


async def test_other_formats_are_put_one_behind_the_other(out: Out) -> None:
    destination = await out.start(close="02:00", name="{channel}.txt")
    await destination.send(Message(b"line 1\n", "b2", id=1))
    await destination.send(Message(b"line 2\n", "b2", id=2))
    assert out.read(DATA) == b"line 1\nline 2\n"


async def test_a_send_cancelled_before_the_end_is_finished_at_the_close(out: Out) -> None:
    destination = await out.start(close="02:00")
    task = asyncio.create_task(destination.send(message(1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await destination.send(message(2))
    await destination.aclose()
    assert out.read(DATA) == hl7(1) + hl7(2)


@pytest.mark.parametrize(
    "now, begin, end",
    [
        ("2026-11-25 01:59", "2026-11-24T02:00:00+01:00", "2026-11-25T02:00:00+01:00"),
        ("2026-11-25 02:00", "2026-11-25T02:00:00+01:00", "2026-11-26T02:00:00+01:00"),
        ("2026-10-24 12:00", "2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("2026-03-28 12:00", "2026-03-28T02:30:00+01:00", "2026-03-29T02:30:00+01:00"),
    ],
)
def test_a_day_begins_and_ends_at_a_local_hour(now: str, begin: str, end: str) -> None:
    hour = datetime.fromisoformat(end).time()
    found = period(at(now), hour, PARIS)
    assert [one.isoformat() for one in found] == [begin, end]


@pytest.mark.parametrize("hour", ["2h", "25:00", 120, True])
def test_an_hour_is_written_in_quotes(hour: Any) -> None:
    with pytest.raises(ValueError, match='an hour is written "HH:MM"'):
        FileDestinationSettings.model_validate({"directory": "out", "close": hour})
