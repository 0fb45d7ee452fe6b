"""A site's folder, read and checked as a whole: every fault of every file at once, at its line and column."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from channels import registry
from channels.channel_file import ChannelFile
from channels.checks import ChannelChecks, between_channels
from channels.errors import ChannelFileError, ConfigError, ConfigErrors, UnknownNameError
from channels.laboratory import LABORATORY_TABLES
from channels.model import Channel, Step
from channels.numbers import wrong_keys
from channels.pipeline import find_transform, is_lookup
from channels.references import References
from channels.site import Establishment, Site
from channels.site_code import SiteCode
from channels.validation import Validator
from channels.yaml_places import Document, Place, read

NOT_SHARED = frozenset({"journal", "web", "control", "log", "workers", "stop_within"})
"""Keys of ``site.yaml`` that no channel sees: a change of them restarts none."""


@dataclass(frozen=True)
class LoadedSite:
    """A site without faults.

    directory: absolute. channels: by name, in the order of their files' names.
    texts: path inside the site -> text of every file of the configuration; secrets are references there.
    fingerprints: by channel, of all that it depends on, secrets included: kept in memory, never written.
    shared_fingerprint: of what every channel sees of ``site.yaml``.
    warnings: what is allowed and looks like a mistake.
    """

    directory: Path
    site: Site
    channels: dict[str, Channel]
    tables: Any
    code: SiteCode
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    fingerprints: dict[str, str] = field(default_factory=dict, repr=False)
    shared_fingerprint: str = field(default="", repr=False)
    warnings: tuple[ChannelFileError, ...] = ()

    def same_as(self, other: LoadedSite) -> bool:
        """True when neither a file nor what one refers to (secret, certificate) differs."""
        mine = self.texts, self.fingerprints, self.shared_fingerprint
        return mine == (other.texts, other.fingerprints, other.shared_fingerprint)

    def table(self, name: str) -> Any:
        """A code table, of the site or built in. Raises UnknownNameError."""
        return self.tables.table(name)


def load_site(directory: Path | str, environment: Mapping[str, str] = os.environ) -> LoadedSite:
    """Read and check a whole site.

    environment: where ``${NAME}`` and $CREDENTIALS_DIRECTORY are looked up.

    Raises:
        ConfigErrors: with every fault of every file.
    """
    return _Loader(Path(directory).resolve(), environment).load()


def load_settings(directory: Path | str, environment: Mapping[str, str] = os.environ) -> LoadedSite:
    """``site.yaml`` alone, for those who look at a running engine: faults of other files do not stand in their way.

    Raises:
        ConfigErrors: with every fault of ``site.yaml``.
    """
    return _Loader(Path(directory).resolve(), environment).settings()


def no_site() -> LoadedSite:
    """An empty site, for a transform that is tried alone: no channel, no table but the built-in ones."""
    site = Site(site="none", establishment=Establishment(name="-", finess="000000000"))
    nowhere = Path(os.devnull) / "none"
    return LoadedSite(nowhere, site, {}, registry.load(registry.TABLES)(None), SiteCode(nowhere))


def prepare(loaded: LoadedSite) -> list[ChannelFileError]:
    """Prepare the steps that compile something before their first message (style sheets); returns their faults.

    It may load heavy packages: for ``check``, not for a running engine, whose workers do it when they need to.
    """
    faults: dict[str, ChannelFileError] = {}
    for name, channel in loaded.channels.items():
        for step in steps_of(channel):
            if is_lookup(step):
                continue
            target = find_transform(step.name, loaded.code)
            if not hasattr(target, "prepare"):
                continue
            try:
                target(step.options).prepare()
            except ConfigError as error:
                for line in str(error).splitlines():
                    fault = _placed(loaded.directory, line, f"channels/{name}.yaml", step)
                    faults[str(fault)] = fault
    return list(faults.values())


_PLACED = re.compile(r"(?:site:/)?(?P<file>[^:\s]+):(?P<line>\d+):(?P<column>\d+): (?P<problem>.*)")


def _placed(directory: Path, line: str, channel: str, step: Step) -> ChannelFileError:
    """A fault at the place that its text begins with, or at the step."""
    found = _PLACED.fullmatch(line)
    if found:
        for file in (found["file"], f"transforms/{found['file']}"):
            if (directory / file).is_file():
                return ChannelFileError(file, int(found["line"]), int(found["column"]), found["problem"])
    return ChannelFileError(channel, *step.place, line)


class _Loader:
    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._references = References(directory, environment)
        self._faults: list[ChannelFileError] = []
        self._warnings: list[ChannelFileError] = []
        self._documents: list[Document] = []
        self._resolved: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._tables = registry.load(registry.TABLES)(directory / "mappings")
        self._code = SiteCode(directory / "transforms")

    def settings(self) -> LoadedSite:
        """Without channels, tables and functions of the site."""
        site = self._site()
        faults = [fault for document in self._documents for fault in document.faults]
        if faults or site is None:
            raise ConfigErrors(faults)
        return LoadedSite(self._directory, site, {}, self._tables, self._code)

    def load(self) -> LoadedSite:
        directory = self._directory
        site = self._site()
        channels = self._channels()
        self._faults += between_channels(channels, site)
        for document in self._documents:
            self._faults += document.faults
        self._faults += [*self._tables.faults, *self._code.faults]
        if self._faults or site is None:
            raise ConfigErrors(self._faults)
        for folder in ("mappings", "transforms"):
            for file in sorted((directory / folder).rglob("*.*")):
                if "__pycache__" not in file.parts:
                    self._read(file)
        for file in (directory / "loinc").glob("transcoding.csv"):
            self._read(file)
        by_name = {channel.channel: channel for channel, _ in channels}
        warnings = sorted(self._warnings, key=lambda one: (one.file, one.line, one.column))
        return LoadedSite(
            directory, site, by_name, self._tables, self._code, self._texts,
            {name: self._fingerprint(channel) for name, channel in by_name.items()},
            _digest({key: value for key, value in self._resolved["site.yaml"].items() if key not in NOT_SHARED}),
            tuple(warnings),
        )  # fmt: skip

    def _read(self, file: Path) -> bytes:
        """The content of a file, kept for the history when it is text."""
        content = file.read_bytes() if file.is_file() else b""
        with contextlib.suppress(UnicodeDecodeError):
            self._texts[file.relative_to(self._directory).as_posix()] = content.decode("utf-8")
        return content

    def _document(self, file: Path) -> tuple[Document, Any]:
        """A document and its data with references replaced."""
        name = file.relative_to(self._directory).as_posix()
        document = read(name, self._read(file))
        self._documents.append(document)
        self._resolved[name] = self._references.resolve(document)
        return document, self._resolved[name]

    def _site(self) -> Site | None:
        if not (self._directory / "site.yaml").is_file():
            raise ConfigErrors(
                [ChannelFileError("site.yaml", 0, 0, "there is no such file: this folder is not a site")]
            )
        document, data = self._document(self._directory / "site.yaml")
        if document.data is None and document.faults:
            return None
        if not isinstance(data, dict):
            document.faults.append(document.fault((1, 1), "site.yaml is a mapping with `site:` and `establishment:`"))
            return None
        validator = Validator(document, self._directory)
        site = validator.validate(Site, data)
        if site is not None and site.laboratory is not None:
            for key in LABORATORY_TABLES:
                self._named_table(validator, getattr(site.laboratory, key), ("laboratory", key))
                self._laboratory_codes(key, getattr(site.laboratory, key))
        if site is not None and site.pfi is not None:
            for number, rule in enumerate(site.pfi.reports.recipients):
                self._named_table(validator, rule.table, ("pfi", "reports", "recipients", number, "table"))
        if site is not None:
            self._national_numbers(validator, site)
        return site

    def _national_numbers(self, validator: Validator, site: Site) -> None:
        for place, kind, invented in wrong_keys(site):
            problem = f"the key of this {kind} number is wrong"
            if site.ins_domain == "production":
                validator.fault(place, problem)
            elif not invented:
                document = validator.document
                self._warnings.append(document.fault(document.value(place), problem))

    def _named_table(self, validator: Validator, name: str | None, place: Place) -> None:
        try:
            if name is not None:
                self._tables.table(name)
        except UnknownNameError as error:
            validator.fault(place, str(error))

    def _laboratory_codes(self, setting: str, name: str | None) -> None:
        """What the table of a setting of the laboratory translates into must be a code of the right kind."""
        if name is None:
            return
        problem = registry.load(registry.LABORATORY_CODES)
        with contextlib.suppress(UnknownNameError):  # told already
            for line, target in self._tables.table(name).targets():
                if said := problem(setting, target):
                    self._faults.append(ChannelFileError(f"mappings/{name}.csv", line, 1, said))

    def _channels(self) -> list[tuple[Channel, Document]]:
        folder = self._directory / "channels"
        self._faults += [
            ChannelFileError(f"channels/{file.name}", 0, 0, "the name of a channel file ends in .yaml")
            for file in folder.glob("*.yml")
        ]
        loaded = [(self._channel(file)) for file in sorted(folder.glob("*.yaml"))]
        return [one for one in loaded if one is not None]

    def _channel(self, file: Path) -> tuple[Channel, Document] | None:
        document, data = self._document(file)
        if document.data is None and document.faults:
            return None
        known = sorted({*registry.names("transform"), *registry.names("lookup"), *self._code.names()})
        channel = ChannelFile(document, self._directory, self._find, known).channel(data)
        if channel is None:
            return None
        ChannelChecks(channel, document, self._directory, self._tables.table, self._warnings).run()
        return channel, document

    def _find(self, name: str) -> Any:
        return find_transform(name, self._code)

    def _fingerprint(self, channel: Channel) -> str:
        """Of the channel's file, the files and tables that it names, and the site's code when it uses some."""
        models: list[Any] = [channel.source.settings, *(one.settings for one in channel.destinations)]
        tables: set[str] = set()
        folders: set[str] = set()
        for step in steps_of(channel):
            models.append(step.options)
            tables.update(_table_file(name) for name in getattr(step.options, "tables", ()))
            if any(_files(step.options)) or self._code.has_module(step.name):
                folders |= {"transforms", "mappings"}  # a style sheet or a function may use any of them
            elif not isinstance(step.options, BaseModel):
                folders.add("mappings")
        files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for model in models for path in _files(model)}
        texts = {
            name: text for name, text in self._texts.items() if name in tables or name.partition("/")[0] in folders
        }
        return _digest([self._resolved[f"channels/{channel.channel}.yaml"], files, texts])


def _table_file(name: str) -> str:
    """Where a table of the site is; one outside ``mappings/`` is called by its path."""
    return name if "/" in name else f"mappings/{name}.csv"


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def steps_of(channel: Channel) -> Iterator[Step]:
    """Every step of a channel, those inside others too."""
    yield from _all_steps(channel.transform)
    for destination in channel.destinations:
        yield from _all_steps(destination.transform)


def _all_steps(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for value in vars(step.options).values() if isinstance(step.options, BaseModel) else ():
            if isinstance(value, tuple) and value and isinstance(value[0], Step):
                yield from _all_steps(value)


def _files(value: Any) -> Iterator[Path]:
    """The files that settings name (certificates, style sheets)."""
    if isinstance(value, Path):
        if value.is_absolute() and value.is_file():
            yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _files(getattr(value, name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _files(one)
