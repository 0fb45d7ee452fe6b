"""``annuaire`` lookup, a step: addresses of recipients, and whether professionals are known and practise.

Source: Référentiel socle MSSanté #2 (choice of an address: by activity, never by name); ANS, API Annuaire Santé v2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import structlog
from pydantic import BeforeValidator, Field

from channels.errors import ConfigError, MessageError, Undelivered
from channels.fields import Seconds, Secret, Settings, one_or_more
from channels.message import Message
from channels.ports import Context, Surroundings
from channels.registry import load
from connectors.annuaire.directory import Directory, Entry, Mailbox, Unreachable
from connectors.annuaire.memory import FILE, Memory
from transforms import er7, identifiers
from transforms.submission import FORMAT, Organization, Recipient, Submission, encode, read

log = structlog.get_logger()

_DAY = 86_400.0
_PROFESSIONALS = "1.2.250.1.71.4.2.1"
_Kind = Literal["idnps", "finess", "mailbox"]


class AnnuaireSettings(Settings):
    """Asks the Annuaire Santé; answers are kept, and used while it is away."""

    base: str = Field(
        "https://gateway.api.esante.gouv.fr/fhir/v2", pattern=r"^https?://", description="Address of the FHIR API."
    )
    key: Secret = Field(description="API key (`ESANTE-API-KEY`), as a reference.")
    rate: float = Field(15.0, gt=0, le=17, description="Questions a second at most; the service takes 17.")
    timeout: Seconds = Field(30.0, description="For one answer.")
    known_for: Seconds = Field(7 * _DAY, description="How long a number that is known is believed.")
    unknown_for: Seconds = Field(_DAY, description="How long a number that is not known is.")
    pause: Seconds = Field(
        60.0, description="Longest time that the directory is not asked after it did not answer; 1 s at first."
    )
    check_addresses: bool = Field(
        False, description="Requests: ask about the address of a recipient who has no national number, too."
    )
    fields: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        (), description="HL7 v2: places of professionals whose number is checked, such as OBR-16 or PV1-7."
    )
    inactive: Literal["warn", "refuse"] = Field(
        "warn", description="A professional or structure that is unknown or does not practise: mark, or refuse."
    )
    away: Literal["wait", "pass"] = Field(
        "pass", description="The directory does not answer and nothing is kept: try again later, or go on."
    )
    patient_domain: str = Field("patient.mssante.fr", description="Domain of patients' mailboxes: not asked for.")


class AnnuaireLookup:
    """See ``channels.ports.Lookup``.

    The attribute ``annuaire`` of the message afterwards: a word for each number asked, in their order:
    ``known-active``, ``known-inactive``, ``unknown``, ``unreachable``, ``wrong-key``, with the age in days when the
    answer is an old one.
    """

    settings: type[Settings] = AnnuaireSettings

    def __init__(self, settings: AnnuaireSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._directory: Directory | None = None
        self._memory = Memory(None)

    async def start(self) -> None:
        """See ``channels.ports.Lookup.start``. Raises ConfigError for a place that is none."""
        for one in self._options.fields:
            try:
                load("transforms.paths:parse_path")(one)
            except ConfigError as error:
                raise ConfigError(f"fields: {error}") from None
        options = self._options
        self._directory = Directory(
            options.base,
            options.key.get_secret_value(),
            rate=options.rate,
            timeout=options.timeout,
            pause=options.pause,
        )
        beside = self._surroundings.journal_directory
        self._memory = Memory(beside / FILE if beside is not None else None)

    async def aclose(self) -> None:
        """See ``channels.ports.Lookup.aclose``."""
        directory, self._directory = self._directory, None
        if directory is not None:
            await directory.aclose()
            await self._memory.aclose()

    async def ask(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Lookup.ask``.

        Raises:
            MessageError: a number is unknown or inactive, and ``inactive: refuse``; its place.
            Undelivered: the directory is away, and ``away: wait``.
        """
        if message.format == FORMAT:
            return await self._recipients(message, read(message))
        words = [await self._checked(number, place) for number, place in self._numbers(message)]
        return _marked(message, words) if words else message

    # submissions

    async def _recipients(self, message: Message, submission: Submission) -> Message:
        found, words = [], []
        for one in submission.recipients:
            made, word = await self._recipient(one)
            found.append(made)
            words += [word] if word else []
        changed = tuple(found)
        if changed != submission.recipients:
            message = message.with_body(encode(replace(submission, recipients=changed)))
        return _marked(message, words) if words else message

    async def _recipient(self, one: Recipient) -> tuple[Recipient, str]:
        """The recipient with an address, when one is known for sure; and the word for it."""
        if one.kind == "patient" or one.address.lower().endswith(f"@{self._options.patient_domain}"):
            return one, ""
        finess = _finess(one.organization) if one.organization else ""
        number = _national(one.person.id, one.person.kind, one.person.authority) if one.person else ""
        if number:
            entry, word = await self._entry("idnps", number, f"{one.place}-5.1" if one.place else "")
        elif finess and one.person is None:
            entry, word = await self._entry("finess", finess, f"{one.place}-8.10" if one.place else "")
        elif one.address and self._options.check_addresses:
            entry, word = await self._entry("mailbox", one.address.lower(), f"{one.place}-15.4" if one.place else "")
        else:
            return one, ""
        if one.address or entry is None or entry.status != "known-active":
            return one, word
        box = _chosen(entry.mailboxes, finess, personal=one.person is not None)
        return (replace(one, address=box.address) if box else one), word if box else f"{word},no-address"

    # HL7 v2

    def _numbers(self, message: Message) -> Iterator[tuple[str, str]]:
        """National numbers at the places to check; a local number is nobody's business."""
        if message.format != "hl7v2" or not self._options.fields:
            return
        parsed = er7.read(message)
        for place in self._options.fields:
            parts = zip(*(parsed.values(f"{place}.{part}") for part in ("1", "13", "9.2")), strict=True)
            found = (_national(number.strip(), kind.strip().upper(), oid.strip()) for number, kind, oid in parts)
            for number in dict.fromkeys(found):
                if number:
                    yield number, f"{place}.1"

    async def _checked(self, number: str, place: str) -> str:
        return (await self._entry("idnps", number, place))[1]

    # one number

    async def _entry(self, kind: _Kind, number: str, place: str) -> tuple[Entry | None, str]:
        """What is known of a number or an address, and the word for it. Raises as ``ask``."""
        what = "address" if kind == "mailbox" else f"{kind.upper()} number"
        if kind != "mailbox" and not identifiers.is_right(kind.upper(), number):
            if self._options.inactive == "refuse":
                raise MessageError(f"the {what} has a wrong key", place, "204")
            return None, "wrong-key"
        entry, age = await self._known(kind, number)
        if entry is None:
            if self._options.away == "wait":
                raise Undelivered("the directory does not answer")
            return None, "unreachable"
        if entry.status != "known-active" and self._options.inactive == "refuse":
            said = "is not known to" if entry.status == "unknown" else "is not in use any more, says"
            raise MessageError(f"the {what} {said} the directory", place, "204")
        lasts = self._options.unknown_for if entry.status == "unknown" else self._options.known_for
        return entry, entry.status + (f",{int(age / _DAY)}d" if age > lasts else "")

    async def _known(self, kind: _Kind, number: str) -> tuple[Entry | None, float]:
        """From memory while it is fresh, else from the directory, else from memory whatever its age."""
        key = f"{kind} {number}"
        kept = await self._memory.get(key)
        if kept is not None:
            lasts = self._options.unknown_for if kept[0].status == "unknown" else self._options.known_for
            if kept[1] <= lasts:
                return kept
        if self._directory is None:
            raise Undelivered("the lookup is closed")
        try:
            entry = await {
                "idnps": self._directory.professional,
                "finess": self._directory.structure,
                "mailbox": self._directory.mailbox,
            }[kind](number)
        except Unreachable as error:
            log.warning("the directory is away", channel=self._surroundings.channel, problem=str(error))
            return kept or (None, 0.0)
        await self._memory.put(key, entry)
        return entry, 0.0


