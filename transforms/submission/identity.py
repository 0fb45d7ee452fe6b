"""The patient of a request, from PID.

Source: IHE PAM France 2.11 (PID); Référentiel INS: the number travels only with a qualified identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from channels.errors import MessageError
from transforms.er7 import Segment
from transforms.ins import ins_key_is_right, ins_kind, validated_identity
from transforms.submission.authorities import Number, ins_numbers, local_number
from transforms.submission.model import Patient
from transforms.submission.notes import Notes

_SEXES = {"M": "M", "F": "F", "U": "U", "MALE": "M", "FEMALE": "F", "1": "M", "2": "F", "UN": "U"}
_NAMES = frozenset("LDSU")


@dataclass(frozen=True, slots=True)
class Identity:
    """place: of the INS that counts, ``PID-3[2]``."""

    patient: Patient
    place: str


def identity(pid: Segment, domain: Literal["test", "production"], patient_oid: str, notes: Notes) -> Identity:
    """Who PID speaks of.

    Raises:
        MessageError: a trait lacks that goes with an INS (905).
    """
    ins = _qualified(pid, domain, notes)
    local = local_number(pid, patient_oid)
    if ins is None and local is None:
        notes.warn("PID-3", "101", "no identifier of the patient that can be used")
    legal, used = _names(pid, notes)
    found = Patient(
        ins.value if ins else "",
        ins.authority if ins else "",
        local.value if local else "",
        local.authority if local else "",
        *legal,
        *used,
        _birth_date(pid, notes),
        _sex(pid, notes),
        _birth_place(pid),
    )
    if ins is not None:
        _complete(found, notes)
    return Identity(found, ins.place if ins else "PID-3")


def _qualified(pid: Segment, domain: Literal["test", "production"], notes: Notes) -> Number | None:
    """The INS that may travel; the NIR when there is a NIA too."""
    found = []
    for one in ins_numbers(pid):
        if not validated_identity(pid):
            notes.warn(one.place, "207", "an INS whose identity is not validated (PID-32)")
        elif not ins_key_is_right(one.value):
            notes.warn(f"{one.place}.1", "102", "an INS whose key is wrong or missing")
        elif not ins_kind(one.authority, domain):
            notes.warn(f"{one.place}.4.2", "202", "an INS that is not of the domain of this site (ins_domain)")
        else:
            found.append(one)
    found.sort(key=lambda one: ins_kind(one.authority, domain) != "NIR")
    return found[0] if found else None


def _names(pid: Segment, notes: Notes) -> tuple[tuple[str, str, str], tuple[str, str]]:
    """(birth name, first given name, all given names), (name in use, given name in use)."""
    kinds: dict[str, int] = {}
    for number in range(1, len(pid.repetitions(5)) + 1):
        kind = pid.get(f"5[{number}].7").strip().upper()
        if not kind and pid.get(f"5[{number}].8").strip().upper() in _NAMES:
            kind = pid.get(f"5[{number}].8").strip().upper()
            notes.warn(f"PID-5[{number}].8", "103", "the type of a name is misplaced", always=True)
        kinds.setdefault(kind, number)
    legal = next((kinds[kind] for kind in ("L", "M", "B", "", "U") if kind in kinds), 0)
    used = kinds.get("D", 0)
    return (_cell(pid, legal, 1), _cell(pid, legal, 2), _cell(pid, legal, 3)), (
        _cell(pid, used, 1),
        _cell(pid, used, 2),
    )


def _cell(pid: Segment, repetition: int, component: int) -> str:
    if not repetition:
        return ""
    text = pid.get(f"5[{repetition}].{component}").strip()
    return "" if text == '""' else text


def _birth_date(pid: Segment, notes: Notes) -> str:
    text = pid.get("7.1").strip()
    digits = text[:8]
    if digits and digits != '""' and not (digits.isdecimal() and len(digits) == 8):
        notes.warn("PID-7", "102", "the birth date is not a day")
        return ""
    return "" if digits == '""' else digits


def _sex(pid: Segment, notes: Notes) -> str:
    text = pid.get("8.1").strip().upper()
    if text and text not in _SEXES:
        notes.warn("PID-8", "103", "the sex is not of table 0001")
    return _SEXES.get(text, "U" if text else "")


def _birth_place(pid: Segment) -> str:
    for number in range(1, len(pid.repetitions(11)) + 1):
        if pid.get(f"11[{number}].7").strip().upper() == "BDL":
            return pid.get(f"11[{number}].9").strip().upper()
    return ""


def _complete(found: Patient, notes: Notes) -> None:
    for value, field, name in (
        (found.family, "5", "the birth name"),
        (found.given, "5", "the first given name"),
        (found.birth_date, "7", "the birth date"),
        ("" if found.sex == "U" else found.sex, "8", "the sex"),
    ):
        if not value:
            raise MessageError(f"an INS goes with {name}", f"PID-{field}", "905")
    if not found.birth_place:
        notes.warn("PID-11", "905", "an INS goes with the birth place")
