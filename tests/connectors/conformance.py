"""What every connector must do, whatever its protocol: one suite, on real sockets and real folders.

A connector's test file makes a case (the outside world of one connector) and inherits the tests:

    class TestFileSource(SourceConformance):
        @pytest.fixture
        async def case(self, tmp_path: Path) -> AsyncIterator[SourceCase]: ...
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from channels.errors import MessageError, Refused, StoreError, Undelivered, VaguemestreError
from channels.message import Message
from channels.ports import Destination, Outcome, Source
from tests.connectors.intake import ListIntake, eventually
from transforms import er7

SECRET = "DUPONT-SECRET"
"""Stands in the bodies; must never be in the text of an error."""


def hl7(number: int, more: bytes = b"") -> bytes:
    """An invented ADT whose control id is ``number``."""
    return (
        f"MSH|^~\\&|GAP|CHU|SGL|CHU|20261125080000||ADT^A01^ADT_A01|{number}|P|2.5|||||FRA|8859/1\r"
        f"PID|1||{number}^^^CHU&1.2.250.1.71.4.2.2&ISO^PI||{SECRET}^JEAN^^^^^L\r"
    ).encode() + more


def note(text: bytes) -> bytes:
    return b"NTE|1||" + text + b"\r"


def without_secret(error: BaseException) -> bool:
    """No text of an error, nor of what it came from, holds a value of the message."""
    texts = []
    while error is not None:
        texts.append(f"{error} {error!r}")
        error = error.__cause__  # type: ignore[assignment]  # None ends the chain
    return SECRET not in " ".join(texts)


class SourceCase(ABC):
    """A source and those who send to it."""

    forbidden: ClassVar[bytes] = b""
    """Bytes that this protocol cannot carry inside a message."""
    resends: ClassVar[bool] = False
    """True: the sender keeps what was not acknowledged, and must send it again (mllp, http)."""
    limit: ClassVar[int] = 4
    """How many messages the source under test may hold unanswered."""

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        """Bodies that the outside believes taken."""
        self.rejected: list[bytes] = []
        """Bodies that the outside knows refused for good."""

    @abstractmethod
    def build(self) -> Source:
        """A new source over the same outside."""

    @abstractmethod
    async def send(self, bodies: Iterable[bytes]) -> None:
        """Hand messages to the source's outside, in order; answers are collected in the background."""

    async def burst(self, bodies: Iterable[bytes]) -> None:
        """The same from many senders at once, where one sender waits for each answer."""
        await self.send(bodies)

    async def look(self) -> None:  # noqa: B027  # most outsides tell by themselves
        """Bring ``acknowledged`` and ``rejected`` up to date; for outsides that do not tell."""

    async def settled(self, count: int) -> None:
        """Wait until the outside knows what became of ``count`` messages."""
        await self.look()
        while len(self.acknowledged) + len(self.rejected) < count:
            await asyncio.sleep(0.005)
            await self.look()


