"""What the models cannot see: names that must exist, addresses taken twice, files, loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels import registry
from channels.certificates import CertificateSettings, named
from channels.errors import ChannelFileError, ConfigError, UnknownNameError
from channels.fields import HostPort
from channels.links import CONNECTOR, targets
from channels.model import Channel, DestinationModel, Row, Step
from channels.registry import suggestion
from channels.site import Site
from channels.yaml_places import Document, Place

FindTable = Callable[[str], Any]
_EVERYWHERE = {"0.0.0.0", "::", "*"}  # noqa: S104  # recognised, not listened on
_HERE = {"localhost", "127.0.0.1", "::1", *_EVERYWHERE}


@dataclass(slots=True)
class ChannelChecks:
    """The checks of one channel; faults and warnings go to the document and the list given."""

    channel: Channel
    document: Document
    directory: Path
    table: FindTable
    warnings: list[ChannelFileError]

    def run(self) -> None:
        """All of them."""
        channel = self.channel
        expected = Path(self.document.file).stem
        if channel.channel != expected:
            self._fault(("channel",), f"the file is called {expected}.yaml: the channel's name must be the same")
        self._ack()
        for index, place in enumerate(channel.lane):
            if place not in ("patient", "channel"):
                self._place(("lane", index), place)
        self._stage(channel.filter, channel.transform, ())
        names: dict[str, int] = {}
        for index, destination in enumerate(channel.destinations):
            here: Place = ("destinations", index)
            if destination.name in names:
                self._fault((*here, "name"), f"another destination of this channel is called {destination.name!r}")
            names[destination.name] = index
            self._stage(destination.filter, destination.transform, here)
            self._order(destination, here)
        self._cases(list(names))

    def _fault(self, place: Place, problem: str, *, key: bool = False) -> None:
        document = self.document
        document.faults.append(document.fault(document.key(place) if key else document.value(place), problem))

    def _ack(self) -> None:
        ack = self.channel.ack
        names = [one.name for one in self.channel.destinations]
        if ack.after != "delivered" and ack.destination is not None:
            self._fault(("ack", "destination"), "a destination is named with `delivered` only")
        elif ack.after == "delivered" and ack.destination is None:
            self._fault(("ack",), "`delivered` names the destination whose answer is the answer: {delivered: NAME}")
        elif ack.destination is not None and ack.destination not in names:
            at: Place = ("ack", "delivered") if ("ack", "delivered") in self.document.values else ("ack", "destination")
            self._fault(at, f"no destination is called {ack.destination!r}{suggestion(ack.destination, names)}")

    def _order(self, destination: DestinationModel, here: Place) -> None:
        if destination.order == "strict" and "parallel" in destination.model_fields_set and destination.parallel > 1:
            mark = self.document.value((*here, "parallel"))
            self.warnings.append(
                self.document.fault(mark, "with `order: strict` one message goes at a time: `parallel` is not used")
            )

    def _place(self, at: Place, text: str, *, key: bool = False) -> None:
        try:
            registry.load(registry.PLACES)(text)
        except ConfigError as error:
            self._fault(at, str(error), key=key)

    # filters and steps

    def _stage(self, rows: tuple[Row, ...] | None, steps: Iterable[Step], here: Place) -> None:
        if rows is not None:
            self._filter(rows, (*here, "filter"))
        for step in steps:
            self._step(step)

    def _filter(self, rows: tuple[Row, ...], here: Place) -> None:
        match = registry.load(registry.MATCHER)
        if not rows:
            self._fault(here, "no row: nothing would pass")
        for index, row in enumerate(rows):
            at = (*here, index) if (*here, index) in self.document.values else here
            for place, values in row.items():
                try:
                    match(({place: values},))
                except ConfigError as error:
                    self._fault((*at, place), str(error), key=True)

    def _step(self, step: Step) -> None:
        for name in getattr(step.options, "tables", ()):
            try:
                self.table(name)
            except UnknownNameError as error:
                self.document.faults.append(self.document.fault(step.place, str(error)))
        for value in vars(step.options).values() if hasattr(step.options, "__dict__") else ():
            if isinstance(value, tuple) and value and isinstance(value[0], Step):
                for inner in value:
                    self._step(inner)
        when = getattr(step.options, "when", None)
        if when is not None:
            self._filter_of_step(when, step.place)

    def _filter_of_step(self, rows: tuple[Row, ...], mark: tuple[int, int]) -> None:
        try:
            registry.load(registry.MATCHER)(rows)
        except ConfigError as error:
            self.document.faults.append(self.document.fault(mark, str(error)))

    # tests

    def _cases(self, destinations: list[str]) -> None:
        for index, case in enumerate(self.channel.tests):
            here: Place = ("tests", index)
            self._file((*here, "input"), case.input)
            for name, file in case.expect.items():
                at = (*here, "expect", name)
                if name not in destinations:
                    self._fault(at, f"no destination is called {name!r}{suggestion(name, destinations)}", key=True)
                for one in files_of(file):
                    self._file(at, one)
            asked = set(lookups_of(self.channel))
            for name, file in case.lookups.items():
                at = (*here, "lookups", name)
                if name not in asked:
                    self._fault(at, f"no step of this channel asks {name!r}{suggestion(name, asked)}", key=True)
                self._file(at, file)
            if case.error is None and not case.expect:
                self._fault(here, "a test says what is expected: `expect:` or `error:`")
            if case.error:
                self._place((*here, "error"), case.error)
            for number, place in enumerate(case.ignore):
                self._place((*here, "ignore", number), place)

    def _file(self, at: Place, name: str) -> None:
        path = (self.directory / name).resolve()
        if not path.is_relative_to(self.directory):
            self._fault(at, "the file is outside the site")
        elif not path.is_file():
            self._fault(at, "there is no such file in the site")


def lookups_of(channel: Channel) -> list[str]:
    """Names of the lookups among the steps of a channel and of its destinations."""
    steps = [*channel.transform, *(step for one in channel.destinations for step in one.transform)]
    return [step.name for step in steps if step.name in registry.names("lookup")]


def files_of(expected: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The files of one expectation: none, one, or several messages in order."""
    return () if expected is None else (expected,) if isinstance(expected, str) else expected


