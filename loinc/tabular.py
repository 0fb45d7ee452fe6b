"""Tables of text: CSV as laboratories export it, and the plain files of a site, one row a line in a stable order."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import StringIO
from typing import NamedTuple

from channels.errors import ChannelFileError

__all__ = ["Table", "clean", "decode", "read_csv", "table_of", "write_csv"]

_DELIMITERS = ";\t,|"


class Table(NamedTuple):
    """columns: as the first row names them. rows: (line in the file, column -> cell); none without any text."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """A cell on one line: blanks of all kinds become one, control characters go, none at the ends."""
    shown = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    return re.sub(r"\s+", " ", shown).strip()


def decode(content: bytes, name: str) -> str:
    """The text of a file: UTF-8, or Windows-1252 as spreadsheets of French Windows write it.

    Raises ChannelFileError at the line of a byte that is of neither.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ChannelFileError(name, line, 1, "neither UTF-8 nor Windows-1252") from None


def read_csv(text: str, name: str) -> Table:
    """A table from CSV; the delimiter (``;``, tab, ``,``, ``|``) is the one that the first line has most.

    Raises ChannelFileError when it is not CSV.
    """
    return table_of(_csv_rows(text, name), name)


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Sequence[str]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ChannelFileError(name, line, 1, f"not CSV: {error}") from None


def table_of(rows: Iterable[tuple[int, Sequence[str]]], name: str) -> Table:
    """A table from rows of cells with their lines; the first row with text names the columns.

    Raises ChannelFileError when a column is named twice.
    """
    columns: tuple[str, ...] = ()
    found: list[tuple[int, dict[str, str]]] = []
    for line, row in rows:
        cells = [clean(cell) for cell in row]
        if not any(cells):
            continue
        if not columns:
            columns = tuple(cells)
            twice = {one for one in columns if one and columns.count(one) > 1}
            if twice:
                raise ChannelFileError(name, line, 1, f"the column {min(twice)!r} is there twice")
            continue
        found.append((line, {key: cell for key, cell in zip(columns, cells, strict=False) if key}))
    return Table(name, columns, tuple(found))


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """CSV with ``;`` and LF, a cell for each column; None is empty."""
    stream = StringIO(newline="")
    writer = csv.writer(stream, delimiter=";", lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(column) is None else str(row[column]) for column in columns])
    return stream.getvalue()
