"""How the journal opens SQLite files and asks them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw


def connect(path: Path, *, write: bool = False) -> apsw.Connection:
    """A connection to a file of the journal; one that writes loses nothing it committed when the power goes."""
    if not write:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        return connection
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA journal_size_limit=67108864")
    return connection


def rows(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query, read at once so that no snapshot stays open."""
    return connection.execute(sql, values).fetchall()


def row(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row of a query, or None."""
    found: list[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
    return found[0] if found else None


def one(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    found = row(connection, sql, values)
    return found[0] if found else None
