"""What this machine can do without an engine: each floor is a process of its own.

``python -m vaguemestre.measure.floors echo``: MLLP answered at once, no journal.
``… writer --producers 16``: SQLite WAL FULL, group commit, no network; prints one line of JSON.
``… disk --size 1024``: append so many bytes and ``fdatasync``; prints one line of JSON.
``… path --to 2576``: MLLP in, commit, ACK, MLLP out in order on each of N connections; nothing else.
``… copy --bytes N``: how fast bytes cross the loop-back interface; prints one line of JSON.
Servers print their port and end with their standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import queue
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw

from vaguemestre.measure.load import percentile
from vaguemestre.measure.messages import END, START, template

_BUFFER = 262_144
_ANSWER = START + b"MSH|^~\\&|DPI|CH|GAP|CH|20260310101500||ACK|%s|P|2.5\rMSA|AA|%s\r" + END
_GROUP = 512
_LAZY = 0.005


class Frames(asyncio.BufferedProtocol):
    """Cuts what arrives into frames; the buffer grows with a large frame and is scanned once."""

    def __init__(self, on_frame: Callable[[Frames, bytes], None]) -> None:
        """on_frame: called with each frame's body."""
        self._on_frame = on_frame
        self._buffer = bytearray(_BUFFER)
        self._filled = self._scanned = 0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """See asyncio."""
        if len(self._buffer) - self._filled < _BUFFER // 4:
            self._buffer = self._buffer + bytes(len(self._buffer))
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        self._filled += nbytes
        begin = 0
        while (end := self._buffer.find(END, max(begin, self._scanned - 1), self._filled)) >= 0:
            self._on_frame(self, bytes(self._buffer[begin + 1 : end]))
            begin = self._scanned = end + len(END)
        self._scanned = self._filled
        if begin:
            rest = self._buffer[begin : self._filled]
            self._buffer[: len(rest)] = rest
            self._filled = self._scanned = len(rest)


def _control_id(body: bytes) -> bytes:
    return body[:512].split(b"|", 10)[9]


def _answer(peer: Frames, control_id: bytes) -> None:
    peer.transport.write(_ANSWER % (control_id, control_id))


class Writer:
    """One SQLite file, one thread that commits all that came during the last commit."""

    def __init__(self, path: Path) -> None:
        """path: a new file."""
        self._db = apsw.Connection(str(path))
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA wal_autocheckpoint=4000")
        self._db.execute("CREATE TABLE message(id INTEGER PRIMARY KEY, body BLOB)")
        self._db.execute("CREATE TABLE delivery(id INTEGER PRIMARY KEY)")
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[list[tuple[int, bytes, Callable[[], None]]] | None] = queue.SimpleQueue()
        self._batch: list[tuple[int, bytes, Callable[[], None]]] = []
        self._marks: list[tuple[int]] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._next = 1
        self.commits: list[float] = []
        self._thread = threading.Thread(target=self._commit_forever, daemon=True)
        self._thread.start()

    def append(self, body: bytes, done: Callable[[], None]) -> int:
        """Number a message; ``done`` is called in the loop once it is on disk."""
        number, self._next = self._next, self._next + 1
        self._batch.append((number, body, done))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._flush)
        return number

    def mark(self, number: int) -> None:
        """Delivered: written with the next commit, or a little later."""
        self._marks.append((number,))
        if not self._busy:
            self._wait_for_company()

    def _wait_for_company(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_LAZY, self._late)

    def _late(self) -> None:
        self._timer = None
        if not self._busy:
            self._busy = True
            self._flush()

    def _next_commit(self) -> None:
        """Messages go at once; marks alone are not worth a commit yet."""
        self._busy = bool(self._batch)
        if self._busy:
            self._flush()
        elif self._marks:
            self._wait_for_company()

    def _flush(self) -> None:
        batch, self._batch = self._batch[:_GROUP], self._batch[_GROUP:]
        marks, self._marks = self._marks, []
        if not batch and not marks:
            self._busy = False
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO message VALUES(?,?)", [(number, body) for number, body, _ in batch])
        self._db.executemany("INSERT INTO delivery VALUES(?)", marks)
        self._jobs.put(batch)

    def _commit_forever(self) -> None:
        while (batch := self._jobs.get()) is not None:
            begun = time.perf_counter()
            self._db.execute("COMMIT")
            self.commits.append(time.perf_counter() - begun)
            self._loop.call_soon_threadsafe(self._committed, batch)

    def _committed(self, batch: list[tuple[int, bytes, Callable[[], None]]]) -> None:
        for _, _, done in batch:
            done()
        self._next_commit()

    def close(self) -> None:
        """Stop the thread."""
        if self._timer is not None:
            self._timer.cancel()
        self._jobs.put(None)
        self._thread.join()
        self._db.close()


