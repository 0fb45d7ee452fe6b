"""The connector on uvloop, which the engine runs on: it does not treat buffers and pauses quite as asyncio does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from channels.fields import TlsClient, TlsServer
from connectors.mllp import MllpDestination, MllpDestinationSettings, MllpSource, MllpSourceSettings
from connectors.mllp.frames import framed
from tests.connectors import certificates
from tests.connectors.conformance import hl7, message, note
from tests.connectors.intake import ListIntake, surroundings
from tests.connectors.mllp_peers import Sender

uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this system")
Scenario = Callable[[MllpSource, MllpDestination, ListIntake], Awaitable[None]]


async def pipelined(source: MllpSource, destination: MllpDestination, intake: ListIntake) -> None:
    intake.held = True
    async with await Sender.connect(source.address.port) as sender:
        await sender.write(b"".join(framed(hl7(number)) for number in range(500)))
        await intake.until(lambda: len(intake.waiting) == 3)
        intake.release()
        assert await sender.codes(500) == [("AA", str(number)) for number in range(500)]


async def concurrent(source: MllpSource, destination: MllpDestination, intake: ListIntake) -> None:
    for _ in range(5):
        await asyncio.gather(*(destination.send(message(number)) for number in range(20)))
    assert len(intake.messages) == 100


async def large(source: MllpSource, destination: MllpDestination, intake: ListIntake) -> None:
    sent = [message(number, note(b"QUJD" * 2_000_000)) for number in (1, 2)]
    for one in sent:
        await destination.send(one)
    assert intake.bodies == [one.body for one in sent]
    assert source.kept == 0


async def stopped(source: MllpSource, destination: MllpDestination, intake: ListIntake) -> None:
    intake.held = True
    sending = asyncio.create_task(destination.send(message(1)))
    await intake.until(lambda: len(intake.waiting) == 1)
    stopping = asyncio.create_task(source.stop())
    await asyncio.sleep(0)
    intake.release()
    assert (await sending).reference == "1"
    await stopping


@pytest.mark.parametrize(
    "scenario, secure",
    [
        (pipelined, False),
        *((scenario, secure) for scenario in (concurrent, large, stopped) for secure in (False, True)),
    ],
)
def test_it_works_the_same_on_uvloop(tmp_path: Path, scenario: Scenario, secure: bool) -> None:
    made = certificates.make(tmp_path)
    listening = TlsServer(certificate=made.server_certificate, key=made.server_key, clients=made.authority)
    connecting = TlsClient(authorities=made.authority, certificate=made.client_certificate, key=made.client_key)

    async def run() -> None:
        intake, place = ListIntake(), surroundings(tmp_path)
        options = {"listen": "127.0.0.1:0", "pipeline": 3, "tls": listening if secure else None}
        source = MllpSource(MllpSourceSettings.model_validate(options), place)
        await source.start(intake)
        to = {"connect": str(source.address), "tls": connecting if secure else None}
        destination = MllpDestination(MllpDestinationSettings.model_validate(to), place)
        await destination.start()
        await scenario(source, destination, intake)
        await destination.aclose()
        await source.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
