"""The invented hospital: traffic is plausible, reproducible and countable; systems notice what goes wrong."""

import asyncio
import base64
from collections import defaultdict

import pytest

from channels.ports import Context
from channels.testing import NOON
from transforms import er7
from transforms.ins import ins_key_is_right
from vaguemestre.simulators.people import ins_key
from vaguemestre.simulators.systems import Receiver, Sender, Tally, pace
from vaguemestre.simulators.traffic import Number, Sent, Traffic, tell
from vaguemestre.simulators.wire import END, START, Client, Frames, Listener


def parsed(one: Sent) -> er7.Er7:
    return er7.parse(one.body)


def test_the_same_seed_gives_the_same_traffic() -> None:
    first, second, other = Traffic(5), Traffic(5), Traffic(6)
    for _ in range(5):
        assert first.adt() == second.adt()
        assert first.oru() == second.oru()
        assert first.dft() == second.dft()
    assert Traffic(5).adt().body != other.adt().body


def test_a_control_id_counts_the_messages_of_each_patient() -> None:
    traffic = Traffic(2, run="k7ab")
    latest: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for number in range(600):
        one = traffic.oru() if number % 3 == 0 else traffic.dft() if number % 7 == 0 else traffic.adt()
        told = tell(one.control_id)
        assert told is not None
        assert told.run == "k7ab"
        latest[told[:3]] += 1
        assert told.sequence == one.sequence == latest[told[:3]]
        assert told.patient == one.patient
        assert parsed(one).get("MSH-10") == one.control_id
        assert len(one.control_id) == 20


def test_a_control_id_of_another_is_not_ours() -> None:
    assert tell("GAP000101") is None
    assert tell("SGL.000007.00012") == Number("SGL", "", 7, 12)


def test_the_gap_tells_every_kind_of_event() -> None:
    traffic = Traffic(1)
    kinds = {traffic.adt().kind for _ in range(3000)}
    events = "A28 A31 A40 A01 A02 A03 A04 A06 A11 A12 A13 Z99"
    assert kinds == {f"ADT^{event}" for event in events.split()}


def test_each_movement_has_what_the_french_profile_requires() -> None:
    traffic = Traffic(4)
    for _ in range(1500):
        message = parsed(traffic.adt())
        event = message.header.kind.partition("^")[2]
        if event in ("A28", "A31", "A40"):
            assert message.get("PV1-2") == "N"
            assert message.first("ZBE") is None
            continue
        assert message.get("PV1-19.1").startswith("V")
        assert message.get("PID-18.1").startswith("A")
        assert message.get("PV1-3.1")
        cancels = event in ("A11", "A12", "A13")
        assert message.get("ZBE-4") == ("CANCEL" if cancels else "UPDATE" if event == "Z99" else "INSERT")
        assert bool(message.get("ZBE-6")) == (cancels or event == "Z99")
        assert message.get("PV1-44").startswith("2026")
        assert message.get("PV1-41") == ("D" if event == "A03" else "")


def test_a_cancelled_transfer_names_the_unit_to_return_to() -> None:
    traffic = Traffic(8)
    units: dict[int, list[str]] = {}
    seen = 0
    for _ in range(4000):
        one = traffic.adt()
        message = parsed(one)
        if one.kind == "ADT^A12":
            seen += 1
            assert message.get("PV1-3.1") == units[one.patient][-2]
        units.setdefault(one.patient, []).append(message.get("PV1-3.1"))
    assert seen


def test_every_ins_is_a_test_number_with_a_right_key_corsica_included() -> None:
    traffic, places = Traffic(3), set()
    for _ in range(1500):
        message = parsed(traffic.adt())
        for index, kind in enumerate(message.values("PID-3.5"), 1):
            if kind == "INS":
                number = message.get(f"PID-3[{index}].1")
                assert message.get(f"PID-3[{index}].4.2") == "1.2.250.1.213.1.4.10"
                assert ins_key_is_right(number)
                places.add(number[5:7])
    assert {"2A", "2B", "75"} <= places


def test_some_ins_come_with_an_identity_that_is_not_validated() -> None:
    traffic = Traffic(3)
    statuses = [
        (message.get("PID-32"), "INS" in message.values("PID-3.5"))
        for message in (parsed(traffic.adt()) for _ in range(600))
    ]
    assert {("VALI", True), ("VALI", False), ("PROV", False), ("PROV", True)} <= set(statuses)


@pytest.mark.parametrize("number, key", [("2900675056002", "27"), ("182012A004001", None), ("182012B033001", None)])
def test_the_key_of_an_ins(number: str, key: str | None) -> None:
    assert len(ins_key(number)) == 2
    assert key in (None, ins_key(number))


