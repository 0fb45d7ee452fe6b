"""Who and which numbers of a message a report has no place for: said, so that nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator

from transforms.oru_lines import Line
from transforms.report import LeftOut, Patient

_INS = "an INS is carried for a validated identity only (PID-32), in the site's domain, the NIR before the NIA"
_NUMBER = "a number of the patient that a report has no place for: it takes the local number (PI) and the INS"
_PLACE = "a birth place that is not the code of a commune or country (COG), or one more"
_ROLE = "a role that a report has no place for: it takes the declared general practitioner (ODRP)"
_NEAR = "a report takes those to call (C), trusted persons (K) and legal representatives"
_PART = "a report takes those who get a copy (RCT)"


def unused(pid: Line, found: Patient, others: list[Line], taken: set[str]) -> Iterator[LeftOut]:
    """What of these segments is in no report.

    found: what was read of the patient. others: ROL, NK1, PRT. taken: places of those of them that the report holds.
    """
    used = {one.place for one in found.ids} | ({found.ins.place} if found.ins else set())
    for number, parts in enumerate(pid.all(3), 1):
        place = f"{pid.place}-3[{number}]"
        if parts[0].strip() and place not in used:
            kind = parts[4].strip().upper() if len(parts) > 4 else ""
            yield LeftOut(place, _INS if kind == "INS" else _NUMBER)
    for number, parts in enumerate(pid.all(11), 1):
        if len(parts) > 8 and parts[6].strip().upper() == "BDL" and parts[8].strip() != found.birth_place:
            yield LeftOut(f"{pid.place}-11[{number}].9", _PLACE)
    why = {"ROL": _ROLE, "NK1": _NEAR, "PRT": _PART}
    yield from (LeftOut(one.place, why[one.id]) for one in others if one.place not in taken)
