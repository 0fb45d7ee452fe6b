"""The other sides of MLLP, for tests: one that sends, one that receives and answers what a script says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

from transforms import er7


class Sender:
    """A client: writes bytes, reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=100_000_000))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """The next frame's body. Raises EOFError when there is none."""
        frame = await self.reader.readuntil(b"\x1c\r")
        assert frame[:1] == b"\x0b"
        return frame[1:-2]

    async def codes(self, count: int) -> list[tuple[str, str]]:
        """MSA-1 and MSA-2 of the next answers."""
        found = []
        for _ in range(count):
            parsed = er7.parse(await self.answer())
            found.append((parsed.get("MSA-1"), parsed.get("MSA-2")))
        return found

    async def ended(self) -> bool:
        """Wait for the other side to close; True when it had nothing more to say."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read() == b""
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def ack(body: bytes, code: str, more: bytes = b"") -> bytes:
    """An acknowledgement as other systems write it."""
    header = er7.peek(body)
    number = header.control_id
    line = f"MSH|^~\\&|DPI|CHU|GAP|CHU|20261125080000||ACK^A01^ACK|A{number}|P|2.5\r"
    return f"{line}MSA|{code}|{number}\r".encode() + more


class Peer:
    """A listener. ``script``: body -> code, whole answers, or nothing to stay silent."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.port, self.context = port, context
        self.bodies: list[bytes] = []
        self.connections = 0
        self.script: Callable[[bytes], str | list[bytes]] = lambda body: "AA"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, limit=100_000_000, ssl=self.context
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await reader.readuntil(b"\x1c\r")
                body = frame[1:-2]
                self.bodies.append(body)
                said = self.script(body)
                answers = said if isinstance(said, list) else [b"\x0b" + ack(body, said) + b"\x1c\r"] if said else []
                for answer in answers:
                    writer.write(answer)
                    await writer.drain()
        self._writers.discard(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def drop(self) -> None:
        """Close every connection, and go on listening."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.drop()
