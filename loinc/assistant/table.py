"""The catalogue that a laboratory exports, as lines to suggest for."""

from __future__ import annotations

import csv
from io import StringIO

from channels.errors import ChannelFileError
from loinc.assistant.evidence import Analysis
from loinc.assistant.normalise import fold

__all__ = ["read_analyses"]

_COLUMNS = {
    "local_code": ("code_local", "code local", "code", "code analyse"),
    "label": ("libelle", "libelle analyse", "designation", "nom"),
    "specimen": ("echantillon", "milieu", "prelevement", "nature", "specimen_label"),
    "unit": ("unite", "unites", "units"),
    "technique": ("methode", "method", "technique_label"),
}


def read_analyses(body: bytes, name: str) -> list[Analysis]:
    """The lines of a CSV file.

    body: UTF-8 (with or without BOM) or Windows-1252; ``,``, ``;`` or tab. The header names the columns ``local_code``,
    ``label``, ``specimen``, ``unit``, ``technique``, or their French names; others are ignored; only ``label`` must
    be there.

    Raises ChannelFileError when the header has no label.
    """
    text = _decoded(body)
    header = text.partition("\n")[0]
    delimiter = max(";,\t", key=header.count)
    rows = csv.reader(StringIO(text), delimiter=delimiter)
    places = _places(next(rows, []))
    if "label" not in places:
        raise ChannelFileError(name, 1, 1, "no column is called label (libelle)")
    return [
        Analysis(
            *(row[places[column]].strip() if places.get(column, len(row)) < len(row) else "" for column in _COLUMNS)
        )
        for row in rows
        if any(cell.strip() for cell in row)
    ]


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _places(header: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = fold(cell).replace("-", "_")
        for column, others in _COLUMNS.items():
            if name == column or name.replace("_", " ") in others or name in others:
                found.setdefault(column, place)
    return found
