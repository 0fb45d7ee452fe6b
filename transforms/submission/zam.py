"""Business acknowledgements (ZAM): what became of a document after it was accepted.

Source: ANS CI-SIS volet "Transmission de documents CDA en HL7v2" 2.1 and 2.0 (ZAM^Z01 to Z03, tables of SMTP and
application codes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from channels.errors import ParseError
from transforms import er7
from transforms.conditions import TEXTS
from transforms.escapes import Separators, escape
from transforms.submission.due import Due, Kind

PROFILES = {"2.1": "2.1^CISIS_CDA_HL7_V2", "2.0": "2.0^CISIS_CDA_HL7_V2", "1.2": "1.2^CISIS_CDA_HL7_V1"}
"""MSH-21 of the volet, by its version."""
_STATUS = {
    "Z01": ("ACK_RECEPTION_DMP", "Accusé de réception DMP"),
    "Z02": ("ACK_RECEPTION_MSS", "Accusé de réception MSSanté"),
    "Z03": ("ACK_LECTURE_MSS", "Accusé de lecture"),
}
_WHO = {"Z02": ("DESTINATAIRE_MSS", "Destinataire MSSanté"), "Z03": ("LECTEUR_MSS", "Lecteur du courriel MSSanté")}
_SYSTEMS = {"Z01": "DMP_ERROR_CODE", "Z02": "SMTPERRORCODE", "Z03": "applicationErrorCondition"}
_USUAL = Separators("|", "^", "~", "\\", "&")
_LONGEST = 250


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One ZAM. of: MSH-10 of the request.

    sending_*, receiving_*: its own MSH-3 to MSH-6; it goes back to who asked, so they are the request's, swapped.

    code, label, system: ERR-5 of a negative one. address, reader: mailbox and person of Z02 and Z03.
    time, event_time: MSH-7 and EVN-2 as written. profile: ``2.1``, ``2.0``, ``1.2``.
    """

    kind: Kind
    positive: bool
    of: str
    control_id: str
    time: str
    event_time: str = ""
    code: str = ""
    label: str = ""
    system: str = ""
    address: str = ""
    reader: str = ""
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: str = "P"
    profile: str = "2.1"


def write(due: Due, *, at: datetime) -> bytes:
    """The ZAM of an acknowledgement that is due, UTF-8. at: of MSH-7 and EVN-2, in the establishment's zone."""
    outcome, stamp = due.outcome, at.strftime("%Y%m%d%H%M%S")
    return encode(
        Acknowledgement(
            outcome.kind, outcome.positive, due.of, due.control_id, stamp, stamp, outcome.code, outcome.label,
            outcome.system, outcome.address, outcome.reader, due.receiving_application, due.receiving_facility,
            due.sending_application, due.sending_facility, due.processing_id, due.profile,
        )
    )  # fmt: skip


def encode(one: Acknowledgement) -> bytes:
    """An acknowledgement as ER7, UTF-8; in the words of the profile in which the document was handed in."""
    old = one.profile in ("2.0", "1.2")
    system = "HL70136" if old else "expandedYes-NoIndicator"
    profile = PROFILES.get(one.profile, PROFILES["2.1"])
    route = "|".join(
        _text(part)
        for part in (one.sending_application, one.sending_facility, one.receiving_application, one.receiving_facility)
    )
    header = (
        f"MSH|^~\\&|{route}|{_text(one.time)}||ZAM^{one.kind}^ZAM_Z01|{_text(one.control_id)}|"
        f"{_text(one.processing_id or 'P')}|2.6|||||FRA|UNICODE UTF-8|||{profile}"
    )
    code, label = _STATUS[one.kind]
    lines = [
        header,
        f"EVN||{_text(one.event_time or one.time)}",
        f"OBX|1|CWE|{code}^{label}^AckMetierZAM|{_text(one.of)}|{'Y' if one.positive else 'N'}^^{system}||||||F",
    ]
    if one.kind in _WHO:
        code, label = _WHO[one.kind]
        lines.append(f"OBX|2|XTN|{code}^{label}^AckMetierZAM|{_text(one.reader)}|^^X.400^{_text(one.address)}||||||F")
    if not one.positive:
        error = (one.code or "906", one.label or TEXTS.get(one.code or "906", ""), one.system or _SYSTEMS[one.kind])
        condition = "Application internal error^HL70357" if old else "Application error^messageErrorCondition"
        lines.append(f"ERR|||207^{condition}|E|{'^'.join(_text(part) for part in error)}")
    return ("\r".join(lines) + "\r").encode()


def _text(text: str) -> str:
    """Escaped; a line break would begin a segment."""
    return escape(" ".join(text[:_LONGEST].split()), _USUAL)


def read(body: bytes) -> Acknowledgement:
    """A ZAM of any version of the volet.

    Raises:
        ParseError: it is none, or does not say which request it is about.
    """
    parsed = er7.parse(body)
    header = parsed.header
    status = parsed.first("OBX")
    kind = header.kind.partition("^")[2]
    if header.kind.partition("^")[0] != "ZAM" or kind not in _STATUS or status is None:
        raise ParseError("not a business acknowledgement (ZAM)", "MSH-9")
    answer = status.get("5.1").strip().upper()
    if answer not in ("Y", "N"):
        raise ParseError("the answer is neither Y nor N", "OBX-5")
    if not status.get("4").strip():
        raise ParseError("the request that is acknowledged is not named", "OBX-4")
    others = [one for one in parsed.all("OBX")[1:] if one.get("3.1").strip() in ("DESTINATAIRE_MSS", "LECTEUR_MSS")]
    who, error = (others[0] if others else None), parsed.first("ERR")
    return Acknowledgement(
        cast("Kind", kind),
        answer == "Y",
        status.get("4").strip(),
        header.control_id,
        parsed.get("MSH-7"),
        parsed.get("EVN-2"),
        error.get("5.1").strip() if error else "",
        error.get("5.2").strip() if error else "",
        error.get("5.3").strip() if error else "",
        who.get("5.4").strip() if who else "",
        who.get("4").strip() if who else "",
        header.component(3),
        header.component(4),
        header.component(5),
        header.component(6),
        header.component(11) or "P",
        header.component(21).strip() or "2.1",
    )
