"""Composite values of metadata: XCN, XON, CX, times.

Source: IHE ITI TF-3, 4.2.3.1.7 (data types); ANS CI-SIS, volet Partage de documents de santé (authors, structures).
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

PROFESSIONALS = "1.2.250.1.71.4.2.1"
STRUCTURES = "1.2.250.1.71.4.2.2"
_ESCAPED = {"\\": "\\E\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "|": "\\F\\"}


def text(value: str) -> str:
    """A text inside a composite value: the separators of HL7 v2 escaped."""
    return "".join(_ESCAPED.get(sign, sign) for sign in value)


def person(number: str, family: str, given: str = "", *, kind: str = "IDNPS", use: str = "D") -> str:
    """XCN of a professional, by PS_IdNat (or ``3`` + FINESS + ``/`` + a number of the structure, kind ``EI``)."""
    return f"{text(number)}^{text(family)}^{text(given)}^^^^^^&{PROFESSIONALS}&ISO^{use}^^^{kind}"


def device(number: str, model: str) -> str:
    """XCN of a device or of software. number: ``3`` + FINESS + ``/`` + its number in the structure."""
    return f"{text(number)}^{text(model)}^^^^^^^&{PROFESSIONALS}&ISO^U^^^RI"


def patient_author(ins: str, oid: str, family: str, given: str) -> str:
    """XCN of a patient who wrote the document."""
    return f"{ins}^{text(family)}^{text(given)}^^^^^^&{oid}&ISO^D^^^NH"


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
    digits, sign, offset = value, "", ""
    for one in "+-":
        if one in value:
            digits, sign, offset = value.partition(one)
    digits = digits.partition(".")[0]
    if not digits.isdigit() or len(digits) not in (4, 6, 8, 10, 12, 14):
        return ""
    if len(digits) < 10:
        return digits
    form = "%Y%m%d%H%M%S"[: {10: 8, 12: 10, 14: 12}[len(digits)]]
    try:
        local = datetime.strptime(f"{digits}{sign}{offset}", f"{form}%z" if sign else form)  # noqa: DTZ007  # below
    except ValueError:
        return ""
    aware = local if sign else local.replace(tzinfo=zone)
    return aware.astimezone(UTC).strftime(form)


def stamp(at: datetime) -> str:
    """A moment, to the second."""
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S")
