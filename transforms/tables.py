"""Built-in code tables of the laboratory circuit, read once. Source and notices: ``mappings/tables/NOTICE.txt``."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from io import StringIO


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of ``mappings/tables/<name>.csv`` by column."""
    text = resources.files("mappings").joinpath("tables", f"{name}.csv").read_text("utf-8")
    return tuple(csv.DictReader(StringIO(text)))


@cache
def column(name: str, key: str, value: str) -> dict[str, str]:
    """One column of a table by another one."""
    return {row[key]: row[value] for row in rows(name)}
