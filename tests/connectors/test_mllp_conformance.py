"""The mllp connector in the suite that every connector passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from channels.ports import Destination, Source
from connectors.mllp import MllpDestination, MllpDestinationSettings, MllpSource, MllpSourceSettings
from connectors.mllp.frames import framed
from tests.connectors.conformance import DestinationCase, DestinationConformance, SourceCase, SourceConformance, hl7
from tests.connectors.intake import free_port, surroundings
from tests.connectors.mllp_peers import Peer, Sender


class Senders(SourceCase):
    """Each sends all it has over one connection, and does not wait for answers."""

    forbidden = b"\x0b\x1c"
    resends = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.port = directory, free_port()
        self.tasks: list[asyncio.Task[None]] = []

    def build(self) -> Source:
        options = {"listen": f"127.0.0.1:{self.port}", "pipeline": self.limit, "levels": {"much_text_outside": "warn"}}
        settings = MllpSourceSettings.model_validate(options)
        return MllpSource(settings, surroundings(self.directory))

    async def send(self, bodies: Iterable[bytes]) -> None:
        self.tasks.append(asyncio.create_task(self.send_all(list(bodies))))

    async def send_all(self, bodies: list[bytes]) -> None:
        with contextlib.suppress(OSError, EOFError):
            async with await Sender.connect(self.port) as sender:
                writing = asyncio.create_task(sender.write(b"".join(framed(body) for body in bodies)))
                for body in bodies:
                    answer = await sender.answer()
                    if b"\rMSA|AA|" in answer:
                        self.acknowledged.append(body)
                    elif b"\rMSA|AE|" in answer:
                        self.rejected.append(body)
                await writing

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class TestMllpSource(SourceConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[SourceCase]:
        made = Senders(tmp_path)
        yield made
        await made.close()


class Receiver(DestinationCase):
    """A system that takes messages over MLLP."""

    forbidden = b"\x0b\x1c"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.peer = Peer(free_port())

    def build(self) -> Destination:
        settings = MllpDestinationSettings.model_validate(
            {"connect": f"127.0.0.1:{self.peer.port}", "timeout": self.timeout}
        )
        return MllpDestination(settings, surroundings(self.directory, "dpi"))

    timeout = "20s"

    async def received(self) -> list[bytes]:
        return self.peer.bodies

    async def down(self) -> None:
        await self.peer.stop()

    async def up(self) -> None:
        await self.peer.start()

    async def refuse(self) -> None:
        self.peer.script = lambda body: "AE" if body == hl7(1) else "AA"

    async def mute(self) -> None:
        self.timeout = "300ms"
        self.peer.script = lambda body: ""


class TestMllpDestination(DestinationConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[DestinationCase]:
        made = Receiver(tmp_path)
        await made.up()
        yield made
        await made.down()