class SourceConformance:
    """``channels.ports.Source``."""

    @pytest.fixture
    def intake(self) -> ListIntake:
        return ListIntake()

    def test_every_setting_is_described(self, case: SourceCase) -> None:
        described(case.build().settings.model_fields)

    async def test_messages_arrive_in_order_and_are_acknowledged(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        await source.start(intake)
        bodies = [hl7(number) for number in range(40)]
        await case.send(bodies)
        await case.settled(40)
        await source.stop()
        assert intake.bodies == bodies
        assert sorted(case.acknowledged) == sorted(bodies)
        assert [message.control_id for message in intake.messages] == [str(number) for number in range(40)]
        assert all(message.received > 0 for message in intake.messages)

    async def test_every_byte_arrives_as_it_is(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        await source.start(intake)
        every = bytes(byte for byte in range(256) if byte not in case.forbidden)
        body = hl7(1, note(every) + b"ZZZ|\r" * 20)  # line ends in a text are borne when most lines are segments
        await case.send([body])
        await case.settled(1)
        await source.stop()
        assert intake.bodies == [body]

    async def test_a_message_of_ten_megabytes_arrives(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        await source.start(intake)
        body = hl7(1, note(b"QUJD" * 2_500_000))
        await case.send([body, hl7(2)])
        await case.settled(2)
        await source.stop()
        assert intake.bodies == [body, hl7(2)]

    async def test_nothing_is_acknowledged_before_it_is_stored(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        intake.held = True
        await source.start(intake)
        await case.send([hl7(1)])
        await intake.until(lambda: bool(intake.waiting))
        await case.look()
        assert case.acknowledged == []
        intake.release()
        await case.settled(1)
        await source.stop()
        assert case.acknowledged == [hl7(1)]

    async def test_what_waits_unanswered_is_bounded(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        intake.held = True
        await source.start(intake)
        bodies = [hl7(number) for number in range(case.limit * 5)]
        await case.burst(bodies)
        await intake.until(lambda: len(intake.waiting) >= case.limit)
        for _ in range(50):  # long enough for one that reads on to be seen
            await asyncio.sleep(0.002)
        assert len(intake.seen) == case.limit
        intake.release()
        await case.settled(len(bodies))
        await source.stop()
        assert sorted(intake.bodies) == sorted(bodies)

    async def test_a_refused_message_is_known_outside_and_holds_up_nothing(
        self, case: SourceCase, intake: ListIntake
    ) -> None:
        intake.refuse_with = lambda message: MessageError("no", "PID-3") if message.control_id == "2" else None
        source = case.build()
        await source.start(intake)
        await case.send([hl7(1), hl7(2), hl7(3)])
        await case.settled(3)
        await source.stop()
        assert intake.bodies == [hl7(1), hl7(3)]
        assert sorted(case.acknowledged) == [hl7(1), hl7(3)]
        assert case.rejected == [hl7(2)]

    async def test_what_is_no_message_is_handed_in_as_refused(self, case: SourceCase, intake: ListIntake) -> None:
        source = case.build()
        await source.start(intake)
        await case.send([f"{SECRET} is not HL7\r".encode()])
        await intake.until(lambda: len(intake.refused) == 1)
        await case.send([hl7(2)])
        await intake.until(lambda: bool(intake.messages))
        await source.stop()
        message, error = intake.refused[0]
        assert message.body == f"{SECRET} is not HL7\r".encode()
        assert isinstance(error, MessageError)
        assert without_secret(error)

    async def test_what_cannot_be_stored_is_not_acknowledged_and_comes_again(
        self, case: SourceCase, intake: ListIntake
    ) -> None:
        full = [StoreError("the disk is full")]
        intake.refuse_with = lambda message: full.pop() if full and message.control_id == "2" else None
        source = case.build()
        await source.start(intake)
        await case.send([hl7(1), hl7(2)])
        await intake.until(lambda: bool(intake.refused))
        await case.look()
        assert hl7(2) not in case.acknowledged + case.rejected
        if case.resends:
            await case.send([hl7(2)])
        await intake.until(lambda: len(intake.messages) == 2)
        await case.settled(2)
        await source.stop()
        assert intake.bodies == [hl7(1), hl7(2)]
        assert sorted(case.acknowledged) == [hl7(1), hl7(2)]

    async def test_a_duplicate_is_acknowledged(self, case: SourceCase, intake: ListIntake) -> None:
        intake.outcome = Outcome(1, duplicate=True, received=1.0)
        source = case.build()
        await source.start(intake)
        await case.send([hl7(1)])
        await case.settled(1)
        await source.stop()
        assert case.acknowledged == [hl7(1)]

    async def test_it_stops_twice_and_another_takes_over(self, case: SourceCase, intake: ListIntake) -> None:
        for number in (1, 2):
            source = case.build()
            await source.start(intake)
            await case.send([hl7(number)])
            await case.settled(number)
            await source.stop()
            await source.stop()
        assert intake.bodies == [hl7(1), hl7(2)]

    async def test_one_that_never_started_stops(self, case: SourceCase) -> None:
        await case.build().stop()

    async def test_a_stop_in_the_middle_loses_nothing_that_was_acknowledged(
        self, case: SourceCase, intake: ListIntake
    ) -> None:
        bodies = [hl7(number) for number in range(60)]
        source = case.build()
        await source.start(intake)
        sending = asyncio.create_task(case.send(bodies))
        await intake.until(lambda: len(intake.messages) >= 5)
        await source.stop()
        await case.look()
        assert set(case.acknowledged) <= set(intake.bodies)
        other = case.build()
        await other.start(intake)
        await sending
        if case.resends:
            await case.send([body for body in bodies if body not in case.acknowledged])
        await intake.until(lambda: set(bodies) <= set(intake.bodies))
        await other.stop()
        await case.look()
        assert set(case.acknowledged) <= set(intake.bodies)


class DestinationCase(ABC):
    """A destination and the system it sends to."""

    forbidden: ClassVar[bytes] = b""
    idempotent: ClassVar[bool] = False
    """True: the far side recognises a resend, and has it once."""
    ordered: ClassVar[bool] = True
    """False: the far side does not tell in which order messages came."""
    mute_reason: ClassVar[str] = ""
    """Why this far side always answers, when it does."""

    @abstractmethod
    def build(self) -> Destination:
        """A new destination towards the same system."""

    @abstractmethod
    async def received(self) -> list[bytes]:
        """The bodies that the system has, in order."""

    @abstractmethod
    async def down(self) -> None:
        """Make the system unreachable."""

    @abstractmethod
    async def up(self) -> None:
        """Make it reachable again."""

    @abstractmethod
    async def refuse(self) -> None:
        """From now on the system says no to the message ``hl7(1)``, for good."""

    async def mute(self) -> None:
        """From now on the system takes messages and answers nothing (the destination's time-out is short)."""
        raise NotImplementedError


def message(number: int, more: bytes = b"") -> Message:
    return er7.message(hl7(number, more), 1_795_593_600.0, id=number)


class DestinationConformance:
    """``channels.ports.Destination``."""

    def test_every_setting_is_described(self, case: DestinationCase) -> None:
        described(case.build().settings.model_fields)

    async def test_messages_arrive_in_order(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        for number in range(1, 21):
            await destination.send(message(number))
        await destination.aclose()
        found = await case.received()
        assert (found if case.ordered else sorted(found)) == (
            [hl7(number) for number in range(1, 21)] if case.ordered else sorted(hl7(number) for number in range(1, 21))
        )

    async def test_every_byte_arrives_as_it_is(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        sent = message(1, note(bytes(byte for byte in range(256) if byte not in case.forbidden)))
        await destination.send(sent)
        await destination.aclose()
        assert await case.received() == [sent.body]

    async def test_a_message_of_ten_megabytes_arrives(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        sent = message(1, note(b"QUJD" * 2_500_000))
        await destination.send(sent)
        await destination.aclose()
        assert await case.received() == [sent.body]

    async def test_concurrent_sends_all_arrive_once(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        await asyncio.gather(*(destination.send(message(number)) for number in range(1, 31)))
        await destination.aclose()
        assert sorted(await case.received()) == sorted(hl7(number) for number in range(1, 31))

    async def test_the_same_message_may_be_sent_again(self, case: DestinationCase) -> None:
        for _ in range(2):
            destination = case.build()
            await destination.start()
            await destination.send(message(1))
            await destination.send(message(1))
            await destination.aclose()
        found = await case.received()
        assert set(found) == {hl7(1)}
        assert len(found) == (1 if case.idempotent else 4)

    async def test_an_unreachable_system_is_tried_again(self, case: DestinationCase) -> None:
        await case.down()
        destination = case.build()
        await destination.start()
        with pytest.raises(Undelivered) as raised:
            await destination.send(message(1))
        assert without_secret(raised.value)
        await case.up()
        await eventually_sent(destination, message(1))
        await destination.aclose()
        assert await case.received() == [hl7(1)]

    async def test_a_system_that_goes_away_is_found_again(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        await destination.send(message(1))
        await case.down()
        with pytest.raises(Undelivered) as raised:
            await destination.send(message(2))
        assert without_secret(raised.value)
        await case.up()
        await eventually_sent(destination, message(2))
        await destination.aclose()
        assert (await case.received())[-1] == hl7(2)

    async def test_a_refusal_is_final_and_the_next_message_passes(self, case: DestinationCase) -> None:
        await case.refuse()
        destination = case.build()
        await destination.start()
        with pytest.raises(Refused) as raised:
            await destination.send(message(1))
        assert without_secret(raised.value)
        await destination.send(message(2))
        await destination.aclose()
        assert hl7(2) in await case.received()

    async def test_a_system_that_does_not_answer_is_tried_again(self, case: DestinationCase) -> None:
        if case.mute_reason:
            pytest.skip(case.mute_reason)
        await case.mute()
        destination = case.build()
        await destination.start()
        with pytest.raises(Undelivered) as raised:
            await destination.send(message(1))
        assert without_secret(raised.value)
        await destination.aclose()

    async def test_a_cancelled_send_leaves_nothing_behind(self, case: DestinationCase) -> None:
        destination = case.build()
        await destination.start()
        sent = message(1, note(b"x" * 3_000_000))
        for turns in (0, 1, 2, 5, 20):
            task = asyncio.create_task(destination.send(sent))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await destination.send(message(2))
        await destination.aclose()
        found = await case.received()
        assert found.count(hl7(2)) == 1
        assert set(found) <= {sent.body, hl7(2)}

    async def test_it_closes_twice_and_another_takes_over(self, case: DestinationCase) -> None:
        for number in (1, 2):
            destination = case.build()
            await destination.start()
            await destination.send(message(number))
            await destination.aclose()
            await destination.aclose()
        assert sorted(await case.received()) == [hl7(1), hl7(2)]

    async def test_one_that_never_started_closes(self, case: DestinationCase) -> None:
        await case.build().aclose()


async def eventually_sent(destination: Destination, sent: Message) -> None:
    """Send as the engine does: again while it is undelivered."""
    while True:
        try:
            await destination.send(sent)
        except Undelivered as error:
            assert without_secret(error)  # noqa: PT017  # each failure on the way counts
            await asyncio.sleep(0.05)
        else:
            return


def described(fields: dict[str, Any]) -> None:
    """Descriptions become the documentation."""
    assert [name for name, field in fields.items() if not field.description] == []


__all__ = [
    "SECRET", "DestinationCase", "DestinationConformance", "SourceCase", "SourceConformance", "VaguemestreError",
    "described", "eventually", "hl7", "message", "note", "without_secret",
]  # fmt: skip
