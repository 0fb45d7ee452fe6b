"""The table of defects met in real messages, row by row: what is done about each, and where.

The rows are those of docs/tolerance.md. ``T`` tolerated, ``W`` noticed, ``F`` repaired by ``hl7.repair`` (readers bear
it as it is), ``R`` refused. Rows of other layers name the tests that hold them.
"""

# ruff: noqa: E501  a row of the table is one line

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from channels.errors import ConfigError, Finding, Level, ParseError, UnsupportedError
from channels.message import Message
from channels.ports import Context, Tables
from channels.registry import find
from tests.connectors.intake import SITE
from transforms import batch, er7
from transforms.admission import Admission
from transforms.tolerance import RULES, Inspector, inspect, rule_names

HEAD = "MSH|^~\\&|GAP|CH|PFI|CH|20260310083015||ADT^A01^ADT_A01|1|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8|FR||2.11^IHE_FRANCE-2.11-PAM"
ORU = "MSH|^~\\&|SGL|CH|PFI|CH|20260310083015||ORU^R01^ORU_R01|1|P|2.5|||||FRA|UNICODE UTF-8"
MDM = "MSH|^~\\&|DPI|CH|PFI|CH|20260310083015||MDM^T02^MDM_T02|1|P|2.6|||||FRA|UNICODE UTF-8|||2.1^CISIS_CDA_HL7_V2"
EVN = "EVN||20260310083015||||20260310083000"
PID = "PID|1||700123^^^CH&99&M^PI||MODELE^ALIX^^^^^L||19900615|F||||||||||A26^^^CH^AN||||||||||||||VALI"
PV1 = "PV1|1|I|3120||||||||||||||||V26^^^CH^VN"
ZBE = "ZBE|M1^GAP|20260310083000||INSERT|N||UF^^^^^CH^UF^^^3120|UF^^^^^CH^UF^^^3120|HMS"
ADT = [HEAD, EVN, PID, PV1, ZBE]
OBR = "OBR|1|P1|F1|NFS" + "|" * 21 + "F"
LAB = [ORU, PID, PV1, "ORC|RE", OBR]
INS = "290067505600227^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS"
INS_OF_ANOTHER = "160017500100114"


def obx(value: str, kind: str = "ST", status: str = "F", code: str = "X^x^L") -> str:
    return f"OBX|1|{kind}|{code}||{value}||||||{status}"


def cda(ins: str = "290067505600227", number: str = "1.2.3") -> str:
    text = (
        f'<ClinicalDocument xmlns="urn:hl7-org:v3"><typeId root="x"/><id root="{number}"/><recordTarget><patientRole>'
        f'<id extension="{ins}" root="1.2.250.1.213.1.4.10"/></patientRole></recordTarget></ClinicalDocument>'
    )
    return base64.b64encode(text.encode()).decode()


def document(data: str, kind: str = "ED", code: str = "11502-2^CR^LN") -> str:
    return f"OBX|1|{kind}|{code}||^TEXT^XML^Base64^{data}||||||F"


def flag(code: str, value: str) -> str:
    return f"OBX|2|CE|{code}^x^MetaDMPMSS||{value}^^expandedYes-NoIndicator||||||F"


def recipient(address: str, person: str = "") -> str:
    return f"PRT||UC||RCT^Result Copies To^participation|{person}||||||||||^^X.400^{address}"


def joined(lines: list[str], end: str = "\r") -> bytes:
    return (end.join(lines) + end).encode()


def changed(lines: list[str], **fields: str) -> list[str]:
    """Lines with fields replaced: ``PID_8="female"``."""
    parsed = er7.parse(joined(lines))
    for place, value in fields.items():
        segment_id, number = place.split("_")
        segment = parsed.first(segment_id)
        assert segment is not None
        segment[int(number)] = value
    return parsed.encode().decode().split("\r")[:-1]


def without(lines: list[str], segment_id: str) -> list[str]:
    return [line for line in lines if not line.startswith(segment_id)]


