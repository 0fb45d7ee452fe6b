"""A channel file: one source, an optional filter and transform, one or more destinations, its own tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from channels.fields import Seconds, Settings, SizeBytes, one_or_more

Row = dict[str, tuple[str, ...]]
"""One row of a filter: place or ``message`` -> the values that pass. Every field of a row must match."""


def _value(value: Any) -> str:
    """A value of a filter as it was written; a number or true/false without quotes is its text."""
    if value is None:
        raise ValueError('a value is missing; absent is written ""')
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("a value of a filter is a text, or a list of texts")


def _rows(value: Any) -> Any:
    rows = one_or_more(value)
    if not all(isinstance(row, dict) and row for row in rows):
        raise ValueError("a filter is a row `PLACE: value`, or a list of such rows")
    return [{str(place): [_value(one) for one in one_or_more(values)] for place, values in row.items()} for row in rows]


Filter = Annotated[tuple[Row, ...], BeforeValidator(_rows)]
"""Rows: a message passes when any row matches; in a row, every field; in a field, any of its values."""


class Step(Settings):
    """One step of a transform: a name, and options when it is written ``name: {…}``."""

    name: str
    options: Any = None
    place: tuple[int, int] = (0, 0)


class AckPolicy(Settings):
    """When the sender gets its acknowledgement."""

    after: Literal["received", "transformed", "delivered"] = Field(
        "received",
        description="`received`: it is on disk; `transformed`: every filter and transform ran too; `delivered`: the "
        "destination named has answered.",
    )
    destination: str | None = Field(None, description="With `delivered`: the destination whose answer is the answer.")
    within: Seconds = Field(30.0, description="With `delivered`: how long the sender may wait.")


def _ack(value: Any) -> Any:
    if isinstance(value, str):
        return {"after": value}
    if isinstance(value, dict) and "delivered" in value:
        return {
            "after": "delivered",
            "destination": value["delivered"],
            **{k: v for k, v in value.items() if k != "delivered"},
        }
    return value


Ack = Annotated[AckPolicy, BeforeValidator(_ack)]


class Duplicates(Settings):
    """Resends answered at the edge: same sender, same control id, same body."""

    remember: int = Field(50_000, ge=0, description="How many of the latest messages are compared; 0 turns it off.")
    same_id: Literal["warn", "refuse"] = Field(
        "warn", description="The same control id with another body: a new message with a warning, or refused (205)."
    )


class Retry(Settings):
    """When an undelivered message is sent again: exponential back-off with jitter."""

    first: Seconds = Field(1.0, description="Wait after the first failure.")
    factor: float = Field(2.0, ge=1.0, description="Each wait is this many times the one before.")
    most: Seconds = Field(60.0, description="The longest wait.")
    jitter: float = Field(0.2, ge=0.0, le=1.0, description="Part of each wait that is drawn at random.")
    give_up: Seconds | None = Field(None, description="After this time the message is a dead letter; absent: never.")


class Breaker(Settings):
    """Circuit breaker: after failures in a row, one message at a time tries the destination."""

    failures: int = Field(5, ge=1, description="Failures in a row, over all lanes, that open the circuit.")
    wait: Seconds = Field(5.0, description="First wait before a trial; grows like `retry`.")


class Queue(Settings):
    """How much may wait for one destination, and what happens then."""

    limit: int = Field(1_000_000, ge=1, description="Messages waiting.")
    when_full: Literal["refuse", "dead_letter"] = Field(
        "refuse",
        description="`refuse`: the source answers AR and the sender keeps the message; `dead_letter`: set aside.",
    )
    memory: SizeBytes = Field(32_000_000, description="Bodies kept in memory; the rest waits on disk.")


class AnswersModel(Settings):
    """Where the answers of a destination go."""

    channel: str = Field(description="Channel of this site, whose source is `channel: {}`.")
    body: Literal["answer", "message"] = Field(
        "answer",
        description="What the message is: the answer, or the message that was answered (the answer beside it).",
    )


def _answers(value: Any) -> Any:
    return {"channel": value} if isinstance(value, str) else value


class DestinationModel(Settings):
    """One destination: its connector, and how messages go to it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Unique in the channel.")
    filter: Filter | None = Field(None, description="Which of the channel's messages go to this destination.")
    transform: tuple[Step, ...] = Field((), description="Steps for this destination alone, after the channel's.")
    order: Literal["lanes", "strict"] = Field("lanes", description="`lanes`: order per patient; `strict`: one lane.")
    parallel: int = Field(4, ge=1, le=256, description="Deliveries at once (for mllp: connections); 1 with `strict`.")
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    queue: Queue = Queue()
    answers: Annotated[AnswersModel | None, BeforeValidator(_answers)] = Field(
        None, description="How each delivery ended goes, as a message, to this channel of the site."
    )
    connector: str = Field(description="Name of the connector, the key of its settings in the file.")
    settings: Any = Field(None, description="The connector's own settings, an instance of its model.")


class SourceModel(Settings):
    """The channel's source."""

    connector: str
    settings: Any = None


class Case(Settings):
    """One test of a channel: a message in, what each destination must get."""

    name: str = Field(description="What the test shows, as a sentence.")
    input: str = Field(description="File with the message, in the site.")
    expect: dict[str, str | tuple[str, ...] | None] = Field(
        default_factory=dict,
        description="Destination -> file with what it gets, or several in order; null: it gets nothing.",
    )
    lookups: dict[str, str] = Field(
        default_factory=dict,
        description="Lookup -> file with the message that comes out of it; nobody is asked, and others pass it by.",
    )
    error: str | None = Field(None, description="The place of the refusal expected, e.g. `PV1-3.1`.")
    ignore: tuple[str, ...] = Field((), description="Places that may differ, e.g. `MSH-7`.")


class Channel(Settings):
    """One channel file."""

    channel: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="The channel's name, that of its file.")
    description: str = Field("", description="What the flow is, for people.")
    enabled: bool = Field(True, description="`false`: the file is checked, and the channel does not run.")
    source: SourceModel = Field(description="Where messages come from: one connector with its settings.")
    ack: Ack = AckPolicy()
    lane: tuple[str, ...] = Field(
        ("patient",), description="What keeps order: `patient`, `channel`, or places such as PID-18.1."
    )
    duplicates: Duplicates = Duplicates()
    filter: Filter | None = Field(None, description="Which messages go on; the others are kept and answered AA.")
    transform: tuple[Step, ...] = Field((), description="Steps for every destination.")
    destinations: tuple[DestinationModel, ...] = Field(min_length=1, description="Where messages go: one or more.")
    tests: tuple[Case, ...] = Field((), description="Messages that `vaguemestre test` passes through the channel.")
