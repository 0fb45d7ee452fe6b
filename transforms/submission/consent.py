"""Consent of the patient for the DMP, as ADT messages carry it (ZFA).

Source: IHE PAM France 2.11, ZFA.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from channels.message import Message
from transforms import er7
from transforms.submission.authorities import spellings

_STATES = ("ACTIF", "FERME", "INEXISTANT")
_FEEDING = ("NA", "IO", "INO")
_CONSULTATION = ("NA", "INC", "IC")
_PARIS = ZoneInfo("Europe/Paris")
_MOMENT = re.compile(r"(\d{12}(?:\d\d)?)(?:\.\d+)?([+-]\d{4})?")
_ACCENTS = str.maketrans("ÉÈ", "EE")


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """What one message says; ``""`` says nothing, and erases nothing.

    identifiers: ``(OID or authority, number)`` of the patient, in every spelling. at: when it was said (EVN-2, else
    MSH-7, else when it was received), seconds since the epoch. The others are named as in
    ``connectors.shared.submissions.Consent``.
    """

    identifiers: tuple[tuple[str, str], ...]
    at: float
    dmp: str = ""
    dmp_collected: str = ""
    dmp_closed: str = ""
    feeding: str = ""
    feeding_date: str = ""
    consultation: str = ""
    consultation_date: str = ""


def read_consent(message: Message, patient_oid: str = "", zone: tzinfo = _PARIS) -> ConsentFacts | None:
    """What an ADT says of consent; None when it has no ZFA, says nothing there, or names no patient.

    patient_oid: OID of the establishment's patient numbers, when messages name none (``pfi.patient_oid``).
    zone: of times without one.

    Raises:
        ParseError: the body is not HL7 v2.
    """
    if not er7.mentions(message.body, b"ZFA"):
        return None
    parsed = er7.read(message)
    zfa, pid = parsed.first("ZFA"), parsed.first("PID")
    if zfa is None or pid is None:
        return None
    identifiers = spellings(pid, patient_oid)
    said = (
        _coded(zfa, 1, _STATES),
        _date(zfa, 2),
        _date(zfa, 3),
        _coded(zfa, 9, _FEEDING),
        _date(zfa, 10),
        _coded(zfa, 11, _CONSULTATION),
        _date(zfa, 12),
    )
    if not identifiers or not any(said):
        return None
    at = _seconds(parsed.get("EVN-2.1"), zone) or _seconds(parsed.get("MSH-7.1"), zone) or message.received
    return ConsentFacts(identifiers, at, *said)


def _seconds(text: str, zone: tzinfo) -> float:
    """A TS to the minute or better; 0 when it is none."""
    match = _MOMENT.fullmatch(text.strip())
    if not match:
        return 0.0
    try:
        when = datetime.strptime((match[1] + "00")[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007  # its zone follows
        if match[2]:
            return datetime.strptime(match[2], "%z").replace(
                year=when.year, month=when.month, day=when.day, hour=when.hour, minute=when.minute, second=when.second
            ).timestamp()  # fmt: skip
        return when.replace(tzinfo=zone).timestamp()
    except ValueError:
        return 0.0


def _coded(zfa: er7.Segment, field: int, known: tuple[str, ...]) -> str:
    """A code of its table, in any case; another one says nothing."""
    text = zfa.get(f"{field}.1").strip().upper().translate(_ACCENTS)
    return text if text in known else ""


def _date(zfa: er7.Segment, field: int) -> str:
    text = zfa.get(f"{field}.1").strip()
    return text if text[:8].isdecimal() else ""