def noticed(body: bytes) -> dict[str, tuple[str, Level]]:
    """Rule -> place and level, without what every message of these tests has."""
    message = er7.message(body)
    problems = {(rule.problem, rule.code): rule.name for rule in RULES.values()}
    return {problems[one.problem, one.code]: (one.place, one.level) for one in inspect(message)}


def no_table(name: str) -> Tables:
    raise ConfigError(f"no table {name}")


CONTEXT = Context(SITE, "adt", datetime(2026, 3, 10, tzinfo=UTC), no_table)


def repaired(body: bytes) -> bytes:
    step = find("transform", "hl7.repair")
    once: Message = step(er7.message(body), CONTEXT)
    assert step(once, CONTEXT).body == once.body, "a repair is done once"
    return once.body


class Row(NamedTuple):
    """One defect. rule: what is noticed, ``""`` when it is only borne. fixed: a text of the repaired message."""

    number: int
    what: str
    body: bytes
    rule: str = ""
    place: str = ""
    level: Level = "warn"
    fixed: bytes = b""


TAIL = [EVN, PID, PV1, ZBE]

ROWS = [
    Row(1, "LF", joined(ADT, "\n"), fixed=joined(ADT)),
    Row(1, "CRLF", joined(ADT, "\r\n"), fixed=joined(ADT)),
    Row(2, "mixed", joined(ADT[:2], "\n") + joined(ADT[2:4], "\r\n") + joined(ADT[4:]), fixed=joined(ADT)),
    Row(3, "no terminator at the end", joined(ADT)[:-1], fixed=joined(ADT)),
    Row(4, "blank lines", joined(ADT, "\r\r") + b"\r\n\r", fixed=joined(ADT)),
    Row(5, "indented segment", joined([HEAD, EVN, "\t  " + PID, PV1, ZBE]), "indented", "PID", fixed=joined(ADT)),
    Row(5, "indented MSH", b"  " + joined(ADT), "indented", "MSH", fixed=joined(ADT)),
    Row(6, "byte order mark", b"\xef\xbb\xbf" + joined(ADT), "byte_order_mark", "MSH", fixed=joined(ADT)),
    Row(7, "VT and FS inside", b"\x0b" + joined(ADT) + b"\x1c\r", fixed=joined(ADT)),
    Row(8, "line break in a field", joined([*ADT, "ZFM||a", "b", *["ZFP"] * 9]), "text_outside", "ZFM", fixed=b"ZFM||a\\X0A\\b\r"),
    Row(8, "much of it", joined([HEAD, EVN, "a", "b"]), "much_text_outside", "EVN", "reject"),
    Row(11, "another field separator", joined(ADT).replace(b"|", b"#")),
    Row(12, "four or five signs", joined(["MSH|^~\\&#" + HEAD[8:], *TAIL])),
    Row(12, "doubled escape", joined(["MSH|^~\\\\&" + HEAD[8:], *TAIL]), "delimiters", "MSH-2", fixed=b"MSH|^~\\&|GAP"),
    Row(12, "&amp;", joined(["MSH|^~\\&amp;" + HEAD[8:], *TAIL]), "delimiters", "MSH-2", fixed=b"MSH|^~\\&|GAP"),
    Row(12, "one sign", joined(["MSH|^" + HEAD[8:], EVN, *TAIL[3:]]), "delimiters", "MSH-2"),
    Row(13, "small tilde", joined([HEAD.replace("~", "\u02dc"), EVN, PID.replace("MODELE", "MO~DELE"), PV1, ZBE])),
    Row(14, "one component", joined(changed(ADT, MSH_9="ORU")), "message_type", "MSH-9"),
    Row(14, "no structure", joined(changed(ADT, MSH_9="ADT^A01"))),
    Row(14, "repeated type", joined(changed(ADT, MSH_9="ADT^ADT^A28")), "message_type", "MSH-9", fixed=b"|ADT^A28^ADT_A05|"),
    Row(14, "structure as type", joined(changed(LAB, MSH_9="ORU_R01")), "message_type", "MSH-9", fixed=b"|ORU^R01^ORU_R01|"),
    Row(14, "five components", joined(changed(ADT, MSH_9="MDM^T02^MDM^T02^MDM_T02")), "message_type", "MSH-9"),
    Row(14, "no type", joined(changed(ADT, MSH_9="")), "message_type_missing", "MSH-9", "reject"),
    Row(15, "no control id", joined(changed(ADT, MSH_10="")), "control_id", "MSH-10"),
    Row(17, "no processing id", joined(changed(ADT, MSH_11="")), "processing_id", "MSH-11"),
    Row(17, "processing mode", joined(changed(ADT, MSH_11="P^T"))),
    Row(18, "no time", joined(changed(ADT, MSH_7="")), "message_time", "MSH-7"),
    Row(18, "no time of HL7", joined(changed(ADT, MSH_7="2015-11-25")), "message_time", "MSH-7"),
    Row(18, "hour 24", joined(changed(ADT, MSH_7="2026031024")), "message_time", "MSH-7"),
    Row(19, "no version", joined(changed(ADT, MSH_12="")), "version", "MSH-12"),
    Row(19, "odd version", joined(changed(ADT, MSH_12="V25")), "version", "MSH-12"),
    Row(19, "composite version", joined(ADT)),
    Row(20, "enhanced mode", joined(changed(ADT, MSH_15="AL", MSH_16="NE"))),
    Row(21, "nothing declared, Latin-1", joined(changed(ADT, MSH_18="")).replace(b"ALIX", b"ZO\xc9"), "charset", "MSH-18", fixed=b"|8859/1|"),
    Row(21, "nothing declared, UTF-8", joined(changed(ADT, MSH_18="")).replace(b"ALIX", "ZOÉ".encode()), "charset", "MSH-18", fixed=b"|UNICODE UTF-8|"),
    Row(21, "ASCII with 8 bits", joined(changed(ADT, MSH_18="ASCII")).replace(b"ALIX", b"ZO\xc9"), "charset", "MSH-18", fixed=b"|8859/1|"),
    Row(21, "UTF-8 that does not decode", joined(ADT).replace(b"ALIX", b"ZO\xc9"), "charset", "MSH-18", fixed=b"|8859/1|"),
    Row(21, "another spelling", joined(changed(ADT, MSH_18="utf-8")), "charset", "MSH-18", fixed=b"|UNICODE UTF-8|"),
    Row(21, "8859/1", joined(changed(ADT, MSH_18="8859/1")).replace(b"ALIX", b"ZO\xc9")),
    Row(22, "no MSH-17, -19, -21", joined(changed(LAB, MSH_17=""))),
    Row(23, "lower-case id", joined([HEAD, EVN, "pid" + PID[3:], PV1, ZBE]), "segment_id", "PID", fixed=joined(ADT)),
    Row(23, "odd id", joined([*ADT, "PID1|x", *["ZFP"] * 9]), "segment_id", "ZBE"),
    Row(24, "segments without fields", joined([*ADT, "ZFP", "ZFP|"])),
    Row(25, "unknown Z segments", joined([*ADT, "ZQX|1^2|3"])),
    Row(26, "trailing separators", joined([HEAD + "|||", EVN, PID + "||", PV1 + "|^^|", ZBE])),
    Row(27, "more fields than the version", joined([*ADT, "ZFA|" + "|".join(map(str, range(60)))])),
    Row(28, "null", joined(changed(ADT, PID_7='""', PID_11='""^""'))),
    Row(29, "markup in a text", joined([*LAB, obx("<html><body>x</body></html>", "TX")]), "markup", "OBX-5"),
    Row(30, "unknown escape", joined([*LAB, obx("a\\Q\\b")]), "escape", "OBX-5"),
    Row(30, "lone escape", joined([*LAB, obx("C:\\temp")]), "escape", "OBX-5"),
    Row(30, "text commands, hex, doubly escaped", joined([*LAB, obx("a\\.br\\b\\X0D0A\\c\\E\\F\\E\\", "FT")])),
    Row(31, "no value type", joined([*LAB, obx("x", "")]), "value_type_missing", "OBX-2", fixed=b"OBX|1|ST|"),
    Row(32, "unknown value type", joined([*LAB, obx("x", "TXT")]), "value_type", "OBX-2", fixed=b"OBX|1|ST|"),
    Row(32, "composite value type", joined([*LAB, obx("x", "CWE^^HL70125")]), "value_type", "OBX-2", fixed=b"OBX|1|CWE|"),
    Row(33, "no status", joined([*LAB, obx("x", status="")]), "status_missing", "OBX-11", fixed=b"||||||F\r"),
    Row(33, "no status, order preliminary", joined([*LAB[:-1], OBR[:-1] + "P", obx("x", status="")]), "status_missing", "OBX-11", fixed=b"||||||P\r"),
    Row(34, "status with a blank", joined([*LAB, obx("x", status="F ")]), "status", "OBX-11", fixed=b"||||||F\r"),
    Row(34, "status with its text", joined([*LAB, obx("x", status="F^Final^HL70085")]), "status", "OBX-11", fixed=b"||||||F\r"),
    Row(34, "status unknown", joined([*LAB, obx("x", status="unknown")]), "status", "OBX-11", fixed=b"||||||unknown\r"),
    Row(35, "a comparison as a number", joined([*LAB, obx("<0.5", "NM")]), "number", "OBX-5", fixed=b"OBX|1|SN|X^x^L||<^0.5|"),
    Row(35, "a text as a number", joined([*LAB, obx("Négatif", "NM")]), "number", "OBX-5", fixed="OBX|1|ST|X^x^L||Négatif|".encode()),
    Row(35, "a decimal comma", joined([*LAB, obx("12,5", "NM")]), "number", "OBX-5", fixed=b"OBX|1|ST|X^x^L||12,5|"),
    Row(36, "a date that is none", joined([*LAB, obx("25/11/2015", "DT")]), "date", "OBX-5"),
    Row(37, "no coding system", joined([*LAB, obx("x", code="NFS^x^^58410-2^y^LN")])),
    Row(38, "a result without an order", joined([ORU, PID, obx("x")]), "order_missing", "OBX"),
    Row(38, "a result before its order", joined([ORU, PID, obx("x"), OBR, obx("y")]), "order_missing", "OBX"),
    Row(38, "no patient", joined([ORU, "OBR|1", obx("x")]), "patient_missing", "PID", "reject"),
    Row(38, "an answer to a known order", joined([ORU, OBR, obx("x")])),
    Row(39, "a very large value", joined([*LAB, document(base64.b64encode(b"x" * 500_000).decode())])),
    Row(40, "no padding", joined([*LAB, document("QQ")]), "base64", "OBX-5.5", fixed=b"^Base64^QQ==|"),
    Row(40, "line breaks", joined([*LAB, document("QUJD\\.br\\REVG \\X0D0A\\R0hJ")]), "base64", "OBX-5.5", fixed=b"^QUJDREVGR0hJ|"),
    Row(40, "data URL", joined([*LAB, document("data:text/xml;base64,QUJD")]), "base64", "OBX-5.5", fixed=b"^Base64^QUJD|"),
    Row(40, "URL alphabet", joined([*LAB, document("-_-_")]), "base64", "OBX-5.5", fixed=b"^Base64^+/+/|"),
    Row(40, "wrong length", joined([*LAB, document("A" * 93)]), "base64_undecodable", "OBX-5.5", "reject"),
    Row(40, "not Base64", joined([*LAB, document("ab*d")]), "base64_undecodable", "OBX-5.5", "reject"),
    Row(40, "a mail text", joined([*LAB, document("A" * 93, code="CORPSMAIL_PS^x^MetaDMPMSS")]), "mail_text_undecodable", "OBX-5.5"),
    Row(41, "case of the subtype", joined([*LAB, "OBX|1|ED|X^x^LN||^text^XML^BASE64^QUJD||||||F"])),
    Row(42, "PID-3 empty", joined(changed(ADT, PID_3="")), "patient_id_missing", "PID-3"),
    Row(42, "no key at all", joined(changed([ORU, PID, OBR], PID_3="")), "patient_key_missing", "PID-3", "reject"),
    Row(43, "no type nor authority", joined(changed(ADT, PID_3="700123^^^CH^PI~12345"))),
    Row(44, "birth date", joined(changed(ADT, PID_7="15/06/1990")), "birth_date", "PID-7"),
    Row(45, "a word", joined(changed(ADT, PID_8="Female")), "sex", "PID-8", fixed=b"|19900615|F|"),
    Row(45, "with its text", joined(changed(ADT, PID_8="M^Male^HL70001")), "sex", "PID-8", fixed=b"|19900615|M|"),
    Row(45, "a digit", joined(changed(ADT, PID_8="2")), "sex", "PID-8", fixed=b"|19900615|F|"),
    Row(45, "another value", joined(changed(ADT, PID_8="Z")), "sex", "PID-8", fixed=b"|19900615|Z|"),
    Row(46, "type in lower case", joined(changed(ADT, PID_5="MODELE^ALIX^^^^^l")), "name_type", "PID-5", fixed=b"||MODELE^ALIX^^^^^L||"),
    Row(46, "type in component 8", joined(changed(ADT, PID_5="M^A^A B^^^Mme^^L")), "name_type", "PID-5", fixed=b"||M^A^A B^^Mme^^L||"),
    Row(46, "type M", joined(changed(ADT, PID_5="M^A^^^^^M")), "name_type", "PID-5", fixed=b"||M^A^^^^^L||"),
    Row(46, "type B beside L", joined(changed(ADT, PID_5="M^A^^^^^L~N^A^^^^^B")), "name_type", "PID-5", fixed=b"~N^A^^^^^B||"),
    Row(46, "only L, or D and L", joined(changed(ADT, PID_5="M^A^^^^^D~M^A^^^^^L"))),
    Row(47, "birth name in PID-6", joined(changed(ADT, PID_6="NAISSANCE^^^^^^M")), "mother_name", "PID-6"),
    Row(48, "INS not validated", joined(changed(ADT, PID_3=f"7^^^CH^PI~{INS}", PID_32="PROV")), "ins_unverified", "PID-3[2]", fixed=b"||7^^^CH^PI||"),
    Row(48, "INS without a status", joined(changed(ADT, PID_3=f"7^^^CH^PI~{INS}", PID_32="")), "ins_unverified", "PID-3[2]", fixed=b"||7^^^CH^PI||"),
    Row(49, "wrong key", joined(changed(ADT, PID_3=f"7^^^CH^PI~{INS.replace('227^', '228^', 1)}")), "ins_wrong", "PID-3[2].1", fixed=b"||7^^^CH^PI||"),
    Row(49, "no key", joined(changed(ADT, PID_3=f"7^^^CH^PI~{INS.replace('27^', '^', 1)}")), "ins_wrong", "PID-3[2].1", fixed=b"||7^^^CH^PI||"),
    Row(50, "CX-7 of an INS", joined(changed(ADT, PID_3=f"7^^^CH^PI~{INS}^^20200101"))),
    Row(51, "A08", joined(changed(ADT, MSH_9="ADT^A08^ADT_A01")), "a08", "MSH-9.2"),
    Row(51, "A04 with its structure misnamed", joined(changed(ADT, MSH_9="ADT^A04^ADT_A04"))),
    Row(52, "no ZBE", joined(ADT[:-1]), "movement_missing", "ZBE"),
    Row(53, "ZBE shifted", joined(changed(ADT, ZBE_3="INSERT", ZBE_4="N", ZBE_5="")), "movement_shifted", "ZBE-3", fixed=b"ZBE|M1^GAP|20260310083000||INSERT|N|"),
    Row(54, "ZBE-7 without an authority", joined(changed(ADT, ZBE_7="^^^^^^^^^UF01", ZBE_8="UF01"))),
    Row(55, "ZBE-6 is A08", joined(changed(ADT, ZBE_4="UPDATE", ZBE_6="A08")), "movement_trigger", "ZBE-6"),
    Row(55, "no ZBE-6 in a cancellation", joined(changed(ADT, ZBE_4="CANCEL")), "movement_trigger", "ZBE-6"),
    Row(56, "segments in another order", joined([HEAD, EVN, PID, "IN1|1", "GT1|1", "ROL||AD", PV1, ZBE])),
    Row(57, "no visit number", joined(changed(ADT, PV1_19="")), "visit_or_account", "PV1-19"),
    Row(57, "no account either", joined(changed(ADT, PV1_19="", PID_18="")), "visit_and_account", "PV1-19", "reject"),
    Row(58, "admission after the event", joined(changed(ADT, PV1_44="20260311")), "movement_time", "PV1-44"),
    Row(59, "another patient's document", joined([*changed(LAB, PID_3=f"7^^^CH^PI~{INS}"), document(cda(INS_OF_ANOTHER))]), "document_patient", "OBX-5", "reject"),
    Row(59, "the patient's document", joined([*changed(LAB, PID_3=f"7^^^CH^PI~{INS}"), document(cda())])),
    Row(60, "another document number", joined([MDM, EVN, PID, PV1, "TXA|1|11502-2|TEXT|||||||||1.2.4", document(cda())]), "document_id", "TXA-12"),
    Row(60, "an organisation in the number", joined([MDM, EVN, PID, PV1, "TXA|1|11502-2|TEXT|||||||||1.2.3^CH", document(cda())]), "document_id", "TXA-12"),
    Row(60, "the document's number", joined([MDM, EVN, PID, PV1, "TXA|1|11502-2|TEXT|||||||||1.2.3", document(cda())])),
    Row(60, "a deletion with a parent", joined([MDM.replace("T02^", "T04^", 1), EVN, PID, PV1, "TXA|1|11502-2|TEXT|||||||||1.2.3|1.2.2", document(cda())]), "document_parent", "TXA-13"),
    Row(61, "role alone", joined([MDM, PID, "PRT||UC||SB|x"]), "participation", "PRT-4", fixed=b"PRT||UC||SB^Send by^participation|x"),
    Row(61, "shifted", joined([MDM, PID, "PRT||UC|RCT^x||x"]), "participation", "PRT-4", fixed=b"PRT||UC||RCT^Result Copies To^participation|x"),
    Row(62, "no ORC nor OBR in an MDM 2.0", joined([MDM.replace("2.1^CISIS", "2.0^CISIS"), EVN, PID, PV1, "TXA|1|x|TEXT"])),
    Row(63, "flags in any order, without a system", joined([*LAB, "OBX|1|CE|DESTDMP^x||Y^^ expandedYes-NoIndicator||||||F", flag("MASQUE_PS", "N")])),
    Row(64, "off the matrix", joined([*LAB, flag("DESTMSSANTEPS", "Y"), flag("MASQUE_PS", "Y"), recipient("a@exemple.mssante.fr")]), "visibility", "OBX[INVISIBLE_PATIENT]-5"),
    Row(64, "on the matrix", joined([*LAB, flag("DESTMSSANTEPS", "Y"), flag("INVISIBLE_PATIENT", "Y"), recipient("a@exemple.mssante.fr")])),
    Row(64, "hidden and mailed", joined([*LAB, flag("DESTMSSANTEPAT", "Y"), flag("INVISIBLE_PATIENT", "Y"), recipient(f"{INS[:15]}@patient.mssante.fr")]), "hidden_from_patient", "OBX[DESTMSSANTEPAT]-5", "reject"),
    Row(64, "no recipient", joined([*LAB, flag("DESTMSSANTEPAT", "Y")]), "recipient_missing", "OBX[DESTMSSANTEPAT]-5", "reject"),
    Row(66, "INS of production in a test", joined(changed(ADT, MSH_11="T", PID_3=f"7^^^CH^PI~{INS.replace('4.10', '4.8')}")), "production_ins", "PID-3[2].4.2"),
    Row(67, "an address that is no INS", joined([*changed(LAB, PID_3=INS), recipient("27707279035121518989@patient.mssante.fr")]), "recipient_address", "PRT-15.4"),
    Row(67, "another patient's address", joined([*changed(LAB, PID_3=INS), recipient(f"{INS_OF_ANOTHER}@patient.mssante.fr")]), "recipient_patient", "PRT-15.4", "reject"),
    Row(67, "the patient's address", joined([*changed(LAB, PID_3=INS), recipient(f"{INS[:15]}@patient.mssante.fr", INS)])),
    Row(68, "the national prefix kept", joined([MDM, PID, "PRT||UC||SB^Send by^participation||||CH^^^^^X^FINEG^^^1990000001"]), "finess", "PRT-8.10", fixed=b"^FINEG^^^990000001\r"),
    Row(68, "a typing error", joined([MDM, PID, "PRT||UC||SB^Send by^participation||||CH^^^^^X^FINEG^^^2204567809"]), "finess", "PRT-8.10", fixed=b"^FINEG^^^2204567809\r"),
]  # fmt: skip

