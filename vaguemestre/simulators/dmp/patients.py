"""TD0.2: does this patient have a DMP, and may we feed it.

Source: DMPi TD0.2; HL7 V3 PRPA_IN201307UV02 and PRPA_IN201308UV02 (Patient Registry Get Demographics).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from vaguemestre.simulators.dmp import identifiers, names, soap
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.vihf import Vihf

_REASONS = "1.2.250.1.213.1.1.4.11"
_QUERY = "hl7:controlActProcess/hl7:queryByParameter/"


def asked(request: etree._Element, vihf: Vihf, judge: Judge) -> tuple[str, str]:
    """Check a question; INS and authority of the patient it is about, empty when it is not readable."""
    _message(request, judge)
    values = soap.find(request, _QUERY + "hl7:parameterList/hl7:patientIdentifier/hl7:value")
    shown = (str(values[0].get("extension", "")), str(values[0].get("root", ""))) if len(values) == 1 else ("", "")
    text = soap.text(request, _QUERY + "hl7:parameterList/hl7:patientIdentifier/hl7:semanticsText")
    kept = shown[1] in names.INS_TEST + names.INS_PRODUCTION and text == "Patient.id"
    judge.check(shown[1] not in names.INS_PRODUCTION, "ins.production", "patientIdentifier")
    judge.check(not shown[1] or identifiers.has_ins_key(shown[0]), "ins.key", "patientIdentifier")
    statuses = [one.get("code") for one in soap.find(request, _QUERY + "hl7:statusCode")]
    query = soap.find(request, _QUERY + "hl7:queryId")
    judge.check(kept and statuses == ["new"] and query, "patients.query", "queryByParameter")
    judge.check(shown == vihf.patient, "vihf.other-patient", "patientIdentifier")
    return shown


def _message(request: etree._Element, judge: Judge) -> None:
    interaction = [(one.get("root"), one.get("extension")) for one in soap.find(request, "hl7:interactionId")]
    kept = request.get("ITSVersion") == "XML_1.0" and interaction == [(names.INTERACTIONS, "PRPA_IN201307UV02")]
    judge.check(
        kept and soap.find(request, "hl7:id") and soap.find(request, "hl7:creationTime"), "patients.interaction"
    )
    codes = [
        "".join(str(one.get("code")) for one in soap.find(request, f"hl7:{name}"))
        for name in ("processingCode", "processingModeCode", "acceptAckCode")
    ]
    judge.check(codes in (["D", "T", "AL"], ["P", "T", "AL"]), "patients.codes")
    receivers = soap.find(request, "hl7:receiver/hl7:device/hl7:id")
    senders = soap.find(request, "hl7:sender/hl7:device/hl7:id")
    known = [one.get("root") for one in receivers] == [names.DMP_DEVICE]
    judge.check(known and senders and identifiers.is_oid(senders[0].get("root", "")), "patients.devices")
    reasons = [
        (one.get("codeSystem"), one.get("code")) for one in soap.find(request, "hl7:controlActProcess/hl7:reasonCode")
    ]
    judge.check(reasons in ([(_REASONS, "TEST_EXST")], [(_REASONS, "CNSLT_DATA")]), "patients.reason")


def answer(request: etree._Element, patient: tuple[str, str], state: str, now: datetime) -> str:
    """PRPA_IN201308UV02 for a patient in a state: active, closed, none, opposed."""
    event = _event(patient, state, now) if state != "none" else ""
    found = "NF" if state == "none" else "OK"
    rights = {"none": "NON_EXISTE", "opposed": "INTERDIT"}.get(state, "VALIDE")
    return _interaction(request, now, ("AA", found), _line("AUTORISATION", rights), event)


def refusal(request: etree._Element, reasons: list[str], now: datetime) -> str:
    """The same message with AE and what is wrong."""
    details = "".join(
        f'<acknowledgementDetail typeCode="E"><text>{escape(one)}</text></acknowledgementDetail>' for one in reasons
    )
    return _interaction(request, now, ("AE", "AE"), details=details)


def _interaction(
    request: etree._Element, now: datetime, codes: tuple[str, str], lines: str = "", event: str = "", details: str = ""
) -> str:
    ack, found = codes
    sent = soap.find(request, "hl7:id")
    root, extension = (sent[0].get("root", ""), sent[0].get("extension", "")) if sent else ("", "")
    queries = soap.find(request, _QUERY + "hl7:queryId")
    query = (queries[0].get("root", ""), queries[0].get("extension", "")) if queries else ("", "")
    return (
        f'<PRPA_IN201308UV02 xmlns="{names.HL7}" xmlns:xsi="{names.XSI}" ITSVersion="XML_1.0">'
        f'<id root="{uuid.uuid4()}"/><creationTime value="{now:%Y%m%d%H%M%S%z}"/>'
        f'<interactionId root="{names.INTERACTIONS}" extension="PRPA_IN201308UV02"/><processingCode code="D"/>'
        f'<processingModeCode code="T"/><acceptAckCode code="NE"/>{_receiver(request)}'
        f'<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE"><id root="{names.DMP_DEVICE}"/>'
        f"<name>DMP</name></device></sender>{lines}"
        f'<acknowledgement typeCode="{ack}"><targetMessage>'
        f"<id root={quoteattr(root)} extension={quoteattr(extension)}/></targetMessage>{details}</acknowledgement>"
        f'<controlActProcess classCode="CACT" moodCode="EVN">{event}<queryAck>'
        f"<queryId root={quoteattr(query[0])} extension={quoteattr(query[1])}/>"
        f'<queryResponseCode code="{found}"/></queryAck></controlActProcess></PRPA_IN201308UV02>'
    )


def _receiver(request: etree._Element) -> str:
    senders = soap.find(request, "hl7:sender/hl7:device/hl7:id")
    root = quoteattr(senders[0].get("root", "")) if senders else '""'
    return (
        '<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE">'
        f"<id root={root}/></device></receiver>"
    )


def _event(patient: tuple[str, str], state: str, now: datetime) -> str:
    closed = state == "closed"
    time = f'<effectiveTime><high value="{now:%Y%m%d}"/></effectiveTime>' if closed else ""
    reason = (
        '<reasonOf typeCode="RSON"><detectedIssueEvent classCode="ALRT" moodCode="EVN"><code code="FERMETURE"/>'
        "</detectedIssueEvent></reasonOf>"
        if closed
        else ""
    )
    return (
        '<subject typeCode="SUBJ"><registrationEvent classCode="REG" moodCode="EVN"><statusCode code="active"/>'
        f'{time}<subject1 typeCode="SBJ"><patient classCode="PAT">'
        f"<id root={quoteattr(patient[1])} extension={quoteattr(patient[0])}/>"
        f'<statusCode code="{"terminated" if closed else "active"}"/></patient></subject1>{reason}'
        "</registrationEvent></subject>"
    )


def _line(word: str, value: str) -> str:
    return f'<attentionLine><keyWordText>{word}</keyWordText><value xsi:type="ST">{value}</value></attentionLine>'
