"""A channel at work, with a source and destinations in memory and a journal on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from channels import registry
from channels.errors import Finding, MessageError, QueueFull, Refused, StoreError, Undelivered
from channels.journal.search import Archive, Criteria
from channels.loader import load_site
from channels.message import Message
from channels.noticed import ATTRIBUTE, written
from channels.ports import Outcome
from channels.supervisor import Supervisor, master_keys
from tests.channels.probe import ProbeDestination, ProbeSource
from transforms import er7

SITE = "site: essai\nestablishment: {name: Essai, finess: '990000001'}\n"
CHANNEL = """
channel: adt
source: {probe: {}}
destinations:
  - name: dpi
    retry: {first: 1ms, most: 5ms}
    probe: {}
  - name: sgl
    filter: {message: ADT^A01}
    retry: {first: 1ms, most: 5ms}
    probe: {}
"""


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SOURCES, "probe", "tests.channels.probe:ProbeSource")
    monkeypatch.setitem(registry.DESTINATIONS, "probe", "tests.channels.probe:ProbeDestination")
    registry.names.cache_clear()


def write(site: Path, channel: str = CHANNEL, name: str = "adt", **files: str) -> None:
    (site / "channels").mkdir(parents=True, exist_ok=True)
    (site / "site.yaml").write_text(SITE)
    (site / "channels" / f"{name}.yaml").write_text(channel)
    for path, text in files.items():
        target = site / path.replace("__", "/")
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)


Start = Callable[..., "asyncio.Future[Supervisor]"]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the engine on a site folder; stops it at the end."""
    engines: list[Supervisor] = []

    async def begin(channel: str = CHANNEL) -> Supervisor:
        write(tmp_path, channel)
        engine = Supervisor(load_site(tmp_path))
        await engine.start()
        engines.append(engine)
        return engine

    yield begin  # type: ignore[misc]  # a coroutine function serves
    for engine in engines:
        if engine.channels:
            await engine.stop()


def adt(number: int = 1, *, event: str = "A01", patient: str = "7", more: str = "") -> Message:
    body = (
        f"MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^{event}|G{number}|P|2.5\rPID|1||{patient}^^^CH^PI\rPV1|1|I|3120\r{more}"
    )
    return er7.message(body.encode(), 1_770_000_000.0)


def intake(channel: str = "adt") -> ProbeSource:
    return ProbeSource.running[channel]


async def give(message: Message, channel: str = "adt") -> Outcome:
    source = ProbeSource.running[channel]
    assert source.intake is not None
    return await asyncio.wait_for(source.intake.receive(message), 10)


def got(route: str) -> list[str]:
    return [message.control_id for message in ProbeDestination.running[route].received]


async def settled(engine: Supervisor) -> None:
    """Wait until no delivery waits, and the journal says so."""
    lanes = [route.lanes for channel in engine.channels.values() for route in channel.routes.values()]
    while any(one.waiting for one in lanes):
        await asyncio.sleep(0.005)
    await engine.journal.flushed()


def archive(engine: Supervisor) -> Archive:
    return Archive(engine.journal.directory, master_keys(engine.loaded.site.journal, engine.loaded.directory))


async def test_a_message_reaches_the_destinations_that_want_it_unaltered(start: Start) -> None:
    engine = await start()
    message = adt(event="A03", more="ZZZ|a||\r")
    outcome = await give(message)
    assert (outcome.id, outcome.error, outcome.duplicate) == (1, None, False)
    await settled(engine)
    assert [one.body for one in ProbeDestination.running["adt/dpi"].received] == [message.body]
    assert got("adt/sgl") == []
    row = archive(engine).row(1)
    assert {one.route: one.state for one in row.deliveries} == {"adt/dpi": "delivered", "adt/sgl": "filtered"}
    assert row.state == "delivered"


async def test_a_resend_is_answered_as_before_and_not_delivered_again(start: Start) -> None:
    engine = await start()
    first = await give(adt())
    again = await give(adt())
    assert again.duplicate
    assert (again.id, again.received, again.error) == (first.id, first.received, None)
    await settled(engine)
    assert got("adt/dpi") == ["G1"]
    assert engine.channels["adt"].statistics.duplicates == 1


async def test_a_message_that_was_warned_about_counts_once_whatever_gets_it(start: Start) -> None:
    engine = await start()
    finding = Finding("PID-3[1].1", "102", "the key of the INS is wrong")
    await give(adt(1))
    await give(replace(adt(2), attributes={"findings": "PID-3.1: the key of the INS is wrong (102)"}))
    await give(replace(adt(3), attributes={ATTRIBUTE: written([finding])}))
    await give(replace(adt(4), attributes={ATTRIBUTE: written([])}))
    await settled(engine)
    assert engine.channels["adt"].statistics.warned == 2
    assert engine.state()["channels"][0]["warned"] == 2


