"""Defects of documents that messages carry (CDA in ORU and MDM), as far as the message alone tells.

Source: ANS CI-SIS volet "Transmission de documents CDA en HL7v2" 2.1 (PRT, MetaDMPMSS, TXA); Référentiel INS.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from transforms.er7 import Er7, Segment
from transforms.ins import ins_key_is_right, is_ins
from transforms.wire_rules import Rule

Defects = Iterator[tuple[Rule, str]]

DOCUMENT = {
    rule.name: rule
    for rule in (
        Rule(40, "base64", "102", "a Base64 value has blanks, a prefix, another alphabet or no padding"),
        Rule(40, "base64_undecodable", "102", "a Base64 document cannot be decoded", "reject"),
        Rule(40, "mail_text_undecodable", "102", "a mail text in Base64 cannot be decoded"),
        Rule(59, "document_patient", "904", "the INS of the document is not that of PID-3", "reject"),
        Rule(60, "document_id", "102", "the document number is not that of the document, or has other parts"),
        Rule(60, "document_parent", "103", "a deletion names a replaced document"),
        Rule(61, "participation", "199", "a PRT of an older shape, or shifted"),
        Rule(64, "visibility", "207", "the flags are not a combination of the matrix"),
        Rule(64, "hidden_from_patient", "207", "the patient is mailed a document that is hidden from them", "reject"),
        Rule(64, "recipient_missing", "101", "a mail is asked for, and no PRT has an address for it", "reject"),
        Rule(67, "recipient_address", "207", "the patient's address is not made of their INS"),
        Rule(67, "recipient_patient", "904", "the address is another patient's", "reject"),
        Rule(68, "finess", "102", "a FINESS number of ten digits"),
    )
}

_BLANKS = re.compile(r"\s+")
_PREFIX = re.compile(r"data:[^,]*,")
_UNCLEAN = re.compile(r"[-_\s]")
_FIRST_ID = re.compile(rb"<ClinicalDocument\b.*?<(?:\w+:)?id\b([^>]*)>", re.DOTALL)
_ANY_ID = re.compile(rb"<(?:\w+:)?id\b([^>]*)>")
_ATTRIBUTE = re.compile(rb"\b(root|extension)\s*=\s*[\"']([^\"']*)[\"']")
_INS_OID = re.compile(rb"1\.2\.250\.1\.213\.1\.4\.(8|9|10|11)\Z")
_FINESS = ("FINEG", "FINEJ", "FINESS")
_PATIENTS = "@patient.mssante.fr"
_MATRIX = (
    {"PS": "Y", "PAT": "Y", "MASK": "N", "HID": "N", "REP": "N"},
    {"PS": "Y", "PAT": "N", "MASK": "N", "HID": "Y", "REP": "N"},
)
_FLAGS = {
    "MASQUE_PS": "MASK",
    "INVISIBLE_PATIENT": "HID",
    "INVISIBLE_REP_LEGAUX": "REP",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "REP",
    "CONNEXION_SECRETE": "SECRET",
    "DESTDMP": "DMP",
    "DESTMSSANTEPS": "PS",
    "DESTMSSANTEPAT": "PAT",
}


def cleaned_base64(text: str) -> str:
    """Base64 without blanks or prefix, in the standard alphabet, padded; not valid when its length cannot be."""
    text = _PREFIX.sub("", _BLANKS.sub("", text), count=1).replace("-", "+").replace("_", "/").rstrip("=")
    return text + "=" * (-len(text) % 4)


def decoded_base64(text: str) -> bytes | None:
    """The bytes of a Base64 text however it is written, None when it has none."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # not as the standard wants it
        pass
    clean = cleaned_base64(text)
    if clean.endswith("==="):
        return None
    try:
        return binascii.a2b_base64(clean, strict_mode=True)
    except ValueError:
        return None


def _is_clean(text: str) -> bool:
    return len(text) % 4 == 0 and text.isascii() and not text.startswith("data:") and not _UNCLEAN.search(text)


def document_defects(parsed: Er7) -> Defects:
    """Defects of documents: (rule, place)."""
    observations = parsed.all("OBX") if b"OBX" in parsed.body else []
    documents = []
    for number, obx in enumerate(observations, 1):
        if obx[2] != "ED":
            continue
        place = f"OBX[{number}]-5" if number > 1 else "OBX-5"
        if obx.get("5.4").strip().upper() == "BASE64":
            data = obx.get("5.5")
            content = decoded_base64(data)
            if content is None:
                mail = obx.get("3.1").startswith("CORPSMAIL")
                yield DOCUMENT["mail_text_undecodable" if mail else "base64_undecodable"], f"{place}.5"
            else:
                documents.append((place, content))
                if not _is_clean(data):
                    yield DOCUMENT["base64"], f"{place}.5"
    participations = parsed.all("PRT") if b"PRT" in parsed.body else []
    for number, prt in enumerate(participations, 1):
        name = f"PRT[{number}]" if number > 1 else "PRT"
        yield from _participation(prt, name)
        yield from _recipient(prt, name, parsed)
    for place, content in documents:
        yield from _identity(place, content, parsed)
    yield from _numbers(parsed, documents)
    yield from _flags(observations, participations)


