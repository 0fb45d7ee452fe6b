"""A cheap MLLP load generator: one process, epoll, one message outstanding per connection.

``python -m vaguemestre.measure.load --port 2575 --connections 16 --seconds 3`` prints one line of JSON: sent,
acknowledged, negative, seconds, begun (monotonic clock), ack_ms (percentiles), cpu (its own, seconds).
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from array import array

from vaguemestre.measure.messages import CONTROL_WIDTH, PATIENT_WIDTH, Template, template

_POSITIVE = (b"MSA|AA", b"MSA|CA")
_SILENCE = 30.0
"""Seconds without any answer after which the run ends."""


class _Sender:
    """One connection and the message that it has under way."""

    __slots__ = ("answer", "begun", "frame", "offset", "socket")

    def __init__(self, port: int, frame: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.frame = bytearray(frame)
        self.offset = 0
        self.begun = 0.0
        self.answer = b""


class Load:
    """Sends messages of one template until a count or a time is reached, then waits for the last answers."""

    def __init__(self, port: int, kind: Template, connections: int, patients: int, prefix: str) -> None:
        """patients: how many share the messages, in turn. prefix: begins every control id, four characters."""
        self._template, self._patients = kind, patients
        self._prefix = prefix.encode()[:4].ljust(4, b"0")
        self._senders = {one.socket.fileno(): one for one in (_Sender(port, kind.frame) for _ in range(connections))}
        self._poll = select.epoll()
        for number in self._senders:
            self._poll.register(number, select.EPOLLIN)
        self._latencies = array("d")
        self.sent = self.acknowledged = self.negative = 0

    def run(self, count: int, seconds: float) -> dict[str, object]:
        """Send at most ``count`` messages for at most ``seconds``; the figures of the run."""
        cpu, begun = time.process_time(), time.monotonic()
        end = begun + seconds
        senders, poll = self._senders, self._poll
        for one in list(senders.values())[:count]:
            self._begin(one)
        while self.acknowledged + self.negative < self.sent:
            events = poll.poll(_SILENCE)
            if not events:
                break
            for number, event in events:
                one = senders[number]
                if event & select.EPOLLOUT:
                    self._send(one)
                elif self._answered(one) and self.sent < count and time.monotonic() < end:
                    self._begin(one)
        spent = time.monotonic() - begun
        return self._figures(spent, begun, time.process_time() - cpu)

    def _begin(self, one: _Sender) -> None:
        number = self.sent
        self.sent = number + 1
        frame, kind = one.frame, self._template
        frame[kind.control : kind.control + CONTROL_WIDTH] = b"%s%08d" % (self._prefix, number)
        patient = b"%08d" % (number % self._patients)
        for at in kind.patients:
            frame[at : at + PATIENT_WIDTH] = patient
        one.begun = time.perf_counter()
        try:
            sent = one.socket.send(frame)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            one.offset = sent
            self._poll.modify(one.socket.fileno(), select.EPOLLOUT)

    def _send(self, one: _Sender) -> None:
        """Send on what did not fit into the socket at once."""
        with memoryview(one.frame) as view:
            try:
                one.offset += one.socket.send(view[one.offset :])
            except BlockingIOError:
                return
        if one.offset >= len(one.frame):
            self._poll.modify(one.socket.fileno(), select.EPOLLIN)

    def _answered(self, one: _Sender) -> bool:
        """Read an answer; True when it is complete."""
        data = one.socket.recv(65536)
        if not data:
            raise ConnectionError("the receiver closed a connection")
        one.answer += data
        if not one.answer.endswith(b"\x1c\r"):
            return False
        self._latencies.append(time.perf_counter() - one.begun)
        if any(code in one.answer for code in _POSITIVE):
            self.acknowledged += 1
        else:
            self.negative += 1
        one.answer = b""
        return True

    def _figures(self, spent: float, begun: float, cpu: float) -> dict[str, object]:
        ordered = sorted(self._latencies)
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "negative": self.negative,
            "seconds": spent,
            "begun": begun,
            "ack_ms": {name: percentile(ordered, part) * 1000 for name, part in (("p50", 0.5), ("p99", 0.99))},
            "cpu": cpu,
        }


def percentile(ordered: list[float], part: float) -> float:
    """The value below which ``part`` (0 to 1) of an ordered list lies; 0.0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--message", default="adt")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--prefix", default="LOAD")
    asked = parser.parse_args()
    load = Load(asked.port, template(asked.message), asked.connections, asked.patients, asked.prefix)
    json.dump(load.run(asked.count, asked.seconds), sys.stdout)


if __name__ == "__main__":
    main()
