"""Filters and transforms of a channel, compiled once: what of a message each destination gets. Pure: no I/O.

The steps of a channel, or of a destination, are cut into parts: some steps in a row, or one lookup. Lookups are asked
by ``channels.channel_steps``; here they are only named, and a message passes them by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from channels import registry
from channels.message import Message
from channels.model import Channel, Row, Step
from channels.ports import Context, Transform
from channels.site_code import Guard, SiteCode

if TYPE_CHECKING:
    from channels.loader import LoadedSite

_NO_LOOKUPS: Mapping[str, bytes] = {}
_Compiled = tuple[Transform, Guard, Mapping[str, Any]]


class Steps:
    """Some steps in a row, with the place in the site where they run."""

    def __init__(self, steps: Iterable[Step], loaded: LoadedSite, channel: str = "", destination: str = "") -> None:
        """Raises ConfigError when a step cannot be built; a loaded site has been checked for that."""
        self._loaded, self._channel, self._destination = loaded, channel, destination
        self._steps: list[_Compiled] = [(self._build(step), Guard(step.name), _options(step)) for step in steps]
        self.heavy = any(_is_heavy(transform) for transform, _, _ in self._steps)
        self.numbered = any(getattr(transform, "numbered", False) for transform, _, _ in self._steps)

    def __bool__(self) -> bool:
        """False when there is nothing to do."""
        return bool(self._steps)

    def run(self, message: Message) -> list[Message]:
        """The messages that come out, ``[]`` when a step dropped it. Raises MessageError."""
        now = datetime.fromtimestamp(message.received, UTC)
        loaded = self._loaded
        context = Context(loaded.site, self._channel, now, loaded.table, self._destination)
        outputs = self._run(message, context)
        return [belongs_to(message, output) for output in outputs]

    def _run(self, message: Message, context: Context) -> list[Message]:
        messages = [message]
        for transform, guard, options in self._steps:
            own = replace(context, options=options) if options else context
            with guard:
                outputs: list[Message] = []
                for one in messages:
                    made = transform(one, own)
                    outputs += checked(made) if isinstance(made, list) else checked([made])
            messages = outputs
        return messages

    def _build(self, step: Step) -> Transform:
        target = find_transform(step.name, self._loaded.code)
        settings = getattr(target, "settings", None)
        if settings is None:
            return target  # type: ignore[no-any-return]  # a plain function
        nested = getattr(target, "nested", None)
        if nested is None:
            return target(step.options)  # type: ignore[no-any-return]  # what the registry names is a transform
        inner = Steps(getattr(step.options, nested), self._loaded, self._channel, self._destination)
        built = target(step.options, inner._run)
        built.in_worker = inner.heavy
        built.numbered = inner.numbered
        return built  # type: ignore[no-any-return]  # what the registry names is a transform


def find_transform(name: str, code: SiteCode) -> Any:
    """A transform by name: the site's ``module.function``, or a built-in one. Raises ConfigError."""
    if code.has_module(name) and name not in registry.names("transform"):
        return code.find(name)
    return registry.find("transform", name)


def _options(step: Step) -> Mapping[str, Any]:
    return step.options if isinstance(step.options, Mapping) else {}


def _is_heavy(transform: Any) -> bool:
    return bool(getattr(transform, "in_worker", False))


def checked(messages: list[Message]) -> list[Message]:
    """What a step gave, when it is messages. Raises TypeError."""
    for one in messages:
        if not isinstance(one, Message):
            raise TypeError("a transform returns a Message or a list of them")
    return messages


def belongs_to(message: Message, output: Message) -> Message:
    """The output with the journal's numbers of the message it came from, and with what its own header tells."""
    if output is message:
        return output
    changes: dict[str, Any] = {}
    if (output.id, output.parents, output.received) != (message.id, message.parents, message.received):
        changes = {"id": message.id, "parents": message.parents, "received": message.received}
    if output.format == "hl7v2" and output.body is not message.body:
        header = _header(output)
        if header != (output.kind, output.control_id, output.sender):
            changes["kind"], changes["control_id"], changes["sender"] = header
    return replace(output, **changes) if changes else output


def _header(message: Message) -> tuple[str, str, str]:
    header = registry.load(registry.HEADER)(message.body)
    return header.kind, header.control_id, header.sender


Part = Steps | Step
"""Some steps in a row, or a lookup."""


def is_lookup(step: Step) -> bool:
    """Whether a step asks somebody instead of transforming."""
    return step.name in registry.names("lookup")