def _participation(prt: Segment, name: str) -> Defects:
    if not prt[4] or prt.get("4.3").strip().lower() != "participation":
        yield DOCUMENT["participation"], f"{name}-4"
    number, kind = prt.get("8.10").strip(), prt.get("8.7").strip()
    if kind in _FINESS and len(number) == 10 and number.isdigit():
        yield DOCUMENT["finess"], f"{name}-8.10"


def _recipient(prt: Segment, name: str, parsed: Er7) -> Defects:
    """A patient's mailbox is named by their INS."""
    address = prt.get("15.4").strip().lower()
    if not address.endswith(_PATIENTS):
        return
    local, known = address[: -len(_PATIENTS)], _ins_of(parsed)
    if local in known and prt.get("5.1").strip() in ("", local):
        return
    other = known and local not in known and ins_key_is_right(local.upper())
    yield DOCUMENT["recipient_patient" if other else "recipient_address"], f"{name}-15.4"


def _ins_of(parsed: Er7) -> set[str]:
    found = set()
    for pid in parsed.all("PID"):
        for number in range(1, len(pid.repetitions(3)) + 1):
            if is_ins(pid, f"3[{number}]"):
                found.add(pid.get(f"3[{number}].1").strip())
    return found


def _identity(place: str, content: bytes, parsed: Er7) -> Defects:
    """The INS of the document and those of PID-3 have one in common, when both have any."""
    patient = content[: content.find(b"</patientRole>")] if b"</patientRole>" in content else b""
    inside = set()
    for match in _ANY_ID.finditer(patient):
        parts = dict(_ATTRIBUTE.findall(match[1]))
        if _INS_OID.match(parts.get(b"root", b"")):
            inside.add(parts.get(b"extension", b"").decode("ascii", "replace").strip())
    known = _ins_of(parsed)
    if inside and known and not inside & known:
        yield DOCUMENT["document_patient"], place


def _numbers(parsed: Er7, documents: list[tuple[str, bytes]]) -> Defects:
    """TXA-12 is the document's id: its root, or extension and root."""
    txa = parsed.first("TXA")
    if txa is None:
        return
    written = {txa.get("12.1"), f"{txa.get('12.3')}^{txa.get('12.1')}"} - {""}
    wrong = bool(txa.get("12.2"))
    for _, content in documents:
        match = _FIRST_ID.search(content)
        if match:
            parts = {key: value.decode("utf-8", "replace") for key, value in _ATTRIBUTE.findall(match[1])}
            root, extension = parts.get(b"root", ""), parts.get(b"extension", "")
            wrong = wrong or (f"{root}^{extension}" if extension else root) not in written
            break
    if wrong:
        yield DOCUMENT["document_id"], "TXA-12"
    if parsed.header.kind == "MDM^T04" and txa[13]:
        yield DOCUMENT["document_parent"], "TXA-13"


def _flags(observations: list[Segment], participations: list[Segment]) -> Defects:
    """The visibility flags and the recipients fit each other."""
    flags = {}
    for obx in observations:
        name = _FLAGS.get(obx.get("3.1").replace(" ", ""))
        if name:
            flags[name] = obx.get("5.1").strip().upper()
    if "Y" not in (flags.get("PS"), flags.get("PAT")):
        return
    addresses = [prt.get("15.4").strip().lower() for prt in participations if prt.get("4.1").strip() == "RCT"]
    if flags.get("PAT") == "Y" and flags.get("HID") == "Y":
        yield DOCUMENT["hidden_from_patient"], "OBX[DESTMSSANTEPAT]-5"
    elif not _in_matrix(flags):
        yield DOCUMENT["visibility"], "OBX[INVISIBLE_PATIENT]-5"
    patients = [one for one in addresses if one.endswith(_PATIENTS)]
    for name, code, there in (
        ("PS", "DESTMSSANTEPS", len(addresses) > len(patients)),
        ("PAT", "DESTMSSANTEPAT", bool(patients)),
    ):
        if flags.get(name) == "Y" and not there:
            yield DOCUMENT["recipient_missing"], f"OBX[{code}]-5"


def _in_matrix(flags: dict[str, str]) -> bool:
    if any(all(flags.get(name, "N") == value for name, value in row.items()) for row in _MATRIX):
        return True
    patient_only = flags.get("PAT") == "Y" and flags.get("PS", "N") == "N"
    return patient_only and all(flags.get(name, "N") == "N" for name in ("HID", "SECRET", "DMP"))
