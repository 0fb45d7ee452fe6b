"""The transcoding table: local code -> LOINC, one decision a row of ``loinc/transcoding.csv``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date as Day  # noqa: N812  # a row has a column `date`
from typing import NamedTuple

from channels.errors import ChannelFileError, ConfigErrors
from loinc.assistant.normalise import fold
from loinc.catalogue import Key
from loinc.columns import recognised
from loinc.laboratory_units import fold_unit
from loinc.tabular import Table, read_csv, write_csv
from loinc.terms import is_code

__all__ = ["COLUMNS", "RELATIONSHIPS", "STATUSES", "Ambiguous", "Row", "Transcoding", "rows_of"]

FILE = "loinc/transcoding.csv"
STATUSES = ("proposed", "checked", "refused", "without_loinc")
RELATIONSHIPS = ("equivalent", "wider", "narrower", "inexact")
_STATUS_WORDS = {
    "proposed": "propose|proposition|proposed|a verifier|a valider|a revoir|verifier|valider|revoir|draft|new|nouveau",
    "checked": "checked|verifie|valide|validated|controle|accepte|accepted|ok|oui|v|reviewed|revu|final",
    "refused": "refused|refuse|rejete|rejected|non|ko|faux|incorrect",
    "without_loinc": "without loinc|sans loinc|sans code|pas de loinc|no loinc|none|unmatched|non transcodable|"
    "sans correspondance",
}
_STATUS_OF = {word: status for status, words in _STATUS_WORDS.items() for word in words.split("|")}
_RELATION_WORDS = {
    "equivalent": "equivalent|equal|equals|equivalente|egal|exact|=",
    "wider": "wider|subsumes|plus large|plus general|broader",
    "narrower": "narrower|specializes|plus precis|plus etroit",
    "inexact": "inexact|approche|approximatif|relatedto",
}
_RELATION_OF = {word: relation for relation, words in _RELATION_WORDS.items() for word in words.split("|")}
_HYPHENS = str.maketrans(dict.fromkeys("\u2010‑–—−", "-"))
_DATES = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T].*)?|(\d{1,2})[/.](\d{1,2})[/.](\d{4})")


class Ambiguous(Exception):
    """Two rows of the table answer the same result and say different things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One decision, or one proposal.

    specimen, unit, technique: conditions, as the catalogue or the messages write them; ``""`` for any.
    loinc: ``""`` when there is none. loinc_name: one of LOINC's own names of it, for readers.
    ucum: the unit that leaves with the code when it is not the one of the message.
    molar_mass: analyte of the table of molar masses, when the unit goes from mass to amount or back.
    decimals: of a converted value; ``""``: all of them, which a conversion without end cannot have.
    since, until: first and last day, ``YYYY-MM-DD`` or ``""``. author, date: who wrote the status, when.
    evidence: why; line: in the file, 0 for none.
    """

    local_code: str
    specimen: str = ""
    unit: str = ""
    technique: str = ""
    loinc: str = ""
    loinc_name: str = ""
    status: str = "proposed"
    relationship: str = ""
    ucum: str = ""
    molar_mass: str = ""
    decimals: str = ""
    since: str = ""
    until: str = ""
    author: str = ""
    date: str = ""
    evidence: str = ""
    comment: str = ""
    line: int = 0

    @property
    def key(self) -> Key:
        """What the row speaks of."""
        return Key(self.local_code, self.specimen, self.unit, self.technique)

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it another row than its neighbours, and its place in the file."""
        return (*self.key, self.loinc, self.since)

    @property
    def settled(self) -> bool:
        """Whether somebody decided: a code, or that there is none."""
        return self.status in ("checked", "without_loinc")

    def speaks_of(self, key: Key) -> bool:
        """Whether an analysis of the catalogue meets the conditions; its code is not looked at."""
        mine = _conditions(self)
        theirs = fold(key.specimen), fold_unit(key.unit), fold(key.technique)
        return all(not one or one == other for one, other in zip(mine, theirs, strict=True))

    def valid(self, day: Day) -> bool:
        """Whether the row holds on that day."""
        text = day.isoformat()
        return (not self.since or self.since <= text) and (not self.until or text <= self.until)

    def overlaps(self, other: Row) -> bool:
        """Whether there is a day on which both hold."""
        return (not self.until or not other.since or other.since <= self.until) and (
            not other.until or not self.since or self.since <= other.until
        )

    def cells(self) -> dict[str, str]:
        """Column -> text."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(one.name for one in fields(Row) if one.name != "line")


class Difference(NamedTuple):
    """What an import would change; conflicts: settled rows that another decision would replace (old, new)."""

    added: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]
    removed: tuple[Row, ...]
    conflicts: tuple[tuple[Row, Row], ...]


class Transcoding:
    """The table, looked up by what a message tells."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """rows: of two with one identity the later counts."""
        known = {row.identity: row for row in rows}
        self._rows = dict(sorted(known.items()))
        self._by_code: dict[str, list[Row]] = {}
        self._settled: dict[str, list[Row]] = {}
        for row in self._rows.values():
            self._by_code.setdefault(row.local_code, []).append(row)
            if row.settled:
                self._settled.setdefault(row.local_code, []).append(row)

    def __iter__(self) -> Iterator[Row]:
        """In the order of the file."""
        return iter(self._rows.values())

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        """The same rows, wherever they were read."""
        return isinstance(other, Transcoding) and self.text() == other.text()

    __hash__ = None  # type: ignore[assignment]  # it is not a key of anything

    def translate(self, value: str) -> str | None:
        """The checked LOINC code of a local code, if it is one whatever the conditions: ``channels.ports.Tables``."""
        codes = {row.loinc for row in self._settled.get(value, ()) if row.loinc}
        return codes.pop() if len(codes) == 1 else None

    def find(
        self,
        local_code: str,
        day: Day,
        *,
        specimens: Iterable[str] = (),
        units: Iterable[str] = (),
        techniques: Iterable[str] = (),
    ) -> Row | None:
        """The settled row for a result, or None.

        specimens, units, techniques: what the message calls them, any of which may meet a condition.
        Of several rows the one with most conditions counts. Raises Ambiguous when two such disagree.
        """
        rows = self._settled.get(local_code)
        if not rows:
            return None
        told = ({fold(one) for one in specimens}, {fold_unit(one) for one in units}, {fold(one) for one in techniques})
        best: list[Row] = []
        most = -1
        for row in rows:
            conditions = _conditions(row)
            if not row.valid(day) or any(one and one not in known for one, known in zip(conditions, told, strict=True)):
                continue
            count = sum(map(bool, conditions))
            if count > most:
                best, most = [row], count
            elif count == most:
                best.append(row)
        if len({(row.loinc, row.ucum, row.molar_mass, row.decimals) for row in best}) > 1:
            raise Ambiguous
        return best[0] if best else None

    def of(self, key: Key) -> list[Row]:
        """The rows that speak of an analysis of the catalogue."""
        return [row for row in self._by_code.get(key.local_code, ()) if row.speaks_of(key)]

    def with_code(self, local_code: str) -> list[Row]:
        """The rows of a local code, whatever their conditions."""
        return list(self._by_code.get(local_code, ()))

    def get(self, identity: tuple[str, ...]) -> Row | None:
        """The row of an identity."""
        return self._rows.get(identity)

    def settled(self, key: Key, day: Day | None = None) -> Row | None:
        """The decision for an analysis of the catalogue, on a day or at any time."""
        found = [row for row in self.of(key) if row.settled and (day is None or row.valid(day))]
        return max(found, key=lambda row: (sum(map(bool, _conditions(row))), row.since), default=None)

    def with_rows(self, rows: Iterable[Row]) -> Transcoding:
        """This table and other rows; those with a known identity replace."""
        return Transcoding([*self._rows.values(), *rows])

    def without(self, rows: Iterable[Row]) -> Transcoding:
        """This table without some rows."""
        gone = {row.identity for row in rows}
        return Transcoding(row for row in self._rows.values() if row.identity not in gone)

    def difference(self, other: Transcoding) -> Difference:
        """What changes when ``other`` takes the place of this one."""
        mine, theirs = self._rows, other._rows
        both = [(mine[one], theirs[one]) for one in sorted(mine.keys() & theirs.keys())]
        changed = tuple(pair for pair in both if pair[0].cells() != pair[1].cells())
        added = tuple(theirs[one] for one in sorted(theirs.keys() - mine.keys()))
        removed = tuple(mine[one] for one in sorted(mine.keys() - theirs.keys()))
        conflicts = [(old, new) for old, new in changed if old.settled and old.status != new.status]
        for new in added:
            old = self._decided(new)
            if old is not None:
                conflicts.append((old, new))
        return Difference(added, changed, removed, tuple(conflicts))

    def _decided(self, new: Row) -> Row | None:
        """The settled row that a new settled row contradicts."""
        if not new.settled:
            return None
        same = (row for row in self._settled.get(new.local_code, ()) if row.key == new.key and row.loinc != new.loinc)
        return next((row for row in same if row.overlaps(new)), None)

    def text(self) -> str:
        """The file ``transcoding.csv``."""
        return write_csv(COLUMNS, (row.cells() for row in self))

    @classmethod
    def read(cls, text: str, name: str = FILE) -> Transcoding:
        """The table of a file of a site. Raises ConfigErrors with every fault at its line."""
        return cls(rows_of(read_csv(text, name)))


def _conditions(row: Row) -> tuple[str, str, str]:
    return fold(row.specimen), fold_unit(row.unit), fold(row.technique)


def rows_of(table: Table, chosen: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of a table, ours or one that comes back from outside; one with neither code nor status is passed over.

    chosen: field -> name of its column. Raises ConfigErrors with every fault at its line.
    """
    columns = recognised(table.columns, chosen)
    missing = [field for field in ("local_code", "loinc") if field not in columns]
    if missing:
        names = ", ".join(filter(None, table.columns)) or "none"
        problem = f"no column of {' and of '.join(missing)}; the columns are: {names}"
        raise ConfigErrors([ChannelFileError(table.name, 1, 1, problem)])
    faults: list[ChannelFileError] = []
    found: dict[tuple[str, ...], Row] = {}
    for line, cells in table.rows:
        row = {field: cells.get(column, "") for field, column in columns.items() if field in COLUMNS}
        if not row["loinc"] and not row.get("status"):
            continue
        try:
            made = _row(row, line)
        except ValueError as error:
            faults.append(ChannelFileError(table.name, line, 1, str(error)))
            continue
        if made.identity in found and made.cells() != found[made.identity].cells():
            problem = f"line {found[made.identity].line} says something else of the same analysis and code"
            faults.append(ChannelFileError(table.name, line, 1, problem))
        found.setdefault(made.identity, made)
    if faults:
        raise ConfigErrors(faults)
    return list(found.values())