def between_channels(channels: list[tuple[Channel, Document]], site: Site | None) -> Iterator[ChannelFileError]:
    """Faults that two files make together: an address taken twice, messages that would turn for ever."""
    enabled = [(channel, document) for channel, document in channels if channel.enabled]
    yield from _hand_overs(enabled)
    if site is not None:
        for channel, document in channels:
            yield from _certificates(channel, document, site.certificates)
    taken: list[tuple[HostPort, str]] = []
    if site is not None and site.web is not None:
        taken.append((site.web.listen, "`web` of site.yaml"))
    for channel, document in enabled:
        address = getattr(channel.source.settings, "listen", None)
        if not isinstance(address, HostPort) or address.port == 0:
            continue
        mark = document.value(("source", channel.source.connector, "listen"))
        for other, owner in taken:
            if other.port == address.port and (other.host == address.host or {other.host, address.host} & _EVERYWHERE):
                yield document.fault(mark, f"{owner} listens on the same address")
        taken.append((address, f"the channel {channel.channel}"))
    yield from _loops(enabled)


def _hand_overs(channels: list[tuple[Channel, Document]]) -> Iterator[ChannelFileError]:
    """Channels that hand over to one that is not there, or that does not take it."""
    sources = {channel.channel: channel.source.connector for channel, _ in channels}
    for channel, document in channels:
        for place, name in targets(channel):
            mark = document.value(place if place in document.values else (*place, "channel"))
            if name not in sources:
                yield document.fault(mark, f"no enabled channel is called {name!r}{suggestion(name, sources)}")
            elif sources[name] != CONNECTOR:
                yield document.fault(mark, f"the source of {name} is {sources[name]}: it must be `channel: {{}}`")


def _certificates(
    channel: Channel, document: Document, known: Mapping[str, CertificateSettings]
) -> Iterator[ChannelFileError]:
    """Certificates that settings name, and that are not in site.yaml or are of another use there."""
    for model, place, mark in _settings(channel):
        for inside, name, use in named(model, place):
            at = document.value(inside) if mark is None else mark
            if name not in known:
                yield document.fault(at, f"site.yaml has no certificate {name!r}{suggestion(name, known)}")
            elif known[name].use != use:
                said = f"the certificate {name!r} is of `use: {known[name].use}` in site.yaml; `{use}` is needed"
                yield document.fault(at, said)


def _settings(channel: Channel) -> Iterator[tuple[Any, Place, tuple[int, int] | None]]:
    """Settings of the connectors and options of the steps: where they are written, or the mark of their step."""
    yield channel.source.settings, ("source", channel.source.connector), None
    for step in channel.transform:
        yield step.options, (), step.place
    for index, destination in enumerate(channel.destinations):
        yield destination.settings, ("destinations", index, destination.connector), None
        for step in destination.transform:
            yield step.options, (), step.place


def _loops(channels: list[tuple[Channel, Document]]) -> Iterator[ChannelFileError]:
    """Channels that send to one another on this machine in a circle."""
    listening = {
        address.port: channel.channel
        for channel, _ in channels
        if isinstance(address := getattr(channel.source.settings, "listen", None), HostPort) and address.port
    }
    known = {channel.channel for channel, _ in channels}
    links = {channel.channel: [one for one in _links(channel, listening) if one[1] in known] for channel, _ in channels}
    for channel, document in channels:
        for index, target in links[channel.channel]:
            path = _path(links, target, channel.channel)
            if path is not None:
                mark = document.value(index)
                circle = " → ".join([channel.channel, *path])
                yield document.fault(mark, f"messages would turn for ever: {circle}")


def _links(channel: Channel, listening: dict[int, str]) -> Iterator[tuple[Place, str]]:
    for index, destination in enumerate(channel.destinations):
        address = getattr(destination.settings, "connect", None)
        if isinstance(address, HostPort) and address.host in _HERE and address.port in listening:
            yield ("destinations", index, destination.connector, "connect"), listening[address.port]
    yield from targets(channel)


def _path(links: dict[str, list[tuple[Place, str]]], start: str, goal: str) -> list[str] | None:
    """The way from one channel to another, or None."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == goal:
            return way
        for _, following in links[way[-1]]:
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None