ELSEWHERE = {
    9: "test_several_messages_without_an_envelope_are_split",
    10: "tests/transforms/test_batch.py; tests/connectors/test_mllp.py: a batch is answered by a batch",
    16: "channels/runtime.py: the same control id with another body is a new message, with a warning",
    65: "tests/transforms/test_ack.py, tests/connectors/test_mllp_destination.py: answers of all shapes",
    69: "tests/connectors/test_mllp.py: a frame that is cut gets no answer",
    70: "tests/connectors/test_file_source.py: files of any name",
}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.number}-{row.what}" for row in ROWS])
def test_each_defect_gets_what_the_table_says(row: Row) -> None:
    found = noticed(row.body)
    if row.rule:
        assert found[row.rule] == (row.place, row.level)
        assert RULES[row.rule].row == row.number
    else:
        assert found == {}
    assert er7.parse(row.body).encode() == row.body, "read, and forwarded untouched"
    if row.fixed:
        assert row.fixed in repaired(row.body)
    else:
        repaired(row.body)


def test_no_row_is_without_a_test() -> None:
    assert {row.number for row in ROWS} | set(ELSEWHERE) == set(range(1, 71))


def test_every_rule_is_met() -> None:
    assert {row.rule for row in ROWS} - {""} == rule_names()


