"""``dmp`` destination: a submission ends in the DMP once, and its requester knows."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Literal

import structlog

from channels.errors import MessageError, Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.dmp import outcomes
from connectors.dmp.answers import DELETED, Found, read_answer
from connectors.dmp.errors import ErrorTable, Rule, error_table
from connectors.dmp.lots import Lots, Ready
from connectors.dmp.outcomes import Denied, Unknown
from connectors.dmp.service import Dmp, Failed, QueryRefused, Reply
from connectors.dmp.settings import DmpDestinationSettings
from connectors.dmp.soap import Broken, Fault
from connectors.shared.submissions import Outcome, State, Submissions, Target, open_submissions
from transforms.ins import ins_key_is_right, ins_kind
from transforms.submission import Submission, read

log = structlog.get_logger()

_TARGET = "dmp"
_NUMBER = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


class DmpDestination:
    """See ``channels.ports.Destination``.

    The state of the request in the store says what may be sent: ``sending`` is written before the first byte leaves,
    so after a cut or a crash the DMP is asked for the documents before anything is sent again.
    """

    settings: type[Settings] = DmpDestinationSettings

    def __init__(self, settings: DmpDestinationSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._dmp = Dmp(settings, surroundings)
        self._lots = Lots(settings, self._dmp)
        self._store: Submissions | None = None
        self._table = ErrorTable({})
        self._unknown: dict[str, Unknown] = {}
        self._tries: dict[str, int] = {}

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError for a certificate or a table that is wrong."""
        self._table = error_table(self._options.errors)
        self._dmp.check()
        if self._store is None:
            self._store = open_submissions(self._surroundings)

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        await self._dmp.aclose()
        if self._store is not None:
            store, self._store = self._store, None
            await store.aclose()

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``. What is not for the DMP is received with that reference."""
        if self._store is None:
            raise Undelivered("the destination is closed")
        submission = read(message)
        if not submission.to_dmp:
            return Receipt("not for the DMP")
        key = submission.request.key
        target = await self._store.target(key, _TARGET)
        if target is None:
            raise MessageError("the request is not in the store: the step `pfi.register` is missing")
        if target.state == "done":
            return Receipt(target.reference)
        try:
            return await self._publish(submission, target)
        except Denied as no:
            await self._ended(key, "refused", no.outcome)
            raise Refused(no.problem, no.answer) from None
        except MessageError as error:
            label = "Demande impossible à publier" + (f" ({error.place})" if error.place else "")
            await self._ended(key, "refused", Denied("906", label, error.problem).outcome)
            raise
        except Failed as error:
            raise Undelivered(error.problem, error.answer) from error

    async def _publish(self, submission: Submission, target: Target) -> Receipt:
        """Raises Denied, MessageError, Failed, Undelivered."""
        key = submission.request.key
        if target.state == "sending":
            found = await self._recover(submission, target)
            if found is not None:
                return found
        await self._allowed(submission)
        entries = await self._entries(submission)
        if submission.action == "delete" and not entries:
            return await self._done(submission, target.reference, b"")
        ready = await asyncio.to_thread(self._lots.ready, submission, entries)
        await self._note(key, "sending", ready.lot)
        try:
            reply = await self._dmp.call(ready.call, submission)
        except Failed as error:
            return await self._failed(submission, ready.lot, error)
        except Fault as fault:
            rule = next((self._table.rule(one) for one in fault.subcodes if self._table.known(one)), None)
            rule = rule or self._table.rule(fault.code)
            if rule.action == "tries":
                return await self._broken(submission, ready.lot, rule, b"")
            return await self._act(submission, ready.lot, rule, b"")
        return await self._judge(submission, ready, reply)

    async def _failed(self, submission: Submission, lot: str, error: Failed) -> Receipt:
        """A lot without an answer; a bare HTTP status may have its row in the table (``HTTP500``)."""
        rule = self._table.rule(f"HTTP{error.status}") if self._table.known(f"HTTP{error.status}") else None
        if rule is not None and rule.action == "tries":
            return await self._broken(submission, lot, rule, error.answer)
        if rule is not None and rule.action in ("final", "hold"):
            return await self._act(submission, lot, rule, error.answer)
        if error.left:
            self._unknown[submission.request.key] = Unknown()
        else:
            await self._note(submission.request.key, "waiting")
        raise error

    async def _broken(self, submission: Submission, lot: str, rule: Rule, data: bytes) -> Receipt:
        """Something broke over there, perhaps after it had the lot: looked up before the request is given up."""
        key = submission.request.key
        self._unknown[key] = Unknown()
        problem = self._once_more(key, rule, data)
        if isinstance(problem, Denied) and await self._there(submission) == "same":
            return await self._done(submission, lot, data)
        raise problem

    async def _judge(self, submission: Submission, ready: Ready, reply: Reply) -> Receipt:
        """What the answer to a lot means."""
        try:
            answer = read_answer(reply.element)
        except Broken:
            self._unknown[submission.request.key] = Unknown()
            raise Failed("the answer is none to this call", left=True, answer=reply.data) from None
        if answer.warnings:
            codes = [self._table.rule(one).code for one in answer.warnings]
            log.warning("dmp warned", channel=self._surroundings.channel, lot=ready.lot, codes=codes)
        if answer.status == "Success":
            return await self._done(submission, ready.lot, reply.data)
        rules = [self._table.rule(code) for code in answer.errors] or [self._table.rule("XDSRegistryError")]
        rule = next((one for one in rules if one.action not in ("retry", "tries")), rules[0])
        if answer.status == "PartialSuccess":
            await self._partly(submission, ready.lot)
            raise outcomes.held(rule.code, rule.label, reply.data)
        return await self._act(submission, ready.lot, rule, reply.data)

    async def _act(self, submission: Submission, lot: str, rule: Rule, data: bytes) -> Receipt:
        """What the table says about an error of a lot."""
        key = submission.request.key
        if rule.action == "look":
            there = await self._there(submission)
            if there == "same":
                return await self._done(submission, lot, data)
            if there in ("other", "partly"):
                raise outcomes.held(rule.code, rule.label, data)
        if rule.action == "parent":
            raise Denied("900", rule.label, f"answered {rule.code}", data)
        if rule.action == "final":
            raise Denied(rule.code, rule.label, f"answered {rule.code}", data)
        if rule.action == "hold":
            raise outcomes.held(rule.code, rule.label, data)
        await self._note(key, "waiting")
        if rule.action == "retry":
            raise Undelivered(f"answered {rule.code}", data)
        raise self._once_more(key, rule, data)

    def _once_more(self, key: str, rule: Rule, data: bytes) -> Denied | Undelivered:
        """What to raise: not now, or no after too many tries."""
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] > self._options.tries:
            return outcomes.held(rule.code, rule.label, data)
        return Undelivered(f"answered {rule.code}", data)

    # what must be so before anything leaves

    async def _allowed(self, submission: Submission) -> None:
        """Raises Denied when the request may not go to the DMP, Failed when the DMP cannot be asked."""
        patient = submission.patient
        domain = self._surroundings.site.ins_domain
        if not (ins_key_is_right(patient.ins) and ins_kind(patient.ins_oid, domain)):
            raise outcomes.not_qualified()
        for document in submission.documents:
            if len(document.unique_id) > 64 or not _NUMBER.fullmatch(document.unique_id):
                raise outcomes.bad_identifier()
        if sum(len(one.content) for one in submission.documents) > self._options.max_size:
            raise outcomes.too_large()
        if submission.action == "delete":  # what a patient opposes may be taken back
            return
        consent = await self._held_store.consent(patient)
        if consent.opposed:
            raise outcomes.opposed()
        if consent.no_record:
            raise outcomes.no_record(closed=consent.dmp == "FERME")
        if consent.feeding != "INO" and self._options.not_informed == "refuse":
            raise outcomes.not_informed()
        record = await self._dmp.record(submission)
        if record in ("closed", "none"):
            raise outcomes.no_record(closed=record == "closed")

    async def _entries(self, submission: Submission) -> dict[str, str]:
        """Unique id -> entryUUID of what is replaced or deleted, as the registry has it now.

        Empty for a deletion of what is deleted already. Raises Denied (900), Undelivered.
        """
        if submission.action == "create":
            return {}
        deleting = submission.action == "delete"
        asked = [one.unique_id if deleting else one.replaces for one in submission.documents]
        entries, gone = {}, 0
        for unique_id in filter(None, asked):
            await self._settled(unique_id, submission)
            found = await self._find(unique_id, submission)
            if deleting and found is not None and found.status == DELETED:
                gone += 1
            elif found is None or not found.current:
                raise outcomes.parent_missing()
            else:
                entries[unique_id] = found.id
        if not entries and not (deleting and gone):
            raise outcomes.parent_missing()
        return entries

    async def _settled(self, unique_id: str, submission: Submission) -> None:
        """Raises Undelivered while the request that brought a document is on its way to the DMP."""
        known = await self._held_store.document(unique_id)
        if known is None or known.published or known.key == submission.request.key:
            return
        before = await self._held_store.target(known.key, _TARGET)
        if before is not None and before.state in ("waiting", "sending", "sent"):
            raise Undelivered("the version before is not published yet")

    # when the outcome is unknown

    async def _recover(self, submission: Submission, target: Target) -> Receipt | None:
        """A lot left and its outcome is unknown: the receipt when the DMP has it, None when it may be sent again."""
        key = submission.request.key
        unknown = self._unknown.setdefault(key, Unknown(asked=-1))
        if not unknown.due(self._options.lookups):
            raise Undelivered("the outcome of a lot is unknown; the DMP is asked later")
        there = await self._there(submission)
        if there == "same":
            return await self._done(submission, target.reference, b"")
        if there in ("other", "partly"):
            rule = self._table.rule("XDSNonIdenticalHash" if there == "other" else "XDSDuplicateUniqueIdInRegistry")
            raise outcomes.held(rule.code, rule.label)
        unknown.asked += 1
        if unknown.asked < len(self._options.lookups):
            raise Undelivered("the DMP does not have the lot yet; it is asked again later")
        del self._unknown[key]
        return None

    async def _there(self, submission: Submission) -> Literal["same", "other", "partly", "missing"]:
        """Whether the DMP has what was asked: these very documents, or for a deletion, none of them."""
        found = {one.unique_id: await self._find(one.unique_id, submission) for one in submission.documents}
        if submission.action == "delete":
            current = [one for one in found.values() if one is not None and one.status != DELETED]
            return "missing" if current else "same"
        for document in submission.documents:
            entry = found[document.unique_id]
            digest = hashlib.sha1(document.content, usedforsecurity=False).hexdigest()
            if entry is not None and entry.digest not in ("", digest):
                return "other"
        if all(found.values()):
            return "same"
        return "partly" if any(found.values()) else "missing"

    async def _partly(self, submission: Submission, lot: str) -> None:
        """Note which documents of a lot the DMP has."""
        for document in submission.documents:
            if submission.action != "delete" and await self._find(document.unique_id, submission) is not None:
                await self._held_store.published((document.unique_id,), lot)

    async def _find(self, unique_id: str, submission: Submission) -> Found | None:
        """As ``Dmp.find``; a question that is not answered is asked again a few times. Raises Denied, Undelivered."""
        try:
            return await self._dmp.find(unique_id, submission)
        except QueryRefused as error:
            rule = self._table.rule(error.code)
        except Fault as fault:
            rule = self._table.rule(fault.code)
        except Broken:
            raise Undelivered("the answer to a query is none") from None
        if rule.action == "retry":
            raise Undelivered(f"a query was answered {rule.code}")
        if rule.action == "final":
            raise Denied(rule.code, rule.label, f"a query was answered {rule.code}")
        raise self._once_more(submission.request.key, rule, b"")

    # what the store is told

    @property
    def _held_store(self) -> Submissions:
        if self._store is None:
            raise Undelivered("the destination is closed")
        return self._store

    async def _done(self, submission: Submission, lot: str, data: bytes) -> Receipt:
        if submission.action != "delete":
            await self._held_store.published(tuple(one.unique_id for one in submission.documents), lot)
        await self._ended(submission.request.key, "done", outcomes.DONE)
        return Receipt(lot, data)

    async def _ended(self, key: str, state: State, outcome: Outcome) -> None:
        self._unknown.pop(key, None)
        self._tries.pop(key, None)
        await self._held_store.note(key, _TARGET, state, outcome=outcome)
        log.info("dmp outcome", channel=self._surroundings.channel, request=key, state=state, code=outcome.code)

    async def _note(self, key: str, state: State, reference: str = "") -> None:
        await self._held_store.note(key, _TARGET, state, reference=reference)
