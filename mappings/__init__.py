"""Code tables: CSV files with a ``source`` and a ``target`` column.

A site's tables are in its ``mappings/`` folder and hide the built-in table of the same name. Comma or semicolon,
UTF-8 with or without BOM; other columns (a label, a remark) are for the reader.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

from channels.errors import ChannelFileError, ConfigErrors, UnknownNameError
from channels.registry import suggestion

__all__ = ["TRANSCODING", "Table", "Tables"]

TRANSCODING = "loinc/transcoding.csv"
"""Name of the laboratory's transcoding table, which is not a code table of ``mappings/``."""


class Table:
    """One code table."""

    __slots__ = ("_codes", "_lines", "name")

    def __init__(self, name: str, codes: Mapping[str, str], lines: Mapping[str, int] | None = None) -> None:
        """codes: source -> target. lines: where each source stands in the site's file."""
        self.name, self._codes, self._lines = name, dict(codes), dict(lines or {})

    def translate(self, value: str) -> str | None:
        """The translation, or None when the table has none."""
        return self._codes.get(value)

    def targets(self) -> list[tuple[int, str]]:
        """Line and target of each code of a site's file; nothing for a table of the product."""
        return [(line, self._codes[source]) for source, line in self._lines.items()]

    def __len__(self) -> int:
        """How many codes it has."""
        return len(self._codes)


class Tables:
    """The tables of a site, over the built-in ones."""

    def __init__(self, directory: Path | None = None) -> None:
        """directory: the site's ``mappings`` folder; it need not exist. What is wrong in it is in ``faults``."""
        self.faults: list[ChannelFileError] = []
        self._tables: dict[str, Table] = {}
        for file in sorted(directory.glob("*.csv")) if directory else []:
            reader = _Reader(f"mappings/{file.name}", self.faults)
            codes = reader.codes(file.read_bytes())
            self._tables[file.stem] = Table(file.stem, codes, reader.lines)
        self._transcoding = self._laboratory(directory.parent / TRANSCODING) if directory else None

    def _laboratory(self, file: Path) -> Any:
        """The laboratory's transcoding table, read now for its faults; None when the site has none."""
        if not file.is_file():
            return None
        from loinc.transcoding import Transcoding

        try:
            return Transcoding.read(file.read_bytes().decode("utf-8-sig", "replace"), TRANSCODING)
        except ChannelFileError as error:
            self.faults.append(error)
        except ConfigErrors as error:
            self.faults += error.faults
        return None

    def names(self) -> list[str]:
        """The names of all tables, the site's and the built-in ones."""
        return sorted({*self._tables, *_builtin_names()})

    def table(self, name: str) -> Any:
        """The table of this name. Raises UnknownNameError with the nearest name.

        TRANSCODING is the laboratory's (``loinc.transcoding.Transcoding``), empty when the site has none.
        """
        if name == TRANSCODING:
            from loinc.transcoding import Transcoding

            return self._transcoding if self._transcoding is not None else Transcoding()
        if name not in self._tables:
            if name not in _builtin_names():
                raise UnknownNameError(f"no table is called {name!r}{suggestion(name, self.names())}")
            self._tables[name] = _builtin(name)
        return self._tables[name]


def _builtin_names() -> set[str]:
    folder = resources.files("mappings").joinpath("tables")
    return {entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv")}


def _builtin(name: str) -> Table:
    """A table that comes with the product: its first column gives its second one."""
    text = resources.files("mappings").joinpath("tables", f"{name}.csv").read_text("utf-8")
    rows = list(csv.reader(StringIO(text)))[1:]
    return Table(name, {row[0]: row[1] for row in rows if len(row) > 1})


class _Reader:
    """Reads one CSV file of a site; every fault has its line and column."""

    def __init__(self, file: str, faults: list[ChannelFileError]) -> None:
        self._file, self._faults = file, faults
        self.lines: dict[str, int] = {}
        """Where each source stands, once ``codes`` has read them."""

    def _fault(self, line: int, column: int, problem: str) -> None:
        self._faults.append(ChannelFileError(self._file, line, column, problem))

    def codes(self, content: bytes) -> dict[str, str]:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = content[: error.start]
            self._fault(
                before.count(b"\n") + 1,
                error.start - before.rfind(b"\n"),
                "not written in UTF-8; save the table as `CSV UTF-8`",
            )
            return {}
        rows, problem = _rows(text)
        if problem:
            self._fault(rows[-1][0] if rows else 1, 1, problem)
            return {}
        return self._translations(rows)

    def _translations(self, rows: list[tuple[int, list[str]]]) -> dict[str, str]:
        columns = [name.lower() for name in rows[0][1]] if rows else []
        missing = [name for name in ("source", "target") if name not in columns]
        if missing:
            self._fault(1, 1, f"the first line names no column {' and no column '.join(missing)}")
            return {}
        codes: dict[str, str] = {}
        lines = self.lines
        for line, row in rows[1:]:
            source, target = (row[at] if at < len(row) else "" for at in map(columns.index, ("source", "target")))
            if not source or not target:
                self._fault(line, 1, f"the {'target' if source else 'source'} is empty")
            elif source in codes:
                self._fault(line, 1, f"this source is already on line {lines[source]}")
            else:
                codes[source], lines[source] = target, line
        return codes


def _rows(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """The rows that are not empty with their line, cells without spaces around; and why reading stopped, or ``""``."""
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        return [*rows, (line, [])], f"not CSV: {error}"
    return rows, ""
