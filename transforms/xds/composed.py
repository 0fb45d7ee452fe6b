"""Composite values of metadata: XCN, XON, CX, times.

Source: IHE ITI TF-3, 4.2.3.1.7 (data types); ANS CI-SIS, volet Partage de documents de santé (authors, structures).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from transforms.escapes import Separators, unescape

PROFESSIONALS = "1.2.250.1.71.4.2.1"
STRUCTURES = "1.2.250.1.71.4.2.2"
_USUAL = Separators("|", "^", "~", "\\", "&")
_ESCAPED = {"\\": "\\E\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "|": "\\F\\"}
_INTERNAL = {"0": "1", "1": "3", "2": "4", "3": "5", "4": "6"}
"""First digit of Struct_IdNat -> first digit of PS_IdNat for numbers that the structure gave."""
_TIME = re.compile(r"([12]\d{3}(?:\d\d){0,5})(?:\.\d+)?([+-]\d{4})?", re.ASCII)
_FORM = "%Y%m%d%H%M%S"


def text(value: str) -> str:
    """A text inside a composite value: the separators of HL7 v2 escaped, what XML cannot carry a blank."""
    return "".join(_ESCAPED.get(sign, sign) if _is_plain(sign) else " " for sign in value)


def _is_plain(sign: str) -> bool:
    return sign >= " " and sign != "\x7f" and not "\ud800" <= sign <= "\udfff" and sign not in "\ufffe\uffff"


def parts(value: str, count: int) -> list[str]:
    """The components of a composite value, escapes undone; ``""`` for those that it lacks, up to ``count``."""
    found = [unescape(one, _USUAL) for one in value.split("^")]
    return (found + [""] * count)[: max(count, len(found))]


def person(number: str, family: str, given: str = "", *, kind: str = "IDNPS") -> str:
    """XCN of a professional, by PS_IdNat (kind ``IDNPS``), or by a number of the structure (kind ``EI``)."""
    return f"{text(number)}^{text(family)}^{text(given)}^^^^^^&{PROFESSIONALS}&ISO^D^^^{kind}"


def device(number: str, model: str) -> str:
    """XCN of a device or of software, by a number of the structure."""
    return f"{text(number)}^{text(model)}^^^^^^^&{PROFESSIONALS}&ISO^U^^^RI"


def patient_author(ins: str, oid: str, family: str, given: str) -> str:
    """XCN of a patient who wrote the document."""
    return f"{text(ins)}^{text(family)}^{text(given)}^^^^^^&{oid}&ISO^D^^^NH"


def in_structure(structure: str, number: str) -> str:
    """PS_IdNat of what a structure numbered itself: ``3``, its FINESS, ``/``, the number; ``""`` if it cannot be.

    structure: Struct_IdNat. A number that is whole already stays.
    """
    if number[:1] in "13456" and "/" in number:
        return number
    first = _INTERNAL.get(structure[:1], "")
    return f"{first}{structure[1:]}/{number}" if first and number else ""


def institution(number: str, name: str) -> str:
    """XON of a structure, by Struct_IdNat."""
    return f"{text(name)}^^^^^&{STRUCTURES}&ISO^IDNST^^^{text(number)}"


def patient_id(number: str, oid: str, kind: str) -> str:
    """CX. kind: ``NH`` for an INS, ``PI`` for a number of the establishment."""
    return f"{text(number)}^^^&{oid}&ISO^{kind}"


def moment(value: str, zone: tzinfo) -> str:
    """A time of CDA in UTC, as precise as it was written; one without zone is local, a date stays a date.

    Returns ``""`` for what is no time.
    """
    match = _TIME.fullmatch(value)
    if not match:
        return ""
    digits, offset = match[1], match[2] or ""
    form = _FORM[: len(digits) - 2]
    try:
        local = datetime.strptime(f"{digits}{offset}", f"{form}%z" if offset else form)  # noqa: DTZ007  # below
    except ValueError:
        return ""
    if len(digits) <= len("YYYYMMDD"):
        return digits
    aware = local if offset else local.replace(tzinfo=zone)
    try:
        return aware.astimezone(UTC).strftime(form)
    except OverflowError:
        return ""


def stamp(at: datetime) -> str:
    """A moment, to the second."""
    return at.astimezone(UTC).strftime(_FORM)
