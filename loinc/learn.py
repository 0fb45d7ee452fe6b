"""What the messages say of each local code: ``loinc/traffic.csv``, written again by each ``learn``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from channels.errors import ChannelFileError, ConfigErrors
from loinc.catalogue import Catalogue, Entry, Key, value_kind
from loinc.tabular import clean, read_csv, write_csv

__all__ = ["COLUMNS", "Observed", "Seen", "Traffic", "learned"]

FILE = "loinc/traffic.csv"
LEARNED = "vu dans les messages"
"""Comment of an analysis that only the messages know; a catalogue that has its code replaces it."""
COLUMNS = tuple(
    "local_code specimen unit label technique section value_types ranges loinc count first last".split()  # noqa: SIM905
)
_KEPT = 5
_LONGEST = 200


class Seen(NamedTuple):
    """One result of a message, without its value. range: the usual values that came with it. day: ``YYYY-MM-DD``."""

    local_code: str
    label: str
    specimen: str
    unit: str
    technique: str
    section: str
    value_type: str
    range: str
    loinc: str
    day: str


@dataclass(slots=True)
class Observed:
    """What was seen of a local code with one specimen and one unit; of each text the most frequent ones."""

    count: int = 0
    first: str = ""
    last: str = ""
    labels: Counter[str] = field(default_factory=Counter)
    techniques: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    value_types: Counter[str] = field(default_factory=Counter)
    ranges: Counter[str] = field(default_factory=Counter)
    loinc: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Seen) -> None:
        """One more result."""
        self.count += 1
        self.first = min(filter(None, (self.first, seen.day)), default="")
        self.last = max(self.last, seen.day)
        for counter, text in (
            (self.labels, seen.label),
            (self.techniques, seen.technique),
            (self.sections, seen.section),
            (self.value_types, seen.value_type),
            (self.ranges, seen.range),
            (self.loinc, seen.loinc),
        ):
            _count(counter, text)

    @property
    def kind(self) -> str:
        """The kind of most of its values: see ``value_kind``."""
        return value_kind(_first(self.value_types))


def _count(counter: Counter[str], text: str) -> None:
    """Count a text; when too many are held, those seen least give way."""
    if not text:
        return
    counter[text] += 1
    if len(counter) > 4 * _KEPT:
        for other, _ in counter.most_common()[2 * _KEPT :]:
            del counter[other]


def _first(counter: Counter[str]) -> str:
    return min(counter, key=lambda text: (-counter[text], text)) if counter else ""


def _listed(counter: Counter[str]) -> str:
    kept = sorted(counter, key=lambda text: (-counter[text], text))[:_KEPT]
    return " | ".join(text.replace("|", "¦") for text in kept)


class Traffic:
    """All local codes met, in bounded memory: at most ``limit`` of (code, specimen, unit); the rest is counted."""

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._observed: dict[Key, Observed] = {}
        self._index: dict[str, list[tuple[Key, Observed]]] = {}
        self.left_out = 0
        """Results of codes that came after the limit was reached."""

    def __len__(self) -> int:
        """How many of (code, specimen, unit)."""
        return len(self._observed)

    def __iter__(self) -> Iterator[tuple[Key, Observed]]:
        """By key, in order."""
        return iter(sorted(self._observed.items()))

    def add(self, seen: Seen) -> None:
        """Count one result; texts are cut at 200 characters."""
        seen = Seen(*(clean(text[:_LONGEST]) for text in seen))
        if not seen.local_code:
            return
        key = Key(seen.local_code, seen.specimen, seen.unit)
        if key not in self._observed:
            if len(self._observed) >= self._limit:
                self.left_out += 1
                return
            self._observed[key] = Observed()
            self._index.clear()
        self._observed[key].add(seen)

    def of(self, local_code: str) -> list[tuple[Key, Observed]]:
        """What was seen of one local code."""
        return self._by_code().get(local_code, [])

    def counts(self) -> dict[str, int]:
        """Local code -> results."""
        return {code: sum(one.count for _, one in found) for code, found in self._by_code().items()}

    def _by_code(self) -> dict[str, list[tuple[Key, Observed]]]:
        if not self._index:
            for key, observed in self:
                self._index.setdefault(key.local_code, []).append((key, observed))
        return self._index

    def days(self) -> tuple[str, str]:
        """The first and the last day of the results, ``""`` when there are none."""
        observed = self._observed.values()
        return min((one.first for one in observed if one.first), default=""), max(
            (one.last for one in observed), default=""
        )

    def text(self) -> str:
        """The file ``traffic.csv``."""
        return write_csv(COLUMNS, (_cells(key, observed) for key, observed in self))

    @classmethod
    def read(cls, text: str, name: str = FILE) -> Traffic:
        """What an earlier ``learn`` wrote. Raises ConfigErrors at the lines that have no count."""
        traffic = cls()
        faults = []
        for line, row in read_csv(text, name).rows:
            count = row.get("count", "")
            if not (count.isascii() and count.isdigit() and row.get("local_code")):
                faults.append(ChannelFileError(name, line, 1, "a row has a local code and a count"))
                continue
            key = Key(row["local_code"], row.get("specimen", ""), row.get("unit", ""))
            traffic._observed[key] = _observed(row, int(count))
        if faults:
            raise ConfigErrors(faults)
        return traffic


def _cells(key: Key, observed: Observed) -> dict[str, object]:
    return {
        "local_code": key.local_code,
        "specimen": key.specimen,
        "unit": key.unit,
        "label": _first(observed.labels),
        "technique": _first(observed.techniques),
        "section": _first(observed.sections),
        "value_types": _listed(observed.value_types),
        "ranges": _listed(observed.ranges),
        "loinc": _listed(observed.loinc),
        "count": observed.count,
        "first": observed.first,
        "last": observed.last,
    }


def _observed(row: dict[str, str], count: int) -> Observed:
    def counter(column: str) -> Counter[str]:
        texts = [text for text in row.get(column, "").split(" | ") if text]
        return Counter({text: len(texts) - at for at, text in enumerate(texts)})

    return Observed(
        count, row.get("first", ""), row.get("last", ""), counter("label"), counter("technique"), counter("section"),
        counter("value_types"), counter("ranges"), counter("loinc"),
    )  # fmt: skip


def learned(catalogue: Catalogue, traffic: Traffic, days: int) -> list[Entry]:
    """What the traffic adds to a catalogue: analyses whose local code it does not have, and missing frequencies.

    days: how many the traffic covers; frequencies are counted up to a year.
    """
    counts = traffic.counts()
    known = {entry.local_code for entry in catalogue}
    found = [_entry(key, observed, days) for key, observed in traffic if key.local_code not in known]
    for entry in catalogue:
        count = counts.get(entry.local_code, 0)
        if count and not entry.frequency and len(catalogue.of(entry.local_code)) == 1:
            found.append(replace(entry, frequency=_yearly(count, days)))
    return found


def _entry(key: Key, observed: Observed, days: int) -> Entry:
    return Entry(
        local_code=key.local_code,
        label=_first(observed.labels),
        specimen=key.specimen,
        unit=key.unit,
        technique=_first(observed.techniques),
        value_type=observed.kind,
        range=_first(observed.ranges),
        section=_first(observed.sections),
        frequency=_yearly(observed.count, days),
        comment=LEARNED,
    )


def _yearly(count: int, days: int) -> int:
    return max(1, round(count * 365 / days)) if days > 0 else count
