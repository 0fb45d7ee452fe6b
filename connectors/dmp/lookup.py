"""``dmp`` lookup, a step: the state of the patient's record, and whether our documents are in the DMP."""

from __future__ import annotations

from dataclasses import replace

from channels.errors import MessageError, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context, Surroundings
from connectors.dmp.errors import ErrorTable, error_table
from connectors.dmp.service import Dmp, Failed, QueryRefused
from connectors.dmp.settings import DmpLookupSettings
from connectors.dmp.soap import Broken, Fault
from transforms.submission import Document, Submission, read


class DmpLookup:
    """See ``channels.ports.Lookup``. Only what a platform may ask in indirect authentication.

    Attributes of the message afterwards: ``dmp_record`` (``active``, ``closed``, ``none``, ``unknown``) and
    ``dmp_documents``, a word for each document in their order (``current``, ``former``, ``missing``).
    """

    settings: type[Settings] = DmpLookupSettings

    def __init__(self, settings: DmpLookupSettings, surroundings: Surroundings) -> None:
        self._options = settings
        self._dmp = Dmp(settings, surroundings)
        self._table = ErrorTable({})

    async def start(self) -> None:
        """See ``channels.ports.Lookup.start``."""
        self._table = error_table(self._options.errors)
        self._dmp.check()

    async def ask(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Lookup.ask``.

        Raises:
            MessageError: not a submission; no record, when ``without_record: refuse``.
            Undelivered: the DMP does not answer, or not to this question.
        """
        submission = read(message)
        if not submission.patient.ins:
            raise MessageError("no qualified INS: the DMP cannot be asked", "PID-3", "903")
        try:
            record = await self._dmp.record(submission)
            if record in ("closed", "none") and self._options.without_record == "refuse":
                raise MessageError("the patient has no open record in the DMP", "PID-3", "902")
            found = [await self._state(one.unique_id, submission) for one in self._asked(submission)]
        except Failed as error:
            raise Undelivered(error.problem, error.answer) from error
        attributes = {**message.attributes, "dmp_record": record}
        if self._options.documents:
            attributes["dmp_documents"] = " ".join(found)
        return replace(message, attributes=attributes)

    def _asked(self, submission: Submission) -> tuple[Document, ...]:
        return submission.documents if self._options.documents else ()

    async def _state(self, unique_id: str, submission: Submission) -> str:
        try:
            found = await self._dmp.find(unique_id, submission)
        except QueryRefused as error:
            raise Undelivered(f"a query was answered {self._table.rule(error.code).code}") from None
        except Fault as fault:
            raise Undelivered(f"a query was answered {self._table.rule(fault.code).code}") from None
        except Broken:
            raise Undelivered("the answer to a query is none") from None
        if found is None:
            return "missing"
        return "current" if found.current else "former"

    async def aclose(self) -> None:
        """See ``channels.ports.Lookup.aclose``."""
        await self._dmp.aclose()