async def test_a_resend_that_comes_while_the_first_is_written_gets_its_answer(start: Start) -> None:
    await start()
    one, two = await asyncio.gather(give(adt()), give(adt()))
    assert {one.id, two.id} == {1}


async def test_a_resend_is_known_after_a_restart(start: Start, tmp_path: Path) -> None:
    engine = await start()
    first = await give(adt())
    await engine.stop()
    engine = await start()
    again = await give(adt())
    assert again.duplicate
    assert (again.id, again.received) == (first.id, first.received)
    await settled(engine)
    assert got("adt/dpi") == []


async def test_the_same_control_id_with_another_body_is_a_new_message_with_a_warning(start: Start) -> None:
    engine = await start()
    await give(adt())
    outcome = await give(adt(more="ZZZ|other\r"))
    assert outcome.id == 2
    assert [(one.place, one.code) for one in outcome.findings] == [("MSH-10", "205")]
    await settled(engine)
    assert len(got("adt/dpi")) == 2


async def test_a_reused_control_id_is_refused_where_the_channel_says_so(start: Start) -> None:
    engine = await start(CHANNEL.replace("source:", "duplicates: {same_id: refuse}\nsource:"))
    await give(adt())
    outcome = await give(adt(more="ZZZ|other\r"))
    assert isinstance(outcome.error, MessageError)
    assert (outcome.error.place, outcome.error.condition) == ("MSH-10", "205")
    await settled(engine)
    assert len(got("adt/dpi")) == 1


async def test_a_refused_message_is_kept(start: Start) -> None:
    engine = await start()
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    source = intake()
    assert source.intake is not None
    source.intake.refuse(adt(), MessageError("missing", "PID-3", "101"), future.set_result)
    outcome = await future
    assert isinstance(outcome.error, MessageError)
    assert outcome.id == 1
    row = archive(engine).row(1)
    assert row.refusal == ("PID-3", "101", "missing")
    assert archive(engine).message(1).body == adt().body
    assert got("adt/dpi") == []
    again = await give(adt())
    assert isinstance(again.error, MessageError)  # the same message is refused the same way
    assert again.duplicate


async def test_an_undelivered_message_is_tried_again_in_order_and_others_do_not_wait(start: Start) -> None:
    engine = await start()
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.script.extend([Undelivered("no answer"), Undelivered("no answer")])
    for number in range(1, 4):
        await give(adt(number))
    await settled(engine)
    assert got("adt/dpi") == got("adt/sgl") == ["G1", "G2", "G3"]
    row = archive(engine).row(1)
    assert {one.route: one.attempts for one in row.deliveries} == {"adt/dpi": 3, "adt/sgl": 1}
    assert [one.problem for one in archive(engine).attempts(1)] == ["no answer", "no answer"]


async def test_a_refusal_is_a_dead_letter_of_that_destination_only(start: Start) -> None:
    engine = await start()
    ProbeDestination.running["adt/sgl"].script.append(Refused("answered AR", b"MSA|AR"))
    await give(adt(1))
    await give(adt(2))
    await settled(engine)
    assert got("adt/dpi") == ["G1", "G2"]
    assert got("adt/sgl") == ["G2"]
    dead = archive(engine).dead("adt/sgl")
    assert [(one.message, one.state, one.problem) for one in dead] == [(1, "refused", "answered AR")]
    assert archive(engine).content(1, "adt/sgl", "answer") == b"MSA|AR"
    assert [row.id for row in archive(engine).find(Criteria(state="dead"))] == [1]


async def test_giving_up_is_a_dead_letter_too(start: Start) -> None:
    engine = await start(CHANNEL.replace("most: 5ms}", "most: 5ms, give_up: 1ms}", 1))
    ProbeDestination.running["adt/dpi"].script.extend([Undelivered("no answer")] * 50)
    await give(adt())
    await settled(engine)
    assert [one.state for one in archive(engine).dead("adt/dpi")] == ["expired"]
    assert got("adt/sgl") == ["G1"]


FAILING = CHANNEL.replace("destinations:", "transform:\n  - codes: {field: PV1-3.1, table: uf}\ndestinations:")
TABLE = "source,target\n9999,8888\n"


async def test_a_message_that_cannot_pass_is_a_dead_letter_with_its_place(start: Start, tmp_path: Path) -> None:
    write(tmp_path, FAILING, mappings__uf_csv="")
    (tmp_path / "mappings" / "uf_csv").unlink()
    (tmp_path / "mappings" / "uf.csv").write_text(TABLE)
    engine = await start(FAILING)
    outcome = await give(adt())
    assert outcome.error is None  # `ack: received`: it was stored
    await settled(engine)
    dead = archive(engine).dead("adt/dpi")
    assert [(one.state, one.place, one.code) for one in dead] == [("failed", "PV1-3.1", "103")]
    assert got("adt/dpi") == []


