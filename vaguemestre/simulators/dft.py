"""Acts of an invented hospital, as a DPI sends them for billing: DFT^P03.

Codes of the CCAM and NGAP that any hospital uses. Source: HL7 v2.5 chapter 6 (FT1); no French national profile exists.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from vaguemestre.simulators.adt import UNITS
from vaguemestre.simulators.people import DOCTORS

_ACTS = (
    ("CS", "Consultation spécialiste", "NGAP", "23.00"), ("DEQP003", "Électrocardiographie", "CCAM", "13.52"),
    ("ZZQK002", "Radiographie du thorax", "CCAM", "21.28"), ("JVJF004", "Séance d'hémodialyse", "CCAM", "52.10"),
    ("YYYY010", "Supplément de nuit", "CCAM", "40.00"),
)  # fmt: skip


def write(transaction: int, random: Random, now: datetime) -> list[str]:
    """The segments after PV1: one to three acts.

    transaction: number of the billing event, unique.
    """
    stamp = f"{now:%Y%m%d%H%M%S}"
    segments = []
    for rank, (code, label, system, price) in enumerate(random.sample(_ACTS, random.randrange(1, 4)), 1):
        unit, name, _ = random.choice(UNITS)
        segments.append(
            f"FT1|{rank}|{transaction:08}-{rank}||{stamp}|{stamp}|CG|{code}^{label}^{system}|||1||{price}&EUR"
            f"|{name}^^^^^CH-TESTVILLE^UF^^^{unit}|||||||{random.choice(DOCTORS).xcn}|||||{code}^{label}^{system}"
        )
    return segments
