"""Lookups among the steps, channels that hand over to one another, answers that become messages."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from channels import registry
from channels.casetests import run_cases
from channels.errors import ConfigError, ConfigErrors, MessageError, Refused, StoreError, Undelivered, VaguemestreError
from channels.fields import Settings
from channels.journal.search import Archive
from channels.links import marked, waves
from channels.loader import load_site
from channels.message import Message
from channels.plan import changes, restarts
from channels.ports import Context, Surroundings
from channels.supervisor import Supervisor
from tests.channels.probe import ProbeDestination, ProbeSource
from tests.channels.test_runtime import adt, write
from transforms import er7

FIRST = """
channel: first
{ack}
source: {{probe: {{}}}}
transform: [{steps}]
destinations:
  - name: over
    retry: {{first: 1ms, most: 5ms}}
    {over}
"""
SECOND = """
channel: second
source: {channel: {}}
destinations:
  - name: far
    retry: {first: 1ms, most: 5ms}
    probe: {}
"""


class AskSettings(Settings):
    mark: str = "asked"


class Ask:
    """Writes its mark into PV1-3; answers with the errors that a test has scripted, then yes."""

    settings: type[Settings] = AskSettings
    script: ClassVar[deque[VaguemestreError]] = deque()
    asked: ClassVar[list[str]] = []
    life: ClassVar[list[str]] = []
    open: ClassVar[asyncio.Event | None] = None

    def __init__(self, settings: AskSettings, surroundings: Surroundings) -> None:
        self.mark, self.surroundings = settings.mark, surroundings

    async def start(self) -> None:
        self.life.append(f"start {self.surroundings.name}")

    async def ask(self, message: Message, context: Context) -> Any:
        self.asked.append(f"{context.destination or context.channel} {message.control_id}")
        await asyncio.sleep(0)
        if self.open is not None:
            await self.open.wait()
        if self.script:
            raise self.script.popleft()
        if self.mark == "drop":
            return []
        own = er7.parse(message.body)
        own.set("PV1-3", self.mark)
        made = message.with_body(own.encode())
        return [made, made] if self.mark == "twice" else made

    async def aclose(self) -> None:
        self.life.append("close")


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SOURCES, "probe", "tests.channels.probe:ProbeSource")
    monkeypatch.setitem(registry.DESTINATIONS, "probe", "tests.channels.probe:ProbeDestination")
    monkeypatch.setitem(registry.LOOKUPS, "ask", "tests.channels.test_links:Ask")
    registry.names.cache_clear()
    Ask.script, Ask.asked, Ask.life, Ask.open = deque(), [], [], None


Start = Callable[..., "asyncio.Future[Supervisor]"]


def site(
    folder: Path, *, steps: str = "", over: str = "probe: {}", ack: str = "", second: str = SECOND, first: str = ""
) -> None:
    write(folder, first or FIRST.format(steps=steps, over=over, ack=ack), "first")
    write(folder, second, "second")


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    engines: list[Supervisor] = []

    async def begin(**changes: str) -> Supervisor:
        site(tmp_path, **changes)
        engine = Supervisor(load_site(tmp_path))
        engines.append(engine)
        await engine.start()
        return engine

    yield begin  # type: ignore[misc]  # a coroutine function serves
    for engine in engines:
        if engine.channels:
            await engine.stop()


async def send(message: Message | None = None) -> Any:
    intake = ProbeSource.running["first"].intake
    assert intake is not None
    return await intake.receive(message or adt())


async def got(name: str, count: int = 1) -> list[Message]:
    """What a probe received, once it has so many."""
    while len(ProbeDestination.running[name].received) < count:
        await asyncio.sleep(0.001)
    return ProbeDestination.running[name].received


# lookups


async def test_a_lookup_stands_between_steps(start: Start) -> None:
    steps = "{set: {PV1-4: before}}, ask, {copy: {from: PV1-3, to: PV1-5}}"
    await start(steps=steps)
    await send()
    (message,) = await got("first/over")
    assert er7.read(message).get("PV1-3") == er7.read(message).get("PV1-5") == "asked"
    assert er7.read(message).get("PV1-4") == "before"
    assert Ask.asked == ["first G1"]


@pytest.mark.parametrize("steps, count", [("{ask: {mark: twice}}, {ask: {mark: x}}", 2), ("{ask: {mark: twice}}", 2)])
async def test_a_lookup_may_split(start: Start, steps: str, count: int) -> None:
    await start(steps=steps)
    await send()
    assert len(await got("first/over", count)) == count


async def test_a_lookup_may_drop(start: Start) -> None:
    engine = await start(steps="{ask: {mark: drop}}, {set: {PV1-4: x}}")
    await send()
    while not engine.channels["first"].state()["destinations"]["over"]["filtered"]:
        await asyncio.sleep(0.001)


async def test_a_destination_has_lookups_of_its_own(start: Start) -> None:
    await start(over="transform: [ask]\n    probe: {}")
    await send()
    await got("first/over")
    assert Ask.asked == ["over G1"]
    assert Ask.life == ["start over"]


async def test_what_is_not_answered_is_asked_again(start: Start) -> None:
    Ask.script.extend([Undelivered("not now"), Undelivered("not now")])
    await start(steps="ask")
    await send()
    await got("first/over")
    assert len(Ask.asked) == 3


@pytest.mark.parametrize("error, state", [(MessageError("no", "PID-3"), "failed"), (Refused("no"), "refused")])
async def test_a_no_is_a_dead_letter(start: Start, error: VaguemestreError, state: str) -> None:
    Ask.script.append(error)
    engine = await start(steps="ask")
    await send()
    while not engine.channels["first"].state()["destinations"]["over"][state]:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "error, retry",
    [
        (MessageError("no", "PID-3"), False),
        (Refused("no", b"<soap/>"), False),
        (Undelivered("not now", b"<soap/>"), True),
        (StoreError("full"), True),
        (ConfigError("the key is gone"), True),
    ],
)
async def test_the_sender_is_told_when_it_waits_for_the_steps(
    start: Start, error: VaguemestreError, *, retry: bool
) -> None:
    Ask.script.append(error)
    await start(steps="ask", ack="ack: transformed")
    outcome = await send()
    assert outcome.error is not None
    assert outcome.error.retry is retry
    assert not getattr(outcome.error, "answer", b""), "what the service said is not for the sender"
    assert (await send()).error is None or not retry


async def test_lookups_are_closed_with_their_channel(start: Start) -> None:
    engine = await start(steps="ask")
    await engine.stop()
    assert Ask.life == ["start transform", "close"]


def faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        load_site(folder)
    return [f"{one.file} {one.problem}" for one in raised.value.faults]


@pytest.mark.parametrize(
    "steps, problem",
    [
        ("{ask: {merk: x}}", "unknown key 'merk'; did you mean 'mark'?"),
        ("{when: {PV1-2: I}, then: [ask]}", "ask asks a service: it cannot stand inside another step"),
        ("aks", "no transform is called 'aks'; did you mean 'ask'?"),
    ],
)
def test_a_faulty_lookup_is_found_by_check(tmp_path: Path, steps: str, problem: str) -> None:
    site(tmp_path, steps=steps)
    assert f"channels/first.yaml {problem}" in faults(tmp_path)


def test_a_test_of_a_channel_asks_nobody(tmp_path: Path) -> None:
    tests = """
