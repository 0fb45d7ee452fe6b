"""Reports about mails of ours: what they say is noted in the store, and becomes a business acknowledgement."""

from __future__ import annotations

from connectors.shared.submissions import Outcome, Sent, Submissions
from transforms.conditions import TEXTS
from transforms.mail.model import Delivery, DeliveryReport, Disposition, MailKind
from transforms.mail.reports import delivery_report, disposition
from transforms.submission.smtp import smtp_code

_READ = ("displayed", "processed", "dispatched", "deleted")


class Reports:
    """Finds the mail that a report is about."""

    def __init__(self, store: Submissions, *, relayed: bool) -> None:
        """relayed: a mail that left the world of reports counts as received."""
        self._store, self._relayed = store, relayed

    async def note(self, raw: bytes, kind: MailKind) -> bool:
        """Note a DSN or an MDN; False when it is about no mail of ours. The same one again changes nothing."""
        if kind == "DSN":
            report = delivery_report(raw)
            return report is not None and await self._deliveries(report)
        read = disposition(raw)
        return read is not None and await self._disposition(read)

    async def _deliveries(self, report: DeliveryReport) -> bool:
        known = False
        for one in report.deliveries:
            sent = await self._found((report.envelope, report.returned), one.address)
            if sent is None:
                continue
            known = True
            await self._delivery(sent, one)
        return known

    async def _delivery(self, sent: Sent, one: Delivery) -> None:
        if one.action == "failed":
            code, label = smtp_code(one.diagnostic or one.status)
            outcome = Outcome(
                "Z02", positive=False, code=code, label=label, system="SMTPERRORCODE", address=sent.address
            )
            await self._store.note(sent.key, sent.target, "refused", outcome=outcome)
        elif one.action == "delivered" or (self._relayed and one.action in ("relayed", "expanded")):
            outcome = Outcome("Z02", positive=True, address=sent.address)
            await self._store.note(sent.key, sent.target, "done", outcome=outcome)

    async def _disposition(self, read: Disposition) -> bool:
        sent = await self._found((read.original, *read.references), read.recipient)
        if sent is None:
            return False
        positive = not read.error and read.state in _READ
        code = "" if positive else read.code or "906"
        outcome = Outcome(
            "Z03", positive=positive, code=code, label=TEXTS.get(code, ""),
            system="" if positive else "applicationErrorCondition", address=sent.address,
        )  # fmt: skip
        await self._store.note(sent.key, sent.target, "done", outcome=outcome)
        return True

    async def _found(self, references: tuple[str, ...], address: str) -> Sent | None:
        for one in references:
            sent = await self._store.mail(one, address) if one else None
            if sent is not None:
                return sent
        return None
