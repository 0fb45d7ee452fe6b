"""Defects of contents: looked for when a source says ``inspect: full``, and by ``hl7.repair``.

Source: HL7 v2.5 chapters 2, 3, 7 and 9 (tables 0001, 0085, 0125); IHE PAM France 2.11; Référentiel INS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from transforms.document_rules import DOCUMENT, document_defects
from transforms.er7 import Er7, Segment
from transforms.ins import ins_key_is_right, is_ins, validated_identity
from transforms.segment import LARGE
from transforms.wire_rules import MOMENT, Rule

Defects = Iterator[tuple[Rule, str]]

CONTENT = DOCUMENT | {
    rule.name: rule
    for rule in (
        Rule(29, "markup", "102", "a document stands in a text value"),
        Rule(30, "escape", "199", "an escape sequence that is unknown or not closed"),
        Rule(31, "value_type_missing", "101", "the type of the value is missing"),
        Rule(32, "value_type", "103", "the type of the value is not of table 0125"),
        Rule(33, "status_missing", "101", "the status of the result is missing"),
        Rule(34, "status", "103", "the status of the result is not of table 0085"),
        Rule(35, "number", "102", "a number is not numeric"),
        Rule(36, "date", "102", "a date or time is not one"),
        Rule(38, "order_missing", "100", "a result has no order before it"),
        Rule(38, "patient_missing", "101", "results without patient or order number", "reject"),
        Rule(42, "patient_id_missing", "101", "PID-3 is empty, another key is there"),
        Rule(42, "patient_key_missing", "101", "PID-3 is empty, and there is no other key", "reject"),
        Rule(44, "birth_date", "102", "the birth date is not a date"),
        Rule(45, "sex", "103", "the sex is not of table 0001"),
        Rule(46, "name_type", "103", "the type of a name is missing, misplaced or not one of France"),
        Rule(47, "mother_name", "103", "PID-6 is the mother's name, not the patient's"),
        Rule(48, "ins_unverified", "207", "an INS whose identity is not validated"),
        Rule(49, "ins_wrong", "102", "an INS whose key is wrong or missing"),
        Rule(51, "a08", "201", "A08 is not an event of IHE PAM France"),
        Rule(52, "movement_missing", "100", "ZBE is missing"),
        Rule(53, "movement_shifted", "199", "the fields of ZBE are shifted by one"),
        Rule(55, "movement_trigger", "103", "ZBE-6 is missing for UPDATE or CANCEL, or A08"),
        Rule(57, "visit_or_account", "101", "the visit number or the account number is missing"),
        Rule(57, "visit_and_account", "101", "the visit number and the account number are missing", "reject"),
        Rule(58, "movement_time", "102", "the admission is later than the event"),
        Rule(66, "production_ins", "202", "an INS of production in a test message"),
    )
}

VALUE_TYPES = frozenset((
    "AD", "CE", "CF", "CK", "CN", "CNE", "CP", "CQ", "CWE", "CX", "DR", "DT", "DTM", "ED", "FT", "ID", "IS", "MO",
    "NA", "NM", "NR", "PN", "RP", "SN", "ST", "TM", "TN", "TS", "TX", "XAD", "XCN", "XON", "XPN", "XTN",
))  # fmt: skip
STATUSES = frozenset("CDFINOPRSUWXABV")
SEXES = {"F": "F", "M": "M", "U": "U", "O": "O", "A": "A", "N": "N"}
"""Table 0001."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
NAME_TYPES = frozenset("LDSU")

_EMPTY_VALUE = frozenset("XDNIO")
"""OBX-11 with which OBX-2 and OBX-5 may be empty."""
_TEXTS = frozenset(("ST", "TX", "FT", ""))
_MARKUP = re.compile(r"\s*(<\?xml|<html|<!doctype|<ClinicalDocument|\{\\rtf)", re.IGNORECASE)
_KNOWN = re.compile(
    r"[FSTREHNP]|X([0-9A-Fa-f]{2})+|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4,6}|Z\w*|\.(br|fi|nf|ce|(sp|in|ti|sk)\s*[+-]?\d*)"
)
_ENCOUNTER = frozenset((
    "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A11", "A12", "A13", "A14", "A15", "A16", "A21", "A22", "A25",
    "A26", "A27", "A38", "A52", "A53", "A54", "A55", "Z99",
))  # fmt: skip
"""Events of ITI-31 that speak of a visit."""
_PRODUCTION = ("1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9")


def content_defects(parsed: Er7) -> Defects:
    """Defects of contents: (rule, place)."""
    kind = parsed.header.kind
    for number, segment in enumerate(parsed.all("PID"), 1):
        yield from _patient(segment, f"PID[{number}]" if number > 1 else "PID", parsed)
    if kind.startswith("ADT^"):
        yield from _movement(parsed, kind[4:])
    yield from _results(parsed, kind)
    mark = parsed.separators.escape
    if mark and parsed.body.find(mark.encode(parsed.charset, "replace"), len("MSH|^~\\&")) >= 0:
        yield from _escapes(parsed)
    yield from document_defects(parsed)


def _patient(pid: Segment, name: str, parsed: Er7) -> Defects:
    if not pid[3]:
        visit = parsed.first("PV1")
        other = pid[2] or pid[4] or (visit is not None and visit[19])
        yield CONTENT["patient_id_missing" if other else "patient_key_missing"], f"{name}-3"
    if pid[7] and pid[7] != '""' and not MOMENT.fullmatch(pid.get("7.1").strip()):
        yield CONTENT["birth_date"], f"{name}-7"
    if pid[8] and pid[8] not in SEXES:
        yield CONTENT["sex"], f"{name}-8"
    if misplaced_name_types(pid):
        yield CONTENT["name_type"], f"{name}-5"
    if pid[6] and pid.get("6.7").strip().upper() == "M":
        yield CONTENT["mother_name"], f"{name}-6"
    yield from _ins(pid, name, parsed)


