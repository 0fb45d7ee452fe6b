"""The hospital around an engine that is killed: senders that resend until acknowledged, a receiver that records."""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib

from vaguemestre.measure.floors import Frames
from vaguemestre.measure.messages import END, START

_HEADER = "MSH|^~\\&|GAP{sender}|CH|DPI|CH|20260310101500||{kind}|{control_id}|P|2.5^FRA^2.11||||||UNICODE UTF-8\r"
_ADT = (
    "EVN||20260310101500\r"
    "PID|1||{patient}^^^CH&1.2.250.1.71.4.2.1&ISO^PI||ESSAI^CAMILLE^^^^^L||19800229|F\r"
    "PV1|1|I|4120^101^1^CH|R|||||||||||||||V{patient}\r"
)
_MERGE = "EVN||20260310101500\rPID|1||{patient}^^^CH&1.2.250.1.71.4.2.1&ISO^PI||ESSAI^CAMILLE^^^^^L||19800229|F\r"
_MRG = "MRG|{other}^^^CH&1.2.250.1.71.4.2.1&ISO^PI\r"
_ANSWER = START + b"MSH|^~\\&|DPI|CH|GAP|CH|20260310101500||ACK|%s|P|2.5\rMSA|AA|%s\r" + END

_MERGES = 0.1
_SLOW_ANSWERS, _SLOWEST = 0.02, 0.02
_PAUSE = 0.03
_ANSWER_WITHIN = 20.0


class Sender:
    """One sending system with patients of its own: one message outstanding, sent again until it is acknowledged."""

    def __init__(self, number: int, patients: int, seed: int) -> None:
        """number: makes its control ids and patients its own."""
        self.number = number
        self._random = random.Random(seed)
        self._patients = [f"{number:02}{patient:06}" for patient in range(patients)]
        self._steps = dict.fromkeys(self._patients, 0)
        self.stories: dict[str, tuple[tuple[str, int], ...]] = {}
        self.acknowledged: list[str] = []
        self.negative = 0
        self.stopping = False

    def _next(self) -> tuple[str, bytes]:
        """A new message: its control id and its frame."""
        control_id = f"C{self.number:02}{len(self.stories):09}"
        patient = self._random.choice(self._patients)
        names: tuple[str, ...] = (patient,)
        kind, text = "ADT^A01^ADT_A01", _ADT
        if self._random.random() < _MERGES and len(self._patients) > 1:
            other = self._random.choice([one for one in self._patients if one != patient])
            kind, text, names = "ADT^A40^ADT_A39", _MERGE + _MRG.format(other=other), (patient, other)
        for name in names:
            self._steps[name] += 1
        self.stories[control_id] = tuple((name, self._steps[name]) for name in names)
        header = _HEADER.format(sender=self.number, kind=kind, control_id=control_id)
        body = (header + text.format(patient=patient)).encode()
        return control_id, START + body + b"ZCK|%08x\r" % zlib.crc32(body) + END

    async def run(self, port: int) -> None:
        """Send until ``stopping`` and the last message is acknowledged."""
        while not self.stopping:
            control_id, frame = self._next()
            await self._until_acknowledged(port, frame)
            self.acknowledged.append(control_id)
        self._close()

    _writer: asyncio.StreamWriter | None = None

    async def _until_acknowledged(self, port: int, frame: bytes) -> None:
        while True:
            try:
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
                self._writer.write(frame)
                async with asyncio.timeout(_ANSWER_WITHIN):
                    answer = await self._reader.readuntil(END)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self._close()
                await asyncio.sleep(_PAUSE * self._random.random())
                continue
            if b"MSA|AA" in answer:
                return
            self.negative += 1
            await asyncio.sleep(_PAUSE)

    def _close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None


class Receiver:
    """The far end: records what arrives, in order, and answers AA, now and then late."""

    def __init__(self, seed: int) -> None:
        """seed: of which answers are late."""
        self._random = random.Random(seed)
        self.arrived: list[str] = []
        self.altered = 0

    async def start(self) -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Frames(self._receive), "127.0.0.1", 0, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    def _receive(self, peer: Frames, body: bytes) -> None:
        control_id = body.split(b"|", 10)[9]
        self.arrived.append(control_id.decode("ascii", "replace"))
        self.altered += not _intact(body)
        answer = _ANSWER % (control_id, control_id)
        if self._random.random() < _SLOW_ANSWERS:
            asyncio.get_running_loop().call_later(self._random.random() * _SLOWEST, peer.transport.write, answer)
        else:
            peer.transport.write(answer)

    def stop(self) -> None:
        """Listen no more."""
        self._server.close()


def _intact(body: bytes) -> bool:
    """True when the check value at the end of a message is that of its bytes."""
    head, mark, value = body.rpartition(b"ZCK|")
    return bool(mark) and value == b"%08x\r" % zlib.crc32(head)
