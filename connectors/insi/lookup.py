"""``insi`` lookup, a step: the INS of the patient of a message looked for, or verified.

Source: RNIV (statuses of an identity); Guide INS v3.0; IHE PAM France 2.11, PID-3 and PID-32 (HL7 table 0445).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from channels.errors import MessageError, Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context, Surroundings
from connectors.insi.answers import Individual
from connectors.insi.service import Insi
from connectors.insi.settings import InsiSettings
from connectors.insi.traits import Traits, differences, from_pid, tries
from transforms import er7
from transforms.ins import ins_key_is_right, ins_kind, is_ins

_FORBIDDEN = frozenset({"DOUT", "FICT"})
"""Attributes of an identity that forbid calls, whatever a site says (RNIV)."""
_NAMES = {"NIR": "ASIP-SANTE-INS-NIR", "NIA": "ASIP-SANTE-INS-NIA"}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """word: what was found. message: as it goes on. differs: fields that do not agree."""

    word: str
    message: Message
    calls: int = 0
    differs: tuple[str, ...] = ()


class InsiLookup:
    """See ``channels.ports.Lookup``.

    Attributes of the message afterwards: ``insi``, a word (``qualified``, ``found``, ``recovered``, ``none``,
    ``several``, ``differs``; ``verified``, ``mismatch``; ``present``, ``absent``, ``excluded``, ``incomplete``;
    ``unreachable``, ``refused``), ``insi_calls``, and with ``differs`` the fields in ``insi_differs``. After a second
    step, words stand one after the other and calls are counted together.
    """

    settings: type[Settings] = InsiSettings

    def __init__(self, settings: InsiSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._insi = Insi(settings, surroundings)
        self._down_until = 0.0

    async def start(self) -> None:
        """See ``channels.ports.Lookup.start``."""
        self._insi.check()

    async def aclose(self) -> None:
        """See ``channels.ports.Lookup.aclose``."""
        await self._insi.aclose()

    async def ask(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Lookup.ask``. A message that is not HL7 v2, or without a PID, goes on as it is.

        Raises:
            MessageError: INSi refuses the traits; or they do not agree, and ``on_mismatch: refuse``.
            Refused: INSi refuses the call, and ``when_refused: refuse``.
            Undelivered: INSi does not answer, and ``when_down: wait``.
        """
        if message.format != "hl7v2":
            return message
        patients = er7.read(message).all("PID")
        if not patients:
            return message
        made = await self._decided(message, patients)
        attributes = dict(message.attributes)
        attributes["insi"] = " ".join(filter(None, (attributes.get("insi", ""), made.word)))
        attributes["insi_calls"] = str(int(attributes.get("insi_calls", "0")) + made.calls)
        if made.differs:
            attributes["insi_differs"] = " ".join(made.differs)
        return replace(made.message, attributes=attributes)

    async def _decided(self, message: Message, patients: list[er7.Segment]) -> _Outcome:
        """Whether the identity may be asked about, then the question."""
        pid = patients[0]
        unknown = not self._options.provisional and not _has_status(pid, "VALI")
        if len(patients) > 1 or unknown or self._excluded(message, pid):
            return _Outcome("excluded", message)
        if self._options.policy == "verify":
            return await self._verified(message, pid) if _numbers(pid) else _Outcome("absent", message)
        if _numbers(pid) or _deleted(pid):
            return _Outcome("present", message)
        return await self._searched(message, pid)

    def _excluded(self, message: Message, pid: er7.Segment) -> bool:
        """A doubtful or invented identity; one whose date was corrected (ZFD-4); an unknown patient (PID-31)."""
        forbidden = _FORBIDDEN | set(self._options.excluded)
        corrected = er7.read(message).get("ZFD-4").strip().upper() == "Y"
        return corrected or pid.get("31").strip().upper() == "Y" or any(one in forbidden for one in _statuses(pid))

    # search

    async def _searched(self, message: Message, pid: er7.Segment) -> _Outcome:
        traits = from_pid(pid)
        if not traits.complete:
            return _Outcome("incomplete", message)
        calls, individual, word = 0, None, "none"
        for given in tries(traits.given, self._options.calls):
            excuse = self._away()
            if excuse:
                return _Outcome(excuse, message, calls)
            calls += 1
            try:
                answer = await self._insi.search(traits, given, message.control_id)
            except (Undelivered, Refused) as error:
                return _Outcome(self._passed(error), message, calls)
            if answer.code != "01":
                individual, word = answer.individual, "several"
                break
        if individual is None:
            return _Outcome(word, message, calls)
        return self._found(message, pid, traits, individual, calls)

    def _found(
        self, message: Message, pid: er7.Segment, traits: Traits, individual: Individual, calls: int
    ) -> _Outcome:
        """One identity: the INS is written when the identity is validated, the traits agree and policy says so."""
        differs = differences(traits, individual.traits, self._options.given_names)
        if differs:
            if self._options.on_mismatch == "refuse":
                raise MessageError("the traits are not those that INSi knows", differs[0], "207")
            return _Outcome("differs", message, calls, tuple(differs))
        if not _has_status(pid, "VALI"):
            return _Outcome("recovered", message, calls)
        if self._options.policy == "propose":
            return _Outcome("found", message, calls)
        return _Outcome("qualified", self._with_ins(message, individual), calls)

    def _with_ins(self, message: Message, individual: Individual) -> Message:
        """The message with the INS as one more identifier; every other byte is kept."""
        own = er7.parse(message.body, message.charset)
        separators = own.separators
        if not separators.repetition or not separators.subcomponent:
            raise MessageError("PID-3 cannot repeat: MSH-2 lacks a delimiter", "MSH-2", "101")
        pid = own.all("PID")[0]
        kind = ins_kind(individual.oid, self._surroundings.site.ins_domain)
        authority = separators.subcomponent.join((_NAMES[kind], individual.oid, "ISO"))
        made = separators.component.join((individual.number, "", "", authority, "INS"))
        pid[3] = separators.repetition.join((pid[3], made)) if pid[3] else made
        return message.with_body(own.encode())

    # verification

    async def _verified(self, message: Message, pid: er7.Segment) -> _Outcome:
        """The INS in use: the NIR when there are both. Of another domain or with a wrong key, it is not asked about."""
        domain = self._surroundings.site.ins_domain
        found = [(pid.get(f"{one}.1").strip(), pid.get(f"{one}.4.2").strip(), one) for one in _numbers(pid)]
        usable = [one for one in found if ins_kind(one[1], domain)]
        number, oid, place = next((one for one in usable if ins_kind(one[1], domain) == "NIR"), (usable or found)[0])
        if not usable or not ins_key_is_right(number):
            return self._mismatch(message, "the key or the domain of the INS is wrong", place, 0)
        traits = from_pid(pid)
        if not traits.complete:
            return _Outcome("incomplete", message)
        excuse = self._away()
        if excuse:
            return _Outcome(excuse, message)
        try:
            right = await self._insi.verify(number, oid, traits, message.control_id)
        except (Undelivered, Refused) as error:
            return _Outcome(self._passed(error), message, 1)
        if right:
            return _Outcome("verified", message, 1)
        return self._mismatch(message, "INSi says that the INS is not that of these traits", place, 1)

    def _mismatch(self, message: Message, problem: str, place: str, calls: int) -> _Outcome:
        if self._options.on_mismatch == "refuse":
            raise MessageError(problem, f"PID-{place}.1", "207")
        if self._options.on_mismatch == "withhold":
            own = er7.parse(message.body, message.charset)
            pid = own.all("PID")[0]
            gone = {int(one[2:-1]) for one in _numbers(pid)}
            kept = [one for number, one in enumerate(pid.repetitions(3), 1) if number not in gone]
            pid[3] = own.separators.repetition.join(kept)
            message = message.with_body(own.encode())
        return _Outcome("mismatch", message, calls)

    # outages

    def _away(self) -> str:
        """``unreachable`` while INSi is left in peace after an outage."""
        waiting = self._options.when_down == "pass" and time.monotonic() < self._down_until
        return "unreachable" if waiting else ""

    def _passed(self, error: Undelivered | Refused) -> str:
        """The word with which the message goes on; raises the error when policy says that it does not."""
        if isinstance(error, Undelivered):
            if self._options.when_down == "wait":
                raise error
            self._down_until = time.monotonic() + self._options.pause
            return "unreachable"
        if self._options.when_refused == "refuse":
            raise error
        return "refused"


def _statuses(pid: er7.Segment) -> Iterator[str]:
    for number in range(1, len(pid.repetitions(32)) + 1):
        yield pid.get(f"32[{number}].1").strip().upper()


def _has_status(pid: er7.Segment, status: str) -> bool:
    return status in _statuses(pid)


def _places(pid: er7.Segment) -> list[str]:
    return [f"3[{number}]" for number in range(1, len(pid.repetitions(3)) + 1)]


def _numbers(pid: er7.Segment) -> list[str]:
    """Places of each INS in PID-3."""
    return [one for one in _places(pid) if is_ins(pid, one)]


def _deleted(pid: er7.Segment) -> bool:
    """Whether PID-3 orders to delete the INS: where the master takes it away, none is put back."""
    return any(
        pid.get(f"{one}.1") == '""' and pid.get(f"{one}.5").strip().upper() in ("INS", "") for one in _places(pid)
    )
