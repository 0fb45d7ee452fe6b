"""The MLLP sender: what it makes of answers, and of receivers that go away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.fields import TlsServer
from channels.message import Message
from connectors.mllp import MllpDestination, MllpDestinationSettings
from connectors.mllp.frames import framed
from connectors.tls import server_context
from tests.connectors import certificates
from tests.connectors.conformance import SECRET, hl7, message, note
from tests.connectors.intake import eventually, free_port, surroundings
from tests.connectors.mllp_peers import Peer, ack


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer(free_port())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def build(tmp_path: Path, peer: Peer) -> AsyncIterator[Callable[..., MllpDestination]]:
    made: list[MllpDestination] = []

    def _build(**options: Any) -> MllpDestination:
        settings = {"connect": f"127.0.0.1:{peer.port}", "timeout": "5s", **options}
        made.append(MllpDestination(MllpDestinationSettings.model_validate(settings), surroundings(tmp_path, "dpi")))
        return made[-1]

    yield _build
    for destination in made:
        await destination.aclose()


Build = Callable[..., MllpDestination]


async def test_one_connection_serves_all_messages_that_follow_each_other(peer: Peer, build: Build) -> None:
    destination = build()
    await destination.start()
    for number in range(5):
        receipt = await destination.send(message(number))
        assert receipt.reference == str(number)
        assert receipt.answer == ack(hl7(number), "AA")
    assert peer.connections == 1


async def test_messages_sent_at_once_have_a_connection_each(peer: Peer, build: Build) -> None:
    destination = build()
    await destination.start()
    await asyncio.gather(*(destination.send(message(number)) for number in range(4)))
    await asyncio.gather(*(destination.send(message(number)) for number in range(4)))
    assert peer.connections == 4


async def test_a_connection_closed_while_idle_is_replaced_before_anything_is_sent(peer: Peer, build: Build) -> None:
    destination = build()
    await destination.start()
    await destination.send(message(1))
    await peer.drop()
    await destination.send(message(2))
    assert peer.bodies == [hl7(1), hl7(2)]
    assert peer.connections == 2


async def test_an_unused_connection_is_closed_after_a_while(peer: Peer, build: Build) -> None:
    destination = build(idle="50ms")
    await destination.start()
    await destination.send(message(1))
    await eventually(lambda: not destination._all)
    await destination.send(message(2))
    assert peer.connections == 2


@pytest.mark.parametrize(
    "code, resend_on, error",
    [
        ("CA", [], None),
        ("AE", [], Refused),
        ("AR", [], Refused),
        ("CE", [], Refused),
        ("CR", ["AR"], Refused),
        ("AR", "AR", Undelivered),
        ("AE", ["AR", "AE"], Undelivered),
    ],
)
async def test_the_code_decides(
    peer: Peer, build: Build, code: str, resend_on: Any, error: type[Exception] | None
) -> None:
    peer.script = lambda body: code if body == hl7(1) else "AA"
    destination = build(resend_on=resend_on)
    await destination.start()
    if error is None:
        assert (await destination.send(message(1))).answer == ack(hl7(1), code)
    else:
        with pytest.raises(error) as caught:
            await destination.send(message(1))
        assert f"answered {code}" in str(caught.value)
        assert caught.value.answer == ack(hl7(1), code)  # type: ignore[attr-defined]  # both have one
    await destination.send(message(2))
    assert peer.connections == 1


async def test_a_refusal_names_condition_and_place_of_the_answer_and_no_value(peer: Peer, build: Build) -> None:
    err = f"ERR||PID^1^5|103^{SECRET}|E|||{SECRET}|{SECRET}\r".encode()
    peer.script = lambda body: [framed(ack(body, "AE", err))]
    destination = build()
    await destination.start()
    with pytest.raises(Refused, match=r"^answered AE \(103 PID-5\)$"):
        await destination.send(message(1))


async def test_the_answer_to_another_message_closes_the_connection(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(hl7(99), "AA"))] if body == hl7(1) else "AA"
    destination = build()
    await destination.start()
    with pytest.raises(Undelivered, match="another message"):
        await destination.send(message(1))
    await destination.send(message(2))
    assert peer.connections == 2


async def test_a_receiver_that_never_repeats_the_control_id_is_taken_by_order(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(hl7(99), "AA"))]
    destination = build(match="order")
    await destination.start()
    assert (await destination.send(message(1))).reference == "99"
    peer.script = lambda body: [framed(ack(hl7(1), "AA").replace(b"|AA|1\r", b"|AA|\r"))]
    await build().start()
    assert (await destination.send(message(1))).reference == ""


async def test_an_empty_msa_2_is_taken_by_order(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(hl7(1), "AA").replace(b"|AA|1\r", b"|AA|\r"))]
    destination = build()
    await destination.start()
    await destination.send(message(1))


async def test_two_answers_to_one_message_do_not_shift_the_next_ones(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(body, "AA"))] * 2 if body == hl7(1) else "AA"
    destination = build()
    await destination.start()
    await destination.send(message(1))
    await eventually(lambda: not destination._all)
    await destination.send(message(2))
    assert peer.bodies == [hl7(1), hl7(2)]


async def test_commit_and_application_answers(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(body, "CA")), framed(ack(body, "AE" if body == hl7(2) else "AA"))]
    waits, goes_on = build(wait_for="application"), build()
    await waits.start()
    assert (await waits.send(message(1))).answer == ack(hl7(1), "AA")
    with pytest.raises(Refused, match="answered AE"):
        await waits.send(message(2))
    assert peer.connections == 1
    await goes_on.start()
    for number in (1, 2, 3):
        assert (await goes_on.send(message(number))).answer == ack(hl7(number), "CA")
    assert peer.connections == 2


async def test_a_late_application_answer_is_not_the_next_message_s(peer: Peer, build: Build) -> None:
    late = framed(ack(hl7(1), "AE"))
    peer.script = lambda body: [framed(ack(body, "CA"))] if body == hl7(1) else [late, framed(ack(body, "CA"))]
    destination = build()
    await destination.start()
    await destination.send(message(1))
    assert (await destination.send(message(2))).reference == "2"
    assert peer.connections == 1


@pytest.mark.parametrize(
    "answer, words",
    [
        (framed(b"OK"), "cannot be read"),
        (framed(b"MSH|^~\\&|A\rPID|1\r"), "cannot be read"),
        (framed(ack(hl7(1), "AA").replace(b"|AA|", b"|OK|")), "cannot be read"),
        (b"\x0b" + b"x" * 200_000, "larger than max_answer"),
    ],
)
async def test_an_answer_that_is_none_is_no_yes(peer: Peer, build: Build, answer: bytes, words: str) -> None:
    peer.script = lambda body: [answer] if body == hl7(1) else "AA"
    destination = build(max_answer="100kB")
    await destination.start()
    with pytest.raises(Undelivered, match=words):
        await destination.send(message(1))
    await destination.send(message(2))


async def test_a_receiver_that_closes_instead_of_answering(peer: Peer, build: Build) -> None:
    destination = build()
    await destination.start()
    peer.script = lambda body: ""
    sending = asyncio.create_task(destination.send(message(1)))
    await eventually(lambda: bool(peer.bodies))
    await peer.drop()
    with pytest.raises(Undelivered, match="before the answer"):
        await sending


async def test_an_answer_cut_in_the_middle(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [b"\x0bMSH|^~"]
    destination = build()
    await destination.start()
    sending = asyncio.create_task(destination.send(message(1)))
    await eventually(lambda: bool(peer.bodies))
    await peer.drop()
    with pytest.raises(Undelivered, match="before the answer"):
        await sending


async def test_no_answer_in_time_closes_the_connection(peer: Peer, build: Build) -> None:
    peer.script = lambda body: "" if body == hl7(1) else "AA"
    destination = build(timeout="200ms")
    await destination.start()
    with pytest.raises(Undelivered, match="no answer in time"):
        await destination.send(message(1))
    await destination.send(message(2))
    assert peer.connections == 2


async def test_a_receiver_that_does_not_read_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        settings = MllpDestinationSettings.model_validate(
            {"connect": f"127.0.0.1:{listener.getsockname()[1]}", "timeout": "300ms"}
        )
        destination = MllpDestination(settings, surroundings(tmp_path))
        await destination.start()
        with pytest.raises(Undelivered, match="no answer in time"):
            await destination.send(message(1, note(b"x" * 30_000_000)))
        await destination.aclose()


async def test_an_answer_before_the_end_of_a_large_message_ends_it(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(framed(ack(hl7(1), "AE")))
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    settings = MllpDestinationSettings.model_validate({"connect": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    destination = MllpDestination(settings, surroundings(tmp_path))
    await destination.start()
    with pytest.raises((Refused, Undelivered)):
        await destination.send(message(1, note(b"x" * 30_000_000)))
    await destination.aclose()
    server.close()
    await server.wait_closed()


async def test_a_body_with_frame_bytes_cannot_travel(build: Build) -> None:
    destination = build()
    await destination.start()
    for byte in (b"\x0b", b"\x1c"):
        with pytest.raises(MessageError):
            await destination.send(message(1, note(byte)))


async def test_a_body_that_is_no_hl7_is_answered_by_order(peer: Peer, build: Build) -> None:
    peer.script = lambda body: [framed(ack(hl7(7), "AA").replace(b"|AA|7\r", b"|AA|\r"))]
    destination = build()
    await destination.start()
    await destination.send(Message(b"<xml/>", "xml"))
    await destination.send(Message(b"not HL7", "hl7v2"))
    assert peer.bodies == [b"<xml/>", b"not HL7"]


async def test_mutual_tls(tmp_path: Path, peer: Peer, build: Build) -> None:
    made = certificates.make(tmp_path)
    served = TlsServer(certificate=made.server_certificate, key=made.server_key, clients=made.authority)
    secure = Peer(free_port(), server_context(served, surroundings(tmp_path)))
    await secure.start()
    known = {
        "authorities": str(made.authority),
        "certificate": str(made.client_certificate),
        "key": str(made.client_key),
    }
    destination = build(connect=f"127.0.0.1:{secure.port}", tls=known)
    await destination.start()
    big = message(2, note(b"x" * 2_000_000))
    await destination.send(message(1))
    await destination.send(big)
    assert secure.bodies == [hl7(1), big.body]
    stranger = build(connect=f"127.0.0.1:{secure.port}", tls={})
    await stranger.start()
    with pytest.raises(Undelivered, match="no TLS connection"):
        await stranger.send(message(3))
    with pytest.raises(ConfigError):
        await build(tls={"authorities": "missing.pem"}).start()
    await destination.aclose()
    await secure.stop()


async def test_a_host_that_does_not_take_connections_in_time(tmp_path: Path) -> None:
    with socket.socket() as listener:  # its queue is full: connections wait
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        settings = MllpDestinationSettings.model_validate({"connect": f"127.0.0.1:{port}", "timeout": "200ms"})
        destination = MllpDestination(settings, surroundings(tmp_path))
        await destination.start()
        with pytest.raises(Undelivered, match="no connection in time"):
            await destination.send(message(1))
        await destination.aclose()
        for filler in fillers:
            filler.close()
