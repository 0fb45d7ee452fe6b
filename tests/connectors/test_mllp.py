"""The MLLP listener: what senders get, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.errors import ConfigError, MessageError, StoreError
from channels.fields import TlsClient
from channels.ports import Outcome
from connectors.mllp import MllpSource, MllpSourceSettings
from connectors.mllp.frames import framed
from connectors.tls import client_context
from tests.connectors import certificates
from tests.connectors.conformance import SECRET, hl7
from tests.connectors.intake import ListIntake, eventually, surroundings
from tests.connectors.mllp_peers import Sender
from transforms import er7
from transforms.ack import read_ack

Start = Callable[..., Awaitable[MllpSource]]


@pytest.fixture
def intake() -> ListIntake:
    return ListIntake()


@pytest.fixture
async def start(tmp_path: Path, intake: ListIntake) -> AsyncIterator[Start]:
    """Start a source with these options; it is stopped at the end."""
    made: list[MllpSource] = []

    async def _start(**options: Any) -> MllpSource:
        model = MllpSourceSettings.model_validate({"listen": "127.0.0.1:0", **options})
        source = MllpSource(model, surroundings(tmp_path))
        made.append(source)
        await source.start(intake)
        return source

    yield _start
    for source in made:
        await source.stop()


async def test_pipelined_messages_are_answered_in_their_order(start: Start, intake: ListIntake) -> None:
    source = await start()
    intake.held = True
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(b"".join(framed(hl7(number)) for number in range(20)))
        await intake.until(lambda: len(intake.waiting) == 20)
        for message, answer in reversed(intake.waiting):
            answer(Outcome(int(message.control_id) + 1, received=message.received))
        assert await sender.codes(20) == [("AA", str(number)) for number in range(20)]


async def test_the_answer_names_sender_and_receiver_swapped_and_has_the_journal_s_number(start: Start) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(5)))
        parsed = er7.parse(await sender.answer())
        assert [parsed.get(f"MSH-{number}") for number in (3, 4, 5, 6)] == ["SGL", "CHU", "GAP", "CHU"]
        assert (parsed.get("MSH-10"), parsed.get("MSA-2")) == ("VM1", "5")


async def test_a_refusal_says_where_and_never_what(start: Start, intake: ListIntake) -> None:
    intake.refuse_with = lambda message: MessageError("not taken", "PID-5.1", "103")
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(5)))
        answer = await sender.answer()
    assert b"\rMSA|AE|5\r" in answer
    assert b"|PID^1^5^1^1|103^" in answer
    assert SECRET.encode() not in answer


async def test_a_journal_that_cannot_be_written_is_answered_ar(start: Start, intake: ListIntake) -> None:
    intake.outcome = Outcome(0, StoreError("no space left"))
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(5)))
        answer = await sender.answer()
    assert b"\rMSA|AR|5\r" in answer
    assert "à renvoyer plus tard".encode("iso8859-1") in answer
    assert not er7.parse(answer).get("MSH-7").startswith("1970")


def asking(accept: str, application: str) -> bytes:
    return hl7(5).replace(b"|P|2.5|||||", f"|P|2.5|||{accept}|{application}|".encode())


@pytest.mark.parametrize(
    "options, accept, application, codes",
    [
        ({}, "AL", "NE", ["CA"]),
        ({}, "AL", "AL", ["CA"]),
        ({"application_answer": True}, "AL", "AL", ["CA", "AA"]),
        ({"application_answer": True}, "", "", ["AA"]),
        ({}, "NE", "AL", ["AA"]),
        ({"answer": "original"}, "AL", "AL", ["AA"]),
        ({"answer": "enhanced"}, "", "", ["CA"]),
    ],
)
async def test_each_mode_has_its_answers(
    start: Start, options: dict[str, Any], accept: str, application: str, codes: list[str]
) -> None:
    source = await start(**options)
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(asking(accept, application)))
        assert [code for code, _ in await sender.codes(len(codes))] == codes


async def test_one_who_wants_no_answer_gets_none_and_the_next_message_has_its_own(
    start: Start, intake: ListIntake
) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(asking("NE", "NE")) + framed(hl7(6)))
        assert await sender.codes(1) == [("AA", "6")]
    assert len(intake.messages) == 2


async def test_delimiters_that_cannot_be_read_are_answered_and_kept(start: Start, intake: ListIntake) -> None:
    source = await start()
    body = hl7(5).replace(b"MSH|^~\\&|", b"MSH|^^\\&|")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(body))
        answer = await sender.answer()
    assert b"\rMSA|AE|5\r" in answer
    assert b"MSH^1^2|199^" in answer
    assert intake.refused[0][0].body == body


async def test_what_has_no_header_is_kept_and_not_answered(start: Start, intake: ListIntake) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(b"hello") + framed(hl7(6)))
        assert await sender.codes(1) == [("AA", "6")]
    assert intake.refused[0][0].body == b"hello"


@pytest.mark.parametrize(
    "options, body, code, place",
    [
        ({"messages": ["ORU", "ADT^A02"]}, hl7(1), "AR", b"MSH^1^9^1^2|201"),
        ({"messages": "ORU"}, hl7(1), "AR", b"MSH^1^9^1^1|200"),
        ({"versions": "2.6"}, hl7(1), "AR", b"MSH^1^12|203"),
        ({"versions": "2.6", "unsupported": "AE"}, hl7(1), "AE", b"MSH^1^12|203"),
        ({"processing": "P"}, hl7(1).replace(b"|P|2.5", b"|T|2.5"), "AR", b"MSH^1^11|202"),
        ({}, hl7(1).replace(b"|P|2.5", b"|X|2.5"), "AR", b"MSH^1^11|202"),
        ({"senders": "GAP|AUTRE"}, hl7(1), "AE", b"MSH^1^3|207"),
        ({"empty_control_id": "refuse"}, hl7(1).replace(b"|1|P|", b"||P|"), "AE", b"MSH^1^10|101"),
        ({"levels": {"message_time": "reject"}}, hl7(1).replace(b"|20261125080000|", b"||"), "AE", b"MSH^1^7|102"),
        (
            {"inspect": "full", "levels": {"sex": "reject"}},
            hl7(1).replace(b"^^^^^L\r", b"^^^^^L|||Z\r"),
            "AE",
            b"PID^1^8|103",
        ),
        (
            {"sender_levels": {"GAP|CHU": {"message_time": "reject"}}},
            hl7(1).replace(b"|20261125080000|", b"||"),
            "AE",
            b"MSH^1^7|102",
        ),
    ],
)
async def test_what_is_not_taken_here_is_refused_with_its_place(
    start: Start, intake: ListIntake, options: dict[str, Any], body: bytes, code: str, place: bytes
) -> None:
    source = await start(**options)
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(body) + framed(hl7(2)))
        answer = await sender.answer()
    assert read_ack(answer).code == code
    assert place in answer
    assert intake.refused[0][0].body == body


async def test_warnings_are_in_the_message_s_story_and_in_the_answer_when_asked(
    start: Start, intake: ListIntake
) -> None:
    source = await start(warnings=True)
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1).replace(b"|20261125080000|", b"||")))
        answer = await sender.answer()
    assert b"\rMSA|AA|1\rERR||MSH^1^7|102^Data type error^HL70357|W|" in answer
    assert intake.messages[0].attributes["findings"].startswith("MSH-7: ")
    assert intake.messages[0].attributes["peer"].startswith("127.0.0.1:")


# batches

FHS = b"FHS|^~\\&|GAP|CHU|PFI|CHU\rBHS|^~\\&|GAP|CHU|PFI|CHU|||||LOT7\r"


@pytest.mark.parametrize("policy, codes", [("all", ["AA", "AE", "AA"]), ("errors", ["AE"])])
async def test_a_batch_is_answered_by_a_batch(start: Start, intake: ListIntake, policy: str, codes: list[str]) -> None:
    source = await start(batch_answer=policy)
    intake.refuse_with = lambda message: MessageError("no", "PID-3") if message.control_id == "2" else None
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(FHS + hl7(1) + hl7(2) + hl7(3) + b"BTS|3\rFTS|1\r") + framed(hl7(4)))
        parsed = er7.parse(await sender.answer())
        assert parsed.segments[0].id == "FHS"
        assert [segment.get("1") for segment in parsed.all("MSA")] == codes
        assert parsed.get("BHS-12") == "LOT7"
        assert (parsed.get("BHS-3"), parsed.get("BHS-5")) == ("PFI", "GAP")
        assert parsed.get("BTS-1") == str(len(codes))
        assert await sender.codes(1) == [("AA", "4")]
    assert intake.bodies == [hl7(1), hl7(3), hl7(4)]


async def test_a_batch_may_get_no_answer(start: Start) -> None:
    source = await start(batch_answer="none")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(FHS + hl7(1) + b"BTS|1\rFTS|1\r") + framed(hl7(4)))
        assert await sender.codes(1) == [("AA", "4")]


async def test_an_empty_or_unreadable_envelope_is_answered_all_the_same(start: Start, intake: ListIntake) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(FHS + b"BTS|0\rFTS|1\r"))
        assert b"\rBTS|0\r" in await sender.answer()
        await sender.write(framed(FHS.replace(b"|^~\\&|", b"|^^\\&|") + hl7(1) + b"BTS|1\r"))
        assert await sender.codes(1) == [("AA", "1")]
    assert intake.bodies == [hl7(1)]


async def test_several_messages_without_an_envelope_are_answered_one_after_the_other(
    start: Start, intake: ListIntake
) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1) + hl7(2)))
        parsed = er7.parse(await sender.answer())
        assert [segment.get("2") for segment in parsed.all("MSA")] == ["1", "2"]
    assert intake.bodies == [hl7(1), hl7(2)]


# bad frames and bad senders


async def test_a_frame_that_is_cut_gets_no_answer(start: Start, intake: ListIntake) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(b"\x0b" + hl7(1)[:60] + framed(hl7(2)))
        assert await sender.codes(1) == [("AA", "2")]
        await sender.write(b"\x0b" + hl7(3)[:60])
    await intake.until(lambda: len(intake.refused) == 2)
    assert [message.body for message, _ in intake.refused] == [hl7(1)[:60], hl7(3)[:60]]
    assert [message.control_id for message, _ in intake.refused] == ["", ""], "whole, it will be another message"
    assert intake.bodies == [hl7(2)]
    assert source.kept == 0


async def test_a_message_too_large_is_answered_and_its_connection_closed(start: Start, intake: ListIntake) -> None:
    source = await start(max_size="100kB")
    async with await Sender.connect(source.address.port) as sender:
        writing = asyncio.create_task(sender.write(framed(hl7(1, b"NTE|" + b"x" * 3_000_000) + b"\r") + framed(hl7(2))))
        answer = await sender.answer()
        assert b"\rMSA|AE|1\r" in answer
        assert b"207^" in answer
        await writing
        assert await sender.ended()
    assert intake.refused[0][0].body == hl7(1)
    assert intake.messages == []
    assert source.kept == 0


async def test_frames_of_sixty_megabytes_are_refused_with_little_memory(start: Start, intake: ListIntake) -> None:
    source = await start(memory="80MB")
    chunk = b"x" * 1_000_000
    most = 0

    async def send() -> None:
        nonlocal most
        async with await Sender.connect(source.address.port) as sender:
            await sender.write(b"\x0b" + hl7(1) + b"OBX|")
            with contextlib.suppress(OSError):
                for _ in range(60):
                    await sender.write(chunk)
                    most = max(most, source.kept)
            with contextlib.suppress(EOFError, OSError):
                assert b"\rMSA|AE|1\r" in await sender.answer()

    await asyncio.gather(*(send() for _ in range(3)))
    assert most <= 80_000_000
    assert intake.messages == []
    assert source.kept == 0
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(2)))
        assert await sender.codes(1) == [("AA", "2")]


async def test_one_who_stops_inside_a_frame_is_closed(start: Start, intake: ListIntake) -> None:
    source = await start(frame_timeout="100ms")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(b"\x0bMSH|^~\\&|")
        assert await sender.ended()
    assert len(intake.refused) == 1


async def test_one_who_sends_a_byte_now_and_then_is_closed_in_the_end(start: Start) -> None:
    source = await start(frame_timeout="100ms")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(b"\x0bMSH|^~\\&|")
        with contextlib.suppress(ConnectionError):
            while not sender.reader.at_eof() and source.receivers:
                await sender.write(b"x")
                await asyncio.sleep(0.02)
    assert not source.receivers


async def test_an_idle_connection_is_closed_only_when_the_site_says_so(start: Start) -> None:
    source = await start(idle="100ms")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1)))
        assert await sender.codes(1) == [("AA", "1")]
        assert await sender.ended()


async def test_a_half_closed_connection_still_gets_its_answers(start: Start, intake: ListIntake) -> None:
    source = await start(pipeline=1)
    intake.held = True
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1)) + framed(hl7(2)))
        sender.writer.write_eof()
        await intake.until(lambda: len(intake.waiting) == 1)
        intake.release()
        assert await sender.codes(2) == [("AA", "1"), ("AA", "2")]
        assert await sender.ended()


async def test_a_reset_in_the_middle_of_a_frame_harms_no_other(start: Start, intake: ListIntake) -> None:
    source = await start()
    async with await Sender.connect(source.address.port) as other:
        sender = await Sender.connect(source.address.port)
        intake.held = True
        await sender.write(framed(hl7(1)) + b"\x0b" + hl7(2)[:50])
        await intake.until(lambda: len(intake.waiting) == 1)
        connection = sender.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.writer.transport.abort()
        await eventually(lambda: len(source.receivers) == 1)
        intake.release()
        await other.write(framed(hl7(3)))
        assert await other.codes(1) == [("AA", "3")]
    assert intake.bodies == [hl7(1), hl7(3)]


async def test_one_who_reads_no_answers_is_not_read_from(start: Start, intake: ListIntake) -> None:
    source = await start()
    sender = await Sender.connect(source.address.port)
    sender.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    sender.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as one who is busy elsewhere
    frame = framed(hl7(1))
    writing = asyncio.create_task(sender.write(frame * 60_000))
    await eventually(lambda: any(receiver._slow for receiver in source.receivers))
    seen = len(intake.seen)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert len(intake.seen) - seen <= source.options.pipeline
    sender.reader._transport.resume_reading()  # type: ignore[attr-defined]  # and now has time
    for _ in range(60_000):
        await sender.answer()
    await writing
    await sender.close()


async def test_what_waits_unanswered_is_bounded_over_all_connections(start: Start, intake: ListIntake) -> None:
    source = await start(unanswered="30kB")
    intake.held = True
    body = hl7(1, b"NTE|1||" + b"x" * 10_000 + b"\r")
    senders = [await Sender.connect(source.address.port) for _ in range(4)]
    for sender in senders:
        await sender.write(framed(body) * 4)
    await intake.until(lambda: len(intake.waiting) >= 3)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert len(intake.seen) <= 3 + len(senders)
    assert source.unanswered >= 30_000
    intake.release()
    for sender in senders:
        assert len(await sender.codes(4)) == 4
        await sender.close()
    assert source.unanswered == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([b"\x0b", b"\x1c\r", b"MSH|^~\\&|", hl7(1)[:40]]), max_size=12)
)
def test_random_bytes_do_no_harm(tmp_path: Path, pieces: list[bytes]) -> None:
    async def scenario() -> None:
        intake = ListIntake()
        source = MllpSource(MllpSourceSettings.model_validate({"listen": "127.0.0.1:0"}), surroundings(tmp_path))
        await source.start(intake)
        async with await Sender.connect(source.address.port) as sender:
            await sender.write(b"".join(pieces))
        async with await Sender.connect(source.address.port) as sender:
            await sender.write(framed(hl7(77)))
            assert await sender.codes(1) == [("AA", "77")]
        await eventually(lambda: not source.receivers)
        assert (source.kept, source.unanswered) == (0, 0)
        await source.stop()

    asyncio.run(scenario())


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 5000 if before[1] == resource.RLIM_INFINITY else min(5000, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_two_thousand_idle_connections_cost_little_and_stop_nobody(
    many_files: None, start: Start, intake: ListIntake
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4200:
        pytest.skip("this machine allows too few open files")
    source = await start()
    idle = []
    for _ in range(20):
        idle += await asyncio.gather(*(Sender.connect(source.address.port) for _ in range(100)))
    await eventually(lambda: len(source.receivers) == 2000)
    for sender in idle[:500]:
        await sender.write(b"\x0bMSH|")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1)))
        assert await sender.codes(1) == [("AA", "1")]
    assert source.kept <= 500 * 4096
    await asyncio.gather(*(sender.close() for sender in idle))


# who may connect


async def test_a_peer_that_is_not_allowed_is_closed(start: Start) -> None:
    source = await start(allow=["10.0.0.0/8", "192.168.1.7"])
    sender = await Sender.connect(source.address.port)
    assert await sender.ended()
    await sender.close()
    source = await start(allow="127.0.0.0/8")
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1)))
        assert await sender.codes(1) == [("AA", "1")]


async def test_connections_are_counted(start: Start) -> None:
    source = await start(connections=2)
    first, second = [await Sender.connect(source.address.port) for _ in range(2)]
    await eventually(lambda: len(source.receivers) == 2)
    third = await Sender.connect(source.address.port)
    assert await third.ended()
    for sender in (first, second, third):
        await sender.close()
    await eventually(lambda: not source.receivers)
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(framed(hl7(1)))
        assert await sender.codes(1) == [("AA", "1")]


async def one_answer(port: int, context: ssl.SSLContext) -> bytes:
    async with await Sender.connect(port, context) as sender:
        await sender.write(framed(hl7(3)))
        return await sender.answer()


async def test_tls_and_the_certificate_of_the_sender(start: Start, intake: ListIntake, tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    source = await start(tls={"certificate": "server.pem", "key": str(made.server_key), "clients": str(made.authority)})
    known = TlsClient(authorities=made.authority, certificate=made.client_certificate, key=made.client_key)
    context = client_context(known, surroundings(tmp_path))
    async with await Sender.connect(source.address.port, context) as sender:
        await sender.write(framed(hl7(1)) + framed(hl7(2, b"NTE|1||" + b"x" * 2_000_000)))
        assert await sender.codes(2) == [("AA", "1"), ("AA", "2")]
    assert intake.messages[0].attributes["certificate"]
    stranger = client_context(TlsClient(authorities=made.authority), surroundings(tmp_path))
    with pytest.raises((OSError, EOFError)):
        await one_answer(source.address.port, stranger)
    assert len(intake.messages) == 2


# life


async def test_a_pause_accepts_nobody_new_and_keeps_the_others(start: Start) -> None:
    source = await start()
    port = source.address.port
    async with await Sender.connect(port) as sender:
        await source.pause()
        await source.pause()
        with pytest.raises(OSError, match="Connect"):
            await Sender.connect(port)
        await sender.write(framed(hl7(1)))
        assert await sender.codes(1) == [("AA", "1")]
        await source.resume()
        await source.resume()
        async with await Sender.connect(port) as other:
            await other.write(framed(hl7(2)))
            assert await other.codes(1) == [("AA", "2")]


async def test_a_stop_answers_what_was_received(start: Start, intake: ListIntake) -> None:
    source = await start()
    intake.held = True
    async with await Sender.connect(source.address.port) as sender, await Sender.connect(source.address.port) as idle:
        await sender.write(framed(hl7(1)) + b"\x0b" + hl7(2)[:50])
        await intake.until(lambda: len(intake.waiting) == 1)
        stopping = asyncio.create_task(source.stop())
        await asyncio.sleep(0)
        intake.release()
        assert await sender.codes(1) == [("AA", "1")]
        assert await sender.ended()
        assert await idle.ended()
        await stopping
    await source.resume()
    assert source._server is None


async def test_a_port_in_use_is_an_error_at_the_start(start: Start) -> None:
    source = await start()
    with pytest.raises(OSError, match="in use"):
        await start(listen=f"127.0.0.1:{source.address.port}")
    with pytest.raises(ConfigError):
        await start(tls={"certificate": "missing.pem"})


@pytest.mark.parametrize(
    "options, words",
    [
        ({"allow": "nowhere"}, "an address or a network"),
        ({"charset": "latin-42"}, "not a character set"),
        ({"levels": {"colour": "warn"}}, "no rule is called 'colour'"),
        ({"sender_levels": {"GAP|": {"colour": "warn"}}}, "no rule is called 'colour'"),
        ({"levels": {"sex": "perhaps"}}, "reject"),
    ],
)
def test_a_wrong_setting_says_what_is_wanted(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MllpSourceSettings.model_validate({"listen": ":2575", **options})
