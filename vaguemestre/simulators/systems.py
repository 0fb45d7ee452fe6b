"""Simulated systems of a hospital, over real sockets: who sends (GAP, SGL, DPI) and who receives (DPI, SGL).

    dpi = Receiver("dpi"); await dpi.start()         # dpi.port; counts, checks order per patient
    dpi.behave(delay=0.5)                            # slow; behave(answers=["AR", "AA"]); behave(cut_every=100)
    gap = Sender("gap", host, port)                  # MLLP client: sends the same message until it is accepted
    await gap.send(traffic.adt())                    # returns when it is acknowledged; gap.acknowledged, gap.latencies
    await pace(gap, traffic.adt, rate=20, until=event)   # 20 messages a second, at irregular moments
    dpi.tally.missing(gap.acknowledged)              # control ids that were acknowledged and did not arrive

A ``Sender`` keeps the rules of a careful system: one message at a time, the same message again (same MSH-10) after no
answer or AR, and a message answered AE is set aside (``refused``). Use several senders for several connections; each
patient's messages must stay with one of them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random

from channels.errors import ParseError
from transforms import er7
from transforms.ack import read_ack
from vaguemestre.simulators.traffic import Sent, tell
from vaguemestre.simulators.wire import Client, Listener

_RETRY = 0.05


class Tally:
    """What arrived somewhere: counts, duplicates, and order per patient, from the control ids of ``traffic``."""

    def __init__(self) -> None:
        self.messages = self.duplicates = self.out_of_order = 0
        self.kinds: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._latest: dict[tuple[str, str, int], int] = {}

    def add(self, kind: str, control_id: str) -> None:
        """Note one arrival: a repetition is a duplicate, a number after a higher one is out of order."""
        self.messages += 1
        self.kinds[kind] += 1
        if control_id in self._seen:
            self.duplicates += 1
            return
        self._seen.add(control_id)
        number = tell(control_id)
        if number is None:
            return
        who = number[:3]
        if number.sequence < self._latest.get(who, 0):
            self.out_of_order += 1
        else:
            self._latest[who] = number.sequence

    @property
    def distinct(self) -> int:
        """Messages, each counted once."""
        return len(self._seen)

    def missing(self, control_ids: Iterable[str]) -> list[str]:
        """Which of these did not arrive."""
        return [one for one in control_ids if one not in self._seen]


class Receiver:
    """A system that receives over MLLP: answers, counts, and can be slow, refuse, or cut the line."""

    def __init__(self, name: str, *, port: int = 0) -> None:
        """name: for people. port: 0 takes a free one."""
        self.name = name
        self.tally = Tally()
        self.on_message: Callable[[er7.Header, bytes], None] | None = None
        self._answers: Iterator[str] = itertools.repeat("AA")
        self._delay = 0.0
        self._cut_every = self._received = 0
        self._listener = Listener(self._answer, port=port)

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._listener.port

    def behave(self, *, delay: float = 0.0, answers: Iterable[str] = (), cut_every: int = 0) -> None:
        """Change manners: seconds before each answer; codes of MSA-1 to answer next, then AA; cut one in so many."""
        self._delay, self._cut_every = delay, cut_every
        self._answers = itertools.chain(answers, itertools.repeat("AA"))

    async def start(self) -> None:
        """Listen."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close."""
        await self._listener.stop()

    async def _answer(self, body: bytes) -> bytes | None:
        header = er7.peek(body)
        self._received += 1
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._cut_every and self._received % self._cut_every == 0:
            return None
        code = next(self._answers)
        if code in ("AA", "CA"):
            self.tally.add(header.kind, header.control_id)
            if self.on_message is not None:
                self.on_message(header, body)
        return answer_to(header, code)


def answer_to(header: er7.Header, code: str) -> bytes:
    """A short acknowledgement in the delimiters of the message; the standard's minimum (MSH, MSA)."""
    sign = header.separators.field
    event = header.kind.partition("^")[2]
    kind = f"ACK{header.separators.component}{event}" if event and header.separators.component else "ACK"
    names = [header.field(number) for number in (5, 6, 3, 4)]
    msh = ["MSH", header.field(2), *names, time.strftime("%Y%m%d%H%M%S"), "", kind, f"A{header.control_id}"[:20]]
    msh += [header.field(11) or "P", header.field(12) or "2.5"]
    return f"{sign.join(msh)}\rMSA{sign}{code}{sign}{header.control_id}\r".encode(header.charset, "surrogateescape")


class Sender:
    """A system that sends over MLLP, one message at a time, until each is accepted or refused for good."""

    def __init__(self, name: str, host: str, port: int, *, timeout: float = 10.0) -> None:
        """timeout: seconds to wait for an answer before the message is sent again."""
        self.name = name
        self._client = Client(host, port, timeout=timeout)
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.latencies: list[float] = []
        self.resent = 0

    async def send(self, message: Sent) -> bool:
        """Send until there is an answer that is one; returns True when it was accepted."""
        while True:
            began = time.perf_counter()
            try:
                answer = read_ack(await self._client.exchange(message.body))
            except (OSError, ParseError):
                code = ""
            else:
                code = answer.code if answer.control_id == message.control_id else ""
            if not code:
                await self._client.aclose()
            if code in ("AA", "CA"):
                self.latencies.append(time.perf_counter() - began)
                self.acknowledged.append(message.control_id)
                return True
            if code in ("AE", "CE"):
                self.refused.append(message.control_id)
                return False
            self.resent += 1
            await asyncio.sleep(_RETRY)

    def close(self) -> None:
        """Drop the connection at once."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


async def pace(sender: Sender, make: Callable[[], Sent], *, rate: float, until: asyncio.Event, seed: int = 1) -> None:
    """Send at irregular moments, ``rate`` a second on average, until the event is set."""
    random = Random(seed)
    while not until.is_set():
        await sender.send(make())
        try:
            async with asyncio.timeout(random.expovariate(rate)):
                await until.wait()
        except TimeoutError:
            continue