class Through:
    """The bare path: one ordered destination over several connections."""

    def __init__(self, writer: Writer, to: int) -> None:
        """to: port of the far end."""
        self._writer, self._to = writer, to
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._free: deque[Frames] = deque()
        self._under_way: dict[Frames, int] = {}

    async def connect(self, connections: int) -> None:
        """Open the connections to the far end."""
        for _ in range(connections):
            _, peer = await asyncio.get_running_loop().create_connection(
                lambda: Frames(self._delivered), "127.0.0.1", self._to
            )
            self._free.append(peer)

    def receive(self, peer: Frames, body: bytes) -> None:
        """A message came in."""
        control_id = _control_id(body)

        def stored() -> None:
            _answer(peer, control_id)
            self._waiting.append((number, body))
            self._send()

        number = self._writer.append(body, stored)

    def _send(self) -> None:
        while self._free and self._waiting:
            number, body = self._waiting.popleft()
            peer = self._free.popleft()
            self._under_way[peer] = number
            peer.transport.write(START + body + END)

    def _delivered(self, peer: Frames, answer: bytes) -> None:
        if b"MSA|AA" not in answer:
            raise ConnectionError("the far end refused a message")
        self._writer.mark(self._under_way.pop(peer))
        self._free.append(peer)
        self._send()


async def _serve(on_frame: Callable[[Frames, bytes], None]) -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Frames(on_frame), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


async def echo(_: argparse.Namespace) -> None:
    """Answer every message at once."""
    await _serve(lambda peer, body: _answer(peer, _control_id(body)))


async def path(asked: argparse.Namespace) -> None:
    """The bare path."""
    with tempfile.TemporaryDirectory(dir=asked.directory) as folder:
        writer = Writer(Path(folder) / "floor.db")
        through = Through(writer, asked.to)
        await through.connect(asked.parallel)
        await _serve(through.receive)
        writer.close()


async def writer(asked: argparse.Namespace) -> None:
    """Producers that each wait for their message to be on disk."""
    body = template("adt").frame
    with tempfile.TemporaryDirectory(dir=asked.directory) as folder:
        writing = Writer(Path(folder) / "floor.db")
        end = time.monotonic() + asked.seconds
        count = 0

        async def produce() -> None:
            nonlocal count
            while time.monotonic() < end:
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                writing.append(body, functools.partial(done.set_result, None))
                await done
                count += 1

        begun, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(produce() for _ in range(asked.producers)))
        spent = time.monotonic() - begun
        figures = _spread(writing.commits)
        figures |= {"messages": count, "seconds": spent, "cpu": time.process_time() - cpu}
        writing.close()
    print(json.dumps(figures), flush=True)


async def disk(asked: argparse.Namespace) -> None:
    """``fdatasync`` after each write."""
    times = []
    with tempfile.TemporaryDirectory(dir=asked.directory) as folder:
        file = os.open(Path(folder) / "floor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        data = b"x" * asked.size
        begun, written = time.monotonic(), 0
        while time.monotonic() - begun < asked.seconds:
            written += os.write(file, data)
            before = time.perf_counter()
            os.fdatasync(file)
            times.append(time.perf_counter() - before)
        spent = time.monotonic() - begun
        os.close(file)
    print(json.dumps(_spread(times) | {"bytes": written, "seconds": spent}), flush=True)


async def copy(asked: argparse.Namespace) -> None:
    """Bytes through one loop-back connection, in pieces as large as the messages compared with."""
    ours, theirs = socket.create_server(("127.0.0.1", 0)), socket.socket()
    theirs.connect(ours.getsockname())
    incoming, _ = ours.accept()
    total = asked.bytes

    def read() -> None:
        left, buffer = total, bytearray(1 << 20)
        while left > 0:
            left -= incoming.recv_into(buffer)
        incoming.sendall(b"!")

    reader = threading.Thread(target=read, daemon=True)
    begun = time.monotonic()
    reader.start()
    block = bytes(min(total, 10_000_000))
    for _ in range(total // len(block)):
        theirs.sendall(block)
    theirs.sendall(bytes(total % len(block)))
    theirs.recv(1)
    print(json.dumps({"bytes": total, "seconds": time.monotonic() - begun}), flush=True)
    for one in (ours, theirs, incoming):
        one.close()


def _spread(times: list[float]) -> dict[str, Any]:
    ordered = sorted(times)
    return {
        "count": len(ordered),
        "p50_ms": percentile(ordered, 0.5) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
    }


FLOORS: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
    "echo": echo,
    "path": path,
    "writer": writer,
    "disk": disk,
    "copy": copy,
}


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("floor", choices=FLOORS)
    parser.add_argument("--to", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--producers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--directory", type=Path, default=None)
    asked = parser.parse_args()

    async def floor() -> None:
        await FLOORS[asked.floor](asked)

    sys.setswitchinterval(0.0005)  # as the engine does: the commit thread waits less for the interpreter
    try:
        import uvloop
    except ImportError:
        asyncio.run(floor())
    else:
        uvloop.run(floor())


if __name__ == "__main__":
    main()
