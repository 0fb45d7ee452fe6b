"""The step ``pfi.request``: a message of the ANS volet -> a submission.

Every check that the volet wants before the acknowledgement is made here, but for the chain of versions, which
``pfi.register`` knows.

Source: ANS CI-SIS volet "Transmission de documents CDA en HL7v2" 2.1, with the tolerance of 2.0 and 1.2.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from pydantic import Field

from channels.errors import Finding, MessageError, UnsupportedError
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context
from channels.site import Site
from transforms import er7
from transforms.document_rules import cleaned_base64, decoded_base64
from transforms.er7 import Er7
from transforms.submission import rules
from transforms.submission.action import Found, action, profile
from transforms.submission.authorities import is_oid
from transforms.submission.codec import encode
from transforms.submission.document import Facts, check_patient, read_facts
from transforms.submission.flags import Flags, flag_name, read_flags
from transforms.submission.identity import Identity, identity
from transforms.submission.model import Action, Document, Request, Submission
from transforms.submission.notes import Notes, noted
from transforms.submission.participants import Participants, participants

FORMAT = "submission"
_SYSTEMS = {
    "LN": "2.16.840.1.113883.6.1",
    "LOINC": "2.16.840.1.113883.6.1",
    "TRE_A05": "1.2.250.1.213.1.1.4.12",
}
_VISITS = frozenset("EIORNBCPU")
_ORDER, _ACCESSION = "urn:ihe:iti:xds:2013:order", "urn:ihe:iti:xds:2013:accession"


class RequestSettings(Settings):
    """How requests are read."""

    level: Literal["tolerant", "strict"] = Field(
        "tolerant",
        description="`tolerant`: what can be understood is taken, with warnings; `strict`: what the volet does not "
        "allow is refused.",
    )
    placeholders: Literal["refuse", "accept"] = Field(
        "refuse", description="`accept`: a document that is no CDA is taken as it is, for tests with official examples."
    )
    not_for_dmp: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="A document that the DMP would not take (INS not qualified, type, sender, number): refuse the "
        "request, or carry out the rest of it with a warning.",
    )
    restricted: Literal["refuse", "accept"] = Field(
        "refuse", description="A document whose own confidentiality is R or V, asked to be shared."
    )
    trait_check: bool = Field(True, description="Compare the patient of the document with that of the message.")


class ReadRequest:
    """A request to publish or send documents, read and checked: MDM^T02, T10, T04 or ORU^R01 with CDA."""

    settings = RequestSettings
    in_worker = True

    def __init__(self, settings: RequestSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, context: Context) -> Message:
        """See ``channels.ports.Transform``. Raises MessageError with the place and the code of table 0357, or 900-906.

        The findings go to the attributes of the message (``transforms.submission.notes``).
        """
        submission, findings = read_request(message, context.site, self._settings)
        return noted(message.with_body(encode(submission), format=FORMAT, charset="utf-8"), findings)


def read_request(
    message: Message, site: Site, settings: RequestSettings | None = None
) -> tuple[Submission, list[Finding]]:
    """The submission that a message asks for, and what was noticed. Raises MessageError."""
    if message.format != "hl7v2":
        raise UnsupportedError("a request is an HL7 v2 message", "", "200")
    reader = _Reader(message, site, settings or RequestSettings())
    return reader.submission(), reader.notes.findings


class _Reader:
    """One message."""

    def __init__(self, message: Message, site: Site, settings: RequestSettings) -> None:
        self.message, self.site, self.settings = message, site, settings
        self.parsed = er7.read(message)
        self.notes = Notes(settings.level)

    def submission(self) -> Submission:
        """See ``read_request``."""
        parsed, notes = self.parsed, self.notes
        version = profile(parsed, notes)
        found = _documents(parsed)
        asked = action(parsed, version, found, notes)
        who = self._who()
        visit_class = self._visit_class()
        flags = read_flags(parsed, notes)
        taking_part = participants(parsed, notes)
        self._declared(found, version)
        documents = tuple(self._document(one, asked, who) for one in found)
        if len({one.level for one in documents}) < len(documents):
            notes.warn(f"{found[-1].place}-5", "207", "two documents of the same level")
        recipients = rules.mailed(flags, taking_part, who.patient, notes)
        to_dmp = self._to_dmp(flags, documents, who, taking_part, found)
        if not (to_dmp or recipients or flags["DESTDMP"]):
            notes.warn("OBX", "207", "no destination is asked: the document is kept, and sent nowhere", always=True)
        self._shared(documents, shared=to_dmp or bool(recipients))
        return Submission(
            self._request(version),
            asked,
            who.patient,
            documents,
            taking_part.sender,
            visit_class,
            parsed.get("PV1-19.1").strip(),
            flags.visibility,
            to_dmp,
            recipients,
            taking_part.reply_to,
            flags["ACK_RECEPTION"],
            flags["ACK_LECTURE_MSS"],
            flags.texts.get("CORPSMAIL_PS", ""),
            flags.texts.get("CORPSMAIL_PATIENT", ""),
            flags.closes,
            self._orders(),
            flags.lot,
        )

    def _request(self, version: str) -> Request:
        header, message = self.parsed.header, self.message
        digest = sha256(f"{header.sender}\0{header.control_id}\0".encode("utf-8", "surrogateescape"))
        digest.update(message.body)
        if not header.control_id:
            self.notes.warn("MSH-10", "101", "the control id is missing: acknowledgements cannot name the request")
        return Request(
            digest.hexdigest()[:32],
            header.control_id,
            header.kind,
            version,
            header.component(3).strip(),
            header.component(4).strip(),
            header.component(5).strip(),
            header.component(6).strip(),
            header.component(11).strip().upper() or "P",
            header.component(7).strip(),
        )

    def _who(self) -> Identity:
        patients = self.parsed.all("PID")
        if not patients:
            raise MessageError("a request has a patient", "PID", "100")
        if len(patients) > 1:
            raise MessageError("a request has one patient", "PID[2]", "204")
        pfi, laboratory = self.site.pfi, self.site.laboratory
        own = (pfi.patient_oid if pfi else None) or (laboratory.oids.patient if laboratory else None) or ""
        return identity(patients[0], self.site.ins_domain, own, self.notes)

    def _visit_class(self) -> str:
        text = self.parsed.get("PV1-2.1").strip().upper()
        if self.parsed.first("PV1") is None:
            self.notes.warn("PV1", "100", "the visit is missing")
        elif text not in _VISITS:
            self.notes.warn("PV1-2", "103" if text else "101", "the class of the visit is not of table 0004")
            return ""
        return text

    # documents

    def _declared(self, found: list[Found], version: str) -> None:
        """Every place that declares a type declares the same one."""
        code = found[0].obx.get("3.1").strip()
        if not code:
            raise MessageError("the type of the document is missing", f"{found[0].place}-3", "101")
        for one in found[1:]:
            if one.obx.get("3.1").strip() != code:
                raise MessageError("two documents of different types", f"{one.place}-3", "207")
        if len({_bytes_of(one) for one in found}) < len(found):
            self.notes.warn(f"{found[-1].place}-5", "205", "the same document is there twice")
        for place in ("TXA-2", *(("OBR-4",) if version == "2.1" else ())):
            other = self.parsed.get(f"{place}.1").strip()
            if other and other != code:
                self.notes.warn(place, "103", "the type declared is not that of OBX-3")

    def _document(self, found: Found, asked: Action, who: Identity) -> Document:
        place = f"{found.place}-5.5"
        text = found.obx.get("5.5")
        content = decoded_base64(text) if text else b""
        if not content:
            problem = "the document cannot be decoded" if text else "the document is missing"
            raise MessageError(problem, place, "102" if text else "101")
        if text != cleaned_base64(text):
            self.notes.warn(place, "102", "a Base64 value with blanks, a prefix, another alphabet or no padding")
        try:
            facts = read_facts(content, place)
        except MessageError:
            if self.settings.placeholders == "refuse" or content.lstrip()[:1] == b"<":
                raise
            self.notes.warn(place, "102", "a placeholder instead of a document", always=True)
            return self._placeholder(found, content, asked, place)
        self._is_declared(facts, found, asked)
        if self.settings.trait_check:
            check_patient(facts, who.patient, who.place, place, self.notes)
        return Document(
            content,
            facts.unique_id,
            facts.code,
            facts.label or found.obx.get("3.2").strip(),
            facts.code_system or _SYSTEMS["LN"],
            facts.level,
            facts.replaces if asked == "replace" else "",
            facts.set_id,
            facts.confidentiality,
            place,
        )

    def _is_declared(self, facts: Facts, found: Found, asked: Action) -> None:
        """The document is what the message says that it is."""
        if facts.code != found.obx.get("3.1").strip():
            raise MessageError("the type declared is not that of the document", f"{found.place}-3", "207")
        txa = self.parsed.first("TXA")
        if txa is not None:
            if txa.get("12.2").strip():
                self.notes.warn("TXA-12.2", "102", "a document number has no second component", always=True)
            if facts.unique_id not in _numbers(txa, 12):
                self.notes.warn("TXA-12", "102", "the document number is not that of the document")
        if asked == "replace":
            if not facts.replaces:
                problem = "a replacement says in the document which one it replaces"
                raise MessageError(problem, f"{found.place}-5.5", "900")
            if txa is not None and facts.replaces not in _numbers(txa, 13):
                raise MessageError("the document replaced is not the one that the document names", "TXA-13", "900")
        elif asked == "create" and facts.replaces:
            raise MessageError("the document replaces another one, and the message does not", "ORC-1", "207")

    def _placeholder(self, found: Found, content: bytes, asked: Action, place: str) -> Document:
        txa = self.parsed.first("TXA")
        own = _numbers(txa, 12) if txa is not None else []
        before = _numbers(txa, 13) if txa is not None and asked == "replace" else []
        digest = int.from_bytes(sha256(f"{found.place} ".encode() + content).digest()[:16], "big")
        system = found.obx.get("3.3").strip()
        return Document(
            content,
            own[0] if own else f"2.25.{digest}",
            found.obx.get("3.1").strip(),
            found.obx.get("3.2").strip(),
            _SYSTEMS.get(system, system if is_oid(system) else _SYSTEMS["LN"]),
            replaces=before[0] if before else "",
            place=place,
        )

    # where it goes

    def _to_dmp(
        self, flags: Flags, documents: tuple[Document, ...], who: Identity, found: Participants, places: list[Found]
    ) -> bool:
        if not flags["DESTDMP"]:
            return False
        types = (self.site.pfi.dmp_types if self.site.pfi else ()) or rules.dmp_types()
        place = found.sender_place or "PRT"
        type_place = f"{places[0].place}-3"
        problem = rules.guard_dmp(
            documents, who.patient, found.sender, types, sender_place=place, type_place=type_place
        )
        if problem is None:
            return True
        if self.settings.not_for_dmp == "refuse":
            raise problem
        self.notes.warn(problem.place, problem.condition, f"not published: {problem.problem}", always=True)
        return False

    def _shared(self, documents: tuple[Document, ...], *, shared: bool) -> None:
        for one in documents:
            if one.confidentiality not in rules.RESTRICTED:
                continue
            if shared and self.settings.restricted == "refuse":
                raise MessageError("a document of restricted confidentiality is not shared", one.place, "207")
            self.notes.warn(one.place, "207", "a document of restricted confidentiality", always=True)

    def _orders(self) -> tuple[tuple[str, str, str], ...]:
        """Numbers of the prescriber and of the performer, when an OID says whose they are."""
        oids = self.site.laboratory.oids if self.site.laboratory else None
        kinds = ((2, _ORDER, oids and oids.placer_order), (3, _ACCESSION, oids and oids.filler_order))
        found = []
        for field, kind, default in kinds:
            for segment in ("ORC", "OBR"):
                value = self.parsed.get(f"{segment}-{field}.1").strip()
                universal = self.parsed.get(f"{segment}-{field}.3").strip()
                root = universal if is_oid(universal) else default or ""
                if value and value != '""' and root:
                    found.append((kind, value, root))
        return tuple(dict.fromkeys(found))


def _documents(parsed: Er7) -> list[Found]:
    """The OBX that hold documents: the first of an MDM, up to two of an ORU (one document in two levels)."""
    found = []
    for number, obx in enumerate(parsed.all("OBX"), 1):
        if obx[2].strip().upper() == "ED" and not flag_name(obx):
            found.append(Found(obx, f"OBX[{number}]" if number > 1 else "OBX"))
    if not found:
        raise MessageError("a request has a document", "OBX", "100")
    most = 1 if parsed.header.kind.startswith("MDM") else 2
    if len(found) > most:
        raise MessageError("more documents than a request has", found[most].place, "198")
    return found


def _bytes_of(found: Found) -> str:
    return found.obx.get("5.5")


def _numbers(txa: er7.Segment, field: int) -> list[str]:
    """What a document number may stand for: ``root``, or ``root^extension`` of ``extension^^root``."""
    first, root = txa.get(f"{field}.1").strip(), txa.get(f"{field}.3").strip()
    if first and root:
        return [f"{root}^{first}"]
    return [one for one in (first, root) if one]


__all__ = ["FORMAT", "ReadRequest", "RequestSettings", "read_request"]
