"""The mails of an applicative mailbox: in the journal first, then out of the inbox; reports are noted in the store."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import structlog
from pydantic import Field

from channels.errors import ConfigError, MessageError, StoreError
from channels.fields import Seconds, Settings, SizeBytes
from channels.message import Message
from channels.ports import Intake, Outcome, Surroundings
from connectors.mssante.mailbox import ERRORS, Mailbox
from connectors.mssante.reports import Reports
from connectors.mssante.server import MssanteServer, tls_context
from connectors.shared.arrivals import Arrival
from connectors.shared.submissions import Submissions, open_submissions
from transforms.mail.model import MailKind
from transforms.mail.read import read

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
"""Seconds before a lost server, or a journal that could not store, is tried again."""


class MssanteSourceSettings(MssanteServer):
    """Takes the mails of a mailbox over IMAP; each is moved once the journal has it, never deleted."""

    folder: str = Field("INBOX", description="The folder whose mails are taken.")
    done: str = Field("Traités", description="Folder of what was taken.")
    rejected: str = Field("Rejetés", description="Folder of what was refused.")
    untreated: str = Field("Non traités", description="Folder of mails without documents that are ignored.")
    other_mail: Literal["ignore", "refuse", "forward"] = Field(
        "ignore",
        description="A mail without documents that is no report: left to people in `untreated`; kept in the journal as "
        "refused; or handed to the channel (kind `MSG`).",
    )
    poll: Seconds = Field(60.0, description="Longest time between two looks at the folder; with IDLE, a safety net.")
    max_size: SizeBytes = Field(60_000_000, description="Larger mails are moved to `rejected` unread.")
    relayed_is_received: bool = Field(
        True,
        description="A delivery report that says `relayed` or `expanded` (no more will be known) counts as received: "
        "what Postfix says of mailboxes that it reaches by LMTP.",
    )


class MssanteSource:
    """See ``channels.ports.Source``. One mail at a time is unanswered."""

    settings: type[Settings] = MssanteSourceSettings

    def __init__(self, settings: MssanteSourceSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._log = log.bind(channel=surroundings.channel)
        self._store: Submissions | None = None
        self._task: asyncio.Task[None] | None = None
        self._box: Mailbox | None = None

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``. A server that cannot be reached is tried again, with a warning."""
        tls_context(self._options, self._surroundings)
        self._store = open_submissions(self._surroundings)
        self._reports = Reports(self._store, relayed=self._options.relayed_is_received)
        self._intake = intake
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "imap")
        self._task = asyncio.create_task(self._run(), name="mssante")

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping.set()
        if self._box is not None and self._waiting:
            self._box.interrupt()
        await task
        self._thread.shutdown(wait=False)
        store, self._store = self._store, None
        if store is not None:
            await store.aclose()

    _waiting = False

    async def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            try:
                self._box = box = await self._do(self._connect)
                wait = _FIRST_WAIT
                await self._empty_again_and_again(box)
            except (*ERRORS, ConfigError, StoreError) as error:
                if not self._stopping.is_set():
                    self._log.warning("the mailbox is lost; connecting again", problem=type(error).__name__)
            finally:
                box_, self._box = self._box, None
                if box_ is not None:
                    await self._do(box_.close)
            await self._pause(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _connect(self) -> Mailbox:
        options = self._options
        context = tls_context(options, self._surroundings)
        return Mailbox(options, context, options.folder, (options.done, options.rejected, options.untreated))

    async def _empty_again_and_again(self, box: Mailbox) -> None:
        while not self._stopping.is_set():
            for uid in await self._do(box.numbers):
                if self._stopping.is_set():
                    return
                await self._take(box, uid)
            if not box.idles:
                await self._pause(self._options.poll)
            elif not self._stopping.is_set():
                self._waiting = True
                try:
                    await self._do(lambda: box.wait(min(self._options.poll, 1500.0)))
                finally:
                    self._waiting = False

    async def _take(self, box: Mailbox, uid: str) -> None:
        """One mail: into the journal, then out of the folder."""
        options = self._options
        if await self._do(lambda: box.size(uid)) > options.max_size:
            self._log.warning("a mail is larger than max_size; it is in the folder of what was refused", uid=uid)
            await self._do(lambda: box.move(uid, options.rejected))
            return
        raw = await self._do(lambda: box.fetch(uid))
        if not raw:
            return  # somebody else took it
        message = await self._do(lambda: _message(raw))
        kind: MailKind = message.kind  # type: ignore[assignment]  # of ``read``
        if kind == "MSG" and options.other_mail == "ignore":
            self._log.info("mail without documents; it is left to people", uid=uid)
            await self._do(lambda: box.move(uid, options.untreated))
            return
        error = None
        if kind == "MSG" and options.other_mail == "refuse":
            error = MessageError("a mail without documents", "IHE_XDM.zip", "101")
        outcome = await self._handed_in(Arrival(message, error))
        if outcome is None:
            return
        folder = options.done if outcome.error is None else options.rejected
        if kind in ("DSN", "MDN") and not await self._reports.note(raw, kind):
            self._log.warning("a report about no mail of ours", message=outcome.id, kind=kind)
            folder = options.untreated
        await self._do(lambda: box.move(uid, folder))

    async def _handed_in(self, arrival: Arrival) -> Outcome | None:
        """Until the journal has it; None when the source stops first."""
        wait = _FIRST_WAIT
        while True:
            outcome = await arrival.outcome(self._intake)
            if outcome.error is None or not outcome.error.retry:
                return outcome
            self._log.warning("a mail could not be stored; trying again")
            await self._pause(wait)
            if self._stopping.is_set():
                return None
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _message(raw: bytes) -> Message:
    """A mail as a message; its number is its Message-ID, else its digest."""
    mail = read(raw, contents=False)
    number = mail.message_id or hashlib.sha256(raw).hexdigest()
    return Message(raw, "mail", "utf-8", mail.kind, number, "", time.time())