async def test_with_ack_transformed_the_sender_gets_the_error_and_nothing_is_queued(
    start: Start, tmp_path: Path
) -> None:
    channel = FAILING.replace("source:", "ack: transformed\nsource:")
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "uf.csv").write_text(TABLE)
    engine = await start(channel)
    outcome = await give(adt())
    assert isinstance(outcome.error, MessageError)
    assert outcome.error.place == "PV1-3.1"
    row = archive(engine).row(outcome.id)
    assert row.state == "refused"
    assert row.waiting == ()
    good = adt(2).with_body(adt(2).body.replace(b"3120", b"9999"))
    assert (await give(good)).error is None
    await settled(engine)
    assert [b"8888" in message.body for message in ProbeDestination.running["adt/dpi"].received] == [True]
    assert b"8888" in archive(engine).content(2, "adt/dpi", "sent")


async def test_with_ack_delivered_the_answer_of_the_destination_is_the_answer(start: Start) -> None:
    await start(CHANNEL.replace("source:", "ack: {delivered: dpi}\nsource:"))
    outcome = await give(adt())
    assert (outcome.answer, outcome.error) == (b"answer", None)
    ProbeDestination.running["adt/dpi"].script.append(Refused("answered AE", b"MSA|AE"))
    refused = await give(adt(2))
    assert isinstance(refused.error, Refused)
    assert refused.answer == b"MSA|AE"
    again = await give(adt(2))
    assert again.duplicate
    assert again.answer == b"MSA|AE"


async def test_with_ack_delivered_a_late_destination_leaves_the_message_with_the_sender(start: Start) -> None:
    engine = await start(
        CHANNEL.replace("source:", "ack: {delivered: dpi, within: 50ms}\nsource:").replace(
            "    probe: {}", "    breaker: {failures: 1000}\n    probe: {}", 1
        )
    )
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.script.extend([Undelivered("no answer")] * 10_000)
    outcome = await give(adt())
    assert isinstance(outcome.error, QueueFull)
    await settled(engine)
    dpi.script.clear()
    assert (await give(adt())).answer == b"answer"  # a new try, not a duplicate
    assert got("adt/dpi") == ["G1"]


async def test_a_full_queue_refuses_and_the_sender_keeps_the_message(start: Start) -> None:
    engine = await start(CHANNEL.replace("    probe: {}", "    queue: {limit: 1}\n    probe: {}", 1))
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.open.clear()
    await give(adt(1))
    outcome = await give(adt(2))
    assert isinstance(outcome.error, QueueFull)
    dpi.open.set()
    await settled(engine)
    assert (await give(adt(2))).error is None
    await settled(engine)
    assert got("adt/dpi") == ["G1", "G2"]


async def test_a_full_queue_can_set_messages_aside_instead(start: Start) -> None:
    engine = await start(
        CHANNEL.replace("    probe: {}", "    queue: {limit: 1, when_full: dead_letter}\n    probe: {}", 1)
    )
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.open.clear()
    await give(adt(1))
    assert (await give(adt(2))).error is None
    dpi.open.set()
    await settled(engine)
    assert got("adt/dpi") == ["G1"]
    assert [(one.message, one.problem) for one in archive(engine).dead("adt/dpi")] == [(2, "the queue was full")]
    assert got("adt/sgl") == ["G1", "G2"]


async def test_what_waited_at_a_stop_is_delivered_after_the_start(start: Start) -> None:
    engine = await start()
    ProbeDestination.running["adt/dpi"].script.extend([Undelivered("down")] * 100_000)
    for number in range(1, 6):
        await give(adt(number))
    while engine.channels["adt"].routes["sgl"].lanes.waiting:
        await asyncio.sleep(0.005)
    await engine.stop()
    engine = await start()
    await settled(engine)
    assert got("adt/dpi") == ["G1", "G2", "G3", "G4", "G5"]
    assert got("adt/sgl") == []


async def test_a_merge_keeps_order_with_both_patients(start: Start) -> None:
    engine = await start()
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.script.append(Undelivered("not now"))  # the first message of patient 7 has to wait
    await give(adt(1, patient="7"))
    await give(adt(2, patient="8"))
    await give(adt(3, event="A40", patient="8", more="MRG|7^^^CH^PI\r"))
    await give(adt(4, patient="8"))
    await settled(engine)
    order = got("adt/dpi")
    assert order.index("G3") > order.index("G1")
    assert order.index("G3") > order.index("G2")
    assert order.index("G4") > order.index("G3")


