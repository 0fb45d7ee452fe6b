"""Identifiers and composite values, as text: what is well formed.

Source: DMPi; ANS volet "Transmission de documents CDA en HL7 v2"; IHE ITI TF-3 4.2.3.1.7 (CX, XCN, XON, DTM).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from vaguemestre.simulators.dmp import names
from vaguemestre.simulators.dmp.tables import value_set

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_CX = re.compile(r"(?P<id>[^^&|]+)\^\^\^&(?P<authority>[\d.]+)&ISO\^(?P<kind>[A-Z]+)")
_INS = re.compile(r"[1-478]\d{4}(\d{2}|2[AB])\d{8}")
_STRUCTURE = re.compile(r"0\w{9}|1\w{9}|2\d{9}|3\d{14}|4\d{11}\w*")
_PROFESSIONAL = re.compile(r"0\w{9}|8\d{11}|[1356]\w{8,14}/\S+|4\d{9,14}/\S+|3\w{9,14}/\S+")
_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?")
_INFO = re.compile(r"PID-\d+\|.*")
_COMPONENTS_XCN, _COMPONENTS_XON = 13, 10


def is_oid(text: str) -> bool:
    """An OID of 64 characters at most."""
    return len(text) <= 64 and _OID.fullmatch(text) is not None


def cx(text: str) -> tuple[str, str, str] | None:
    """Identifier, authority, type of ``id^^^&authority&ISO^type``."""
    found = _CX.fullmatch(text)
    return (found["id"], found["authority"], found["kind"]) if found else None


def ins(text: str) -> tuple[str, str] | None:
    """INS and its authority of a CX that is one."""
    found = cx(text)
    if found is None or found[2] != "NH" or found[1] not in names.INS_TEST + names.INS_PRODUCTION:
        return None
    return found[:2]


def has_ins_key(number: str) -> bool:
    """15 characters, the last two of which are the key: 97 minus the 13 before, modulo 97; 2A is 19 and 2B is 18."""
    if not _INS.fullmatch(number):
        return False
    digits = number[:5] + number[5:7].replace("2A", "19").replace("2B", "18") + number[7:13]
    return int(number[13:]) == 97 - int(digits) % 97


def is_structure(text: str) -> bool:
    """A Struct_IdNat: 0 ADELI, 1 FINESS, 2 SIREN, 3 SIRET, 4 RPPS and rank."""
    return _STRUCTURE.fullmatch(text) is not None


def is_professional(text: str) -> bool:
    """A PS_IdNat: national (0 ADELI, 8 RPPS), or that of a structure: prefix, structure, ``/``, local identifier."""
    return _PROFESSIONAL.fullmatch(text) is not None


def is_xcn(text: str) -> bool:
    """A person or a device: identifier, family name, authority, and kinds of name and identifier that fit it."""
    parts = text.split("^")
    if len(parts) != _COMPONENTS_XCN or any(parts[index] for index in (3, 4, 5, 6, 7, 10, 11)):
        return False
    number, family, authority, name_kind, kind = parts[0], parts[1], parts[8], parts[9], parts[12]
    if not number or not family:
        return False
    if kind == "NH":
        return authority in {f"&{one}&ISO" for one in names.INS_TEST} and name_kind == "D" and has_ins_key(number)
    if authority != f"&{names.PROFESSIONALS}&ISO" or not is_professional(number):
        return False
    local = "/" in number
    return (kind, name_kind) in ({("EI", "D"), ("RI", "U"), ("IDNPS", "D")} if local else {("IDNPS", "D")})


def is_xon(text: str) -> bool:
    """``name^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^<Struct_IdNat>``."""
    parts = text.split("^")
    return (
        len(parts) == _COMPONENTS_XON
        and bool(parts[0])
        and parts[5:7] == [f"&{names.STRUCTURES}&ISO", "IDNST"]
        and not any(parts[1:5] + parts[7:9])
        and is_structure(parts[9])
    )


def is_specialty(text: str) -> bool:
    """``code^display^system`` of JDV_J01."""
    code, _, rest = text.partition("^")
    display, _, system = rest.rpartition("^")
    return bool(display) and (system, code) in value_set("J01")


def utc(text: str, *, full: bool = False) -> datetime | None:
    """The moment of a DTM in UTC: year to second, no offset. full: to the second."""
    found = _TIME.fullmatch(text)
    if found is None or (full and found[6] is None):
        return None
    parts = [int(one) for one in found.groups() if one is not None]
    try:
        return datetime(*(parts + [1] * (3 - len(parts))), tzinfo=UTC)  # type: ignore[misc,arg-type]  # 3 to 6 numbers
    except ValueError:
        return None


def instant(text: str) -> datetime | None:
    """The moment of an xs:dateTime that ends in Z."""
    if not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def is_patient_info(values: list[str]) -> bool:
    """Values ``PID-n|…``: name as XPN of kind L or D, birth date of 8 digits, sex."""
    found = dict(one.split("|", 1) for one in values if _INFO.fullmatch(one))
    name = found.get("PID-5", "A^B").split("^")
    return (
        len(found) == len(values)
        and len(name) >= 2
        and all(name[:2])
        and re.fullmatch(r"\d{8}", found.get("PID-7", "19000101")) is not None
        and found.get("PID-8", "F") in {"F", "M", "O", "U", "A", "N"}
    )
