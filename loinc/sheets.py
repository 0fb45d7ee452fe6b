"""Rows of XLSX workbooks, one at a time: a table of 100 000 rows is read without holding it in memory."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from lxml import etree

from channels.errors import ChannelFileError

__all__ = ["Workbook"]

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_COLUMN = re.compile(r"[A-Z]+")
_MOST_BYTES = 1_000_000_000


class Workbook:
    """An XLSX file; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """path: the file. Raises OSError; ChannelFileError when it is no XLSX workbook, or over 1 GB unpacked."""
        self._name = path.name
        try:
            self._archive = zipfile.ZipFile(path)
            if sum(member.file_size for member in self._archive.infolist()) > _MOST_BYTES:
                raise ChannelFileError(self._name, 0, 0, "the workbook is larger than 1 GB")
            self._sheets = self._read_sheets()
            self._strings = self._read_strings()
        except (zipfile.BadZipFile, KeyError, etree.XMLSyntaxError) as error:
            raise ChannelFileError(self._name, 0, 0, f"not an XLSX workbook ({type(error).__name__})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def sheets(self) -> list[str]:
        """The names of the sheets, in order."""
        return list(self._sheets)

    def rows(self, sheet: str) -> Iterator[list[str]]:
        """The cells of each row as text; empty cells are ``""``, trailing ones are left out.

        Raises ChannelFileError when the sheet is not well formed.
        """
        try:
            with self._archive.open(self._sheets[sheet]) as stream:
                for row in _elements(stream, "row"):
                    yield self._cells(row)
        except etree.XMLSyntaxError as error:
            raise ChannelFileError(
                self._name, 0, 0, f"the sheet is not well formed ({type(error).__name__})"
            ) from error

    def _cells(self, row: etree._Element) -> list[str]:
        found: list[str] = []
        for cell in row.iterfind(f"{_MAIN}c"):
            place = _column(cell.get("r", ""), len(found))
            found.extend([""] * (place - len(found)))
            found.append(self._text(cell))
        return found

    def _text(self, cell: etree._Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return "".join(text.text or "" for text in cell.iter(f"{_MAIN}t"))
        value = cell.findtext(f"{_MAIN}v", "")
        if kind == "s" and value.isdigit() and int(value) < len(self._strings):
            return self._strings[int(value)]
        return value

    def _read_sheets(self) -> dict[str, str]:
        links = {
            relation.get("Id"): relation.get("Target", "")
            for relation in _root(self._archive, "xl/_rels/workbook.xml.rels").iter(_RELATION)
        }
        found = {}
        for sheet in _root(self._archive, "xl/workbook.xml").iter(f"{_MAIN}sheet"):
            target = links[sheet.get(_LINK)]
            found[sheet.get("name", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        return found

    def _read_strings(self) -> list[str]:
        if "xl/sharedStrings.xml" not in self._archive.namelist():
            return []
        with self._archive.open("xl/sharedStrings.xml") as stream:
            return ["".join(text.text or "" for text in item.iter(f"{_MAIN}t")) for item in _elements(stream, "si")]


def _root(archive: zipfile.ZipFile, name: str) -> etree._Element:
    return etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False, no_network=True))


def _elements(stream: IO[bytes], tag: str) -> Iterator[etree._Element]:
    """The elements of this name, each forgotten once it was used."""
    for _, element in etree.iterparse(stream, tag=f"{_MAIN}{tag}", resolve_entities=False, no_network=True):
        yield element
        element.clear()
        parent = element.getparent()
        while parent is not None and element.getprevious() is not None:
            del parent[0]


def _column(reference: str, default: int) -> int:
    letters = _COLUMN.match(reference)
    if not letters:
        return default
    number = 0
    for letter in letters[0]:
        number = 26 * number + ord(letter) - 64
    return number - 1
