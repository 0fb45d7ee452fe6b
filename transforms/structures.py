"""Message structures of HL7 v2.5 by event, for those whose structure is not named after the event.

Source: HL7 v2.5, table 0354; IHE PAM France 2.11, trigger events.
"""

_ADT = {
    "ADT_A01": "A01 A04 A08 A13 Z99",
    "ADT_A02": "A02",
    "ADT_A03": "A03",
    "ADT_A05": "A05 A14 A28 A31",
    "ADT_A06": "A06 A07",
    "ADT_A09": "A09 A10 A11",
    "ADT_A12": "A12",
    "ADT_A15": "A15",
    "ADT_A16": "A16",
    "ADT_A21": "A21 A22 A23 A25 A26 A27 A29 A32 A33",
    "ADT_A24": "A24",
    "ADT_A30": "A30 A34 A35 A36 A46 A47 A48 A49",
    "ADT_A37": "A37",
    "ADT_A38": "A38",
    "ADT_A39": "A39 A40 A41 A42",
    "ADT_A43": "A43 A44",
    "ADT_A45": "A45",
    "ADT_A50": "A50 A51",
    "ADT_A52": "A52 A53 A55",
    "ADT_A54": "A54",
}
_STRUCTURES = {("ADT", event): name for name, events in _ADT.items() for event in events.split()} | {
    ("MDM", event): "MDM_T02" for event in ("T02", "T04", "T06", "T08", "T10")
} | {("SIU", f"S{number}"): "SIU_S12" for number in range(12, 25)} | {
    ("ZAM", event): "ZAM_Z01" for event in ("Z01", "Z02", "Z03")
}  # fmt: skip


def structure_of(code: str, event: str) -> str:
    """``ADT_A05`` for ADT^A28, ``ORU_R01`` for ORU^R01, ``ACK`` for any ACK; ``""`` for an ADT event not known here."""
    if code in ("ACK", "ADT"):
        return _STRUCTURES.get((code, event), "ACK" if code == "ACK" else "")
    return _STRUCTURES.get((code, event), f"{code}_{event}")
