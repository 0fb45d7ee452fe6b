"""The step ``pfi.from_report``: a laboratory's report -> a submission, by the policy of ``site.yaml``.

The policy is the site's (``pfi.reports``); options of the step replace parts of it. The step takes the document that
``cda.cr_bio`` or ``cda.level_1`` wrote, or the laboratory's message itself: then it writes the CR-Bio, and a report
whose every result is withdrawn becomes a deletion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from uuid import UUID

from channels.errors import MessageError, ProfileError, UnsupportedError
from channels.message import Message
from channels.numbering import issue_of
from channels.pfi_settings import MaskRule, PfiSettings, PrescriberRule, ReportPolicy
from channels.ports import Context
from transforms import er7, report
from transforms.cda import cr_bio
from transforms.cda.reader import read_document
from transforms.oru import read_report
from transforms.report import Chapter, Report
from transforms.submission import rules
from transforms.submission.codec import encode
from transforms.submission.document import read_facts
from transforms.submission.model import (
    Action,
    Document,
    Organization,
    Patient,
    Person,
    Recipient,
    Request,
    Sender,
    Submission,
    Visibility,
)
from transforms.submission.notes import Notes, noted
from transforms.submission.origin import Origin, origin
from transforms.submission.participants import PATIENTS, PROFESSIONALS, STRUCTURES

_ORDER, _ACCESSION = "urn:ihe:iti:xds:2013:order", "urn:ihe:iti:xds:2013:accession"
_CODE = "11502-2"
_VISITS = {"IMP": "I", "ACUTE": "I", "NONAC": "I", "EMER": "E", "AMB": "O", "HH": "O", "PRENC": "P", "VR": "O"}
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ROOTS = re.compile(rb'(<(?:id|setId) root=")([0-9A-Fa-f-]{36})(")')


class FromReport:
    """A report of the laboratory, published and sent as the site says."""

    settings = ReportPolicy
    in_worker = True
    numbered = True

    def __init__(self, settings: ReportPolicy) -> None:
        self._own = {name: getattr(settings, name) for name in settings.model_fields_set}

    def __call__(self, message: Message, context: Context) -> Message | list[Message]:
        """See ``channels.ports.Transform``. Nothing comes out of a report that the policy sends nowhere.

        Raises:
            MessageError: the site has no ``pfi``; what ``cda.cr_bio`` refuses; a withdrawn report that never was sent
                (900).
        """
        pfi = context.site.pfi
        if pfi is None:
            raise ProfileError("needs the setting pfi of site.yaml", "", "207")
        policy = pfi.reports.model_copy(update=self._own)
        notes = Notes()
        if message.format == "hl7v2" and _is_withdrawn(message):
            found, document = _withdrawn(message, context)
            made = _Maker(message, context, pfi, policy, notes).submission(found, document, "delete")
        else:
            if message.format == "hl7v2":
                message = cr_bio(message, context)
            if message.format != "cda":
                raise UnsupportedError("pfi.from_report takes an ORU^R01, or the document made from it", "", "200")
            content = with_oids(message.body)
            found, document = read_document(content, context), _document(content)
            action: Action = "replace" if document.replaces else "create"
            made = _Maker(message, context, pfi, policy, notes).submission(found, document, action)
        if made is None:
            return []
        return noted(message.with_body(encode(made), format="submission", charset="utf-8"), notes.findings)


def _is_withdrawn(message: Message) -> bool:
    """Whether a message withdraws every result (OBX-11 D or W)."""
    results = [one for one in er7.read(message).all("OBX") if one.get("3.3").strip() != "MetaDMPMSS"]
    return bool(results) and all(one.get("11.1").strip().upper() in ("D", "W") for one in results)


def _withdrawn(message: Message, context: Context) -> tuple[Report, Document]:
    """Who is in the report, and the version to delete, whose bytes are not kept here.

    Raises:
        MessageError: 900, no version of it was made here.
    """
    found = read_report(message, context, structured=False)
    version = found.version
    issue = issue_of(message, version.set_id, sha256(message.body).hexdigest(), version.id, "")
    before = issue.replaces if issue is not None else ""
    if not before:
        raise MessageError("every result is withdrawn, and no version of the report was made here", "OBX-11", "900")
    label = "CR d'examens biologiques"
    return replace(found, chapters=()), Document(b"", oid_of(before), _CODE, label, set_id=oid_of(version.set_id))


def _document(content: bytes) -> Document:
    facts = read_facts(content, "")
    return Document(
        content,
        facts.unique_id,
        facts.code,
        facts.label,
        facts.code_system,
        facts.level,
        facts.replaces,
        facts.set_id,
        facts.confidentiality,
    )


class _Maker:
    """One report."""

    def __init__(
        self, message: Message, context: Context, pfi: PfiSettings, policy: ReportPolicy, notes: Notes
    ) -> None:
        self._message, self._context, self._pfi, self._policy, self._notes = message, context, pfi, policy, notes

    def submission(self, found: Report, document: Document, action: Action) -> Submission | None:
        """None when it goes nowhere: awaited results, a rule that withholds it, or a policy that names nobody."""
        policy = self._policy
        if not (found.complete or policy.partial):
            return None
        codes = _codes_of(er7.read(self._message)) if action == "delete" else _codes(found)
        masks = [one for one in policy.masks if _applies(one, found, codes)]
        if action != "delete" and any(one.withheld for one in masks):
            return None
        visibility = Visibility(
            any(one.masked_professionals for one in masks),
            any(one.hidden_patient for one in masks),
            any(one.hidden_representatives for one in masks),
        )
        patient, sender = _patient(found), self._sender(found)
        recipients = tuple(self._recipients(found, visibility, patient))
        to_dmp = policy.dmp and self._allowed(document, patient, sender)
        if not (to_dmp or recipients):
            return None
        said = origin(self._message)
        return Submission(
            self._request(said, document),
            action,
            patient,
            (document,),
            sender,
            said.visit_class or _VISITS.get(found.encounter.code.code if found.encounter.code else "", ""),
            said.visit_id or (found.encounter.id.value if found.encounter.id else ""),
            visibility,
            to_dmp,
            recipients,
            policy.reply_to or "",
            policy.reception,
            policy.reading,
            closes_conversation=not policy.patient_may_answer,
            order_ids=tuple(
                (kind, one.value, one.root)
                for kind, numbers in ((_ORDER, found.prescription.orders), (_ACCESSION, found.requested))
                for one in numbers
            ),
        )

    def _request(self, said: Origin, document: Document) -> Request:
        words = f"{said.sending_application}|{said.sending_facility}\0{said.control_id}\0"
        digest = sha256(words.encode("utf-8", "surrogateescape"))
        digest.update(document.content or self._message.body)
        return Request(
            digest.hexdigest()[:32],
            said.control_id,
            said.kind,
            "",
            said.sending_application,
            said.sending_facility,
            said.receiving_application,
            said.receiving_facility,
            said.processing_id,
            said.time,
        )

    def _sender(self, found: Report) -> Sender:
        """The structure; and who answers: the site's person, else the biologist, else the engine as a device."""
        own = self._pfi.organization
        structure = Organization(own.id, own.name, STRUCTURES, "IDNST")
        someone = self._pfi.responsible
        if someone is not None:
            return Sender(Person(someone.id, someone.family, someone.given, PROFESSIONALS, "IDNPS"), structure)
        biologist = found.responsible
        if biologist.id:
            return Sender(_person(biologist), structure)
        return Sender(None, structure, self._pfi.device.id if self._pfi.device else "")

    def _allowed(self, document: Document, patient: Patient, sender: Sender) -> bool:
        problem = rules.guard_dmp((document,), patient, sender, self._pfi.dmp_types or rules.dmp_types())
        if problem is None and document.confidentiality in rules.RESTRICTED:
            problem = MessageError("a document of restricted confidentiality is not shared", "", "207")
        if problem is not None:
            self._notes.warn("", problem.condition, f"not published: {problem.problem}")
        return problem is None

    # who gets it

    def _recipients(self, found: Report, visibility: Visibility, patient: Patient) -> Iterator[Recipient]:
        """Mailboxes; one whose address is not known yet has its person, and the directory is asked."""
        if visibility.masked_professionals:
            self._notes.warn("", "207", "hidden from professionals: nobody is mailed")
        else:
            seen: set[str] = set()
            for rule in self._policy.recipients:
                yield from self._ruled(rule, found, seen)
            for address in self._policy.others:
                if address.lower() not in seen:
                    seen.add(address.lower())
                    yield Recipient("organization", address)
        if self._policy.patient and not visibility.hidden_patient:
            if patient.ins:
                person = Person(patient.ins, patient.family, patient.given, patient.ins_oid, "INS")
                yield Recipient("patient", f"{patient.ins}{PATIENTS}", person)
            else:
                self._notes.warn("PID-3", "207", "a patient without qualified INS has no mailbox")

    def _ruled(self, rule: PrescriberRule, found: Report, seen: set[str]) -> Iterator[Recipient]:
        if not rule.send:
            return
        copies = rule.role == "copy"
        for someone in found.recipients if copies else found.prescription.prescribers:
            if not someone.id:
                self._notes.warn("", "101", f"a {rule.role} without national number: nothing is sent to them")
                continue
            table = self._context.table(rule.table) if rule.table else None
            address = (table.translate(someone.id) if table else None) or ""
            if someone.id in seen or (address and address.lower() in seen):
                continue
            seen |= {someone.id, address.lower()} - {""}
            yield Recipient("professional", address, _person(someone), _organization(someone.organization))


