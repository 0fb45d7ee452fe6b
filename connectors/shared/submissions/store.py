"""The store of submissions: one SQLite file, one thread that asks it; a change is on disk when its method returns."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from channels.errors import ConfigError, StoreError
from channels.journal.keys import Hasher, Sealer
from channels.journal.sqlite import connect
from channels.ports import Surroundings
from connectors.shared.submissions import chains, consents, targets
from connectors.shared.submissions.records import Consent, Due, KnownDocument, Outcome, Sent, State, Target
from transforms.submission import Patient, Submission

T = TypeVar("T")

FILE = "pfi.db"
_ENCRYPTED, _CLEAR = b"\1", b"\0"
_PATIENCE = 5.0
"""Seconds that ``more_due`` waits: another process (a command) may have made something due."""
_open: dict[Path, Submissions] = {}


def open_submissions(surroundings: Surroundings) -> Submissions:
    """The store of this engine: the same object for every connector of a process; close it with ``aclose``.

    Raises:
        ConfigError: there is no journal beside which it could lie.
    """
    directory, hasher = surroundings.journal_directory, surroundings.hasher
    if directory is None or hasher is None:
        raise ConfigError("the submissions are kept beside the journal, and there is none here")
    path = directory / FILE
    found = _open.get(path)
    if found is None:
        found = _open[path] = Submissions(path, hasher, surroundings.sealer or Sealer(None))
    found.users += 1
    return found


class Submissions:
    """See the package. Every method may raise StoreError when the disk does not take it."""

    def __init__(self, path: Path, hasher: Hasher, sealer: Sealer) -> None:
        """path: made when it is first asked. hasher: of patient identifiers. sealer: of addresses."""
        self.users = 0
        self.always_report_failures = True
        """A refusal is due to the requester even when it wants no acknowledgement."""
        self._path, self._hasher, self._sealer = path, hasher, sealer
        self._db: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "submissions")
        self._news = asyncio.Event()

    async def aclose(self) -> None:
        """Let go of it; the file closes with the last user."""
        self.users -= 1
        if self.users > 0:
            return
        _open.pop(self._path, None)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()

    # requests and documents

    async def register(self, submission: Submission, *, known_parents_only: bool) -> None:
        """Remember a request, its documents and its targets; the same one again changes nothing.

        known_parents_only: a replacement or a deletion of a document that this engine never had is refused.

        Raises:
            MessageError: condition 900 (not the latest version, or unknown), 901 (another structure's document), or 205
                (another document has this identifier).
        """
        patient = self._patient(submission.patient)
        addresses = [self._sealed(one.address) for one in submission.recipients]

        def ask(db: apsw.Connection) -> None:
            chains.register(db, submission, patient, addresses, known_parents_only=known_parents_only)

        await self._ask(ask)

    async def document(self, unique_id: str) -> KnownDocument | None:
        """A document by its identifier."""
        return await self._ask(lambda db: chains.document(db, unique_id))

    async def published(self, unique_ids: tuple[str, ...], lot: str) -> None:
        """The DMP has these documents, in this lot."""
        await self._ask(lambda db: chains.published(db, unique_ids, lot))

    # targets

    async def target(self, key: str, name: str) -> Target | None:
        """One target of a request (``dmp``, ``mail 1``...), None when the request has no such one."""
        found = await self._ask(lambda db: targets.target(db, key, name))
        if found is None:
            return None
        state, reference, address = found
        return Target(key, name, state, reference, self._opened(address))

    async def note(
        self, key: str, name: str, state: State, *, reference: str = "", outcome: Outcome | None = None
    ) -> bool:
        """Change the state of a target; its business acknowledgement, when wanted, is due in the same transaction.

        reference: kept when ``""``. Returns False when nothing changed: the same state and outcome were noted before,
        or it was done and is said to be on its way.
        """
        address = self._sealed(outcome.address) if outcome else b""
        reader = self._sealed(outcome.reader) if outcome else b""

        def ask(db: apsw.Connection) -> bool:
            changed = targets.change(db, key, name, state, reference)
            if outcome is None:
                return changed
            answer = targets.Answer(outcome, address, reader, time.time())
            return targets.answer(db, key, name, answer, failures=self.always_report_failures) or changed

        changed = await self._ask(ask)
        if changed and outcome is not None:
            self._news.set()
        return changed

    async def mail(self, reference: str, address: str = "") -> Sent | None:
        """The mail with this Message-ID (ENVID is the same text without brackets), to this address when several."""
        found = await self._ask(lambda db: targets.mails(db, reference))
        sent = [Sent(key, name, self._opened(sealed)) for key, name, sealed in found]
        exact = [one for one in sent if one.address.lower() == address.strip().lower()]
        if not exact and len(sent) == 1:
            exact = sent
        return exact[0] if exact else None

    # business acknowledgements

    async def due(self, limit: int = 100) -> list[Due]:
        """Business acknowledgements to send, oldest first."""
        found = await self._ask(lambda db: targets.due(db, limit))
        return [one.opened(self._opened) for one in found]

    async def sent(self, number: int) -> None:
        """An acknowledgement is in the journal: due no more."""
        await self._ask(lambda db: targets.sent(db, number))

    async def more_due(self) -> None:
        """Wait until something is due, a few seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._news.wait()
        self._news.clear()

    # consents

    async def remember(self, patients: tuple[tuple[str, str], ...], consent: Consent, at: float) -> None:
        """Consent of a patient, known by these identifiers ``(OID or authority, number)``; empty fields erase nothing.

        at: time of the message; an older one changes nothing that a later one said.
        """
        hashes = [self._identifier(*one) for one in patients]

        def ask(db: apsw.Connection) -> None:
            for one in hashes:
                consents.remember(db, one, consent, at)

        await self._ask(ask)

    async def consent(self, patient: Patient) -> Consent:
        """What is known of this patient, by INS and by local number; empty when nothing is."""
        known = [(patient.ins_oid, patient.ins), (patient.local_oid, patient.local_id)]
        hashes = [self._identifier(*one) for one in known if one[1]]
        return await self._ask(lambda db: consents.latest(db, hashes))

    # inside

    def _identifier(self, authority: str, number: str) -> int:
        return self._hasher.hash(f"identifier {authority} {number}")

    def _patient(self, patient: Patient) -> int:
        if patient.ins:
            return self._identifier(patient.ins_oid, patient.ins)
        return self._identifier(patient.local_oid, patient.local_id)

    def _sealed(self, text: str) -> bytes:
        """The first byte says whether the rest is encrypted: a site may get its key later."""
        mark = _ENCRYPTED if self._sealer.encrypts else _CLEAR
        return mark + self._sealer.seal(text.encode(), b"pfi") if text else b""

    def _opened(self, sealed: bytes) -> str:
        mark, data = sealed[:1], sealed[1:]
        return (self._sealer.open(data, b"pfi") if mark == _ENCRYPTED else data).decode()

    async def _ask(self, question: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    def _answer(self, question: Callable[[apsw.Connection], T]) -> T:
        """In the thread: one transaction, on disk when it returns."""
        try:
            if self._db is None:
                self._db = self._opened_file()
            db = self._db
            db.transaction_mode = "IMMEDIATE"
            with db:
                return question(db)
        except apsw.Error as error:
            raise StoreError(f"the submissions cannot be written: {type(error).__name__}") from error

    def _opened_file(self) -> Any:
        db = connect(self._path, write=True)
        db.execute(chains.SCHEMA + targets.SCHEMA + consents.SCHEMA)
        return db
