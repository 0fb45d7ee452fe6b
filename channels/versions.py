"""Versions of documents: the engine remembers them, so that a corrected report replaces the one before.

A number belongs to a content: a retry, a resend or a replay of the same bytes gets the same version. It is on disk
before the document leaves. A message that cannot pass gives its number back, and only a version that was issued, which
is noted before the document leaves too, is ever replaced. How transforms ask: ``channels.numbering``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import apsw

from channels.errors import StoreError, VersionNeeded
from channels.journal.sqlite import connect, one, row
from channels.message import Message
from channels.numbering import Issue, remembered, told

_SCHEMA = """
CREATE TABLE IF NOT EXISTS version(
  series TEXT NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL, document TEXT NOT NULL, note TEXT NOT NULL,
  issued INTEGER NOT NULL, PRIMARY KEY(series, number), UNIQUE(series, content), UNIQUE(series, document)
) WITHOUT ROWID;
"""
_Question = Callable[[apsw.Connection, VersionNeeded], Any]


class Versions:
    """The file ``versions.db`` of a journal. Asked rarely, in a thread of its own: each answer is on disk."""

    def __init__(self, path: Path) -> None:
        """path: made when it is first asked."""
        self._path = path
        self._db: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "versions")

    async def run(
        self, message: Message, steps: Callable[[Message], Awaitable[list[Message]]], needs: list[VersionNeeded]
    ) -> list[Message]:
        """Run steps that may need versions; those that are asked for are added to ``needs``.

        Raises:
            MessageError: it cannot pass; ``give_back`` then frees what was reserved for it.
            StoreError, WorkerError: the file cannot be written, or a transform does not listen: try again.
        """
        message = remembered(message)
        while True:
            try:
                return await steps(message)
            except VersionNeeded as asked:
                message = told(message, asked, await self.reserve(asked))
                if asked.content not in [one.content for one in needs if one.series == asked.series]:
                    needs.append(asked)

    async def issue(self, needs: list[VersionNeeded]) -> bool:
        """Note that documents of these versions may leave. False when one was given back meanwhile."""
        return all([await self._ask(_issue, need) for need in needs])

    async def give_back(self, needs: list[VersionNeeded]) -> None:
        """Free what was reserved for a message that cannot pass; what was issued stays. Raises StoreError."""
        for need in reversed(needs):
            await self._ask(_give_back, need)

    async def reserve(self, need: VersionNeeded) -> Issue:
        """The version of a content, a new one when it has none. Raises StoreError."""
        found: Issue = await self._ask(_reserve, need)
        return found

    def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        if self._db is not None:
            self._db.close()

    async def _ask(self, question: _Question, need: VersionNeeded) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question, need)

    def _answer(self, question: _Question, need: VersionNeeded) -> Any:
        """In the thread: one transaction, on disk when it returns."""
        try:
            if self._db is None:
                self._db = connect(self._path, write=True)
                self._db.execute(_SCHEMA)
            db = self._db
            db.transaction_mode = "IMMEDIATE"
            with db:
                return question(db, need)
        except apsw.Error as error:
            raise StoreError(f"versions of documents cannot be written: {type(error).__name__}") from error


def _reserve(db: apsw.Connection, need: VersionNeeded) -> Issue:
    """The version of the content, a new one when it has none."""
    known = row(db, "SELECT number, document FROM version WHERE series=? AND content=?", (need.series, need.content))
    if known is None:
        number = 1 + int(one(db, "SELECT coalesce(max(number), 0) FROM version WHERE series=?", (need.series,)))
        document = need.document
        if one(db, "SELECT 1 FROM version WHERE series=? AND document=?", (need.series, document)):
            document = str(uuid5(UUID(document), need.content)).upper()  # another content under the same header
        values = (need.series, number, need.content, document, need.note)
        db.execute("INSERT INTO version VALUES(?,?,?,?,?,0)", values)
        known = (number, document)
    number, document = known
    sql = "SELECT document, note FROM version WHERE series=? AND number<? AND issued ORDER BY number DESC LIMIT 1"
    replaces, before = row(db, sql, (need.series, number)) or ("", "")
    return Issue(number, document, replaces, before)


def _issue(db: apsw.Connection, need: VersionNeeded) -> bool:
    """Note that a document of this version may leave. False when the version is no more."""
    db.execute("UPDATE version SET issued=1 WHERE series=? AND content=?", (need.series, need.content))
    return bool(db.changes())


def _give_back(db: apsw.Connection, need: VersionNeeded) -> None:
    """Forget a version that no document has."""
    db.execute("DELETE FROM version WHERE series=? AND content=? AND NOT issued", (need.series, need.content))
