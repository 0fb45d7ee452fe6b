"""Catalogue and transcoding as spreadsheets with French columns, for an outside transcoder, and back.

A workbook (or two CSV files): ``Catalogue``, one analysis a row; ``Transcodage``, one decision a row beside what the
catalogue says of the analysis, and an empty decision for each analysis that has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

from channels.errors import ChannelFileError, ConfigError
from loinc import catalogue as catalogue_file
from loinc import transcoding as transcoding_file
from loinc.assistant.normalise import fold
from loinc.catalogue import Catalogue, Entry, Key
from loinc.columns import FRENCH, recognised
from loinc.laboratory_units import fold_unit
from loinc.tabular import Table, table_of, write_csv
from loinc.transcoding import Row, Transcoding, rows_of

__all__ = ["CATALOGUE", "TRANSCODING", "Sheet", "decisions", "from_xlsx", "sheets", "to_csv", "to_xlsx"]

CATALOGUE, TRANSCODING = "Catalogue", "Transcodage"
_CONDITIONS = {"specimen": "if_specimen", "unit": "if_unit", "technique": "if_technique"}
_SHOWN = ("label", "specimen", "unit", "technique", "section", "frequency")
_DECISION = tuple(_CONDITIONS.get(name, name) for name in transcoding_file.COLUMNS)
_STATUSES = {"proposed": "proposé", "checked": "vérifié", "refused": "refusé", "without_loinc": "sans LOINC"}
_KINDS = {"numeric": "numérique", "coded": "codé", "text": "texte"}
_LARGEST = 1_000_000


class Sheet(NamedTuple):
    """One table: title, columns with their French titles, rows of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def sheets(catalogue: Catalogue, transcoding: Transcoding) -> tuple[Sheet, Sheet]:
    """The two tables. Nothing of either file is left out."""
    fields = [*catalogue_file.COLUMNS]
    first = Sheet(CATALOGUE, tuple(FRENCH[field] for field in fields), tuple(_analysis(entry) for entry in catalogue))
    fields = ["local_code", *_SHOWN, *(field for field in _DECISION if field != "local_code")]
    rows = tuple(_titled(fields, cells) for cells in _joined(catalogue, transcoding))
    return first, Sheet(TRANSCODING, tuple(FRENCH[field] for field in fields), rows)


def _titled(fields: Sequence[str], cells: Mapping[str, str]) -> dict[str, str]:
    return {FRENCH[field]: cells.get(field, "") for field in fields}


def _analysis(entry: Entry) -> dict[str, str]:
    cells = entry.cells()
    shown = {"active": "oui" if entry.active else "non", "value_type": _KINDS.get(entry.value_type, entry.value_type)}
    return _titled(catalogue_file.COLUMNS, cells | shown)


def _joined(catalogue: Catalogue, transcoding: Transcoding) -> Iterator[dict[str, str]]:
    left = {row.identity: row for row in transcoding}
    for entry in catalogue:
        rows = transcoding.of(entry.key)
        shown = {name: entry.cells()[name] for name in ("local_code", *_SHOWN)}
        for row in rows:
            left.pop(row.identity, None)
            yield shown | _decision(row)
        if not rows:
            yield shown
    for row in left.values():
        yield _decision(row)


def _decision(row: Row) -> dict[str, str]:
    cells = {_CONDITIONS.get(name, name): text for name, text in row.cells().items()}
    return cells | {"status": _STATUSES[row.status]}


def to_csv(sheet: Sheet) -> bytes:
    """CSV that a spreadsheet opens with its accents: ``;``, UTF-8 with BOM."""
    return write_csv(sheet.columns, sheet.rows).encode("utf-8-sig")


def decisions(table: Table, catalogue: Catalogue, chosen: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of a transcoding that comes back from outside.

    Columns of conditions are taken as they are. In a table that has none, what it says of the specimen, unit and
    technique becomes a condition where the catalogue has several analyses with this local code, and only there.
    Raises ConfigErrors with every fault at its line.
    """
    columns = recognised(table.columns, chosen)
    own = any(field in columns for field in _CONDITIONS.values())
    taken = {field: column for field, column in columns.items() if field not in _CONDITIONS}
    for condition, field in _CONDITIONS.items():
        source = field if own else condition
        if source in columns:
            taken[condition] = columns[source]
        taken.pop(field, None)
    keep = set(taken.values())
    narrowed = Table(table.name, tuple(one for one in table.columns if one in keep), table.rows)
    rows = rows_of(narrowed, taken)
    return rows if own else [_with_conditions(row, catalogue) for row in rows]


def _with_conditions(row: Row, catalogue: Catalogue) -> Row:
    entries = catalogue.of(row.local_code)
    differ = [
        len({normal(getattr(entry, name)) for entry in entries}) > 1
        for name, normal in (("specimen", fold), ("unit", fold_unit), ("technique", fold))
    ]
    key = Key(row.local_code, *(part if needed else "" for part, needed in zip(row.key[1:], differ, strict=True)))
    cells = row.cells() | {"specimen": key.specimen, "unit": key.unit, "technique": key.technique}
    return Row(**cells, line=row.line)


# workbooks


def to_xlsx(made: Sequence[Sheet]) -> bytes:
    """A workbook whose cells are all text: no code becomes a date or a number. Raises ConfigError without openpyxl."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ModuleNotFoundError:
        raise ConfigError("spreadsheets need the package openpyxl: pip install 'vaguemestre[loinc]'") from None
    book = Workbook(write_only=True)
    for sheet in made:
        page = book.create_sheet(sheet.title)
        page.freeze_panes = "B2"
        for row in (dict(zip(sheet.columns, sheet.columns, strict=True)), *sheet.rows):
            cells = []
            for column in sheet.columns:
                cell = WriteOnlyCell(page, value=row[column])
                cell.data_type = "s"  # also what begins with = or looks like a number
                cell.number_format = "@"
                cells.append(cell)
            page.append(cells)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def from_xlsx(content: bytes, name: str) -> dict[str, Table]:
    """Title -> table of each sheet that has text; numbers and dates are read as their text.

    Raises ChannelFileError when it is no workbook or is too large, ConfigError without openpyxl.
    """
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ModuleNotFoundError:
        raise ConfigError("spreadsheets need the package openpyxl: pip install 'vaguemestre[loinc]'") from None
    from zipfile import BadZipFile

    try:
        book = load_workbook(BytesIO(content), read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise ChannelFileError(name, 0, 0, "not an XLSX workbook") from None
    try:
        found = {}
        for page in book.worksheets:
            rows = enumerate(page.iter_rows(values_only=True), 1)
            table = table_of(_limited(rows, name), f"{name} [{page.title}]")
            if table.columns:
                found[page.title] = table
        return found
    finally:
        book.close()


def _limited(rows: Iterator[tuple[int, Sequence[object]]], name: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if line > _LARGEST:
            raise ChannelFileError(name, line, 1, "more than a million rows")
        yield line, [_cell(value) for value in row]


def _cell(value: object) -> str:
    """The text of a cell: whole numbers without ``.0``, days without an hour."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.removesuffix(" 00:00:00") if hasattr(value, "isoformat") else text
