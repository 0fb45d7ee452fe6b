"""The mails of a request, each sent once to its mailbox; and ready mails (reports) as they are."""

from __future__ import annotations

from functools import partial

import structlog
from pydantic import Field

from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.fields import Settings, SizeBytes
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.mssante.server import MssanteServer, tls_context
from connectors.mssante.smtp import Answered, Envelope, Smtp
from connectors.shared.submissions import Outcome, Submissions, open_submissions
from transforms.mail import batch as batches
from transforms.mail.compose import whole
from transforms.mail.model import Batch, Outgoing
from transforms.submission.smtp import smtp_code

log = structlog.get_logger()

_SYSTEM = "SMTPERRORCODE"


class MssanteDestinationSettings(MssanteServer):
    """Sends the mails that `mssante.mails` and `mssante.mdn` make, over SMTP with STARTTLS."""

    hello: str = Field("", description="Our name in EHLO; empty: that of this machine.")
    connections: int = Field(2, ge=1, le=20, description="Connections to the operator at once.")
    max_size: SizeBytes = Field(
        10_000_000, description="Size of a whole mail, encoded, when the server announces none (SIZE)."
    )
    accepted_is_received: bool = Field(
        False,
        description="The server reports no deliveries (DSN): true, the mail that it accepted counts as received "
        "(positive ZAM^Z02); false, nothing is said to the requester but failures.",
    )


class MssanteDestination:
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = MssanteDestinationSettings

    def __init__(self, settings: MssanteDestinationSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._smtp: Smtp | None = None
        self._store: Submissions | None = None

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError for a certificate that cannot be used."""
        context = partial(tls_context, self._options, self._surroundings)
        context()
        self._smtp = Smtp(self._options, context, self._options.connections, self._options.hello)
        if self._store is None:
            self._store = open_submissions(self._surroundings)

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``.

        A request: every mailbox gets its mail once, whatever becomes of the others. Not now for one: Undelivered, and
        the next try sends what is missing. A lasting no for one: Refused, once the others are served.
        """
        if self._smtp is None or self._store is None:
            raise Undelivered("the destination is closed")
        if message.format == "mail":
            return await self._one(self._smtp, message)
        if message.format != batches.FORMAT:
            raise MessageError("not mails: the destination lacks the step mssante.mails or mssante.mdn")
        return await _Round(self._smtp, self._store, self._options).carry_out(batches.read(message))

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        smtp, self._smtp = self._smtp, None
        store, self._store = self._store, None
        if smtp is not None:
            await smtp.close()
        if store is not None:
            await store.aclose()

    async def _one(self, smtp: Smtp, message: Message) -> Receipt:
        to = message.attributes.get("mail_to", "")
        if not to:
            raise MessageError("a mail without recipient (attribute mail_to)")
        mail = Envelope(message.attributes.get("mail_from", ""), to, message.body)
        try:
            await smtp.send(mail, self._options.max_size)
        except Answered as error:
            raise Refused(f"the mail server refused the mail ({error})") from None
        except ConfigError as error:
            raise Undelivered(str(error)) from None
        return Receipt(message.control_id)


class _Round:
    """One try to send the mails of a request."""

    def __init__(self, smtp: Smtp, store: Submissions, options: MssanteDestinationSettings) -> None:
        self._smtp, self._store, self._options = smtp, store, options

    async def carry_out(self, batch: Batch) -> Receipt:
        """Send what is missing. Raises Undelivered or Refused, see ``MssanteDestination.send``."""
        states = [await self._state(batch, one) for one in batch.mails]
        missing = [one for one, state in zip(batch.mails, states, strict=True) if state in ("waiting", "sending")]
        # nothing is missing, and yet it is asked for: somebody replays what was refused
        missing = missing or [one for one, state in zip(batch.mails, states, strict=True) if state == "refused"]
        later: Undelivered | None = None
        refused = []
        for one in missing:
            try:
                if not await self._settled(batch, one):
                    refused.append(one.target)
            except Undelivered as error:
                later = error
        if later is not None:
            raise later
        if refused:
            problem = f"{len(refused)} of {len(batch.mails)} mailboxes refused: {', '.join(refused)}"
            raise Refused(problem)
        return Receipt(batch.key)

    async def _state(self, batch: Batch, one: Outgoing) -> str:
        known = await self._store.target(batch.key, one.target)
        if known is None:
            raise MessageError("the request is not registered: the channel lacks the step pfi.register")
        return known.state

    async def _settled(self, batch: Batch, one: Outgoing) -> bool:
        """Send one mail and note what became of it; False when it was refused."""
        if one.code:
            await self._refuse(batch, one, one.code, one.label)
            return False
        await self._store.note(batch.key, one.target, "sending", reference=one.message_id)
        mail = Envelope(
            batch.sender, one.address, whole(batch, one), one.message_id.strip("<>"), batch.wants_reception
        )  # fmt: skip
        try:
            reported = await self._smtp.send(mail, self._options.max_size)
        except Answered as error:
            await self._refuse(batch, one, *smtp_code(f"smtp; {error}"))
            return False
        except ConfigError as error:  # the certificate's file, since the start
            raise Undelivered(str(error)) from None
        if not reported and self._options.accepted_is_received:
            outcome = Outcome("Z02", positive=True, address=one.address)
            await self._store.note(batch.key, one.target, "done", outcome=outcome)
        else:
            await self._store.note(batch.key, one.target, "sent")
        return True

    async def _refuse(self, batch: Batch, one: Outgoing, code: str, label: str) -> None:
        log.warning("mailbox refused", target=one.target, code=code)
        outcome = Outcome("Z02", positive=False, code=code, label=label, system=_SYSTEM, address=one.address)
        await self._store.note(batch.key, one.target, "refused", reference=one.message_id, outcome=outcome)
