"""TD0.2: has the patient a DMP, and is it active (HL7 v3 query by INS)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lxml import etree

from connectors.dmp.soap import Broken
from connectors.dmp.xml import HL7, XSI, Element, add, local

Record = Literal["active", "closed", "none"]
_INTERACTION = "PRPA_IN201307UV02"
_DMP = "1.2.250.1.213.4.1.1.1"


@dataclass(frozen=True, slots=True)
class Question:
    """processing: ``P`` production, ``D`` test. sender: OID of this engine, and its name."""

    ins: str
    ins_oid: str
    processing: str
    sender: str
    sender_name: str
    reason: str = "TEST_EXST"
    receiver: str = _DMP


def existence_request(question: Question, at: datetime, number: str = "") -> bytes:
    """The query. Source: HL7 v3 PRPA_IN201307UV02 as the DMP takes it (TD0.2)."""
    number = number or str(uuid.uuid4())
    root = etree.Element(f"{{{HL7}}}{_INTERACTION}", {"ITSVersion": "XML_1.0"}, nsmap={None: HL7, "xsi": XSI})
    _add(root, "id", root=number)
    _add(root, "creationTime", value=at.astimezone(UTC).strftime("%Y%m%d%H%M%S"))
    _add(root, "interactionId", root="2.16.840.1.113883.1.6", extension=_INTERACTION)
    _add(root, "processingCode", code=question.processing)
    _add(root, "processingModeCode", code="T")
    _add(root, "acceptAckCode", code="AL")
    _device(root, "receiver", "RCV", question.receiver, "DMP")
    _device(root, "sender", "SND", question.sender, question.sender_name)
    line = _add(root, "attentionLine")
    line.set(f"{{{XSI}}}nil", "true")
    act = _add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    _add(act, "reasonCode", code=question.reason, codeSystem="1.2.250.1.213.1.1.4.11")
    query = _add(act, "queryByParameter")
    _add(query, "queryId", root=str(uuid.uuid5(uuid.NAMESPACE_OID, number)))
    _add(query, "statusCode", code="new")
    parameters = _add(query, "parameterList")
    _add(parameters, "dataSource").set(f"{{{XSI}}}nil", "true")
    patient = _add(parameters, "patientIdentifier")
    _add(patient, "value", root=question.ins_oid, extension=question.ins)
    _add(patient, "semanticsText").text = "Patient.id"
    return etree.tostring(root)


def read_existence(element: Element) -> Record:
    """The state of the record. What identifies the patient in the answer is not looked at (RG_0320).

    Raises:
        Broken: the answer is of another kind, or an error.
    """
    if local(element) != "PRPA_IN201308UV02":
        raise Broken
    said = element.find(f".//{{{HL7}}}queryAck/{{{HL7}}}queryResponseCode")
    code = said.get("code", "") if said is not None else ""
    if code == "NF":
        return "none"
    status = element.find(f".//{{{HL7}}}subject1/{{{HL7}}}patient/{{{HL7}}}statusCode")
    if code != "OK" or status is None:
        raise Broken
    return "active" if status.get("code", "") == "active" else "closed"


def _device(parent: Element, name: str, kind: str, oid: str, label: str) -> None:
    device = _add(_add(parent, name, typeCode=kind), "device", classCode="DEV", determinerCode="INSTANCE")
    _add(device, "id", root=oid)
    _add(device, "name").text = label


def _add(parent: Element, name: str, /, **attributes: str) -> Element:
    return add(parent, f"{{{HL7}}}{name}", None, **attributes)
