"""The steps ``mssante.mails`` (request -> mails), ``mssante.mdm`` (mail -> MDM) and ``mssante.mdn`` (answer -> MDN)."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import ClassVar

import structlog

from channels.errors import MessageError, ParseError
from channels.message import Message
from channels.ports import Context
from transforms import er7, submission, xdm
from transforms.conditions import TEXTS
from transforms.mail import answers, batch
from transforms.mail.compose import Office, compose
from transforms.mail.copies import copies
from transforms.mail.model import Mail
from transforms.mail.package import archive
from transforms.mail.read import is_archive, view
from transforms.mail.settings import MailsSettings, MdmSettings, MdnSettings
from transforms.submission import Organization, Patient, Person, Visibility, lps
from transforms.submission.model import Action
from transforms.xds import Lot
from transforms.xds.composed import parts

_LOG = structlog.get_logger("vaguemestre.mssante")
_APPLICATION = frozenset(str(number) for number in range(900, 907))
_UNREADABLE = "906"


class Mails:
    """A request as the mails to its mailboxes, for the destination ``mssante``."""

    settings = MailsSettings
    in_worker: ClassVar[bool] = True

    def __init__(self, settings: MailsSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, context: Context) -> Message | list[Message]:
        """One message of format ``mails``; nothing when the request names no mailbox.

        Raises:
            MessageError: not a request, an address that is none, or metadata that cannot be written.
        """
        asked = submission.read(message)
        if not asked.recipients:
            return []
        pfi = context.site.pfi
        if pfi is None:
            raise MessageError("site.yaml has no `pfi`: nobody sends this")
        if not asked.documents:
            raise MessageError("a request without a document")
        office = _office(self._settings.product, context)
        zipped = archive(
            asked, pfi=pfi, settings=self._settings.xds, establishment=office.establishment, at=office.at
        )  # fmt: skip
        wanted = self._settings.pdf and asked.action != "delete"
        made = compose(asked, zipped, copies(asked.documents, context) if wanted else [], self._settings, office)
        return message.with_body(batch.encode(made), format=batch.FORMAT, charset="utf-8", control_id=asked.request.key)


def _office(product: str, context: Context) -> Office:
    pfi = context.site.pfi
    known = f"{pfi.product.name} {pfi.product.version}" if pfi is not None else "Vaguemestre"
    return Office(context.site.establishment.name, product or known, _local(context))


def _local(context: Context) -> datetime:
    return context.now.astimezone(context.site.timezone)


class Mdm:
    """A mail with documents as messages to the hospital's software; reports and other mails end here."""

    settings = MdmSettings
    in_worker: ClassVar[bool] = True

    def __init__(self, settings: MdmSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, context: Context) -> list[Message]:
        """One MDM a document.

        Raises:
            MessageError: the mail cannot be integrated, condition 900 to 906: it waits in the dead letters, and its
                sender is told (``answers:``).
        """
        mail = view(message)
        if mail.kind != "XDM":
            _LOG.info("mail without documents", channel=context.channel, message=message.id, kind=mail.kind)
            return []
        received = self._opened(mail, message, context)
        try:
            bodies = lps.messages(
                received,
                self._settings,
                at=_local(context),
                ins_domain=context.site.ins_domain,
                facility=context.site.establishment.finess,
            )
        except MessageError as error:
            raise _refused(error) from None
        made = []
        for number, body in enumerate(bodies, 1):
            head = er7.message(body, message.received, "utf-8")
            attributes = {**message.attributes, "document": str(number)}
            made.append(
                message.with_body(
                    body, format="hl7v2", charset=head.charset, kind=head.kind, control_id=head.control_id,
                    sender=head.sender, attributes=attributes,
                )
            )  # fmt: skip
        return made

    def _opened(self, mail: Mail, message: Message, context: Context) -> lps.ReceivedMail:
        zipped = next((one for one in mail.attachments if is_archive(one)), None)
        if zipped is None or zipped.problem:
            raise MessageError("the mail has no readable IHE_XDM.zip", "IHE_XDM.zip", _UNREADABLE)
        size = self._settings.max_size
        limits = xdm.Limits(file_size=size, total_size=size)
        try:
            held = xdm.read(zipped.content, strict=self._settings.strict, limits=limits)
        except MessageError as error:
            raise _refused(error) from None
        for one in held.findings:
            _LOG.warning(
                "archive with a fault", channel=context.channel, message=message.id, place=one.place,
                problem=one.problem,
            )  # fmt: skip
        if not held.documents:
            problem = "the mail asks to delete a document that it does not hold: to be done by hand"
            raise MessageError(problem, "IHE_XDM.zip", _UNREADABLE)
        lot = held.lot
        return lps.ReceivedMail(
            message_id=mail.message_id,
            subject=mail.subject,
            sender=mail.sender,
            recipients=mail.recipients,
            documents=tuple(one.content for one in held.documents),
            text=mail.text,
            reply_to=mail.reply_to,
            action=_action(held),
            visibility=_visibility(lot),
            patient=_patient(lot),
            author=_author(lot),
            institution=_institution(lot),
            reading_asked=bool(mail.notify),
        )


