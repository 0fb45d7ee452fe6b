"""Stays of invented patients, as a GAP tells them: IHE PAM France ADT.

Source: IHE PAM France 2.11 (events 3.2, PV1 3.8, ZBE 3.9, ZFA 3.10, ZFD 3.11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from vaguemestre.simulators.people import DOCTORS, Doctor, Patient

UNITS = (
    ("3120", "NEPHRO", "312"), ("3210", "CARDIO", "321"), ("4020", "URGENCES", "402"), ("3310", "CHIR-VISC", "331"),
    ("2510", "REANIMATION", "251"), ("1160", "PÉDIATRIE", "116"),
)  # fmt: skip
"""Functional units of the invented hospital: code, label, medico-tariff discipline."""
EMERGENCY = UNITS[2]
_STRUCTURES = {
    "A28": "ADT_A05", "A31": "ADT_A05", "A40": "ADT_A39", "A01": "ADT_A01", "A04": "ADT_A01", "A02": "ADT_A02",
    "A03": "ADT_A03", "A11": "ADT_A09", "A12": "ADT_A12", "A13": "ADT_A01", "A06": "ADT_A06", "Z99": "ADT_A01",
}  # fmt: skip
_OPENING = ("A01", "A04")
_CANCELS = {"A11": "A01", "A12": "A02", "A13": "A03"}
_CONSENT_EVENTS = ("A28", "A31", "A01", "A04")


@dataclass(slots=True)
class Stay:
    """One stay, as it is now."""

    account: str
    visit: str
    stay_class: str
    unit: tuple[str, str, str]
    doctor: Doctor
    room: int
    began: datetime
    movements: list[str] = field(default_factory=list)
    before: tuple[tuple[str, str, str], int] | None = None
    """Unit and room to return to when the last transfer is cancelled."""


@dataclass(slots=True)
class Person:
    """A patient and what happens: the events still to come, the stay that is open."""

    patient: Patient
    events: Iterator[str]
    stay: Stay | None = None
    stays: int = 0
    movements: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """Messages about this patient, by sending system."""


def story(random: Random) -> Iterator[str]:
    """The events of one patient, in an order that a GAP may send."""
    yield "A28"
    if random.random() < 0.3:
        yield "A31"
    for _ in range(random.randrange(1, 4)):
        yield from _stay(random)
    if random.random() < 0.1:
        yield "A40"


def _stay(random: Random) -> Iterator[str]:
    kind = random.random()
    if kind < 0.35:  # a consultation
        yield from ("A04", "A03")
        return
    if kind < 0.55:  # through the emergency unit
        yield from ("A04", "A06")
    else:
        yield "A01"
    if kind > 0.95:
        yield "A11"
        return
    for _ in range(random.randrange(3)):
        yield "A02"
        if random.random() < 0.1:
            yield "A12"
    if random.random() < 0.15:
        yield "Z99"
    yield "A03"
    if random.random() < 0.05:
        yield from ("A13", "A03")


def write(person: Person, event: str, random: Random, now: datetime) -> tuple[str, list[str]]:
    """The message structure (MSH-9.3) and the segments after MSH; ``person`` is moved on by the event."""
    patient = person.patient
    stamp = f"{now:%Y%m%d%H%M%S}"
    segments = [f"EVN||{stamp}||||{stamp}"]
    if event in ("A28", "A31", "A40"):
        segments.append(patient.pid())
        if event == "A40":
            absorbed = f"{900000 + patient.number}"
            segments += [f"MRG|{absorbed}^^^CH-TESTVILLE&1.2.250.1.999999.1.1&ISO^PI"]
        segments.append("PV1|1|N")
    else:
        _move(person, event, random, now)
        segments += _visit(person, event, stamp)
    if event in _CONSENT_EVENTS:
        segments += [f"ZFA|ACTIF|{stamp}|||||||INO|{stamp}|IC|{stamp}", f"ZFD|||N|N|INSI|{stamp}|CN|20310101"]
    return _STRUCTURES[event], segments


def _move(person: Person, event: str, random: Random, now: datetime) -> None:
    if event in _OPENING:
        person.stays += 1
        number = f"26{person.patient.number:06}{person.stays:02}"
        emergency = event == "A04" and random.random() < 0.5
        stay_class = "I" if event == "A01" else "E" if emergency else "O"
        unit = EMERGENCY if emergency else random.choice(UNITS)
        person.stay = Stay(
            f"A{number}", f"V{number}", stay_class, unit, random.choice(DOCTORS), random.randrange(1, 60), now
        )
    stay = _open(person)
    if event == "A06":
        stay.stay_class, stay.unit = "I", random.choice(UNITS)
    elif event == "A02":
        stay.before = stay.unit, stay.room
        stay.unit, stay.room = random.choice(UNITS), random.randrange(1, 60)
    elif event == "A12" and stay.before is not None:
        stay.unit, stay.room = stay.before
    if event not in _CANCELS and event != "Z99":
        person.movements += 1
        stay.movements.append(f"M{person.patient.number:06}{person.movements:03}")


def _open(person: Person) -> Stay:
    if person.stay is None:
        raise ValueError("a movement needs a stay")
    return person.stay


def _visit(person: Person, event: str, stamp: str) -> list[str]:
    stay = _open(person)
    code, label, discipline = stay.unit
    action = "CANCEL" if event in _CANCELS else "UPDATE" if event == "Z99" else "INSERT"
    origin = _CANCELS.get(event, "A01" if event == "Z99" else "")
    nature = "HMS" if event in (*_OPENING, "A06", "A11") else "SMH" if event == "Z99" else "MH"
    ended = f"D|||{stay.began:%Y%m%d%H%M%S}|{stamp}" if event == "A03" else f"|||{stay.began:%Y%m%d%H%M%S}"
    movement = stay.movements[-1] if stay.movements else "M0"
    if action == "CANCEL" and stay.movements:
        stay.movements.pop()
    responsible = f"{label}^^^^^CH-TESTVILLE^UF^^^{code}"
    treatment = {"I": "03", "E": "10", "O": "07"}[stay.stay_class]
    pv1 = (
        f"PV1|1|{stay.stay_class}|{code}^{stay.room}^1^CH-TESTVILLE|R|||{stay.doctor.xcn}|||{discipline}|||||||||"
        f"{stay.visit}^^^CH-TESTVILLE&1.2.250.1.999999.1.2&ISO^VN||{treatment}||||||||||||||||||||{ended}"
    )
    zbe = f"ZBE|{movement}^GAP|{stamp}||{action}|N|{origin}|{responsible}|{responsible}|{nature}"
    return [person.patient.pid(stay.account), pv1, zbe]
