"""OBX: results, and files that come with them.

Source: HL7 v2.5 chapter 7 (OBX), tables 0085 and 0078; defects as met in the field.
"""

from __future__ import annotations

from dataclasses import dataclass

from channels.errors import MappingError, ProfileError
from transforms.measures import usual_range
from transforms.oru_files import attachment
from transforms.oru_lines import Line
from transforms.oru_people import other_laboratory, people
from transforms.oru_rules import Rules
from transforms.oru_values import devices_of, flags_of, unit_of, values_of
from transforms.report import Attachment, Concept, LeftOut, Moment, Note, Result, Unit, Validation, Value

_STATUSES = {"A": "C", "B": "C", "V": "F", "U": "F"}
_OMITTED = {
    "D": "deleted by the laboratory (OBX-11 = D)",
    "W": "wrong, withdrawn by the laboratory (OBX-11 = W)",
    "N": "not asked for (OBX-11 = N)",
    "O": "order detail, no result (OBX-11 = O)",
}
_KNOWN = frozenset("FCPSRIX")
_FROM_ORDER = {"F": "F", "C": "C", "P": "P", "A": "P", "R": "R", "S": "S", "I": "I", "O": "I", "X": "X"}


@dataclass(frozen=True, slots=True)
class Found:
    """What one OBX gives: one of the first three.

    codes: of the test, all of them. day: of OBX-14. withdrawn: what is left out was a result, deleted or wrong.
    """

    result: Result | None = None
    attachment: Attachment | None = None
    left_out: LeftOut | None = None
    codes: frozenset[str] = frozenset()
    sub_id: str = ""
    observed: Moment | None = None
    withdrawn: bool = False


def observation(obx: Line, notes: tuple[Note, ...], order_status: str, rules: Rules) -> Found:
    """One OBX with its NTE.

    order_status: OBR-25, which holds when OBX-11 is empty.

    Raises:
        ProfileError: no test, no status, or a value type that a report cannot hold.
        MappingError: a status, unit, laboratory or LOINC code that no table knows.
        ParseError: a date or a file that cannot be read.
    """
    if obx.value(3, 3) == "MetaDMPMSS":
        return Found(left_out=LeftOut(obx.place, "directions to the DMP and MSSanté, not a result"))
    kind = obx.value(2).upper()
    codes = frozenset({obx.value(3), obx.value(3, 4)} - {""})
    if kind in ("ED", "RP") and obx.value(11).upper() not in _OMITTED:
        return Found(attachment=attachment(obx, kind, rules), codes=codes)
    status = _status(obx, order_status)
    if status in _OMITTED:
        gone = LeftOut(obx.place, _OMITTED[status])
        return Found(left_out=gone, codes=codes, sub_id=obx.value(4), withdrawn=status in "DW")
    code = rules.concept(obx.parts(3), obx.at(3))
    if code is None:
        raise ProfileError("a result without code or name", obx.at(3))
    if code.standard is None and rules.laboratory.no_loinc == "refuse":
        raise MappingError("a result without LOINC code (laboratory.no_loinc)", obx.at(3))
    unit = unit_of(obx, kind, rules)
    values = values_of(obx, kind, unit, rules)
    if not values and status not in ("X", "I"):
        raise ProfileError("a result without value, which is neither awaited (I) nor given up (X)", obx.at(5))
    result = _result(obx, code, values, status, unit, notes, rules)
    return Found(result, codes=codes, sub_id=obx.value(4), observed=rules.when(obx.value(14), obx.at(14)))


def _result(
    obx: Line,
    code: Concept,
    values: tuple[Value, ...],
    status: str,
    unit: Unit | None,
    notes: tuple[Note, ...],
    rules: Rules,
) -> Result:
    usual = "\n".join(obx.texts(7)).strip()
    return Result(
        code,
        values,
        status,
        unit,
        usual_range(usual, obx.at(7), comma=rules.comma) if usual and usual != '""' else None,
        flags_of(obx, rules),
        obx.value(4),
        rules.when(obx.value(19), obx.at(19)) or rules.when(obx.value(14), obx.at(14)),
        rules.method(obx.parts(17), obx.at(17)),
        devices_of(obx),
        tuple(Validation(one) for one in people(obx, 16, rules)),
        other_laboratory(obx, rules),
        notes,
        place=obx.place,
    )


def _status(obx: Line, order_status: str) -> str:
    given = obx.value(11).upper()
    status = _STATUSES.get(given, given) if given else _FROM_ORDER.get(order_status, "")
    if not status:
        raise ProfileError("a result without status, in an order without status (OBR-25)", obx.at(11))
    if status not in _KNOWN and status not in _OMITTED:
        raise MappingError("not a status of HL7 table 0085", obx.at(11))
    return status