tests:
  - name: passed by
    input: cases/a.hl7
    expect: {over: cases/a.hl7}
  - name: with the answer of a file
    input: cases/a.hl7
    lookups: {ask: cases/b.hl7}
    expect: {over: cases/b.hl7}
"""
    site(tmp_path, steps="ask", over=f"probe: {{}}\n{tests}")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.hl7").write_bytes(adt(1).body)
    (tmp_path / "cases" / "b.hl7").write_bytes(adt(2).body)
    loaded = load_site(tmp_path)
    first, second = run_cases(loaded, loaded.channels["first"])
    assert (first.problems, second.problems) == ((), ())
    assert first.notes == ("ask was not asked: the message passed it by",)
    assert second.notes == ()
    assert Ask.asked == []


# links


async def test_a_message_goes_through_two_channels(start: Start) -> None:
    await start(over="channel: {to: second}")
    outcome = await send()
    (message,) = await got("second/far")
    assert message.body == adt().body
    assert message.parents == (outcome.id,)
    assert (message.control_id, message.sender) == ("G1", adt().sender)


async def test_a_stopped_channel_is_waited_for(start: Start, tmp_path: Path) -> None:
    engine = await start(over="channel: {to: second}")
    second = engine.channels["second"]
    assert second.source is not None
    await second.source.stop()
    await send()
    while not engine.channels["first"].state()["destinations"]["over"]["retries"]:
        await asyncio.sleep(0.001)
    await second.source.start(second)
    assert len(await got("second/far")) == 1


async def test_what_the_other_channel_refuses_is_refused(start: Start) -> None:
    Ask.script.append(MessageError("no"))
    second = SECOND.replace("source:", "ack: transformed\ntransform: [ask]\nsource:")
    engine = await start(over="channel: {to: second}", second=second)
    await send()
    while not engine.channels["first"].state()["destinations"]["over"]["refused"]:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "over, second, problem",
    [
        ("channel: {to: secnd}", SECOND, "first.yaml no enabled channel is called 'secnd'; did you mean 'second'?"),
        ("channel: {to: first}", SECOND, "first.yaml the source of first is probe: it must be `channel: {}`"),
        ("answers: thrid\n    probe: {}", SECOND, "first.yaml no enabled channel is called 'thrid'"),
        (
            "channel: {to: second}",
            SECOND.replace("probe: {}", "channel: {to: second}"),
            "second.yaml messages would turn for ever: second → second",
        ),
    ],
)
def test_a_link_that_cannot_work_is_found_by_check(tmp_path: Path, over: str, second: str, problem: str) -> None:
    site(tmp_path, over=over, second=second)
    assert any(one.startswith(f"channels/{problem}") for one in faults(tmp_path))


def test_who_hands_over_stops_first(tmp_path: Path) -> None:
    site(tmp_path, over="channel: {to: second}")
    assert waves(load_site(tmp_path).channels) == [["first"], ["second"]]


# answers


async def test_each_end_of_a_delivery_is_a_message(start: Start) -> None:
    await start(over="answers: second\n    probe: {}")
    outcome = await send()
    (message,) = await got("second/far")
    assert message.attributes["answer_state"] == "delivered"
    assert message.attributes["answer_to"] == "G1"
    assert message.parents == (outcome.id,)


async def test_a_refusal_is_told_with_what_was_answered(start: Start) -> None:
    await start(over="answers: second\n    probe: {}")
    ProbeDestination.running["first/over"].script.append(Refused("AE", b"MSH|^~\\&|DPI\rMSA|AE|G1\r"))
    await send()
    (message,) = await got("second/far")
    assert (message.format, message.body[:3]) == ("hl7v2", b"MSH")
    assert message.attributes["answer_state"] == "refused"


async def test_a_message_that_cannot_pass_is_told_with_its_place(start: Start) -> None:
    over = "answers: {channel: second, body: message}\n    transform: [ask]\n    probe: {}"
    Ask.script.append(MessageError("no", "PID-3", "204"))
    await start(over=over)
    await send()
    (message,) = await got("second/far")
    said = message.attributes
    assert (said["answer_state"], said["answer_place"], said["answer_condition"]) == ("failed", "PID-3", "204")
    assert message.body == adt().body


async def test_an_answer_waits_for_its_channel_and_nothing_is_sent_twice(start: Start) -> None:
    engine = await start(over="answers: second\n    probe: {}")
    second = engine.channels["second"]
    assert second.source is not None
    await second.source.stop()
    await send()
    await got("first/over")
    assert engine.channels["first"].state()["destinations"]["over"]["delivered"] == 0
    await second.source.start(second)
    await got("second/far")
    while not engine.channels["first"].state()["destinations"]["over"]["delivered"]:
        await asyncio.sleep(0.001)
    assert len(ProbeDestination.running["first/over"].received) == 1


async def test_a_store_error_of_a_lookup_is_no_dead_letter(start: Start) -> None:
    Ask.script.append(StoreError("full"))
    await start(steps="ask")
    await send()
    await got("first/over")


# what is told apart at the edge of the channel that takes it


async def test_a_replay_passes_though_the_other_channel_has_had_the_message(start: Start) -> None:
    engine = await start(over="channel: {to: second}")
    outcome = await send()
    await got("second/far")
    again = await engine.channels["first"].replay(outcome.id, ("over",))
    assert [one.parents for one in await got("second/far", 2)] == [(outcome.id,), (again,)]


@pytest.mark.parametrize("ack", ["", "ack: transformed"])
async def test_parts_of_one_message_are_not_taken_for_one_another(start: Start, ack: str) -> None:
    """Both have the same body and control id, and with ``transformed`` they were made before the number."""
    await start(steps="{ask: {mark: twice}}", over="channel: {to: second}", ack=ack)
    outcomes = [await send(adt(1)), await send(adt(2))]
    messages = await got("second/far", 4)
    assert [one.parents for one in messages] == [(one.id,) for one in outcomes for _ in range(2)]
    assert [one.attributes["handed_over"] for one in messages[:2]] == ["first/over 1 0", "first/over 1 1"]


@pytest.mark.parametrize("ack", ["", "ack: transformed"])
async def test_messages_without_a_control_id_are_handed_over_each(start: Start, ack: str) -> None:
    await start(over="channel: {to: second}", ack=ack)
    for _ in range(2):
        await send(Message(b"the same", "raw"))
    assert [one.body for one in await got("second/far", 2)] == [b"the same"] * 2


async def test_what_comes_again_after_a_crash_is_known_whatever_it_says_now(start: Start) -> None:
    engine = await start(over="channel: {to: second}")
    second = engine.channels["second"]
    first = await second.receive(marked(adt(1), "first/over", 9, "0"))
    again = await second.receive(marked(adt(2), "first/over", 9, "0"))
    other = await second.receive(marked(adt(1), "first/over", 9, "1"))
    assert (first.duplicate, again.duplicate, again.id, other.duplicate) == (False, True, first.id, False)


async def test_a_source_cannot_pretend_to_be_a_channel(start: Start) -> None:
    await start()
    await send(marked(adt(1), "first/over", 9, "0"))
    assert not (await send(marked(adt(2), "first/over", 9, "0"))).duplicate


# which ends are told, and how


async def test_what_a_filter_stops_is_no_answer(start: Start) -> None:
    engine = await start(over="answers: second\n    filter: {message: ADT^A03}\n    probe: {}")
    await send()
    while not engine.channels["first"].state()["destinations"]["over"]["filtered"]:
        await asyncio.sleep(0.001)
    assert engine.channels["second"].state()["received"] == 0


TOLD = """
channel: first
source: {probe: {}}
ack: ACK
destinations:
  - name: over
    answers: {channel: second, body: message}
    retry: {first: 1ms, most: 1ms, GIVE_UP}
    queue: {QUEUE}
    probe: {}