def _refused(error: MessageError) -> MessageError:
    """With a code of the volet: what has none is "other"; the place and the rule stay."""
    code = error.condition if error.condition in _APPLICATION else _UNREADABLE
    return MessageError(error.problem, error.place, code)


def _action(held: xdm.Archive) -> Action:
    if held.deletes:
        return "delete"
    return "replace" if any(lot.replaces for lot in held.lots) else "create"


def _visibility(lot: Lot | None) -> Visibility:
    codes = {code.code for entry in (lot.entries if lot else ()) for code in entry.confidentiality}
    return Visibility("MASQUE_PS" in codes, "INVISIBLE_PATIENT" in codes, "INVISIBLE_REPRESENTANTS_LEGAUX" in codes)


def _patient(lot: Lot | None) -> Patient | None:
    """The patient of the metadata: INS of patientId (CX), traits of sourcePatientInfo (PID-5, -7, -8)."""
    if lot is None:
        return None
    composed = lot.submission_set.patient_id or next((one.patient_id for one in lot.entries if one.patient_id), "")
    number, _, _, authority_, *_ = parts(composed, 4)
    authority = authority_.split("&")
    oid = authority[1] if len(authority) > 1 else ""
    info: dict[str, str] = {}
    for line in lot.entries[0].source_patient_info if lot.entries else ():
        name, _, value = line.partition("|")
        info.setdefault(name, value)
    family, given, *_ = parts(info.get("PID-5", ""), 2)
    return Patient(
        ins=number,
        ins_oid=oid,
        family=family,
        given=given,
        birth_date=info.get("PID-7", "")[:8],
        sex=info.get("PID-8", ""),
    )


def _author(lot: Lot | None) -> Person | None:
    persons = [one for author in (lot.submission_set.authors if lot else ()) for one in author.persons]
    if not persons:
        return None
    found = parts(persons[0], 13)
    authority = found[8].split("&")
    return Person(found[0], found[1], found[2], authority[1] if len(authority) > 1 else "", found[12])


def _institution(lot: Lot | None) -> Organization | None:
    places = [one for author in (lot.submission_set.authors if lot else ()) for one in author.institutions]
    if not places:
        return None
    found = parts(places[0], 10)
    authority = found[5].split("&")
    return Organization(found[9], found[0], authority[1] if len(authority) > 1 else "", found[6])


class Mdn:
    """What became of a mail with documents, told to its sender; from ``answers: {channel: …, body: message}``."""

    settings = MdnSettings

    def __init__(self, settings: MdnSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, context: Context) -> list[Message]:
        """One mail, or none when there is nothing to say."""
        state = message.attributes.get("answer_state", "")
        if message.format != "mail" or state not in ("delivered", "refused", "failed", "expired"):
            return []
        how = _ending(message, state)
        office = _office("", context)
        mail = view(message)
        made = answers.write(mail, message.body, how, self._settings, at=office.at, product=office.product)
        if made is None:
            return []
        to, message_id, body = made
        known = {"mail_to": to, "mail_from": self._settings.sender if self._settings.return_path == "sender" else ""}
        answer = message.with_body(body, control_id=message_id, attributes=known)
        return [answer]


def _ending(message: Message, state: str) -> answers.Integrated:
    if state == "delivered":
        return answers.Integrated(positive=True)
    code = message.attributes.get("answer_condition", "")
    if state == "refused":
        with contextlib.suppress(ParseError):
            code = lps.read_outcome(message.attributes.get("answer", "").encode("latin-1", "replace")).code or code
    code = code if code in _APPLICATION else _UNREADABLE
    return answers.Integrated(positive=False, code=code, label=TEXTS[code])
