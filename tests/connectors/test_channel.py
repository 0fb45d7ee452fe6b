"""Channels that hand over to one another: what the connector promises, on both sides."""

from dataclasses import replace
from pathlib import Path

import pytest

from channels.errors import ConfigError, MessageError, ProfileError, QueueFull, Refused, StoreError, Undelivered
from channels.links import Links
from channels.ports import Outcome, Surroundings
from connectors.channel import (
    ChannelDestination,
    ChannelDestinationSettings,
    ChannelSource,
    ChannelSourceSettings,
)
from tests.connectors.conformance import message
from tests.connectors.intake import ListIntake, surroundings


def around(folder: Path, links: Links | None, channel: str) -> Surroundings:
    return replace(surroundings(folder, "next"), links=links, channel=channel)


def source(folder: Path, links: Links | None) -> ChannelSource:
    return ChannelSource(ChannelSourceSettings(), around(folder, links, "second"))


def destination(folder: Path, links: Links | None) -> ChannelDestination:
    return ChannelDestination(ChannelDestinationSettings(to="second"), around(folder, links, "first"))


@pytest.fixture
def links() -> Links:
    return Links()


@pytest.fixture
async def intake(tmp_path: Path, links: Links) -> ListIntake:
    """Of the channel ``second``, which runs."""
    made = ListIntake()
    await source(tmp_path, links).start(made)
    return made


async def test_a_message_arrives_as_it_is_and_names_the_one_it_came_from(
    tmp_path: Path, links: Links, intake: ListIntake
) -> None:
    sent = replace(message(1), id=7, parents=(3,), attributes={"file": "x"})
    over = destination(tmp_path, links)
    await over.start()
    receipt = await over.send(sent)
    (came,) = intake.messages
    assert came.body is sent.body
    assert (came.format, came.charset, came.kind, came.control_id, came.sender) == (
        sent.format, sent.charset, sent.kind, sent.control_id, sent.sender,
    )  # fmt: skip
    assert (came.id, came.parents, came.attributes) == (0, (7,), {"file": "x"})
    assert came.received > sent.received
    assert receipt.reference == "1"
    await over.aclose()
    await over.aclose()


async def test_the_answer_of_a_channel_that_waits_for_its_destination_goes_back(
    tmp_path: Path, links: Links, intake: ListIntake
) -> None:
    intake.outcome = Outcome(4, None, b"MSA|AA")
    assert (await destination(tmp_path, links).send(message(1))).answer == b"MSA|AA"
    intake.outcome = Outcome(5, Refused("AE", b"MSA|AE"))
    with pytest.raises(Refused) as raised:
        await destination(tmp_path, links).send(message(2))
    assert raised.value.answer == b"MSA|AE"


@pytest.mark.parametrize("error", [StoreError("full"), QueueFull("full"), Undelivered("not now")])
async def test_what_cannot_be_taken_now_is_sent_again(
    tmp_path: Path, links: Links, intake: ListIntake, error: Exception
) -> None:
    intake.refuse_with = lambda one: error  # type: ignore[assignment, return-value]  # one of ours
    with pytest.raises(Undelivered, match="the channel second cannot take it now"):
        await destination(tmp_path, links).send(message(1))


async def test_what_can_never_pass_is_refused_with_its_place(tmp_path: Path, links: Links, intake: ListIntake) -> None:
    intake.refuse_with = lambda one: ProfileError("the field is missing", "PID-3")
    with pytest.raises(Refused) as raised:
        await destination(tmp_path, links).send(message(1))
    assert str(raised.value) == "refused by the channel second: PID-3: the field is missing"
    assert not isinstance(raised.value, MessageError)


async def test_a_channel_that_does_not_run_is_waited_for(tmp_path: Path, links: Links) -> None:
    with pytest.raises(Undelivered, match="the channel second does not run"):
        await destination(tmp_path, links).send(message(1))
    first, second = source(tmp_path, links), source(tmp_path, links)
    await first.start(ListIntake())
    taken = ListIntake()
    await second.start(taken)
    await first.stop()  # the one before stops after its successor began
    await destination(tmp_path, links).send(message(1))
    assert len(taken.messages) == 1
    await second.stop()
    await second.stop()
    with pytest.raises(Undelivered):
        await destination(tmp_path, links).send(message(1))


async def test_there_are_other_channels_in_a_running_engine_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inside a running engine"):
        await source(tmp_path, None).start(ListIntake())
    with pytest.raises(ConfigError, match="inside a running engine"):
        await destination(tmp_path, None).start()
