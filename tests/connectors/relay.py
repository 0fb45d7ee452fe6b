"""A relay between a client and a server: it can go down, fall silent, and tell what passed."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable

from tests.connectors.intake import free_port

Tap = Callable[[bytes], None]


class Relay:
    """Listens on ``port``. taps: made for each connection; told what the client and what the server sends."""

    def __init__(self, target: int, taps: Callable[[], tuple[Tap, Tap]] | None = None) -> None:
        self.port, self.target, self.silent = free_port(), target, False
        self.connections = 0
        self._taps = taps or (lambda: (lambda data: None, lambda data: None))
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def down(self) -> None:
        """Close the port and break every connection."""
        if self._server is None:
            return
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    def cut(self) -> None:
        """Break every connection; new ones may come."""
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, far_writer}
        up, down = self._taps()
        await asyncio.gather(self._copy(reader, far_writer, up), self._copy(far_reader, writer, down))
        self._writers -= {writer, far_writer}
        self._tasks.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Tap) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.silent:
                    tap(data)
                    writer.write(data)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class AmqpWatcher:
    """Reads AMQP frames on their way: which messages were delivered, which acknowledged, which rejected.

    Source: AMQP 0-9-1, 4.2.3 (frames); class basic: deliver 60, ack 80, reject 90.
    """

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        self.rejected: list[bytes] = []
        self.requeued: list[bytes] = []

    def taps(self) -> tuple[Tap, Tap]:
        """For one connection."""
        delivered: dict[int, bytes] = {}
        state = {"tag": 0, "size": 0}
        body = bytearray()

        def from_client(kind: int, payload: bytes) -> None:
            if kind != 1 or payload[:2] != b"\x00\x3c" or payload[3] not in (80, 90):
                return
            tag, flag = struct.unpack(">QB", payload[4:13])
            if payload[3] == 80:
                self.acknowledged.append(delivered.pop(tag))
            else:
                (self.requeued if flag else self.rejected).append(delivered.pop(tag))

        def from_server(kind: int, payload: bytes) -> None:
            if kind == 1 and payload[:4] == b"\x00\x3c\x00\x3c":
                state["tag"] = struct.unpack(">Q", payload[5 + payload[4] : 13 + payload[4]])[0]
                return
            if not state["tag"] or kind not in (2, 3):
                return
            if kind == 2:
                state["size"] = struct.unpack(">Q", payload[4:12])[0]
                body.clear()
            else:
                body.extend(payload)
            if len(body) == state["size"]:
                delivered[state["tag"]] = bytes(body)
                state["tag"] = 0

        return _frames(from_client, 8), _frames(from_server, 0)


def _frames(each: Callable[[int, bytes], None], skip: int) -> Tap:
    """Cut a stream into frames; ``skip`` bytes of protocol header come before the first."""
    kept = bytearray()
    begin = skip

    def tap(data: bytes) -> None:
        nonlocal begin
        kept.extend(data)
        at = begin
        while len(kept) - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", kept, at)
            if len(kept) - at < size + 8:
                break
            each(kind, bytes(kept[at + 7 : at + 7 + size]))
            at += size + 8
        if at >= begin:
            del kept[:at]
            begin = 0

    return tap