"""


def told(*, ack: str = "received", give_up: str = "", queue: str = "") -> str:
    return TOLD.replace("ACK", ack).replace(", GIVE_UP", f", {give_up}" if give_up else "").replace("QUEUE", queue)


async def test_a_message_that_nobody_takes_in_time_is_told(start: Start) -> None:
    await start(first=told(give_up="give_up: 5ms"))
    ProbeDestination.running["first/over"].script.extend([Undelivered("no answer")] * 1000)
    await send()
    (message,) = await got("second/far")
    assert message.attributes["answer_state"] == "expired"
    assert message.attributes["answer_problem"] == "no answer"
    assert message.attributes["answer_to"] == "G1"


async def test_a_message_that_finds_the_queue_full_is_told(start: Start) -> None:
    engine = await start(first=told(queue="limit: 1, when_full: dead_letter"))
    ProbeDestination.running["first/over"].open.clear()
    await send(adt(1))
    await send(adt(2))
    (message,) = await got("second/far")
    assert (message.attributes["answer_state"], message.attributes["answer_problem"]) == (
        "failed",
        "the queue was full",
    )
    assert message.body == adt(2).body
    while not engine.channels["first"].state()["destinations"]["over"]["failed"]:
        await asyncio.sleep(0.001)
    ProbeDestination.running["first/over"].open.set()


async def test_a_message_that_is_withdrawn_because_its_sender_was_told_no_is_told(start: Start) -> None:
    engine = await start(first=told(ack="{delivered: over, within: 20ms}"))
    engine.channels["first"].routes["over"].lanes.held = True
    outcome = await send()
    assert outcome.error is not None
    (message,) = await got("second/far")
    assert message.attributes["answer_state"] == "expired"
    assert message.body == adt().body
    while not engine.channels["first"].state()["destinations"]["over"]["expired"]:
        await asyncio.sleep(0.001)


async def test_an_end_is_told_before_it_is_noted_and_a_waiting_one_is_seen(start: Start) -> None:
    engine = await start(first=told())
    second, over = engine.channels["second"], engine.channels["first"].routes["over"]
    assert second.source is not None
    await second.source.stop()
    await send()
    while not over.problem:
        await asyncio.sleep(0.001)
    assert over.problem == "an answer waits: the channel second does not take it now"
    assert over.state()["waiting"] == 1
    await second.source.start(second)
    while over.state()["waiting"]:
        await asyncio.sleep(0.001)
    assert (over.problem, over.state()["delivered"]) == ("", 1)


async def test_an_answer_is_read_like_any_message(start: Start) -> None:
    await start(
        over="answers: second\n    probe: {}", second=SECOND.replace("probe", "filter: {message: ACK}\n    probe")
    )
    refused = Refused("AE", b"MSH|^~\\&|DPI|CH|||2026||ACK^A01|D9|P|2.5|||||FRA|8859/1\rMSA|AE|G1\r")
    ProbeDestination.running["first/over"].script.append(refused)
    await send()
    (message,) = await got("second/far")
    assert (message.kind, message.charset, message.format) == ("ACK^A01", "iso8859-1", "hl7v2")
    assert (message.control_id, message.sender) == ("1.first/over", "first/over")


async def test_what_a_service_said_to_a_step_is_kept_and_told_to_nobody(start: Start) -> None:
    engine = await start(steps="ask", over="answers: second\n    probe: {}", ack="ack: {delivered: over, within: 5s}")
    Ask.script.append(Refused("no", b"<soap/>"))
    outcome = await send()
    (message,) = await got("second/far")
    assert (message.attributes["answer_state"], message.body) == ("refused", b"")
    assert isinstance(outcome.error, Refused)
    assert (outcome.error.answer, outcome.answer) == (b"", b"")
    await engine.journal.flushed()
    archive = Archive(engine.journal.directory, None)
    assert archive.content(outcome.id, "first/over", "answer") == b"<soap/>"
    archive.close()


async def test_an_end_without_an_answer_is_an_empty_message(start: Start) -> None:
    await start(steps="ask", over="answers: second\n    probe: {}")
    Ask.script.append(MessageError("no", "PID-3", "204"))
    await send()
    (message,) = await got("second/far")
    assert (message.body, message.format, message.attributes["answer_condition"]) == (b"", "raw", "204")


async def test_an_answer_comes_with_what_the_source_knew_of_the_message(start: Start) -> None:
    await start(first=told())
    await send(replace(adt(), attributes={"mailbox": "labo"}))
    (message,) = await got("second/far")
    assert (message.attributes["mailbox"], message.attributes["answer"]) == ("labo", "answer")
    assert (message.kind, message.format) == ("ADT^A01", "hl7v2")


# one engine, many channels


@pytest.mark.parametrize(
    "error, state",
    [(KeyError("MODELE"), "failed"), (ConnectionResetError(), "delivered"), (TimeoutError(), "delivered")],
)
async def test_a_connector_with_a_fault_does_not_stop_its_destination(
    start: Start, error: Exception, state: str
) -> None:
    engine = await start()
    ProbeDestination.running["first/over"].script.append(error)  # type: ignore[arg-type]  # a fault is of any class
    await send(adt(1))
    await send(adt(2))
    await got("first/over", 2 if state == "delivered" else 1)
    while not engine.channels["first"].state()["destinations"]["over"][state]:
        await asyncio.sleep(0.001)


async def test_one_patient_is_asked_about_in_order_while_others_go_on(start: Start) -> None:
    engine = await start(steps="ask", ack="ack: transformed")
    Ask.open = asyncio.Event()
    runtime = engine.channels["first"]
    tasks = [asyncio.create_task(runtime.receive(adt(number, patient=who))) for number, who in enumerate("7787", 1)]
    while len(Ask.asked) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert Ask.asked == ["first G1", "first G3"]
    Ask.open.set()
    outcomes = await asyncio.gather(*tasks)
    assert [one.error for one in outcomes] == [None] * 4
    assert [one.id for one in outcomes] == [1, 2, 3, 4]
    assert Ask.asked == ["first G1", "first G3", "first G2", "first G4"]
    assert not runtime._asking


async def test_who_takes_starts_first(start: Start) -> None:
    engine = await start(over="channel: {to: second}")
    assert list(engine.channels) == ["second", "first"]


def test_no_name_is_a_lookup_and_a_transform() -> None:
    assert not registry.names("lookup").keys() & registry.names("transform").keys()


def test_a_plan_tells_of_lookups_links_and_answers(tmp_path: Path) -> None:
    site(tmp_path, steps="ask", over="answers: second\n    probe: {}")
    before = load_site(tmp_path)
    site(tmp_path, steps="{ask: {mark: x}}", over="channel: {to: second}")
    after = load_site(tmp_path)
    assert changes(before, after) == [
        "first: transform [ask] → [{ask: {mark: x}}]",
        "first: destination over: answers: second removed",
        "first: destination over: probe: {} removed",
        "first: destination over: channel: {to: second} (new)",
    ]
    assert restarts(before, after) == (["first"], ["second"])


def test_a_circle_over_answers_is_found(tmp_path: Path) -> None:
    site(tmp_path, over="channel: {to: second}", second=SECOND.replace("probe: {}", "answers: third\n    probe: {}"))
    third = SECOND.replace("channel: second", "channel: third").replace("probe: {}", "channel: {to: second}")
    write(tmp_path, third, "third")
    found = faults(tmp_path)
    assert "channels/second.yaml messages would turn for ever: second → third → second" in found


def test_a_channel_that_is_switched_off_takes_nothing(tmp_path: Path) -> None:
    site(tmp_path, over="channel: {to: second}", second=SECOND.replace("source:", "enabled: false\nsource:"))
    assert faults(tmp_path) == ["channels/first.yaml no enabled channel is called 'second'"]
