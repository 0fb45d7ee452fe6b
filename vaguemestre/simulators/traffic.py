"""Invented hospital traffic, the same for the same seed: what demo, bench and crashtest send.

    traffic = Traffic(seed=1)              # or Traffic(1, run="k3", start=datetime.now(zone), charset="iso8859-15")
    one = traffic.adt()                    # the next event of one of the patients
    one.body, one.control_id, one.kind, one.patient, one.sequence
    one = traffic.oru()                    # a blood count, an ionogram and a CRP of a patient who stays: 19 results
    one = traffic.oru(pdf_bytes=300_000)   # the same with a PDF of about that size in OBX-5
    one = traffic.dft()                    # acts to bill
    tell(one.control_id)                   # Number(system, run, patient, sequence)

Every control id (MSH-10) says which patient it is about and counts that patient's messages from one system:
``sequence`` goes 1, 2, 3… for each (system, run, patient). A receiver that keeps the last number of each sees what is
lost, doubled or out of order. ``run`` (letters and digits) tells one traffic from another: ids never repeat.

Sizes: an ADT is about 1 kB, an ORU about 3.5 kB; a message takes some tens of microseconds to make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from transforms.charsets import NAMES
from vaguemestre.simulators import dft, oru
from vaguemestre.simulators.adt import Person, story
from vaguemestre.simulators.adt import write as write_event
from vaguemestre.simulators.people import patient

_ACTIVE = 40
"""Patients whose stories go on at the same time."""
_CONTROL_ID = re.compile(r"([A-Z]+)([0-9a-z]*)\.([0-9]+)\.([0-9]+)")
START = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of the traffic."""

    body: bytes
    control_id: str
    kind: str
    patient: int
    sequence: int


class Number(NamedTuple):
    """What a control id of the traffic says."""

    system: str
    run: str
    patient: int
    sequence: int


def tell(control_id: str) -> Number | None:
    """Read a control id that ``Traffic`` made; None for another."""
    match = _CONTROL_ID.fullmatch(control_id)
    return Number(match[1], match[2], int(match[3]), int(match[4])) if match else None


class Traffic:
    """An endless, reproducible stream of messages about invented patients."""

    def __init__(
        self,
        seed: int = 1,
        *,
        run: str = "",
        start: datetime = START,
        charset: str = "utf-8",
        charsets: Mapping[str, str] | None = None,
        first: int = 1,
    ) -> None:
        """run: lower-case letters and digits. first: number of the first patient.

        charset: codec of the bodies. charsets: by sending system (``GAP``, ``SGL``, ``DPI``), where it is another.
        """
        self._random = Random(seed)
        self._run, self._next = run, first
        self._charset, self._charsets = charset, dict(charsets or {})
        self._now = start
        self._persons: list[Person] = []
        self._orders = self._bills = 0

    def adt(self) -> Sent:
        """The next event of one of the patients, from the GAP."""
        person, event = self._event()
        structure, segments = write_event(person, event, self._random, self._tick())
        return self._send("GAP", f"ADT^{event}", structure, person, segments)

    def oru(self, pdf_bytes: int = 0) -> Sent:
        """A report of the laboratory about a patient who stays, from the SGL."""
        person = self._present()
        self._orders += 1
        segments = oru.write(self._orders, self._random, self._tick(), pdf_bytes)
        return self._send("SGL", "ORU^R01", "ORU_R01", person, self._head(person) + segments)

    def dft(self) -> Sent:
        """Acts to bill about a patient who stays, from the DPI."""
        person = self._present()
        self._bills += 1
        now = self._tick()
        segments = [f"EVN||{now:%Y%m%d%H%M%S}", *self._head(person), *dft.write(self._bills, self._random, now)]
        return self._send("DPI", "DFT^P03", "DFT_P03", person, segments)

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=self._random.randrange(1, 20))
        return self._now

    def _event(self) -> tuple[Person, str]:
        """A patient and what happens next; who has nothing left leaves, and a new patient comes."""
        while True:
            if len(self._persons) < _ACTIVE:
                self._persons.append(self._new())
            person = self._random.choice(self._persons)
            event = next(person.events, None)
            if event is not None:
                return person, event
            self._persons.remove(person)

    def _new(self) -> Person:
        number, self._next = self._next, self._next + 1
        return Person(patient(number, self._random, self._now.date()), story(self._random))

    def _present(self) -> Person:
        """A patient who stays; one is admitted when there is none."""
        staying = [person for person in self._persons if person.stay is not None]
        while not staying:
            self.admit()
            staying = [person for person in self._persons if person.stay is not None]
        return self._random.choice(staying)

    def admit(self) -> None:
        """Let one more event happen without telling anyone, so that laboratories have patients."""
        person, event = self._event()
        write_event(person, event, self._random, self._now)

    @staticmethod
    def _head(person: Person) -> list[str]:
        stay = person.stay
        if stay is None:
            raise ValueError("a report needs a stay")
        location = f"{stay.unit[0]}^{stay.room}^1^CH-TESTVILLE"
        visit = f"{stay.visit}^^^CH-TESTVILLE&1.2.250.1.999999.1.2&ISO^VN"
        return [
            person.patient.pid(stay.account),
            f"PV1|1|{stay.stay_class}|{location}||||||||||||||||{visit}{'|' * 25}{stay.began:%Y%m%d%H%M%S}",
        ]

    def _send(self, system: str, kind: str, structure: str, person: Person, segments: list[str]) -> Sent:
        who = person.patient
        person.sent[system] += 1
        sequence = person.sent[system]
        control_id = f"{system}{self._run}.{who.number:06}.{sequence:05}"
        charset = self._charsets.get(system, self._charset)
        facility = "LBM-TESTVILLE" if system == "SGL" else "CH-TESTVILLE"
        profile = "2.5^FRA^2.11" if system == "GAP" else "2.5"
        head = (
            f"MSH|^~\\&|{system}|{facility}|PFI|CH-TESTVILLE|{self._now:%Y%m%d%H%M%S}||{kind}^{structure}|{control_id}|P"
            f"|{profile}|||||FRA|{NAMES[charset]}|FR"
        )
        if system == "GAP":
            head += "||2.11^IHE_FRANCE-2.11-PAM"
        body = "\r".join([head, *segments, ""]).encode(charset)
        return Sent(body, control_id, kind, who.number, sequence)
