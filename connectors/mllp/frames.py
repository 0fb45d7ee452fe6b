"""The frames of MLLP: VT, a message, FS CR.

Tolerated: FS without CR, FS LF, FS CR LF, noise between frames. A VT inside a frame means that the one before it was
cut. The end of a TCP segment means nothing.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

VT, FS = b"\x0b", b"\x1c"
END = b"\x1c\r"

SCRATCH = 262_144
"""Bytes of the buffer that all connections of one owner receive into, one after the other."""
_FIRST, _LARGEST = 4096, 1_048_576
"""Bytes of the first and of the largest piece of memory for a frame that did not come whole."""

_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))


def framed(body: bytes) -> bytes:
    """A message as it travels."""
    return b"\x0b%b\x1c\r" % body


class Scratch:
    """Memory that connections receive into: what is left of a frame is moved out before the next one reads."""

    __slots__ = ("data", "view")

    def __init__(self, size: int = SCRATCH) -> None:
        self.data = bytearray(size)
        self.view = memoryview(self.data)


class FrameProtocol(asyncio.BufferedProtocol):
    """Cuts what a connection brings into frames; each byte is looked at once, and copied once.

    A subclass says what to do with a frame (``frame``), with one that was cut (``cut``) or is too large
    (``too_large``); it sets ``_stalled`` to be given no more until ``go_on``.
    """

    def __init__(self, scratch: Scratch, max_size: int) -> None:
        """max_size: of one message, bytes."""
        self._scratch, self._max_size = scratch, max_size
        self.transport: Any = None
        self.in_frame = False
        """Whether a frame has begun and not ended."""
        self.began = 0.0
        """For those who watch: 0 again when a frame begins."""
        self._stalled = self._dead = False
        self._left = b""
        """Received while stalled, and not looked at."""
        self._parts: list[bytearray] = []
        """The frame under way, when it did not come whole: full pieces, and the last one filled up to ``_filled``."""
        self._filled = self._held = 0

    # what subclasses do

    def frame(self, body: bytes) -> None:
        """A whole message has come."""
        raise NotImplementedError

    def cut(self, beginning: bytes) -> None:
        """A frame has no end: another one began, or the connection was lost."""

    def too_large(self, beginning: bytes) -> None:
        """A frame is larger than may be; the connection is of no use any more."""

    def reserve(self, size: int) -> bool:  # noqa: ARG002  # for those who count
        """Whether ``size`` more bytes may be kept for a frame under way; a negative size gives them back."""
        return True

    # asyncio

    def connection_made(self, transport: Any) -> None:
        """See asyncio. Small frames leave at once; a peer that vanished is noticed within two minutes."""
        self.transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE:
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """See asyncio."""
        if self._parts:
            if self._filled < len(self._parts[-1]):
                return memoryview(self._parts[-1])[self._filled :]
            self._held += self._filled
            if self._grow(min(_LARGEST, 4 * self._filled)):
                return memoryview(self._parts[-1])
        return self._scratch.view

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        if self._dead:
            return
        if self._parts:
            self._continue(nbytes)
        elif self._stalled:  # a transport may bring what it had before it was paused
            self._left += self._scratch.view[:nbytes].tobytes()
        else:
            self._consume(self._scratch.data, self._scratch.view, nbytes)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """See asyncio."""
        self._dead, self._left = True, b""
        beginning = self._taken()
        if beginning and self.in_frame:
            self.in_frame = False
            self.cut(beginning)

    def go_on(self) -> None:
        """Take frames again: first those that came already."""
        self._stalled = False
        left, self._left = self._left, b""
        if left and not self._dead:
            self._consume(left, memoryview(left), len(left))

    # cutting

    def _consume(self, data: bytes | bytearray, view: memoryview, end: int) -> None:
        """Cut frames out of ``data[:end]``; nothing is kept from before but ``in_frame``."""
        start = 0
        while start < end:
            if self._stalled:
                self._left = view[start:end].tobytes()
                return
            if not self.in_frame:
                start = data.find(VT, start, end) + 1
                if not start:
                    return
                self.in_frame, self.began = True, 0.0
            finish = data.find(FS, start, end)
            again = data.rfind(VT, start, finish if finish >= 0 else end)
            if again >= 0:
                self.cut(view[start:again].tobytes())
                start = again + 1
            if (finish if finish >= 0 else end) - start > self._max_size:
                self._give_up(view[start : start + _LARGEST].tobytes())
                return
            if finish < 0:
                self._keep(view[start:end])
                return
            self.in_frame = False
            self.frame(view[start:finish].tobytes())
            start = finish + 1

    def _keep(self, beginning: memoryview) -> None:
        """Move the beginning of a frame out of memory that others receive into."""
        size = len(beginning)
        self._held = 0
        if self._grow(max(_FIRST, 2 * size)):
            self._parts[-1][:size] = beginning
            self._filled = size

    def _grow(self, size: int) -> bool:
        """Begin another piece of memory for the frame under way."""
        if not self.reserve(size):
            self._give_up(self._parts[0][:_LARGEST] if self._parts else b"")
            return False
        self._parts.append(bytearray(size))
        self._filled = 0
        return True

    def _continue(self, nbytes: int) -> None:
        """Look at what came into the last piece."""
        part, start = self._parts[-1], self._filled
        end = start + nbytes
        finish = part.find(FS, start, end)
        again = part.rfind(VT, start, finish if finish >= 0 else end)
        if again < 0 and self._held + (finish if finish >= 0 else end) > self._max_size:
            self._give_up(self._parts[0][:_LARGEST])
            return
        if again < 0 and finish < 0:
            self._filled = end
            return
        self._filled = again if again >= 0 else finish
        rest = bytes(memoryview(part)[self._filled + (again < 0) : end])
        body = self._taken()
        self.in_frame = False
        if again >= 0:
            self.cut(body)
        else:
            self.frame(body)
        if rest and not self._dead:
            self._consume(rest, memoryview(rest), len(rest))

    def _give_up(self, beginning: bytes | bytearray) -> None:
        self._dead, self.in_frame = True, False
        self._taken()
        self.too_large(bytes(beginning))

    def _taken(self) -> bytes:
        """What was kept of the frame under way, which is given back."""
        parts, self._parts = self._parts, []
        if not parts:
            return b""
        self.reserve(-sum(len(part) for part in parts))
        with memoryview(parts[-1]) as last:
            return b"".join([*parts[:-1], last[: self._filled]])
