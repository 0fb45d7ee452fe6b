"""What sites test their functions with keeps the promises of ``channels.ports``."""

from collections.abc import Callable
from pathlib import Path

import pytest

from channels.errors import MessageError, Refused, Undelivered
from channels.loader import no_site
from channels.message import Message
from channels.ports import Destination, Intake, Outcome, Receipt, Source, Surroundings
from channels.testing import (
    NOON,
    Clock,
    FakeDestination,
    FakeDestinationSettings,
    FakeSource,
    FakeSourceSettings,
    message,
    sample_context,
)

ADT = b"MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A01|1|P|2.5\r"
HERE = Surroundings(no_site().site, Path(), "adt", "dpi")


class _Channel:
    """An intake that accepts everything."""

    def submit(self, message: Message, answer: Callable[[Outcome], None]) -> None:
        answer(Outcome(1))

    async def receive(self, message: Message) -> Outcome:
        return Outcome(1)

    def refuse(self, message: Message, error: MessageError, answer: Callable[[Outcome], None]) -> None:
        answer(Outcome(1, error))


async def test_a_fake_source_hands_its_messages_to_the_channel() -> None:
    fake = FakeSource(FakeSourceSettings(), HERE)
    source: Source = fake
    intake: Intake = _Channel()
    with pytest.raises(RuntimeError):
        await fake.receives(message(ADT))
    await source.start(intake)
    assert (await fake.receives(message(ADT))).id == 1
    await source.stop()
    await source.stop()
    assert fake.intake is None


async def test_a_fake_destination_answers_as_it_is_told_and_keeps_what_it_took() -> None:
    fake = FakeDestination(FakeDestinationSettings(), HERE)
    destination: Destination = fake
    await destination.start()
    fake.answers = [Undelivered("not now"), Refused("never"), Receipt("theirs")]
    one = message(ADT)
    with pytest.raises(Undelivered):
        await destination.send(one)
    with pytest.raises(Refused):
        await destination.send(one)
    assert (await destination.send(one)).reference == "theirs"
    assert (await destination.send(one)).reference == "1"
    await destination.aclose()
    assert fake.sent == [one, one]


def test_a_clock_moves_when_it_is_told() -> None:
    clock = Clock()
    clock.advance(60)
    assert clock() == NOON.timestamp() + 60


def test_a_message_is_read_from_bytes_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(ADT)
    for one in (message(ADT), message(tmp_path / "a.hl7"), message(str(tmp_path / "a.hl7"))):
        assert (one.kind, one.body, one.received) == ("ADT^A01", ADT, NOON.timestamp())


def test_a_context_is_ready_for_a_transform() -> None:
    context = sample_context(channel="adt", destination="dpi")
    assert (context.now, context.channel, context.destination) == (NOON, "adt", "dpi")
    assert context.table("units").translate("G/L") == "10*9/L"
