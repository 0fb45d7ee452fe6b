"""Whole channels over real sockets, and the hospital around them: one story a test."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from channels.journal.search import Criteria
from tests.scenarios.conftest import Hospital
from transforms.ack import read_ack
from vaguemestre.simulators.systems import Receiver, Sender
from vaguemestre.simulators.traffic import Sent
from vaguemestre.simulators.wire import Client


async def send(sender: Sender, messages: list[Sent]) -> None:
    for message in messages:
        assert await sender.send(message)


def whole(receiver: Receiver, messages: list[Sent]) -> None:
    """Everything arrived once, in the order of each patient."""
    tally = receiver.tally
    assert tally.missing(message.control_id for message in messages) == []
    assert (tally.messages, tally.duplicates, tally.out_of_order) == (len(messages), 0, 0)


def retry_after(milliseconds: int) -> Callable[[str], str]:
    return lambda text: text.replace("first: 10ms", f"first: {milliseconds}ms")


async def test_what_the_gap_sends_reaches_both_systems_in_order(hospital: Hospital) -> None:
    await hospital.open()
    messages = [hospital.traffic.adt() for _ in range(200)]
    await send(hospital.gap(), messages)
    await hospital.drained()
    whole(hospital.dpi, messages)
    whole(hospital.sgl, messages)


async def test_a_message_the_sgl_refuses_does_not_hold_up_the_dpi(hospital: Hospital) -> None:
    await hospital.open()
    hospital.sgl.behave(answers=["AE", "AA", "AA"])
    messages = [hospital.traffic.adt() for _ in range(3)]
    await send(hospital.gap(), messages)
    await hospital.drained()
    whole(hospital.dpi, messages)
    dead = hospital.archive().dead("adt-fanout/sgl")
    assert [(one.state, one.message) for one in dead] == [("refused", 1)]
    assert b"MSA|AE" in hospital.archive().content(1, "adt-fanout/sgl", "answer")


async def test_a_system_that_is_not_ready_gets_the_same_message_again(hospital: Hospital) -> None:
    await hospital.open()
    hospital.sgl.behave(answers=["AR", "AR", "AA"])
    message = hospital.traffic.adt()
    await send(hospital.gap(), [message])
    await hospital.drained()
    row = hospital.archive().row(1)
    assert {one.route: (one.state, one.attempts) for one in row.deliveries} == {
        "adt-fanout/dpi": ("delivered", 1),
        "adt-fanout/sgl": ("delivered", 3),
    }


async def test_a_slow_destination_slows_neither_the_source_nor_the_other(hospital: Hospital) -> None:
    await hospital.open()
    hospital.sgl.behave(delay=0.05)
    messages = [hospital.traffic.adt() for _ in range(60)]
    gap = hospital.gap()
    await send(gap, messages)
    assert hospital.sgl.tally.messages < len(messages)  # all are acknowledged, the SGL is still busy
    while hospital.dpi.tally.messages < len(messages):
        await asyncio.sleep(0.005)
    await hospital.drained()
    whole(hospital.sgl, messages)
    whole(hospital.dpi, messages)


async def test_a_system_that_cuts_the_line_gets_everything_in_the_end(hospital: Hospital) -> None:
    await hospital.open()
    hospital.dpi.behave(cut_every=7)
    messages = [hospital.traffic.adt() for _ in range(60)]
    await send(hospital.gap(), messages)
    await hospital.drained()
    assert hospital.dpi.tally.missing(one.control_id for one in messages) == []
    assert hospital.dpi.tally.out_of_order == 0
    whole(hospital.sgl, messages)


async def test_a_destination_that_is_down_is_caught_up_when_it_is_back(hospital: Hospital) -> None:
    await hospital.open()
    port = hospital.sgl.port
    await hospital.sgl.stop()
    messages = [hospital.traffic.adt() for _ in range(80)]
    await send(hospital.gap(), messages)
    assert hospital.engine is not None
    route = hospital.engine.channels["adt-fanout"].routes["sgl"]
    while not route.lanes.state()["circuit_open"]:
        await asyncio.sleep(0.01)
    hospital.sgl = Receiver("sgl", port=port)
    await hospital.sgl.start()
    await hospital.drained()
    whole(hospital.sgl, messages)
    whole(hospital.dpi, messages)


async def test_resends_are_answered_and_not_delivered_again(hospital: Hospital) -> None:
    await hospital.open()
    message = hospital.traffic.adt()
    gap = hospital.gap()
    await send(gap, [message, message, message])
    await hospital.drained()
    whole(hospital.dpi, [message])
    assert len(hospital.archive().find(Criteria())) == 1


async def test_a_restart_delivers_what_waited(hospital: Hospital) -> None:
    engine = await hospital.open()
    port = hospital.sgl.port
    await hospital.sgl.stop()
    messages = [hospital.traffic.adt() for _ in range(30)]
    await send(hospital.gap(), messages)
    await engine.stop()
    hospital.sgl = Receiver("sgl", port=port)
    await hospital.sgl.start()
    await hospital.open()
    await hospital.drained()
    whole(hospital.sgl, messages)


async def test_a_reload_under_load_loses_and_doubles_nothing(hospital: Hospital) -> None:
    engine = await hospital.open()
    done = asyncio.Event()
    sent: list[Sent] = []

    async def load() -> None:
        gap = hospital.gap()
        while not done.is_set():
            message = hospital.traffic.adt()
            assert await gap.send(message)  # a sender sends again until it is answered
            sent.append(message)

    task = asyncio.create_task(load())
    for wait in (15, 40, 5):
        await asyncio.sleep(0.05)
        hospital.write(retry_after(wait))
        assert await engine.reload() != []
    await asyncio.sleep(0.05)
    done.set()
    await task
    await hospital.drained()
    assert len(sent) > 10
    whole(hospital.dpi, sent)
    whole(hospital.sgl, sent)


async def test_a_reload_keeps_the_connections_of_other_channels(hospital: Hospital) -> None:
    engine = await hospital.open()
    gap = hospital.gap()
    first = hospital.traffic.adt()
    await send(gap, [first])
    other = hospital.site / "channels" / "other.yaml"
    text = (hospital.site / "channels" / "adt-fanout.yaml").read_text()
    spare = Receiver("spare")
    await spare.start()
    other.write_text(
        text.replace("channel: adt-fanout", "channel: other").replace(f":{hospital.listen}", f":{spare.port + 1}")
    )
    runtime = engine.channels["adt-fanout"]
    await engine.reload()
    assert engine.channels["adt-fanout"] is runtime
    second = hospital.traffic.adt()
    await send(gap, [second])
    await hospital.drained()
    whole(hospital.dpi, [first, second])
    await spare.stop()


async def test_a_channel_whose_port_is_taken_is_broken_alone_until_a_reload_finds_it_free(hospital: Hospital) -> None:
    engine = await hospital.open()
    text = (hospital.site / "channels" / "adt-fanout.yaml").read_text()
    taken = Receiver("taken")
    await taken.start()
    other = text.replace("channel: adt-fanout", "channel: other").replace(f":{hospital.listen}", f":{taken.port}")
    (hospital.site / "channels" / "other.yaml").write_text(other)
    await engine.reload()
    assert set(engine.broken) == {"other"}
    assert not engine.ready
    message = hospital.traffic.adt()
    await send(hospital.gap(), [message])
    await hospital.drained()
    whole(hospital.dpi, [message])
    await taken.stop()
    assert await engine.reload() == ["other: started again"]
    assert engine.ready
    assert set(engine.channels) == {"adt-fanout", "other"}


async def test_a_clock_that_jumps_changes_neither_order_nor_retries(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hospital.open(lambda text: text.replace("most: 50ms", "most: 50ms, give_up: 1h"))
    hospital.sgl.behave(answers=["AR", "AR", "AR"])
    gap = hospital.gap()
    messages = [hospital.traffic.adt() for _ in range(20)]
    await send(gap, messages[:5])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)  # winter time, a wrong NTP server…
    await send(gap, messages[5:10])
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    await send(gap, messages[10:])
    await hospital.drained()
    whole(hospital.dpi, messages)
    assert hospital.sgl.tally.missing(one.control_id for one in messages) == []
    assert hospital.sgl.tally.out_of_order == 0


async def test_strict_order_keeps_the_order_of_arrival(hospital: Hospital) -> None:
    await hospital.open(lambda text: text.replace("  - name: dpi\n", "  - name: dpi\n    order: strict\n"))
    received: list[str] = []
    hospital.dpi.tally.add = lambda kind, control_id: received.append(control_id)  # type: ignore[method-assign]  # listens in
    messages = [hospital.traffic.adt() for _ in range(100)]
    await send(hospital.gap(), messages)
    await hospital.drained()
    assert received == [message.control_id for message in messages]


async def test_the_examples_of_the_ans_pass_through_unaltered(hospital: Hospital, shared: Path, tmp_path: Path) -> None:
    def to_files(text: str) -> str:
        head = text[: text.index("destinations:")]
        return head + f"destinations:\n  - name: files\n    file: {{directory: '{tmp_path}', name: '{{id}}.hl7'}}\n"

    await hospital.open(to_files)
    bodies = [file.read_bytes() for file in sorted((shared / "ans" / "hl7v2-examples").rglob("*")) if file.is_file()]
    bodies = [body for body in bodies if body.lstrip(b"\xef\xbb\xbf").startswith(b"MSH")]
    assert len(bodies) >= 30
    client = Client("127.0.0.1", hospital.listen)
    for body in bodies:
        assert read_ack(await client.exchange(body)).accepted
    client.close()
    await hospital.drained()
    arrived = {file.read_bytes() for file in tmp_path.glob("*.hl7")}
    assert arrived == set(bodies)