def _patient(found: Report) -> Patient:
    who = found.patient
    local = who.ids[0] if who.ids else None
    return Patient(
        who.ins.number if who.ins else "",
        who.ins.root if who.ins else "",
        local.value if local else "",
        local.root if local else "",
        who.family,
        who.given,
        who.birth_given_names,
        who.used_family,
        who.used_given,
        who.birth_date.digits[:8],
        {"UN": "U"}.get(who.sex, who.sex),
        who.birth_place,
    )


def _person(someone: report.Person) -> Person:
    return Person(someone.id, someone.family, someone.given, PROFESSIONALS, "IDNPS")


def _organization(one: report.Organization | None) -> Organization | None:
    return Organization(one.id, one.name, STRUCTURES, "IDNST") if one is not None and one.id else None


def _codes(found: Report) -> frozenset[str] | None:
    """Codes of the results; None when the body of the document is a PDF."""
    if not found.chapters:
        return None
    concepts = [one.code for one in found.results()]
    return frozenset(code.code for one in concepts for code in (one.standard, *one.others) if code is not None)


def _codes_of(parsed: er7.Er7) -> frozenset[str]:
    """Codes of the results of a message."""
    return frozenset(obx.get(f"3.{component}").strip() for obx in parsed.all("OBX") for component in (1, 4))


