"""Numbers of patients and their authorities, named the same way by every message that speaks of them.

Source: IHE PAM France 2.11 (PID-3, PID-32); Référentiel INS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from transforms.er7 import Segment
from transforms.ins import is_ins

OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")
_LOCAL = frozenset({"PI", "PN", ""})


class Number(NamedTuple):
    """One repetition of PID-3. authority: its OID when there is one, else what CX-4 has. place: ``PID-3[2]``."""

    value: str
    authority: str
    place: str


def is_oid(text: str) -> bool:
    """Whether a text is an OID."""
    return OID.fullmatch(text) is not None


def ins_numbers(pid: Segment, name: str = "PID") -> list[Number]:
    """Every INS, qualified or not."""
    return [one for number, one in _numbers(pid, name) if is_ins(pid, f"3[{number}]")]


def local_number(pid: Segment, patient_oid: str = "", name: str = "PID") -> Number | None:
    """The establishment's number (IPP): the first of type PI, else the first that is no INS and has an authority.

    patient_oid: its OID when the message names none.
    """
    others = [
        (pid.get(f"3[{number}].5").strip().upper(), one)
        for number, one in _numbers(pid, name)
        if not is_ins(pid, f"3[{number}]")
    ]
    typed = [one for kind, one in others if kind == "PI"] or [
        one for kind, one in others if kind in _LOCAL and one.authority
    ]
    if not typed:
        return None
    found = typed[0]
    return found if is_oid(found.authority) or not patient_oid else found._replace(authority=patient_oid)


def spellings(pid: Segment, patient_oid: str = "") -> tuple[tuple[str, str], ...]:
    """``(authority, number)`` of the INS and of the establishment's number, each way a message may name it."""
    found = [(one.authority, one.value) for one in ins_numbers(pid)]
    local = local_number(pid)
    if local is not None:
        repetition = local.place.partition("-")[2]
        names = [pid.get(f"{repetition}.4.{part}").strip() for part in (2, 1)]
        found += [(name, local.value) for name in (*names, patient_oid, local.authority) if name]
    return tuple(dict.fromkeys(found))


def _numbers(pid: Segment, name: str) -> Iterator[tuple[int, Number]]:
    for number in range(1, len(pid.repetitions(3)) + 1):
        value = pid.get(f"3[{number}].1").strip()
        if value and value != '""':
            authority = pid.get(f"3[{number}].4.2").strip() or pid.get(f"3[{number}].4.1").strip()
            yield number, Number(value, authority, f"{name}-3[{number}]")
