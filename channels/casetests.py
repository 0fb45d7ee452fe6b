"""The tests that a channel file carries: a message in, what each destination must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from channels import registry
from channels.checks import files_of, lookups_of
from channels.errors import MessageError, ParseError
from channels.loader import LoadedSite
from channels.message import Message
from channels.model import Case, Channel
from channels.pipeline import Pipeline

RECEIVED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""When the messages of tests are received: what a transform writes of the time is the same each day."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one test.

    problems: a line each, with the destination and the place; none when it passed. notes: what the test did not try.
    """

    channel: str
    case: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when everything was as expected."""
        return not self.problems


def run_cases(loaded: LoadedSite, channel: Channel) -> list[CaseResult]:
    """Run every test of a channel; nothing is sent and nothing is written."""
    pipeline = Pipeline(channel, loaded)
    return [
        CaseResult(
            channel.channel, case.name, tuple(_problems(loaded, pipeline, channel, case)), _not_asked(channel, case)
        )
        for case in channel.tests
    ]


def _not_asked(channel: Channel, case: Case) -> tuple[str, ...]:
    """A test asks nobody: what a lookup would have said is in a file of the case, or it was passed by."""
    return tuple(
        f"{name} was not asked: the message passed it by" for name in lookups_of(channel) if name not in case.lookups
    )


def read_case(body: bytes) -> Message:
    """A message of a file as a source would hand it in: HL7 v2 when it is, else raw."""
    received = RECEIVED.timestamp()
    try:
        made: Message = registry.load(registry.MESSAGE)(body, received)
    except ParseError:
        return Message(body, "raw", received=received)
    return made


def accept_outputs(loaded: LoadedSite, channel: Channel) -> list[str]:
    """Write what each destination gets into the files where tests expect it, when it is not there; returns the files.

    The number of messages is not changed: a test that expects nothing, or a refusal, stays as it is.
    """
    pipeline = Pipeline(channel, loaded)
    differences = registry.load(registry.DIFFERENCES)
    written = []
    for case in channel.tests:
        outputs, _ = _run(loaded, pipeline, channel, case)
        for name, expected in case.expect.items():
            files, made = files_of(expected), outputs.get(name, [])
            for file, output in zip(files, made, strict=False) if len(files) == len(made) else ():
                path = loaded.directory / file
                if differences(path.read_bytes(), output.body, case.ignore):
                    path.write_bytes(output.body)
                    written.append(file)
    return written


def _run(
    loaded: LoadedSite, pipeline: Pipeline, channel: Channel, case: Case
) -> tuple[dict[str, list[Message]], dict[str, MessageError]]:
    """What each destination gets, and who refused; ``""`` is the channel itself."""
    outputs: dict[str, list[Message]] = {}
    refusals: dict[str, MessageError] = {}
    lookups = {name: (loaded.directory / file).read_bytes() for name, file in case.lookups.items()}
    try:
        common = pipeline.common(read_case((loaded.directory / case.input).read_bytes()), lookups)
    except MessageError as error:
        common, refusals[""] = [], error
    for destination in channel.destinations:
        name = destination.name
        try:
            outputs[name] = [one for message in common for one in pipeline.branch(name, message, lookups)]
        except MessageError as error:
            refusals[name] = error
    return outputs, refusals


def _problems(loaded: LoadedSite, pipeline: Pipeline, channel: Channel, case: Case) -> Iterator[str]:
    outputs, refusals = _run(loaded, pipeline, channel, case)
    if case.error is None:
        for where, refusal in refusals.items():
            yield f"{where or 'channel'}: refused at {refusal.place or 'the whole message'}: {refusal.problem}"
    elif case.error not in [refusal.place for refusal in refusals.values()]:
        found = ", ".join(refusal.place or refusal.problem for refusal in refusals.values())
        yield f"refusal expected at {case.error}: " + (f"it was at {found}" if found else "the message passed")
    for name, files in case.expect.items():
        if case.error is None and ("" in refusals or name in refusals):
            continue
        bodies = [(loaded.directory / file).read_bytes() for file in files_of(files)]
        yield from _compare(name, bodies, [one.body for one in outputs.get(name, [])], case)


def _compare(name: str, expected: list[bytes], got: list[bytes], case: Case) -> Iterator[str]:
    if len(expected) != len(got):
        yield f"{name}: {_count(expected)} expected, {_count(got)} made"
        return
    differences = registry.load(registry.DIFFERENCES)
    for number, (one, other) in enumerate(zip(expected, got, strict=True), 1):
        which = f"{name} (message {number})" if len(got) > 1 else name
        for line in differences(one, other, case.ignore):
            yield f"{which}: {line}"


def _count(bodies: list[bytes]) -> str:
    return {0: "nothing", 1: "one message"}.get(len(bodies), f"{len(bodies)} messages")