async def test_a_replay_is_a_new_message_that_names_its_parent(start: Start) -> None:
    engine = await start()
    await give(adt())
    await settled(engine)
    number = await engine.channels["adt"].replay(1, ("sgl",))
    await settled(engine)
    assert got("adt/sgl") == ["G1", "G1"]
    assert got("adt/dpi") == ["G1"]
    row = archive(engine).row(number)
    assert row.parents == (1,)
    assert ProbeDestination.running["adt/sgl"].received[1].attributes["replay_of"] == "1"


async def test_an_unwritable_journal_refuses_and_pauses_the_sources(start: Start) -> None:
    engine = await start()
    source = intake()
    engine.journal._files.active.db.execute("PRAGMA max_page_count=1")
    outcomes = [await give(adt(number, more="ZZZ|" + "x" * 500_000 + "\r")) for number in (1, 2)]
    assert all(isinstance(outcome.error, StoreError) for outcome in outcomes)
    assert not engine.ready
    await asyncio.sleep(0)
    assert source.pauses == ["pause"]
    engine.journal._files.active.db.execute("PRAGMA max_page_count=1000000")
    while not engine.ready:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0)
    assert source.pauses == ["pause", "resume"]
    assert (await give(adt(1))).error is None  # the resend is a first time
    await settled(engine)
    assert got("adt/dpi") == ["G1"]


async def test_a_reload_restarts_changed_channels_only_and_loses_nothing(start: Start, tmp_path: Path) -> None:
    write(tmp_path, CHANNEL.replace("channel: adt", "channel: other"), "other")
    engine = await start()
    unchanged = intake("other")
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.script.extend([Undelivered("down")] * 100_000)
    await give(adt())
    (tmp_path / "channels" / "adt.yaml").write_text(
        CHANNEL.replace("filter: {message: ADT^A01}", "filter: {message: ADT^A99}")
    )
    words = await engine.reload("anne", "sgl wants less")
    assert any("sgl" in line for line in words)
    assert ProbeSource.running["other"] is unchanged
    assert ProbeDestination.running["adt/dpi"] is not dpi
    assert dpi.closed
    await settled(engine)
    assert got("adt/dpi") == ["G1"]
    assert await engine.reload() == []
    _, _, who, why, _ = engine.journal.catalog.configurations()[0]
    assert (who, why) == ("anne", "sgl wants less")


async def test_a_faulty_reload_leaves_everything_running(start: Start, tmp_path: Path) -> None:
    engine = await start()
    before = intake()
    (tmp_path / "channels" / "adt.yaml").write_text("channel: adt\n")
    with pytest.raises(Exception, match=r"adt\.yaml"):
        await engine.reload()
    assert intake() is before
    assert (await give(adt())).error is None


async def test_a_channel_that_disappears_is_stopped_and_one_that_appears_is_started(
    start: Start, tmp_path: Path
) -> None:
    write(tmp_path, CHANNEL.replace("channel: adt", "channel: other"), "other")
    engine = await start()
    (tmp_path / "channels" / "other.yaml").rename(tmp_path / "channels" / "third.yaml")
    (tmp_path / "channels" / "third.yaml").write_text(CHANNEL.replace("channel: adt", "channel: third"))
    await engine.reload()
    assert set(ProbeSource.running) == {"adt", "third"}
    assert set(engine.channels) == {"adt", "third"}


async def test_a_body_that_the_disk_spoilt_is_a_dead_letter_and_its_lane_goes_on(start: Start) -> None:
    engine = await start(CHANNEL.replace("    probe: {}", "    queue: {memory: 0}\n    probe: {}"))
    dpi = ProbeDestination.running["adt/dpi"]
    dpi.open.clear()
    await give(adt(1))
    await give(adt(2, more="ZZZ|" + "x" * 1_200_000 + "\r"))
    await give(adt(3))
    (engine.journal.directory / "segment-000001.bodies" / "2").write_bytes(b"spoilt")
    dpi.open.set()
    await settled(engine)
    assert got("adt/dpi") == ["G1", "G3"]
    assert [(one.message, one.state) for one in archive(engine).dead("adt/dpi")] == [(2, "failed")]


async def test_retention_removes_nothing_after_the_clock_was_set(start: Start, tmp_path: Path) -> None:
    write(tmp_path)
    site = (tmp_path / "site.yaml").read_text() + "journal: {segment_size: 1B, retention: 0}\n"
    write(tmp_path)
    (tmp_path / "site.yaml").write_text(site)
    engine = Supervisor(load_site(tmp_path))
    await engine.start()
    for number in range(1, 4):
        await give(adt(number))
    await settled(engine)
    assert await engine.keep_house() == 0  # drained now
    assert await engine.keep_house(clock_moved=86_400.0) == 0
    assert await engine.keep_house(clock_moved=1.0) == 2
    await engine.stop()
