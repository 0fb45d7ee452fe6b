"""The laboratory's catalogue: its own analyses, one a row of ``loinc/catalogue.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from channels.errors import ChannelFileError, ConfigErrors
from loinc.assistant.normalise import fold
from loinc.columns import recognised
from loinc.tabular import Table, read_csv, write_csv

__all__ = ["COLUMNS", "Catalogue", "Difference", "Entry", "Key", "entries_of", "value_kind"]

FILE = "loinc/catalogue.csv"


class Key(NamedTuple):
    """What a local analysis is known by; the last three may be empty."""

    local_code: str
    specimen: str = ""
    unit: str = ""
    technique: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One local analysis. Texts are as the laboratory writes them, on one line.

    value_type: ``numeric``, ``coded``, ``text``, ``titre``, ``image`` or as written. decimals: how many are shown, or
    ``""``. frequency: results in twelve months, 0 when unknown. line: in the file that it comes from, 0 for none.
    """

    local_code: str
    label: str = ""
    short_label: str = ""
    specimen: str = ""
    unit: str = ""
    technique: str = ""
    analyser: str = ""
    value_type: str = ""
    decimals: str = ""
    range: str = ""
    section: str = ""
    sub_section: str = ""
    nabm: str = ""
    frequency: int = 0
    active: bool = True
    comment: str = ""
    line: int = 0

    @property
    def key(self) -> Key:
        """See Key."""
        return Key(self.local_code, self.specimen, self.unit, self.technique)

    def cells(self) -> dict[str, str]:
        """Column -> text."""
        shown = {name: str(getattr(self, name)) for name in COLUMNS}
        return shown | {"frequency": str(self.frequency or ""), "active": "" if self.active else "no"}


COLUMNS = tuple(one.name for one in fields(Entry) if one.name != "line")
_NO = {"non", "no", "n", "0", "false", "faux", "inactif", "inactive", "supprime", "hors service", "obsolete"}
_YES = {"", "oui", "yes", "o", "y", "1", "true", "vrai", "actif", "active", "x", "en service"}
_KINDS = {
    "numeric": "numeric|numerique|num|nm|n|quantitatif|sn|reel|entier|qn|chiffre|calcul|calcule",
    "coded": "coded|code|ce|cwe|cne|cf|is|id|liste|qualitatif|ord|codifie|choix|ordinal|nom|nominal",
    "text": "text|texte|tx|ft|st|libre|alphanumerique|alpha|nar|commentaire|texte libre|string",
    "titre": "titre|titer|dilution",
    "image": "image|ed|rp|document|pdf",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split("|")}


def value_kind(text: str) -> str:
    """``numeric``, ``coded``, ``text``, ``titre``, ``image``, or ``""`` for anything else; HL7 value types too."""
    return _KIND_OF.get(fold(text), "")


class Difference(NamedTuple):
    """What an import would change."""

    added: tuple[Entry, ...]
    changed: tuple[tuple[Entry, Entry], ...]
    removed: tuple[Entry, ...]

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.added or self.changed or self.removed)


class Catalogue:
    """The analyses of a laboratory by their key, in the order of the file that is written."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """entries: of two with one key the later counts."""
        known = {entry.key: entry for entry in entries}
        self._entries = dict(sorted(known.items()))
        self._by_code: dict[str, list[Entry]] = {}
        for entry in self._entries.values():
            self._by_code.setdefault(entry.local_code, []).append(entry)

    def __iter__(self) -> Iterator[Entry]:
        """In the order of their keys."""
        return iter(self._entries.values())

    def __len__(self) -> int:
        """How many analyses."""
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        """The same analyses, wherever they were read."""
        return isinstance(other, Catalogue) and self.text() == other.text()

    __hash__ = None  # type: ignore[assignment]  # it is not a key of anything

    def get(self, key: Key) -> Entry | None:
        """The analysis of a key."""
        return self._entries.get(key)

    def of(self, local_code: str) -> list[Entry]:
        """The analyses with this local code, one for each specimen, unit and technique."""
        return list(self._by_code.get(local_code, ()))

    def with_entries(self, entries: Iterable[Entry]) -> Catalogue:
        """This catalogue and other analyses; those with a known key replace."""
        return Catalogue([*self._entries.values(), *entries])

    def difference(self, other: Catalogue) -> Difference:
        """What changes when ``other`` takes the place of this one."""
        mine, theirs = self._entries, other._entries
        both = [(mine[key], theirs[key]) for key in sorted(mine.keys() & theirs.keys())]
        return Difference(
            tuple(theirs[key] for key in sorted(theirs.keys() - mine.keys())),
            tuple(pair for pair in both if pair[0].cells() != pair[1].cells()),
            tuple(mine[key] for key in sorted(mine.keys() - theirs.keys())),
        )

    def text(self) -> str:
        """The file ``catalogue.csv``."""
        return write_csv(COLUMNS, (entry.cells() for entry in self))

    @classmethod
    def read(cls, text: str, name: str = FILE) -> Catalogue:
        """The catalogue of a file of a site. Raises ConfigErrors with every fault at its line."""
        return cls(entries_of(read_csv(text, name)))


def entries_of(table: Table, chosen: Mapping[str, str] | None = None) -> list[Entry]:
    """The analyses of a table whose columns have the names of the field.

    chosen: field -> name of its column, where the names are the site's own.
    Raises ConfigErrors with every fault at its line: no column of codes, a row without code, the same analysis twice.
    """
    columns = recognised(table.columns, chosen)
    if "local_code" not in columns:
        names = ", ".join(filter(None, table.columns)) or "none"
        raise ConfigErrors([ChannelFileError(table.name, 1, 1, f"no column of local codes; the columns are: {names}")])
    faults: list[ChannelFileError] = []
    found: dict[Key, Entry] = {}
    for line, row in table.rows:
        cells = {field: row.get(column, "") for field, column in columns.items() if field in COLUMNS}
        try:
            entry = _entry(cells, line)
        except ValueError as error:
            faults.append(ChannelFileError(table.name, line, 1, str(error)))
            continue
        if entry.key in found:
            faults.append(
                ChannelFileError(table.name, line, 1, f"this analysis is already on line {found[entry.key].line}")
            )
        found.setdefault(entry.key, entry)
    if faults:
        raise ConfigErrors(faults)
    return list(found.values())


def _entry(cells: dict[str, str], line: int) -> Entry:
    if not cells.get("local_code"):
        raise ValueError("a row without local code")
    frequency, active, decimals = (cells.pop(name, "") for name in ("frequency", "active", "decimals"))
    return Entry(
        **_texts(cells),
        frequency=_whole(frequency, "the frequency"),
        active=_flag(active),
        decimals=str(_whole(decimals, "the number of decimals")) if decimals else "",
        line=line,
    )


def _texts(cells: dict[str, str]) -> dict[str, str]:
    return cells | (
        {"value_type": value_kind(cells["value_type"]) or cells["value_type"]} if "value_type" in cells else {}
    )


def _whole(text: str, what: str) -> int:
    digits = "".join(text.split()).removesuffix(".0").removesuffix(",0")
    if not digits:
        return 0
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise ValueError(f"{what} is not a whole number")
    return int(digits)


def _flag(text: str) -> bool:
    word = fold(text)
    if word in _NO:
        return False
    if word in _YES:
        return True
    raise ValueError("whether the analysis is active is yes or no")
