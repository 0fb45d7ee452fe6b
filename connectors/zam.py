"""Business acknowledgements (ZAM): what became of a request at the DMP and in mailboxes, as messages of a channel.

The state of requests is kept by ``connectors.shared.submissions``; each outcome that the requester wants comes out of
this source once, and counts as sent when the channel's journal has it.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1, ZAM^Z01, Z02, Z03.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Any

import structlog

from channels.errors import StoreError
from channels.fields import Settings
from channels.message import Message
from channels.ports import Intake, Surroundings
from connectors.shared.submissions import Due, Submissions, open_submissions
from transforms import er7
from transforms.submission import zam

log = structlog.get_logger()

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


class ZamSourceSettings(Settings):
    """Takes the business acknowledgements that are due; it has no settings."""


class ZamSource:
    """See ``channels.ports.Source``."""

    settings: type[Settings] = ZamSourceSettings

    def __init__(self, settings: ZamSourceSettings, surroundings: Surroundings) -> None:
        del settings
        self._surroundings = surroundings
        self._store: Submissions | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``."""
        self._store = open_submissions(self._surroundings)
        self._task = asyncio.create_task(self._hand_over(intake, self._store), name="zam")

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        store, self._store = self._store, None
        if store is not None:
            await store.aclose()

    async def _hand_over(self, intake: Intake, store: Submissions) -> None:
        """Forever: what is due, oldest first; nothing is marked before the journal has it."""
        wait = 0.0
        while True:
            try:
                for due in await store.due():
                    outcome = await intake.receive(self._message(due))
                    if outcome.error is not None and outcome.error.retry:
                        raise StoreError("the channel cannot take it now")
                    await store.sent(due.id)
                wait = 0.0
            except StoreError as error:
                wait = min(max(2 * wait, _FIRST_WAIT), _LONGEST_WAIT)
                log.warning("acknowledgements wait", channel=self._surroundings.channel, problem=str(error))
                await asyncio.sleep(wait)
            else:
                with contextlib.suppress(StoreError):
                    await store.more_due()

    def _message(self, due: Due) -> Message:
        body = zam.write(due, at=datetime.fromtimestamp(due.at, self._surroundings.site.timezone))
        attributes: dict[str, Any] = {"request": due.of}
        return er7.message(body, time.time(), "utf-8", attributes=attributes)
