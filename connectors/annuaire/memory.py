"""What the directory said, kept beside the journal: the flow goes on while the directory is away.

The file holds public data of professionals and structures; no patient is in it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import apsw

from channels.journal.sqlite import connect, row
from connectors.annuaire.directory import Entry, Mailbox

T = TypeVar("T")
FILE = "annuaire.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry(number TEXT PRIMARY KEY, content TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""


class Memory:
    """One file; asked in a thread of its own. A file that cannot be used is as one that is empty."""

    def __init__(self, path: Path | None) -> None:
        """path: made when it is first asked; None: nothing is kept."""
        self._path = path
        self._db: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "annuaire")

    async def get(self, number: str) -> tuple[Entry, float] | None:
        """An entry, and its age in seconds."""
        sql = "SELECT content, at FROM entry WHERE number=?"
        found = await self._ask(lambda db: row(db, sql, (number,)))
        if found is None:
            return None
        plain = json.loads(found[0])
        boxes = tuple(Mailbox(**one) for one in plain["mailboxes"])
        return Entry(plain["status"], boxes), max(0.0, time.time() - found[1])

    async def put(self, number: str, entry: Entry) -> None:
        """Keep it."""
        content = json.dumps(asdict(entry))
        sql = "INSERT OR REPLACE INTO entry VALUES(?,?,?)"
        await self._ask(lambda db: row(db, sql, (number, content, time.time())))

    async def aclose(self) -> None:
        """Close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _ask(self, question: Callable[[apsw.Connection], T]) -> T | None:
        if self._path is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, self._path, question)

    def _answer(self, path: Path, question: Callable[[apsw.Connection], T]) -> T | None:
        try:
            if self._db is None:
                self._db = connect(path, write=True)
                self._db.execute(_SCHEMA)
            return question(self._db)
        except apsw.Error:
            return None

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