@pytest.mark.parametrize("charset, declared", [("utf-8", "UNICODE UTF-8"), ("iso8859-15", "8859/15")])
def test_accents_are_in_the_charset_that_is_declared(charset: str, declared: str) -> None:
    traffic = Traffic(1, charset=charset)
    bodies = [traffic.adt().body for _ in range(300)]
    message = er7.parse(bodies[0])
    assert message.get("MSH-18") == declared
    text = "".join(body.decode(charset) for body in bodies)
    assert "é" in text
    assert "Cœur" in text


def test_sizes_are_those_of_a_hospital() -> None:
    traffic = Traffic(1)
    adt = [len(traffic.adt().body) for _ in range(500)]
    assert 700 < sum(adt) / len(adt) < 1100
    assert 3000 < len(traffic.oru().body) < 4500
    assert abs(len(traffic.oru(300_000).body) - 300_000) < 6_000


def test_the_pdf_of_a_report_is_a_pdf() -> None:
    message = parsed(Traffic(1).oru(20_000))
    data = message.get("OBX[PDF]-5.5")
    document = base64.b64decode(data, validate=True)
    assert document.startswith(b"%PDF-1.4")
    assert document.endswith(b"%%EOF\n")


def test_reports_become_a_cr_bio(example_context: Context) -> None:
    from transforms.cda import cr_bio

    traffic = Traffic(9)
    for _ in range(200):
        traffic.admit()
    for _ in range(10):
        made = cr_bio(er7.message(traffic.oru(5_000).body, NOON.timestamp()), example_context)
        assert made.format == "cda"
        assert made.body.count(b"<observation ") > 19


# the wire


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_frame_is_found_however_it_is_cut(size: int) -> None:
    wire = b"noise" + START + b"one" + END + b"\r\n" + START + b"two" + END
    frames = Frames()
    chunks = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert [frame for chunk in chunks for frame in frames.feed(chunk)] == [b"one", b"two"]


async def test_a_listener_that_says_nothing_closes() -> None:
    async def nothing(body: bytes) -> None:
        return None

    listener = Listener(nothing)
    await listener.start()
    client = Client("127.0.0.1", listener.port)
    with pytest.raises(ConnectionResetError):
        await client.exchange(b"MSH|")
    await listener.stop()
    await listener.stop()


# the systems


def test_a_tally_sees_what_is_lost_doubled_and_out_of_order() -> None:
    tally = Tally()
    for sequence in (1, 2, 4, 3, 4):
        tally.add("ADT^A02", f"GAP.000001.{sequence:05}")
    tally.add("ADT^A01", "FOREIGN")
    assert (tally.messages, tally.distinct, tally.duplicates, tally.out_of_order) == (6, 5, 1, 1)
    assert tally.missing(["GAP.000001.00001", "GAP.000001.00005"]) == ["GAP.000001.00005"]
    assert tally.kinds == {"ADT^A02": 5, "ADT^A01": 1}


async def test_a_sender_sends_again_after_ar_and_after_a_cut_line_and_keeps_order() -> None:
    receiver = Receiver("dpi")
    await receiver.start()
    receiver.behave(answers=["AR", "AA", "AR", "AR"], cut_every=5)
    sender, traffic = Sender("gap", "127.0.0.1", receiver.port), Traffic(1)
    seen: list[str] = []
    receiver.on_message = lambda header, body: seen.append(header.control_id)
    sent = [traffic.adt() for _ in range(10)]
    for one in sent:
        assert await sender.send(one)
    await sender.aclose()
    await receiver.stop()
    assert seen == sender.acknowledged == [one.control_id for one in sent]
    assert sender.resent >= 4
    assert (receiver.tally.duplicates, receiver.tally.out_of_order) == (0, 0)


async def test_a_message_answered_ae_is_set_aside() -> None:
    receiver = Receiver("dpi")
    await receiver.start()
    receiver.behave(answers=["AE"], delay=0.01)
    sender, traffic = Sender("gap", "127.0.0.1", receiver.port), Traffic(1)
    assert not await sender.send(traffic.adt())
    assert await sender.send(traffic.adt())
    await sender.aclose()
    await receiver.stop()
    assert (len(sender.refused), len(sender.acknowledged), receiver.tally.messages) == (1, 1, 1)


async def test_a_system_sends_at_its_pace_until_it_is_told_to_stop() -> None:
    receiver = Receiver("dpi")
    await receiver.start()
    sender, traffic, until = Sender("gap", "127.0.0.1", receiver.port), Traffic(1), asyncio.Event()
    task = asyncio.create_task(pace(sender, traffic.adt, rate=500, until=until))
    while receiver.tally.messages < 5:
        await asyncio.sleep(0.001)
    until.set()
    await task
    await sender.aclose()
    await receiver.stop()
    assert receiver.tally.missing(sender.acknowledged) == []
