"""Rules on the national health identity (INS).

Source: Référentiel INS; IHE PAM France 2.11, PID-3 and PID-32 (HL7 table 0445); NIR key of the INSEE.
"""

from __future__ import annotations

import re

from channels.message import Message
from channels.ports import Context
from transforms import er7

_NUMBER = re.compile(r"[0-9]{5}(?:[0-9]{2}|2[AB])[0-9]{8}")
_CORSICA = {"2A": "19", "2B": "18"}
_OIDS = {
    "production": {"1.2.250.1.213.1.4.8": "NIR", "1.2.250.1.213.1.4.9": "NIA"},
    "test": {"1.2.250.1.213.1.4.10": "NIR", "1.2.250.1.213.1.4.11": "NIR"},
}

_ALL_OIDS = frozenset(oid for oids in _OIDS.values() for oid in oids)


def ins_key_is_right(number: str) -> bool:
    """Whether a 15-character INS (13, then the 2-digit key) has the key of its number; Corsica 2A and 2B included."""
    if not _NUMBER.fullmatch(number):
        return False
    department = number[5:7]
    digits = number[:5] + _CORSICA.get(department, department) + number[7:13]
    return int(number[13:]) == 97 - int(digits) % 97


def ins_kind(oid: str, domain: str) -> str:
    """``NIR`` or ``NIA`` when the OID belongs to the domain (``production`` or ``test``), else ``""``."""
    return _OIDS[domain].get(oid, "")


def withhold_unverified(message: Message, context: Context) -> Message:  # noqa: ARG001  # every step has a context
    """Drop an INS from PID-3 unless the identity is validated (PID-32 has VALI) and the key of the number is right.

    message: any HL7 v2 message; one without a PID is returned as it is. Every PID is looked at.
    Returns the message with PID-3 alone changed; every other byte is kept.

    Raises:
        ParseError: the body is not HL7 v2.

    Source: Référentiel INS (the number travels only with a qualified identity); IHE PAM France 2.11, PID-3, PID-32.
    """
    if b"INS" not in message.body and b"1.2.250.1.213.1.4." not in message.body:
        return message
    shared = er7.read(message)
    if not any(_unverified(one) for one in shared.all("PID")):
        return message
    own = er7.parse(message.body, message.charset)
    for segment in own.all("PID"):
        wrong = set(_unverified(segment))
        if wrong:
            kept = [one for number, one in enumerate(segment.repetitions(3)) if number not in wrong]
            segment[3] = own.separators.repetition.join(kept)
    return message.with_body(own.encode())


def _unverified(segment: er7.Segment) -> list[int]:
    """Which repetitions of PID-3 (from 0) are an INS that may not travel."""
    found = [number for number, _ in enumerate(segment.repetitions(3)) if is_ins(segment, f"3[{number + 1}]")]
    if found and validated_identity(segment):
        return [one for one in found if not ins_key_is_right(segment.get(f"3[{one + 1}].1").strip())]
    return found


def is_ins(segment: er7.Segment, place: str) -> bool:
    """Of type INS, or without a type under an INS authority. An order to delete (``""``) holds no number.

    The type decides: the billing number (NH) has the OID of the INS.
    """
    if segment.get(f"{place}.1") == '""':
        return False
    kind = segment.get(f"{place}.5").strip().upper()
    return kind == "INS" or (not kind and segment.get(f"{place}.4.2").strip() in _ALL_OIDS)


def validated_identity(segment: er7.Segment) -> bool:
    """Whether PID-32 has VALI among its repetitions."""
    return any(segment.get(f"32[{one + 1}].1").strip().upper() == "VALI" for one in range(len(segment.repetitions(32))))


__all__ = ["ins_key_is_right", "ins_kind", "is_ins", "validated_identity", "withhold_unverified"]