@pytest.mark.parametrize(
    "row, body, place",
    [
        (11, b"MSHA^~\\&A", "MSH-1"),
        (11, b"MSH\t^~\\&\tA", "MSH-1"),
        (11, "MSH€^~\\&€A".encode(), "MSH-1"),
        (12, b"MSH|~~\\&|A", "MSH-2"),
        (12, b"MSH|^~|\\&|A"[:6] + b"^|A", "MSH-2"),
        (12, b"MSH|ab\\&|A", "MSH-2"),
        (12, b"MSH|^\x01\\&|A", "MSH-2"),
    ],
)
def test_delimiters_that_cannot_be_read_are_refused(row: int, body: bytes, place: str) -> None:
    with pytest.raises(ParseError) as caught:
        er7.message(body)
    assert (caught.value.place, caught.value.condition) == (place, "199")


def test_several_messages_without_an_envelope_are_split() -> None:
    found = batch.read(joined(ADT) + joined(LAB))
    assert found.messages == [joined(ADT), joined(LAB)]
    assert found.findings == [Finding("MSH", "199", "several messages without a batch header")]


@pytest.mark.parametrize(
    "fields, place, code",
    [
        ({"MSH_9": "MFN^M02"}, "MSH-9.1", "200"),
        ({"MSH_9": "ORU^R30"}, "MSH-9.2", "201"),
        ({"MSH_9": "ORU"}, "MSH-9.1", "200"),
        ({"MSH_11": "N"}, "MSH-11", "202"),
        ({"MSH_11": "0^T"}, "MSH-11", "202"),
        ({"MSH_12": "2.9"}, "MSH-12", "203"),
        ({"MSH_3": "AUTRE"}, "MSH-3", "207"),
        ({"MSH_10": ""}, "MSH-10", "101"),
    ],
)
def test_an_endpoint_refuses_what_it_does_not_take(fields: dict[str, str], place: str, code: str) -> None:
    admission = Admission(("ADT", "ORU^R01"), ("2.5", "2.6"), senders=("GAP|CH", "SGL"), control_id=True)
    header = er7.peek(joined(changed(ADT, **fields)))
    refusal = admission.check(header)
    assert refusal is not None
    assert (refusal.place, refusal.condition) == (place, code)
    if place != "MSH-10":
        assert admission.check(header) is refusal
    assert isinstance(refusal, UnsupportedError) is (code in ("200", "201", "202", "203"))
    assert admission.check(er7.peek(joined(ADT))) is None
    assert admission.check(er7.peek(joined(LAB))) is None