def misplaced_name_types(pid: Segment) -> list[int]:
    """Which repetitions of PID-5 (from 1) have no type of France in XPN-7."""
    found = range(1, len(pid.repetitions(5)) + 1)
    return [one for one in found if pid.get(f"5[{one}].7") not in NAME_TYPES]


def _ins(pid: Segment, name: str, parsed: Er7) -> Defects:
    for number in range(1, len(pid.repetitions(3)) + 1):
        if not is_ins(pid, f"3[{number}]"):
            continue
        place = f"{name}-3[{number}]"
        if not validated_identity(pid):
            yield CONTENT["ins_unverified"], place
        if not ins_key_is_right(pid.get(f"3[{number}].1")):
            yield CONTENT["ins_wrong"], f"{place}.1"
        oid = pid.get(f"3[{number}].4.2").strip()
        if oid in _PRODUCTION and parsed.header.component(11).strip().upper() in ("T", "D"):
            yield CONTENT["production_ins"], f"{place}.4.2"


def _movement(parsed: Er7, event: str) -> Defects:
    """Rules of IHE PAM France; messages of another profile have none."""
    header = parsed.header
    if "FRA" not in header.field(12) and "PAM" not in header.field(21):
        return
    if event == "A08":
        yield CONTENT["a08"], "MSH-9.2"
    if event in _ENCOUNTER:
        missing = [place for place in ("PV1-19", "PID-18") if not parsed.get(place)]
        if missing:
            yield CONTENT["visit_and_account" if len(missing) == 2 else "visit_or_account"], missing[0]
        begun, happened = parsed.get("PV1-44.1"), parsed.get("EVN-6.1")
        common = min(len(begun), len(happened), 14)
        if event in ("A01", "A04") and begun[:common] > happened[:common]:
            yield CONTENT["movement_time"], "PV1-44"
    zbe = parsed.first("ZBE")
    if zbe is None:
        if event in _ENCOUNTER:
            yield CONTENT["movement_missing"], "ZBE"
        return
    if is_shifted(zbe):
        yield CONTENT["movement_shifted"], "ZBE-3"
    elif zbe[6].strip() == "A08" or (zbe[4].strip() in ("UPDATE", "CANCEL") and not zbe[6]):
        yield CONTENT["movement_trigger"], "ZBE-6"


def is_shifted(zbe: Segment) -> bool:
    """Whether ZBE-3, which is empty in France, was left out."""
    return zbe[3].strip() in ("INSERT", "UPDATE", "CANCEL")


def _results(parsed: Er7, kind: str) -> Defects:
    """OBX, wherever they stand; in an ORU, what they hang on too."""
    in_results = kind.startswith("ORU")
    ordered, number, orphan = False, 0, ""
    for segment in parsed.segments:
        if segment.id in ("OBR", "ORC"):
            ordered = True
        elif segment.id == "PID":
            ordered = False
        elif segment.id == "OBX":
            number += 1
            if not ordered and not orphan:
                orphan = f"OBX[{number}]"
            yield from _observation(segment, f"OBX[{number}]" if number > 1 else "OBX")
    if in_results and orphan:
        yield CONTENT["order_missing"], orphan.replace("[1]", "")
    if in_results and parsed.first("PID") is None and not (parsed.get("OBR-2.1") or parsed.get("OBR-3.1")):
        yield CONTENT["patient_missing"], "PID"


def _observation(obx: Segment, name: str) -> Defects:
    kind, status = obx[2], obx[11]
    large = obx.end - obx.start >= LARGE
    value = "" if large else obx[5]
    if not kind and value and status not in _EMPTY_VALUE:
        yield CONTENT["value_type_missing"], f"{name}-2"
    elif kind and kind not in VALUE_TYPES:
        yield CONTENT["value_type"], f"{name}-2"
    if not status:
        yield CONTENT["status_missing"], f"{name}-11"
    elif status not in STATUSES:
        yield CONTENT["status"], f"{name}-11"
    if not value or value == '""':
        return
    if kind == "NM" and not all(NUMBER.fullmatch(one) or not one for one in obx.repetitions(5)):
        yield CONTENT["number"], f"{name}-5"
    elif kind in ("DT", "TS", "DTM") and not MOMENT.fullmatch(obx.get("5.1")):
        yield CONTENT["date"], f"{name}-5"
    elif kind in _TEXTS and _MARKUP.match(value):
        yield CONTENT["markup"], f"{name}-5"


def _escapes(parsed: Er7) -> Defects:
    mark = parsed.separators.escape
    counts: dict[str, int] = {}
    for segment in parsed.segments[1:]:
        counts[segment.id] = counts.get(segment.id, 0) + 1
        if segment.end - segment.start >= LARGE:
            continue
        text = parsed.body[segment.start : segment.end].decode(parsed.charset, "surrogateescape")
        if mark not in text:
            continue
        for number, field in enumerate(segment.fields):
            if mark and mark in field and not _closed(field.split(mark)):
                index = f"[{counts[segment.id]}]" if counts[segment.id] > 1 else ""
                yield CONTENT["escape"], f"{segment.id}{index}-{number}"


def _closed(parts: list[str]) -> bool:
    """Whether what stands between two escape characters is a sequence each time."""
    return len(parts) % 2 == 1 and all(_KNOWN.fullmatch(one) for one in parts[1::2])
