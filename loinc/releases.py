"""A site's own tables: the LOINC release, and the French value set "circuit de la biologie"; neither ships.

Both are files that the site has downloaded under its own licence. Reading streams: one row at a time is in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

from channels.errors import ChannelFileError
from loinc.sheets import Workbook
from loinc.terms import Term, is_code

__all__ = ["FrenchTerm", "read_alignment", "read_release", "read_value_set", "with_french"]

_NEEDED = ("LOINC_NUM", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "LONG_COMMON_NAME")
_LABORATORY = frozenset({"", "1"})
_VALUE_SET = (
    "code",
    "label",
    "component_en",
    "component",
    "synonyms",
    "property",
    "time",
    "system",
    "scale",
    "technique",
    "chapter",
)
_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "code": ("code loinc", "loinc_num", "code"),
    "label": ("libelle francais de reference", "libelle de reference", "libelle francais", "libelle"),
    "component_en": ("composant anglais", "analyte anglais", "component"),
    "component": ("composant francais", "composant", "analyte"),
    "synonyms": ("synonymes", "synonyme"),
    "property": ("grandeur",),
    "time": ("temps",),
    "system": ("milieu biologique", "milieu"),
    "scale": ("echelle",),
    "technique": ("technique", "methode"),
    "chapter": ("chapitre",),
}


class FrenchTerm(NamedTuple):
    """One row of the French value set; a column that the file has not is ``""``."""

    code: str
    label: str
    component: str
    synonyms: str
    property: str
    time: str
    system: str
    scale: str
    technique: str
    chapter: str


def read_release(stream: TextIO, name: str) -> Iterator[Term]:
    """The laboratory terms of a ``LoincTable/Loinc.csv``.

    stream: text, opened with ``newline=""``. name: of the file, for errors.

    Raises ChannelFileError when a column is missing, or at the line whose code has a wrong check digit.
    Source: LOINC Users' Guide, appendix A (LOINC database structure).
    """
    reader = csv.DictReader(stream)
    missing = [column for column in _NEEDED if column not in (reader.fieldnames or ())]
    if missing:
        raise ChannelFileError(name, 1, 1, f"not a LOINC table: no column {', '.join(missing)}")
    for row in reader:
        if (row.get("CLASSTYPE") or "") not in _LABORATORY:
            continue
        code = row["LOINC_NUM"].strip()
        if not is_code(code):
            raise ChannelFileError(name, reader.line_num, 1, "not a LOINC code, or its check digit is wrong")
        yield _term(code, row)


def _term(code: str, row: Mapping[str, str]) -> Term:
    component, _, challenge = row["COMPONENT"].partition("^")
    units = tuple(filter(None, (row.get("EXAMPLE_UCUM_UNITS") or "").split(";")))
    rank = row.get("COMMON_TEST_RANK") or "0"
    return Term(
        code,
        row["LONG_COMMON_NAME"],
        component,
        row["PROPERTY"],
        row["TIME_ASPCT"],
        row["SYSTEM"].partition("^")[0],
        row["SCALE_TYP"],
        row["METHOD_TYP"],
        challenge,
        units,
        row.get("STATUS") or "ACTIVE",
        row.get("ORDER_OBS") or "",
        int(rank) if rank.isdigit() else 0,
    )


def read_value_set(path: Path) -> Iterator[FrenchTerm]:
    """The rows of the French value set, an XLSX workbook or a CSV file (``;``).

    The sheet is the one whose name has ``Jeu``; columns are found by their heading, and by their published order
    when the headings are others. Rows without a valid code are left out: titles, notes.

    Raises OSError; ChannelFileError when the file has no such sheet or no row with a code.
    """
    found = False
    for row in _columns(_rows(path, "jeu")):
        if is_code(row.get("code", "")):
            found = True
            yield FrenchTerm(**{field: row.get(field, "") for field in FrenchTerm._fields})
    if not found:
        raise ChannelFileError(path.name, 0, 0, "no row has a LOINC code")


def read_alignment(path: Path) -> Iterator[tuple[str, str, str]]:
    """Act, its label and a LOINC code: the rows of the sheet whose name has ``NABM``; none without such a sheet."""
    if path.suffix.lower() != ".xlsx":
        return
    with Workbook(path) as book:
        sheet = next((name for name in book.sheets if "nabm" in name.lower()), None)
        for row in book.rows(sheet) if sheet else ():
            if len(row) >= 3 and is_code(row[2].strip()):
                yield row[0].strip(), row[1].strip(), row[2].strip()


def with_french(terms: Iterable[Term], value_set: Iterable[FrenchTerm]) -> Iterator[Term]:
    """The terms, with the French label of those that the value set has."""
    labels = {row.code: row.label for row in value_set}
    for term in terms:
        yield term._replace(french=labels[term.code]) if labels.get(term.code) else term


def _rows(path: Path, word: str) -> Iterator[list[str]]:
    if path.suffix.lower() == ".xlsx":
        with Workbook(path) as book:
            sheet = next(
                (name for name in book.sheets if word in name.lower()), book.sheets[0] if book.sheets else None
            )
            if sheet is None:
                raise ChannelFileError(path.name, 0, 0, "the workbook has no sheet")
            yield from book.rows(sheet)
        return
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from csv.reader(stream, delimiter=";")


def _columns(rows: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    """Each row by column; the first row that names a code column is the heading."""
    from loinc.assistant.normalise import fold

    places = dict(enumerate(_VALUE_SET))
    for row in rows:
        names = [fold(cell) for cell in row]
        if any(name in _HEADINGS["code"] for name in names):
            places = {}
            for field, headings in _HEADINGS.items():
                place = next((names.index(heading) for heading in headings if heading in names), None)
                if place is not None:
                    places[place] = field
            continue
        yield {field: row[place].strip() for place, field in places.items() if place < len(row)}
