"""A cheap MLLP receiver that counts and answers AA: what stands at the far end of a measurement.

``python -m vaguemestre.measure.sink [PORT]`` prints its port; each line on its input is answered by one line of
JSON: received, bytes, last (monotonic clock of the latest arrival), cpu (its own, seconds). It ends with its input.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

_CHUNK = 1 << 20
_HEAD = 4096
_ANSWER = b"\x0bMSH|^~\\&|DPI|CH|GAP|CH|20260310101500||ACK|%s|P|2.5\rMSA|AA|%s\r\x1c\r"


class Sink:
    """Takes one frame at a time per connection, as MLLP without pipelining sends them."""

    def __init__(self, port: int = 0) -> None:
        """port: 0 takes a free one."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._peers: dict[int, socket.socket] = {}
        self._heads: dict[int, bytes] = {}
        self._tails: dict[int, bytes] = {}
        self._buffer = bytearray(_CHUNK)
        self.received = self.bytes = 0
        self.last = 0.0

    def serve(self) -> None:
        """Until standard input ends."""
        listener, asked = self._listener.fileno(), sys.stdin.fileno()
        self._poll.register(asked, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll():
                if number == listener:
                    self._accept()
                elif number == asked:
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(self.figures()), flush=True)
                else:
                    self._read(number)

    def figures(self) -> dict[str, float]:
        """What arrived until now."""
        return {"received": self.received, "bytes": self.bytes, "last": self.last, "cpu": time.process_time()}

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[peer.fileno()] = peer
        self._poll.register(peer, select.EPOLLIN)

    def _read(self, number: int) -> None:
        peer = self._peers[number]
        try:
            size = peer.recv_into(self._buffer)
        except OSError:
            size = 0
        if not size:
            self._poll.unregister(number)
            self._peers.pop(number).close()
            self._heads.pop(number, None)
            self._tails.pop(number, None)
            return
        self.bytes += size
        head = self._heads.get(number, b"")
        if len(head) < _HEAD:
            self._heads[number] = head + bytes(self._buffer[: min(size, _HEAD)])
        tail = bytes(self._buffer[max(0, size - 2) : size])
        if size == 1:
            tail = self._tails.get(number, b"") + tail
        if tail != b"\x1c\r":
            self._tails[number] = tail[-1:]
            return
        control_id = self._heads.pop(number).split(b"|", 10)[9]
        self.received += 1
        self.last = time.monotonic()
        peer.send(_ANSWER % (control_id, control_id))


def main() -> None:
    """The program."""
    sink = Sink(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(sink.port, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
