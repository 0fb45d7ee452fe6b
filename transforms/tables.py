"""Built-in value sets and tables of the laboratory circuit, read once.

Source and notices: ``mappings/valuesets/NOTICE.txt``.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from io import StringIO


@cache
def value_set(name: str, column: str = "label") -> dict[str, str]:
    """Code -> label (or another column) of ``mappings/valuesets/<name>.csv``."""
    return _pairs("valuesets", name, "code", column)


@cache
def table(name: str) -> dict[str, str]:
    """Source -> target of ``mappings/tables/<name>.csv``."""
    return _pairs("tables", name, "source", "target")


def _pairs(folder: str, name: str, key: str, value: str) -> dict[str, str]:
    text = resources.files("mappings").joinpath(folder, f"{name}.csv").read_text("utf-8")
    return {row[key]: row[value] for row in csv.DictReader(StringIO(text))}
