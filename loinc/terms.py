"""The LOINC terms the product knows: the laboratory subset that ships, or a site's own release.

Compact form of a table (what ships in ``data/terms.csv``, and what an import of a release writes): UTF-8, ``;``, one
term a line, columns ``code;name;units`` and, when the release gives them,
``component;property;time;system;scale;method;status; order;rank;french``. A table without axes has them read from
the names (``loinc.names``).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import NamedTuple, TextIO

from channels.errors import ChannelFileError
from loinc.names import read_name

__all__ = ["AXES", "Term", "Terms", "check_digit", "is_code", "load", "read_terms", "shipped", "write_terms"]

AXES = ("component", "property", "time", "system", "scale", "method")
_COLUMNS = ("code", "name", "units", *AXES, "challenge", "status", "order", "rank", "french")


class Term(NamedTuple):
    """One LOINC term.

    units: example UCUM units. challenge: what follows ``--`` in the name. status: ACTIVE, TRIAL, DISCOURAGED or
    DEPRECATED. order: Order, Observation, Both, or ``""`` when the table does not say. rank: COMMON_TEST_RANK, 0
    when unknown. french: a French label of LOINC or of the national value set, ``""`` when the table has none.
    """

    code: str
    name: str
    component: str
    property: str
    time: str
    system: str
    scale: str
    method: str
    challenge: str = ""
    units: tuple[str, ...] = ()
    status: str = "ACTIVE"
    order: str = ""
    rank: int = 0
    french: str = ""


class Terms:
    """A table of terms, by code and by axis."""

    def __init__(self, terms: Iterable[Term]) -> None:
        """terms: a later term replaces an earlier one of the same code."""
        self._terms = {term.code: term for term in terms}
        self._by_axis: dict[str, dict[str, list[Term]]] = {}

    def __len__(self) -> int:
        """How many terms."""
        return len(self._terms)

    def __iter__(self) -> Iterator[Term]:
        """The terms in the order of the table."""
        return iter(self._terms.values())

    def __contains__(self, code: object) -> bool:
        """Whether the table has this code."""
        return code in self._terms

    def get(self, code: str) -> Term | None:
        """The term of a code, or None."""
        return self._terms.get(code)

    def where(self, axis: str, value: str) -> list[Term]:
        """The terms whose ``axis`` (one of AXES) has exactly this value."""
        if axis not in self._by_axis:
            found: dict[str, list[Term]] = defaultdict(list)
            for term in self:
                found[getattr(term, axis)].append(term)
            self._by_axis[axis] = dict(found)
        return self._by_axis[axis].get(value, [])


def check_digit(stem: str) -> int:
    """The check digit of the digits before the hyphen (Mod 10).

    Source: LOINC Users' Guide, appendix C (calculating Mod 10 check digits).
    """
    odd, even = stem[::-1][::2][::-1], stem[::-1][1::2][::-1]
    digits = sum(int(digit) for digit in even + str(int(odd) * 2))
    return -digits % 10


def is_code(text: str) -> bool:
    """Whether the text is a LOINC code with the right check digit (``X`` codes are a site's own: False)."""
    stem, hyphen, digit = text.partition("-")
    if not (hyphen and stem.isascii() and stem.isdigit() and len(stem) <= 7 and digit.isascii() and digit.isdigit()):
        return False
    return len(digit) == 1 and check_digit(stem) == int(digit)


def read_terms(stream: TextIO, name: str) -> Iterator[Term]:
    """The terms of a compact table, one at a time.

    name: of the file, for errors. Raises ChannelFileError at the line that has no valid code.
    """
    reader = csv.DictReader(stream, delimiter=";")
    for row in reader:
        code = (row.get("code") or "").strip()
        if not is_code(code):
            raise ChannelFileError(name, reader.line_num, 1, "not a LOINC code, or its check digit is wrong")
        yield _term(code, row)


def _term(code: str, row: dict[str, str]) -> Term:
    units = tuple(filter(None, (row.get("units") or "").split("|")))
    told = {
        "units": units,
        "order": row.get("order") or "",
        "rank": int(row.get("rank") or "0"),
        "french": row.get("french") or "",
    }
    if row.get("component"):
        axes = {axis: row.get(axis) or "" for axis in (*AXES, "challenge")}
        return Term(code=code, name=row["name"], status=row.get("status") or "ACTIVE", **axes, **told)  # type: ignore[arg-type]  # columns by name
    read = read_name(row["name"], units)._asdict()
    status = row.get("status") or ("DEPRECATED" if read.pop("deprecated") else "ACTIVE")
    read.pop("deprecated", None)
    return Term(code=code, name=row["name"], status=status, **read, **told)  # type: ignore[arg-type]  # columns by name


def write_terms(terms: Iterable[Term], stream: TextIO) -> int:
    """Write a compact table with every column; the number of terms written."""
    writer = csv.writer(stream, delimiter=";", lineterminator="\n")
    writer.writerow(_COLUMNS)
    count = 0
    for term in terms:
        cells = {**term._asdict(), "units": "|".join(term.units), "rank": term.rank or ""}
        writer.writerow([cells[column] for column in _COLUMNS])
        count += 1
    return count


@cache
def shipped() -> Terms:
    """The laboratory subset that ships with the product, with its few French labels: see ``data/NOTICE.txt``."""
    data = resources.files("loinc").joinpath("data")
    rows = csv.DictReader(StringIO(data.joinpath("labels_fr.csv").read_text(encoding="utf-8")), delimiter=";")
    french = {row["code"]: row["french"] for row in rows}
    terms = read_terms(StringIO(data.joinpath("terms.csv").read_text(encoding="utf-8")), "terms.csv")
    return Terms(term._replace(french=french.get(term.code, "")) for term in terms)


def load(path: Path) -> Terms:
    """The terms of a compact file. Raises OSError, ChannelFileError."""
    with path.open(encoding="utf-8", newline="") as stream:
        return Terms(read_terms(stream, path.name))
