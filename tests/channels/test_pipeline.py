"""Filters and steps of a channel: what each destination gets."""

from pathlib import Path

import pytest

from channels.errors import ConfigError, MappingError, MessageError, WorkerError
from channels.loader import no_site
from channels.model import Step
from channels.pipeline import Pipeline, Steps
from channels.testing import NOON, message
from tests.channels.sites import ADT, change, connectors, loaded

pytestmark = pytest.mark.usefixtures("connectors")
__all__ = ["connectors"]
CODE = """\
from dataclasses import replace
from channels.message import Message
from channels.ports import in_worker

def twice(message, context):
    return [message, message.with_body(message.body.replace(b"GAP1", b"GAP2"))]

def nothing(message, context):
    return []

def stranger(message, context):
    return Message(message.body.replace(b"A01", b"A02"), charset=message.charset)

def cda(message, context):
    return message.with_body(b"<a/>", format="cda")

def unreadable(message, context):
    return message.with_body(b"nothing")

def wrong(message, context):
    return None

def broken(message, context):
    return message.attributes["MODELE"]

def told(message, context):
    assert not isinstance(context.options, list)
    text = f"{context.channel}/{context.destination} {context.options.get('say', '')} {context.now.isoformat()}"
    return message.with_body(text.encode(), format="raw")

def greedy(message, context):
    raise MemoryError

@in_worker
def heavy(message, context):
    return message
"""
STEP = "- codes: {field: PV1-3.1, table: uf}"
ONE = message(ADT)


def _pipeline(tmp_path: Path, *pairs: tuple[str, str]) -> Pipeline:
    site = loaded(tmp_path, {"channels/adt.yaml": change(*pairs), "transforms/local.py": CODE})
    return Pipeline(site.channels["adt"], site)


