"""The lookup ``pfi.register``: a request is remembered, and its chain of versions checked, before it is accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from channels.errors import MessageError, StoreError, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context, Surroundings
from connectors.shared.submissions import Submissions, open_submissions
from transforms.submission import Recipient, Submission, encode, read


class RegisterSettings(Settings):
    """How strict the chain of versions is."""

    known_parents_only: bool = Field(
        True,
        description="A replacement or deletion of a document that never came here is refused (900). `false`: it goes "
        "on, and the DMP says whether it knows it.",
    )
    empty_recipients: Literal["refuse", "drop"] = Field(
        "refuse", description="A recipient whose address nobody found: refuse the request, or send to the others only."
    )


class Register:
    """See ``channels.ports.Lookup``. With ``ack: transformed`` the sender knows of a refusal at once."""

    settings = RegisterSettings

    def __init__(self, settings: RegisterSettings, surroundings: Surroundings) -> None:
        self._settings, self._surroundings = settings, surroundings
        self._store: Submissions | None = None

    async def start(self) -> None:
        """Open the store. Raises ConfigError when there is no journal beside which it lies."""
        self._store = open_submissions(self._surroundings)

    async def ask(self, message: Message, _context: Context) -> Message:
        """The message, remembered.

        Raises:
            MessageError: 900 or 901 (chain of versions), 205 (another document has its number), 101 (no address).
            Undelivered: the disk does not take it now.
        """
        if self._store is None:
            await self.start()
        assert self._store is not None  # noqa: S101  # start has just opened it
        asked = read(message)
        try:
            kept = await self._as_first(self._addressed(asked), self._store)
            await self._store.register(kept, known_parents_only=self._settings.known_parents_only)
        except StoreError as error:
            raise Undelivered(str(error)) from error
        return message if kept is asked else message.with_body(encode(kept))

    def _addressed(self, submission: Submission) -> Submission:
        """Without the recipients that have no address. Raises MessageError when they may not be dropped."""
        empty = [one for one in submission.recipients if not one.address]
        if not empty:
            return submission
        if self._settings.empty_recipients == "refuse":
            raise MessageError("no address is known for a recipient", _place(empty[0]), "101")
        return replace(submission, recipients=tuple(one for one in submission.recipients if one.address))

    async def _as_first(self, submission: Submission, store: Submissions) -> Submission:
        """A report of ours whose version before was sent nowhere (partial, withheld) is the first one elsewhere."""
        if submission.action != "replace" or submission.request.profile:
            return submission
        if any([await store.document(one.replaces) for one in submission.documents]):
            return submission
        documents = tuple(replace(one, replaces="") for one in submission.documents)
        return replace(submission, action="create", documents=documents)

    async def aclose(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            store, self._store = self._store, None
            await store.aclose()


def _place(recipient: Recipient) -> str:
    return f"{recipient.place}-15.4" if recipient.place else ""
