"""A table of codes (CSV: code, action, label) that comes with a connector, with the rows of the site over it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from channels.errors import ConfigError

COLUMNS = ["code", "action", "label"]


def code_rows(package: str, name: str, site: Path | None, setting: str) -> Iterator[tuple[str, list[str]]]:
    """Each row with its place (``file:line:1``), the site's last: it wins. Empty rows are passed over.

    package, name: where the built-in table is. setting: the key that names the site's file, for errors.

    Raises:
        ConfigError: a file cannot be read or has other columns.
    """
    yield from _rows(files(package).joinpath(name).read_text("utf-8"), name)
    if site is None:
        return
    try:
        text = site.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {site.name} cannot be read: {type(error).__name__}") from None
    yield from _rows(text, site.name)


def _rows(text: str, name: str) -> Iterator[tuple[str, list[str]]]:
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != COLUMNS:
        raise ConfigError(f"{name}:1:1: the columns are {', '.join(COLUMNS)}")
    for row in filter(None, rows):
        yield f"{name}:{rows.line_num}:1", row