def test_a_message_that_nothing_touches_is_the_same_object(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    (common,) = pipeline.common(ONE)
    (output,) = pipeline.branch("dpi", common)
    assert common is ONE
    assert output is ONE


def test_each_destination_has_its_own_filter_and_steps(tmp_path: Path) -> None:
    outputs = _pipeline(tmp_path).outputs(ONE)
    assert outputs["dpi"] == [ONE]
    assert [one.body for one in outputs["sgl"]] == [ADT.replace(b"|3120^", b"|NEPH^")]
    outside = ONE.with_body(ADT.replace(b"PV1|1|I", b"PV1|1|O"))
    assert _pipeline(tmp_path).outputs(outside) == {"dpi": [outside], "sgl": []}


def test_the_channels_own_filter_and_steps_come_first(tmp_path: Path) -> None:
    own = "channel: adt\nfilter: {message: ADT^A01}\ntransform: [delete: EVN]\n"
    pipeline = _pipeline(tmp_path, ("channel: adt\n", own))
    outputs = pipeline.outputs(ONE)
    assert b"EVN" not in outputs["dpi"][0].body
    assert b"EVN" not in outputs["sgl"][0].body
    other = message(ADT.replace(b"A01", b"A03"))
    assert pipeline.common(other) == []
    assert (pipeline.passes(ONE), pipeline.passes(other)) == (True, False)
    assert (pipeline.passes(other, "dpi"), pipeline.passes(other, "sgl")) == (True, False)


def test_a_step_may_give_several_messages_or_none(tmp_path: Path) -> None:
    several = _pipeline(tmp_path, (STEP, "- local.twice\n      - local.twice\n      - set: {PV1-2: E}"))
    outputs = several.branch("sgl", ONE)
    assert [one.control_id for one in outputs] == ["GAP1", "GAP2", "GAP2", "GAP2"]
    assert all(b"PV1|1|E" in one.body for one in outputs)
    assert _pipeline(tmp_path, (STEP, "- local.nothing\n      - local.broken")).branch("sgl", ONE) == []


def test_what_a_step_makes_keeps_the_numbers_of_its_message_and_tells_its_own_header(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path, (STEP, "- local.stranger"))
    from dataclasses import replace

    one = replace(ONE, id=7, parents=(3,), attributes={"file": "x"})
    (output,) = pipeline.branch("sgl", one)
    assert (output.id, output.parents, output.received) == (7, (3,), one.received)
    assert (output.kind, output.control_id, output.sender) == ("ADT^A02", "GAP1", "GAP|CH")


def test_a_step_may_make_another_format(tmp_path: Path) -> None:
    (output,) = _pipeline(tmp_path, (STEP, "- local.cda")).branch("sgl", ONE)
    assert (output.format, output.body, output.kind) == ("cda", b"<a/>", "ADT^A01")


def test_when_runs_its_steps_on_the_messages_that_match(tmp_path: Path) -> None:
    when = "- when: {PV1-2: I}\n        then:\n          - local.twice\n          - set: {PV1-2: X}\n"
    steps = when + "      - set: {PV1-4: R}"
    pipeline = _pipeline(tmp_path, (STEP, steps), ("PV1-2: [I, E]", 'PV1-2: "*"'))
    inside = pipeline.branch("sgl", ONE)
    assert [one.body.count(b"PV1|1|X|3120^12|R") for one in inside] == [1, 1]
    (outside,) = pipeline.branch("sgl", message(ADT.replace(b"PV1|1|I", b"PV1|1|O")))
    assert b"PV1|1|O|3120^12|R" in outside.body


def test_a_step_knows_where_and_when_it_runs(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path, (STEP, "- local.told: {say: hello}"))
    (output,) = pipeline.branch("sgl", ONE)
    assert output.body.decode() == f"adt/sgl hello {NOON.isoformat()}"
    pipeline = _pipeline(tmp_path, ("channel: adt\n", "channel: adt\ntransform: [local.told: {say: x}, local.told]\n"))
    (output,) = pipeline.common(ONE)
    assert output.body.decode() == f"adt/  {NOON.isoformat()}"


def test_a_refusal_has_its_place(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as raised:
        _pipeline(tmp_path).branch("sgl", message(ADT.replace(b"3120", b"9999")))
    assert raised.value.place == "PV1-3.1"


@pytest.mark.parametrize(
    "step,problem",
    [
        ("local.broken", "the step 'local.broken' failed: KeyError"),
        ("local.wrong", "the step 'local.wrong' failed: TypeError"),
        ("local.unreadable", "MSH: the message does not begin with an MSH segment"),
    ],
)
def test_a_step_that_fails_refuses_the_message_without_its_values(step: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(MessageError) as raised:
        _pipeline(tmp_path, (STEP, f"- {step}")).branch("sgl", ONE)
    assert str(raised.value) == problem
    assert "MODELE" not in str(raised.value)


def test_a_machine_without_memory_is_no_fault_of_the_message(tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as raised:
        _pipeline(tmp_path, (STEP, "- local.greedy")).branch("sgl", ONE)
    assert raised.value.retry


def test_heavy_steps_are_told_apart(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    assert (pipeline.waits(), pipeline.waits("dpi"), pipeline.waits("sgl")) == (False, False, False)
    pipeline = _pipeline(tmp_path, (STEP, "- local.heavy"))
    assert (pipeline.waits(), pipeline.waits("dpi"), pipeline.waits("sgl")) == (False, False, True)
    pipeline = _pipeline(tmp_path, (STEP, "- when: {PV1-2: I}\n        then: [local.heavy]"))
    assert pipeline.waits("sgl")
    pipeline = _pipeline(tmp_path, ("channel: adt\n", "channel: adt\ntransform: [local.heavy]\n"))
    assert pipeline.waits()


def test_one_step_can_run_without_a_channel() -> None:
    steps = Steps([Step(name="ins.withhold_unverified")], no_site())
    assert bool(steps)
    assert steps.run(ONE) == [ONE]
    assert not Steps([], no_site())


def test_a_step_that_nobody_knows_cannot_be_built() -> None:
    with pytest.raises(ConfigError):
        Steps([Step(name="nobody.knows")], no_site())
