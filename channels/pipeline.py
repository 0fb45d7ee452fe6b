"""Filters and transforms of a channel, compiled once: what of a message each destination gets. Pure: no I/O."""

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
        return [_belongs_to(message, output) for output in outputs]

    def _run(self, message: Message, context: Context) -> list[Message]:
        messages = [message]
        for transform, guard, options in self._steps:
            own = replace(context, options=options) if options else context
            with guard:
                outputs: list[Message] = []
                for one in messages:
                    made = transform(one, own)
                    outputs += _checked(made) if isinstance(made, list) else _checked([made])
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


def _checked(messages: list[Message]) -> list[Message]:
    for one in messages:
        if not isinstance(one, Message):
            raise TypeError("a transform returns a Message or a list of them")
    return messages


def _belongs_to(message: Message, output: Message) -> Message:
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


class _Stage:
    """A filter, then steps."""

    def __init__(self, rows: tuple[Row, ...] | None, steps: Steps) -> None:
        self._matches: Callable[[Message], bool] | None = (
            registry.load(registry.MATCHER)(rows) if rows is not None else None
        )
        self._steps = steps
        self._has_steps = bool(steps)
        self.heavy = steps.heavy
        self.numbered = steps.numbered

    def passes(self, message: Message) -> bool:
        return self._matches is None or self._matches(message)

    def run(self, message: Message) -> list[Message]:
        if self._matches is not None and not self._matches(message):
            return []
        return self._steps.run(message) if self._has_steps else [message]


class Pipeline:
    """One channel's filters and steps. Every method may raise MessageError with its place."""

    def __init__(self, channel: Channel, loaded: LoadedSite) -> None:
        """Raises ConfigError when a step cannot be built; a loaded site has been checked for that."""
        name = channel.channel
        self._common = _Stage(channel.filter, Steps(channel.transform, loaded, name))
        self._branches = {
            one.name: _Stage(one.filter, Steps(one.transform, loaded, name, one.name)) for one in channel.destinations
        }

    @property
    def numbered(self) -> bool:
        """True when a step writes documents that have versions (``channels.versions``)."""
        return self._common.numbered or any(one.numbered for one in self._branches.values())

    @property
    def heavy(self) -> bool:
        """True when a step of the channel itself must run in a worker process."""
        return self._common.heavy

    def branch_heavy(self, destination: str) -> bool:
        """True when a step of this destination must run in a worker process."""
        return self._branches[destination].heavy

    def common(self, message: Message) -> list[Message]:
        """What the channel's own filter and steps give; ``[]`` when it is filtered out."""
        return self._common.run(message)

    def branch(self, destination: str, message: Message) -> list[Message]:
        """What one destination gets of a message that ``common`` gave; ``[]`` when it is filtered out."""
        return self._branches[destination].run(message)

    def passes(self, message: Message, destination: str = "") -> bool:
        """Whether the filter of the channel, or of a destination, lets the message pass."""
        return (self._branches[destination] if destination else self._common).passes(message)

    def outputs(self, message: Message) -> dict[str, list[Message]]:
        """What every destination gets, all steps run here."""
        common = self.common(message)
        return {name: [output for one in common for output in stage.run(one)] for name, stage in self._branches.items()}
