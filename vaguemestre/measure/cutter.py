"""A relay before a simulated service that breaks what passes: while it is sent, while it is answered, or all of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

_CHUNK = 65536


class Cutter:
    """Listens on ``port`` and passes on to a port of this machine; one connection in so many is cut.

    cuts: how often, by kind: ``refused`` (times it listened to nobody), ``sending`` (cut before all was there),
    ``answering`` (the answer was on its way and did not arrive).
    """

    def __init__(self, seed: int, share: float, most: int) -> None:
        """share: of the connections to cut, 0 to 1. most: bytes of the sender after which they are cut, at most."""
        self._draw, self._share, self._most = random.Random(seed), share, most
        self.cuts: Counter[str] = Counter()
        self.calm = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = self._target = 0

    async def start(self, target: int) -> None:
        """Listen. target: port of the service."""
        self._target = target
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def refuse(self, seconds: float) -> None:
        """Refuse connections for a while."""
        if self._server is None:
            return
        self.cuts["refused"] += 1
        self._server.close()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._listen()

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        passing = _Passing(self._plan(), self._draw.randrange(2000, self._most))
        ways = [
            asyncio.create_task(passing.up(reader, far_writer)),
            asyncio.create_task(passing.down(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for side in (writer, far_writer):
                side.transport.abort() if passing.cut else side.close()
            self.cuts[passing.plan] += passing.cut

    def _plan(self) -> str:
        if self.calm or self._draw.random() > self._share:
            return ""
        return self._draw.choice(("sending", "answering"))


class _Passing:
    """One connection. after: bytes of the sender after which the plan is carried out."""

    def __init__(self, plan: str, after: int) -> None:
        self.plan, self._after, self.cut = plan, after, False

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is sent."""
        while data := await reader.read(_CHUNK):
            if self.plan == "sending" and len(data) > self._after:
                writer.write(data[: self._after])
                await writer.drain()
                self.cut = True
                return
            self._after -= len(data)
            writer.write(data)
            await writer.drain()

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is answered."""
        while data := await reader.read(_CHUNK):
            if self.plan == "answering" and self._after <= 0:
                self.cut = True
                return
            writer.write(data)
            await writer.drain()
