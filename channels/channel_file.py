"""One channel file: from plain data to a ``Channel``, connectors and steps included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from channels import registry
from channels.errors import ConfigError, UnknownNameError
from channels.model import Channel, DestinationModel, SourceModel, Step
from channels.registry import suggestion
from channels.validation import Validator
from channels.yaml_places import Document, Place

FindTransform = Callable[[str], Any]
_OURS = {"connector", "settings"}


class ChannelFile:
    """Reads one channel; every fault goes to the document."""

    def __init__(self, document: Document, directory: Path, find: FindTransform, known_steps: list[str]) -> None:
        """find: a transform by name, raising UnknownNameError; known_steps: for suggestions."""
        self._validator = Validator(document, directory)
        self._document, self._find, self._known_steps = document, find, known_steps

    def channel(self, data: Any) -> Channel | None:
        """The channel, or None when something in it cannot be understood."""
        if not isinstance(data, dict):
            self._validator.fault((), "a channel file is a mapping with `channel:`, `source:` and `destinations:`")
            return None
        before = len(self._document.faults)
        made = dict(data)
        if "source" in data:
            made["source"] = self._connected("source", SourceModel, data["source"], ("source",))
        if "transform" in data:
            made["transform"] = self._steps(data["transform"], ("transform",), lookups=True)
        if isinstance(data.get("destinations"), list):
            made["destinations"] = [
                self._destination(one, ("destinations", index)) for index, one in enumerate(data["destinations"])
            ]
        channel = self._validator.validate(Channel, made)
        return channel if len(self._document.faults) == before else None

    def _destination(self, data: Any, place: Place) -> Any:
        made = self._connected("destination", DestinationModel, data, place)
        if isinstance(made, dict) and "transform" in made:
            made["transform"] = self._steps(made["transform"], (*place, "transform"), lookups=True)
        return made

    # connectors

    def _connected(self, kind: str, model: type[SourceModel | DestinationModel], data: Any, place: Place) -> Any:
        """``{mllp: {…}}`` as ``{connector: mllp, settings: …}``: the one key that the model does not have."""
        if not isinstance(data, dict):
            return data
        ours = set(model.model_fields) - _OURS
        made = {key: value for key, value in data.items() if key in ours}
        others = [key for key in data if key not in ours]
        name = self._choose(kind, others, sorted(ours), place)
        made["connector"] = name or "?"
        made["settings"] = self._settings(kind, name, data[name], (*place, name)) if name else None
        return made

    def _choose(self, kind: str, keys: list[str], ours: list[str], place: Place) -> str | None:
        """Which of the keys is the connector; the others are faults."""
        known = registry.names(kind)
        connectors = [key for key in keys if key in known]
        for key in connectors[1:]:
            self._validator.fault(
                (*place, key), f"a {kind} has one connector; this one has {connectors[0]!r} already", key=True
            )
        for key in keys:
            if key in known:
                continue
            nearest = suggestion(key, [*ours, *known])
            if connectors or suggestion(key, ours):
                self._validator.fault((*place, key), f"unknown key {key!r}{nearest}", key=True)
            else:
                self._validator.fault((*place, key), f"no {kind} is called {key!r}{nearest}", key=True)
        if not keys:
            listed = ", ".join(sorted(known))
            self._validator.fault(place, f"the connector of this {kind} is missing: one of {listed}", key=True)
        return connectors[0] if connectors else None

    def _settings(self, kind: str, name: str, data: Any, place: Place) -> Any:
        try:
            connector = registry.find(kind, name)
        except ConfigError as error:
            self._validator.fault(place, str(error), key=True)
            return None
        return self._validator.validate(connector.settings, data, place)

    # steps

    def _steps(self, data: Any, place: Place, *, lookups: bool = False) -> list[Step]:
        """lookups: they may stand among these steps."""
        if not isinstance(data, list):
            self._validator.fault(place, "a transform is a list of steps: `- name` or `- name: {options}`")
            return []
        return [self._step(one, (*place, index), lookups) or Step(name="?") for index, one in enumerate(data)]

    def _step(self, data: Any, place: Place, lookups: bool) -> Step | None:  # noqa: FBT001  # of ``_steps``
        if isinstance(data, dict) and "when" in data:
            return self._built("when", data, place)
        if isinstance(data, dict) and len(data) == 1:
            name, options = next(iter(data.items()))
            place = (*place, name)
        elif isinstance(data, str):
            name, options = data, None
        else:
            self._validator.fault(place, "a step is a name, or one `name: {options}`")
            return None
        return (
            self._asking(name, options, place, lookups)
            if name in registry.names("lookup")
            else (self._built(name, options, place))
        )

    def _asking(self, name: str, options: Any, place: Place, allowed: bool) -> Step | None:  # noqa: FBT001
        """A lookup among the steps."""
        if not allowed:
            self._validator.fault(place, f"{name} asks a service: it cannot stand inside another step", key=True)
            return None
        made = self._settings("lookup", name, options, place)
        return Step(name=name, options=made, place=self._document.key(place)) if made is not None else None

    def _built(self, name: str, options: Any, place: Place) -> Step | None:
        try:
            target = self._find(name)
        except UnknownNameError:
            self._validator.fault(
                place, f"no transform is called {name!r}{suggestion(name, self._known_steps)}", key=True
            )
            return None
        except ConfigError as error:
            self._validator.fault(place, str(error), key=True)
            return None
        mark = self._document.key(place)
        settings = getattr(target, "settings", None)
        if settings is None:
            return self._plain(name, options, place)
        nested = getattr(target, "nested", None)
        if nested and isinstance(options, dict) and nested in options:
            options = options | {nested: self._steps(options[nested], (*place, nested))}
        made = self._validator.validate(settings, options, place)
        return Step(name=name, options=made, place=mark) if made is not None else None

    def _plain(self, name: str, options: Any, place: Place) -> Step | None:
        """A function: one of the site's finds its options in ``context.options``, a built-in one has none."""
        if options is not None and name in registry.names("transform"):
            self._validator.fault(place, f"{name} takes no options")
            return None
        if options is not None and not isinstance(options, dict):
            self._validator.fault(place, "options are a mapping `key: value`")
            return None
        return Step(name=name, options=options, place=self._document.key(place))