def _row(cells: dict[str, str], line: int) -> Row:
    """One row, or ValueError with what is wrong."""
    if not cells.get("local_code"):
        raise ValueError("a row without local code")
    code = cells["loinc"].translate(_HYPHENS).replace(" ", "").upper()
    if code and not is_code(code):
        raise ValueError(_code_problem(code))
    status = _status(cells.get("status", ""), code)
    relation = fold(cells.get("relationship", ""))
    if relation and relation not in _RELATION_OF:
        raise ValueError(f"a relationship is one of {', '.join(RELATIONSHIPS)}")
    decimals = cells.get("decimals", "")
    if decimals and not (decimals.isascii() and decimals.isdigit() and len(decimals) <= 2):
        raise ValueError("the number of decimals is a whole number")
    days = {name: _day(cells.get(name, "")) for name in ("since", "until", "date")}
    if days["since"] and days["until"] and days["until"] < days["since"]:
        raise ValueError("`until` is before `since`")
    changes = {"loinc": code, "status": status, "relationship": _RELATION_OF.get(relation, ""), **days}
    if changes["relationship"] == "equivalent":
        changes["relationship"] = ""
    return Row(**(cells | changes), line=line)


def _code_problem(code: str) -> str:
    if "/" in code or (re.fullmatch(r"\d{1,4}[.-]\d{1,2}([.-]\d{2,4})?", code) and code.count("-") != 1):
        return "not a LOINC code: a spreadsheet made a date of it; import the column as text"
    if re.fullmatch(r"\d{1,7}-\d", code):
        return "the check digit of the LOINC code is wrong"
    return "not a LOINC code"


def _status(text: str, code: str) -> str:
    word = fold(text).replace("_", " ")
    status = _STATUS_OF.get(word, "") if word else "proposed"
    if not status:
        raise ValueError(f"a status is one of {', '.join(STATUSES)}")
    if status == "without_loinc" and code:
        raise ValueError("`without_loinc` has no LOINC code")
    if status != "without_loinc" and not code:
        raise ValueError(f"`{status}` needs a LOINC code")
    return status


def _day(text: str) -> str:
    if not text:
        return ""
    match = _DATES.fullmatch(text)
    if match:
        year, month, day = (match[1], match[2], match[3]) if match[1] else (match[6], match[5], match[4])
        try:
            return Day(int(year), int(month), int(day)).isoformat()
        except ValueError:
            pass
    raise ValueError("a day is written YYYY-MM-DD or DD/MM/YYYY")