def _marked(message: Message, words: list[str]) -> Message:
    return replace(message, attributes={**message.attributes, "annuaire": " ".join(words)})


def _finess(organization: Organization) -> str:
    """FINESS of a Struct_IdNat, or the number itself; ``""`` for a number of another kind."""
    if organization.kind not in ("", "IDNST", "FINESS", "FINEG", "FINEJ"):
        return ""
    number = organization.id
    return number[1:] if len(number) == 10 and number[0] == "1" else number if len(number) == 9 else ""


def _national(number: str, kind: str, authority: str) -> str:
    """PS_IdNat of a professional's number, ``""`` when it is a local one."""
    if authority not in ("", _PROFESSIONALS) or kind not in ("", "IDNPS", "RPPS", "ADELI"):
        return ""
    plain = number.isascii() and number.isdecimal()
    if kind in ("", "RPPS") and plain and len(number) == 11:
        return f"8{number}"
    if kind == "ADELI" and len(number) == 9:
        return f"0{number}"
    marked = bool(kind or authority) or (plain and len(number) == 12 and number.startswith("8"))
    return number if marked else ""


def _chosen(boxes: tuple[Mailbox, ...], finess: str, *, personal: bool) -> Mailbox | None:
    """The address that is meant for sure: of the activity, else the only one of its kind; never a guess.

    finess: of the activity; the addresses of others are then out of the question.
    """
    there = [one for one in boxes if one.finess == finess] if finess else []
    meant = there or list(boxes)
    for few in (meant, [one for one in meant if one.kind == ("PER" if personal else "ORG")]):
        different = {one.address.lower(): one for one in few}
        if len(different) == 1:
            return next(iter(different.values()))
    return None
