"""The folder ``loinc/`` of a site: its files read, and written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from channels.errors import ConfigError, ConfigErrors
from channels.loader import LoadedSite, load_site
from loinc import catalogue as catalogue_file
from loinc import history as history_file
from loinc import learn as traffic_file
from loinc import transcoding as transcoding_file
from loinc.catalogue import Catalogue
from loinc.checks import Laboratory
from loinc.history import appended, changes_between
from loinc.learn import Traffic
from loinc.replacements import read_replacements
from loinc.tabular import decode
from loinc.terms import Terms, load, shipped
from loinc.transcoding import Transcoding
from transforms.measures import ucum_of

__all__ = ["COLUMN_NAMES", "MAP_TO", "TERMS", "Folder"]

TERMS, MAP_TO = "loinc/table/terms.csv", "loinc/table/map_to.csv"
COLUMN_NAMES = "loinc/columns.csv"
"""Field -> name of its column in the laboratory's own exports."""


@dataclass
class Folder:
    """The laboratory's files in a site. Each is read when it is first asked for; faults are raised with their lines."""

    site: Path
    _read: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigError when the folder is no site."""
        if not (self.site / "site.yaml").is_file():
            raise ConfigError(f"{self.site} is not a site: it has no site.yaml (`vaguemestre init` makes one)")

    @cached_property
    def loaded(self) -> LoadedSite | None:
        """The whole site; None when it has faults: missing secrets of channels do not matter for a catalogue."""
        try:
            return load_site(self.site)
        except ConfigErrors:
            return None

    @property
    def zone(self) -> ZoneInfo:
        """The establishment's time zone."""
        return self.loaded.site.timezone if self.loaded else ZoneInfo("Europe/Paris")

    @property
    def today(self) -> date:
        """The day in the establishment."""
        return datetime.now(self.zone).date()

    def text(self, name: str) -> str:
        """The text of a file, ``""`` when there is none. Raises ChannelFileError when it is of no known encoding."""
        if name not in self._read:
            path = self.site / name
            self._read[name] = decode(path.read_bytes(), name) if path.is_file() else ""
        return self._read[name]

    @cached_property
    def catalogue(self) -> Catalogue:
        """``catalogue.csv``, empty when there is none."""
        text = self.text(catalogue_file.FILE)
        return Catalogue.read(text) if text.strip() else Catalogue()

    @cached_property
    def transcoding(self) -> Transcoding:
        """``transcoding.csv``, empty when there is none."""
        text = self.text(transcoding_file.FILE)
        return Transcoding.read(text) if text.strip() else Transcoding()

    @cached_property
    def traffic(self) -> Traffic:
        """``traffic.csv``, empty when nothing was learned."""
        text = self.text(traffic_file.FILE)
        return Traffic.read(text) if text.strip() else Traffic()

    @property
    def own_terms(self) -> bool:
        """Whether the site has imported a LOINC release."""
        return (self.site / TERMS).is_file()

    @cached_property
    def terms(self) -> Terms:
        """The site's LOINC table, else the subset that ships."""
        return load(self.site / TERMS) if self.own_terms else shipped()

    @property
    def spelled(self) -> Callable[[str], str | None]:
        """The tables of unit spellings: the site's own first."""
        laboratory = self.loaded.site.laboratory if self.loaded else None
        if self.loaded is None or laboratory is None or laboratory.units is None:
            return ucum_of
        own = self.loaded.table(laboratory.units)
        return lambda text: own.translate(text) or ucum_of(text)

    @property
    def laboratory(self) -> Laboratory:
        """All that is checked together."""
        text = self.text(MAP_TO)
        replacements = read_replacements(text, MAP_TO) if text.strip() else {}
        return Laboratory(
            self.catalogue, self.transcoding, self.traffic, self.terms, self.own_terms, replacements, self.spelled
        )

    def name_of(self, code: str) -> str:
        """The name of a LOINC code for readers: French when the table has it."""
        term = self.terms.get(code)
        return (term.french or term.name) if term else ""

    # writing

    def save_catalogue(self, catalogue: Catalogue) -> None:
        """Write ``catalogue.csv``."""
        self._write(catalogue_file.FILE, catalogue.text())
        self.catalogue = catalogue

    def save_traffic(self, traffic: Traffic) -> None:
        """Write ``traffic.csv``."""
        self._write(traffic_file.FILE, traffic.text())
        self.traffic = traffic

    def save_transcoding(self, transcoding: Transcoding, author: str, evidence: str = "") -> int:
        """Write ``transcoding.csv`` and what changed into ``history.csv``; the number of changes."""
        changes = changes_between(self.transcoding, transcoding, author, datetime.now(self.zone), evidence)
        if changes:
            self._write(history_file.FILE, appended(self.text(history_file.FILE), changes))
            self._write(transcoding_file.FILE, transcoding.text())
            self.transcoding = transcoding
        return len(changes)

    def save(self, name: str, text: str) -> None:
        """Write another file of the folder."""
        self._write(name, text)

    def _write(self, name: str, text: str) -> None:
        """Replace a file at once. Raises ConfigError when somebody else wrote it since it was read."""
        path = self.site / name
        before = self._read.get(name)
        if before is not None and (decode(path.read_bytes(), name) if path.is_file() else "") != before:
            raise ConfigError(f"{name} was changed meanwhile: nothing was written; run the command again")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._read[name] = text
