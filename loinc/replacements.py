"""Which codes LOINC gives in the place of deprecated ones: ``MapTo.csv`` of a release."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

from channels.errors import ChannelFileError
from loinc.tabular import read_csv, write_csv
from loinc.terms import is_code

__all__ = ["COLUMNS", "read_map_to", "read_replacements", "write_replacements"]

COLUMNS = ("code", "replacement", "comment")


def read_map_to(stream: TextIO, name: str) -> Iterator[tuple[str, str, str]]:
    """(code, replacement, comment) of each row. Raises ChannelFileError at a line without two LOINC codes.

    Source: LOINC Users' Guide, appendix A (MAP_TO table).
    """
    reader = csv.DictReader(stream)
    missing = [column for column in ("LOINC", "MAP_TO") if column not in (reader.fieldnames or ())]
    if missing:
        raise ChannelFileError(name, 1, 1, f"not the MAP_TO table of LOINC: no column {', '.join(missing)}")
    for row in reader:
        code, target = row["LOINC"].strip(), row["MAP_TO"].strip()
        if not (is_code(code) and is_code(target)):
            raise ChannelFileError(name, reader.line_num, 1, "not two LOINC codes")
        yield code, target, (row.get("COMMENT") or "").strip()


def write_replacements(rows: Iterable[tuple[str, str, str]]) -> str:
    """The file that a site keeps."""
    return write_csv(COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in sorted(set(rows))))


def read_replacements(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """Code -> its replacements. Raises ChannelFileError."""
    found: dict[str, tuple[str, ...]] = {}
    for _, row in read_csv(text, name).rows:
        found[row["code"]] = (*found.get(row["code"], ()), row["replacement"])
    return found