def _applies(rule: MaskRule, found: Report, codes: frozenset[str] | None) -> bool:
    """A rule applies when it is not known that it does not: chapters of a PDF or of a withdrawn report are not."""
    if not (rule.chapters or rule.codes) or codes is None:
        return True
    if codes & set(rule.codes) or (rule.chapters and not found.chapters):
        return True
    return any(one.code.code in rule.chapters for chapter in found.chapters for one in _with_inner(chapter))


def _with_inner(chapter: Chapter) -> Iterator[Chapter]:
    yield chapter
    for one in chapter.sub_chapters:
        yield from _with_inner(one)


def with_oids(content: bytes) -> bytes:
    """The document, its own numbers and those of its series and of the version before as OIDs.

    The DMP takes no UUID: one is the same number as an OID, ``2.25.`` and its decimal value.

    Source: ITU-T X.667; DMP: document numbers are OIDs.
    """
    end = content.find(b"<recordTarget")
    start = content.find(b"<relatedDocument", end)
    stop = content.find(b"</relatedDocument>", start)
    head, rest = content[:end], content[end:]
    if start >= 0 <= stop:
        rest = content[end:start] + _ROOTS.sub(_as_oid, content[start:stop]) + content[stop:]
    return _ROOTS.sub(_as_oid, head) + rest


def _as_oid(match: re.Match[bytes]) -> bytes:
    return match[1] + oid_of(match[2].decode("ascii")).encode() + match[3]


def oid_of(number: str) -> str:
    """A UUID as an OID; anything else as it is."""
    return f"2.25.{UUID(number).int}" if _UUID.fullmatch(number) else number