def _parts(steps: Iterable[Step], loaded: LoadedSite, channel: str, destination: str = "") -> list[Part]:
    """The first part is steps, none perhaps; no two are in a row."""
    parts: list[Part] = []
    gathered: list[Step] = []
    for step in steps:
        if is_lookup(step):
            parts += [Steps(gathered, loaded, channel, destination)] if gathered or not parts else []
            parts.append(step)
            gathered = []
        else:
            gathered.append(step)
    if gathered or not parts:
        parts.append(Steps(gathered, loaded, channel, destination))
    return parts


class _Stage:
    """A filter, then the parts."""

    def __init__(self, rows: tuple[Row, ...] | None, parts: list[Part]) -> None:
        self._matches: Callable[[Message], bool] | None = (
            registry.load(registry.MATCHER)(rows) if rows is not None else None
        )
        self.parts = parts
        steps = [one for one in parts if isinstance(one, Steps)]
        self._steps = steps[0] if len(parts) == 1 else None
        self._has_steps = bool(self._steps)
        self.waits = len(parts) > 1 or any(one.heavy for one in steps)
        self.numbered = any(one.numbered for one in steps)

    def passes(self, message: Message) -> bool:
        return self._matches is None or self._matches(message)

    def run(self, message: Message, lookups: Mapping[str, bytes]) -> list[Message]:
        """All parts. lookups: name -> the body that comes out of it, when the message does not pass by."""
        if self._matches is not None and not self._matches(message):
            return []
        if self._steps is not None:
            return self._steps.run(message) if self._has_steps else [message]
        messages = [message]
        for part in self.parts:
            if isinstance(part, Steps):
                messages = [made for one in messages for made in part.run(one)]
            elif part.name in lookups:
                messages = [belongs_to(one, one.with_body(lookups[part.name])) for one in messages]
        return messages

    def part(self, number: int, message: Message) -> list[Message]:
        part = self.parts[number]
        if number == 0 and not self.passes(message):
            return []
        return part.run(message) if isinstance(part, Steps) and part else [message]


class Pipeline:
    """One channel's filters and steps. Every method may raise MessageError with its place."""

    def __init__(self, channel: Channel, loaded: LoadedSite) -> None:
        """Raises ConfigError when a step cannot be built; a loaded site has been checked for that."""
        name = channel.channel
        self._common = _Stage(channel.filter, _parts(channel.transform, loaded, name))
        self._branches = {
            one.name: _Stage(one.filter, _parts(one.transform, loaded, name, one.name)) for one in channel.destinations
        }

    @property
    def numbered(self) -> bool:
        """True when a step writes documents that have versions (``channels.versions``)."""
        return self._common.numbered or any(one.numbered for one in self._branches.values())

    @property
    def asks(self) -> bool:
        """True when a lookup is among the steps."""
        return any(isinstance(part, Step) for name in ("", *self._branches) for part in self.parts(name))

    def waits(self, destination: str = "") -> bool:
        """True when a step of the channel itself, or of a destination, is a lookup or runs in a worker process."""
        return self._stage(destination).waits

    def parts(self, destination: str = "") -> list[Part]:
        """What the steps of the channel itself, or of a destination, are cut into."""
        return self._stage(destination).parts

    def part(self, destination: str, number: int, message: Message) -> list[Message]:
        """What one part of steps gives; the first one filters too. A lookup lets everything pass."""
        return self._stage(destination).part(number, message)

    def common(self, message: Message, lookups: Mapping[str, bytes] = _NO_LOOKUPS) -> list[Message]:
        """What the channel's own filter and steps give; ``[]`` when it is filtered out.

        lookups: name -> the body that comes out of that lookup; the others let the message pass by.
        """
        return self._common.run(message, lookups)

    def branch(self, destination: str, message: Message, lookups: Mapping[str, bytes] = _NO_LOOKUPS) -> list[Message]:
        """What one destination gets of a message that ``common`` gave; ``[]`` when it is filtered out."""
        return self._branches[destination].run(message, lookups)

    def passes(self, message: Message, destination: str = "") -> bool:
        """Whether the filter of the channel, or of a destination, lets the message pass."""
        return self._stage(destination).passes(message)

    def outputs(self, message: Message) -> dict[str, list[Message]]:
        """What every destination gets, all steps run here."""
        common = self.common(message)
        return {name: [made for one in common for made in self.branch(name, one)] for name in self._branches}

    def _stage(self, destination: str) -> _Stage:
        return self._branches[destination] if destination else self._common
