"""One request from its bytes to the bytes of its answer, for the three services of the DMP."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from vaguemestre.simulators.dmp import lot, names, patients, queries, soap, submissions, trust, vihf, wire
from vaguemestre.simulators.dmp.registry import Registry
from vaguemestre.simulators.dmp.rules import Broken, Finding, Judge
from vaguemestre.simulators.dmp.settings import DmpSettings

_PROVIDE = f"{{{names.XDS}}}ProvideAndRegisterDocumentSetRequest"
_SUBMIT = f"{{{names.LCM}}}SubmitObjectsRequest"
_QUERY = f"{{{names.QUERY}}}AdhocQueryRequest"
_DEMOGRAPHICS = f"{{{names.HL7}}}PRPA_IN201307UV02"
_ANSWERS = {
    _PROVIDE: "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
    _SUBMIT: "urn:ihe:iti:2010:UpdateDocumentSetResponse",
    _QUERY: "urn:ihe:iti:2007:RegistryStoredQueryResponse",
    _DEMOGRAPHICS: "urn:hl7-org:v3:PRPA_IN201308UV02",
}


@dataclass(slots=True)
class Case:
    """One request, as it was judged. answer: of the registry, with the errors and warnings it gave."""

    service: str
    at: datetime
    findings: list[Finding] = field(default_factory=list)
    envelope: soap.Envelope | None = None
    vihf: vihf.Vihf | None = None
    lot: lot.Lot | None = None
    verdict: str = ""
    misbehaviour: str = ""

    @property
    def broken(self) -> list[str]:
        """Names of the broken rules."""
        return list(dict.fromkeys(one.rule.name for one in self.findings))

    @property
    def accepted(self) -> bool:
        """Carried out."""
        return self.verdict == "accepted"

    @property
    def action(self) -> str:
        """What was asked: submission, replacement, deletion, query, existence; empty when it is not readable."""
        tag = str(self.envelope.request.tag) if self.envelope is not None else ""
        if tag == _PROVIDE:
            return "replacement" if self.lot is not None and self.lot.targets(names.REPLACES) else "submission"
        return {_SUBMIT: "deletion", _QUERY: "query", _DEMOGRAPHICS: "existence"}.get(tag, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status and envelope."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Services:
    """The three services over one registry."""

    registry: Registry
    settings: DmpSettings
    trust: trust.Trust

    def handle(
        self, case: Case, content_type: str, body: bytes, client: x509.Certificate | None, *,
        hiding: submissions.Hiding | None = None, again: bool = False, warning: str = "",
    ) -> Answer:  # fmt: skip
        """Judge a request, carry it out when nothing is broken, write the answer.

        client: certificate of the TLS connection. again: the second delivery of one request: its assertion may have
        been used. warning: code of a warning to add to a success.
        """
        judge = Judge(case.findings)
        inside = ""
        with self.registry.transaction():
            try:
                received = wire.read(content_type, body, judge)
                case.envelope = soap.read(received.envelope, self._requests(case.service), received.action, judge)
                self._sender(case, client, judge, again=again)
                inside = self._work(case, received, hiding or submissions.Hiding(), judge)
            except Broken:
                inside = ""
            case.verdict = "refused" if judge.findings else "accepted"
            self.registry.count(f"{case.service}.{case.verdict}")
        return self._answer(case, inside, warning)

    def _requests(self, service: str) -> dict[str, frozenset[str]]:
        return {
            names.REPOSITORY: {_PROVIDE: self.settings.actions},
            names.REGISTRY: {_SUBMIT: frozenset({names.ITI_57}), _QUERY: frozenset({names.ITI_18})},
            names.PATIENTS: {_DEMOGRAPHICS: frozenset({names.TD0_2})},
        }[service]

    def _sender(self, case: Case, client: x509.Certificate | None, judge: Judge, *, again: bool) -> None:
        judge.check(client is not None and self.trust.holds(client), "tls.certificate")
        judge.check(client is not None and trust.is_client(client), "tls.client-use")
        assertion = case.envelope.assertion if case.envelope is not None else None
        if assertion is None:
            raise Broken
        said = case.vihf = vihf.read(assertion, judge, self.settings, self.trust)
        judge.check(client is not None and trust.structure(client) == said.structure, "tls.structure")
        judge.check(self.registry.is_first_use(said.id) or again, "vihf.once", "ID")
        judge.check(said.patient is None or said.patient[1] in names.INS_TEST, "ins.production", "resource-id")

    def _work(self, case: Case, received: wire.Received, hiding: submissions.Hiding, judge: Judge) -> str:
        said, found = case.vihf, case.envelope
        if said is None or found is None:
            raise Broken
        desk = submissions.Desk(self.registry, self.settings, self.trust)
        tag = found.request.tag
        if tag == _PROVIDE:
            judge.check(received.is_mtom or self.settings.inline, "http.media-type", "Content-Type")
            contents = lot.contents(found.request, received, judge, inline=self.settings.inline)
            submits = soap.find(found.request, "lcm:SubmitObjectsRequest")
            judge.need(len(submits) == 1, "xml.structure", "SubmitObjectsRequest")
            case.lot = lot.read(submits[0], contents)
            desk.submit(found.request, case.lot, said, judge, hiding)
        elif tag == _SUBMIT:
            case.lot = lot.read(found.request)
            desk.delete(found.request, case.lot, said, judge)
        elif tag == _QUERY:
            return queries.answer(found.request, said, self.registry, self.settings, judge)
        else:
            patient = patients.asked(found.request, said, judge)
            return patients.answer(found.request, patient, self.registry.patient(patient[0]), self.settings.clock())
        return ""

    def _answer(self, case: Case, inside: str, warning: str) -> Answer:
        relates = case.envelope.message_id if case.envelope is not None else ""
        tag = str(case.envelope.request.tag) if case.envelope is not None else ""
        faults = [one for one in case.findings if one.rule.is_fault]
        if faults or case.envelope is None:
            code = faults[0].rule.code if faults else "Sender"
            return Answer(500, soap.fault(code, [str(one) for one in case.findings], relates_to=relates))
        if tag == _DEMOGRAPHICS:
            now, reasons = self.settings.clock(), [str(one) for one in case.findings]
            text = patients.refusal(case.envelope.request, reasons, now) if reasons else inside
        else:
            errors = [soap.Error(_code(one, case.service), str(one), one.place) for one in case.findings]
            if warning and not errors:
                errors = [soap.Error(warning, "avertissement demandé", severity="Warning")]
            element = "query:AdhocQueryResponse" if tag == _QUERY else "rs:RegistryResponse"
            empty = "<rim:RegistryObjectList/>" if tag == _QUERY else ""
            status = "Failure" if case.findings else "Success"
            text = soap.registry_answer(status, errors, element=element, inside=inside or empty)
        return Answer(200, soap.envelope(text, action=_ANSWERS[tag], relates_to=relates))


def _code(finding: Finding, service: str) -> str:
    """The repository's code of a rule, or the registry's."""
    code = finding.rule.code
    return code.replace("Repository", "Registry") if service == names.REGISTRY else code


def refusal(case: Case, status: str, code: str) -> Answer:
    """A registry's answer of one error, as asked of the simulator."""
    relates = case.envelope.message_id if case.envelope is not None else ""
    element = "rs:RegistryResponse"
    errors = [soap.Error(code, "refus demandé au simulateur")]
    if case.service == names.PATIENTS:
        return Answer(500, soap.fault("Receiver", [f"{code} : refus demandé au simulateur"], relates_to=relates))
    text = soap.registry_answer(status, errors, element=element)
    return Answer(200, soap.envelope(text, action=_ANSWERS[_PROVIDE], relates_to=relates))
