"""MLLP as its other side speaks it: written without the engine's connector, so that one checks the other.

``Client`` sends a message and waits for the answer; ``Listener`` receives and answers as its ``answer`` function says.
Source: HL7 v2 MLLP (VT, message, FS CR).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

START, END = b"\x0b", b"\x1c\r"
_LIMIT = 256 * 1024 * 1024
_CHUNK = 1024 * 1024
_CLOSE_WITHIN = 1.0

Answer = Callable[[bytes], Awaitable[bytes | None]]
"""A message in, its acknowledgement out; None closes the connection without an answer."""


class Frames:
    """Bytes in, whole messages out; each byte is looked at once."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes."""
        buffer = self._buffer
        buffer += data
        found = []
        while (end := buffer.find(END, self._looked)) >= 0:
            start = buffer.find(START, 0, end)
            if start >= 0:
                found.append(bytes(memoryview(buffer)[start + 1 : end]))
            del buffer[: end + 2]
            self._looked = 0
        self._looked = max(0, len(buffer) - 1)
        return found


class Client:
    """One connection that sends one message after the other."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        """server_name: expected in the certificate, the host when None. timeout: seconds for connecting and answer."""
        self._host, self._port, self._tls, self._timeout = host, port, tls, timeout
        self._server_name = (server_name or host) if tls else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def exchange(self, body: bytes) -> bytes:
        """Send one message and return its answer; connects when needed. Raises OSError, TimeoutError included."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._reader is None or self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(
                        self._host, self._port, ssl=self._tls, server_hostname=self._server_name, limit=_LIMIT
                    )
                self._writer.writelines((START, body, END))
                await self._writer.drain()
                answer = await self._reader.readuntil(END)
        except asyncio.IncompleteReadError as error:
            await self.aclose()
            raise ConnectionResetError("the connection was closed without an answer") from error
        except OSError:
            await self.aclose()
            raise
        except asyncio.CancelledError:
            self.close()
            raise
        return answer[:-2].rpartition(START)[2]

    def close(self) -> None:
        """Drop the connection at once; the next exchange opens another."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def aclose(self) -> None:
        """Close the connection as a well-behaved client; the next exchange opens another."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await writer.wait_closed()
            writer.transport.abort()


class Listener:
    """Receives on one port; messages of one connection are answered in order."""

    def __init__(
        self, answer: Answer, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        """port: 0 takes a free one; ``self.port`` tells it once started."""
        self._answer, self._host, self.port, self._tls = answer, host, port, tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        frames = Frames()
        try:
            while data := await reader.read(_CHUNK):
                for body in frames.feed(data):
                    answer = await self._answer(body)
                    if answer is None:
                        return
                    writer.writelines((START, answer, END))
                await writer.drain()
        except ConnectionError:
            pass  # the other side left
        finally:
            self._writers.discard(writer)
            writer.close()

    def cut(self) -> None:
        """Close every connection as a crash would, without a goodbye."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def stop(self) -> None:
        """Stop listening and close every connection. May be called twice."""
        if self._server is not None:
            self._server.close()
            self.cut()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._server.wait_closed()
            self._server = None