def test_an_endpoint_without_conditions_takes_everything_of_table_0103() -> None:
    admission = Admission()
    for processing in ("P", "T", "D", "", "P^T", "d"):
        assert admission.check(er7.peek(joined(changed(ADT, MSH_11=processing, MSH_10="")))) is None
    assert admission.check(er7.peek(joined(changed(ADT, MSH_11="X")))) is not None


def test_what_an_endpoint_remembers_is_bounded() -> None:
    admission = Admission(senders=("GAP",))
    for number in range(3000):
        assert admission.check(er7.peek(joined(changed([HEAD], MSH_3=f"S{number}")))) is not None
    assert len(admission._verdicts) <= 1024


def test_a_sender_has_levels_of_its_own() -> None:
    message = er7.message(joined(changed(ADT, MSH_10="", MSH_7="", PID_8="Z")))
    header = message.view(er7.header_of)
    inspector = Inspector({"control_id": "reject", "sex": "reject"}, {"GAP|CH": {"control_id": "ignore"}, "X|": {}})
    assert inspector.findings(message, header) == (Finding("MSH-7", "102", RULES["message_time"].problem, "warn"),)
    full = Inspector({"sex": "reject"}, {"GAP|CH": {"message_time": "ignore"}}, full=True)
    assert [(one.place, one.level) for one in full.findings(message, header)] == [
        ("MSH-10", "warn"),
        ("PID-8", "reject"),
    ]


def test_no_finding_has_a_value_in_it() -> None:
    values = ("700123", "MODELE", "ALIX", "290067505600227", INS_OF_ANOTHER, "exemple")
    for row in ROWS:
        for one in inspect(er7.message(row.body)):
            assert not any(value in f"{one}" for value in values)


def test_a_message_as_it_should_be_has_no_findings_and_is_not_repaired() -> None:
    for lines in (ADT, [*LAB, obx("1.5", "NM")]):
        message = er7.message(joined(lines))
        assert inspect(message) == []
        assert find("transform", "hl7.repair")(message, CONTEXT) is message


def test_the_official_examples_are_not_refused_for_their_syntax(shared: Path) -> None:
    """Placeholders instead of documents, and flags off the matrix, are known of these files."""
    known = {"base64_undecodable", "hidden_from_patient", "recipient_missing", "document_patient", "visit_and_account"}
    refused = {rule.problem for rule in RULES.values() if rule.level == "reject" and rule.name not in known}
    for path in sorted((shared / "ans" / "hl7v2-examples").glob("*/*")):
        found = inspect(er7.message(path.read_bytes()))
        assert not {one.problem for one in found} & refused, path.name
        repaired(path.read_bytes())
