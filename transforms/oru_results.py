"""OBX: results, and files that come with them.

Source: HL7 v2.5 chapter 7 (OBX), tables 0085 and 0078; defects as met in the field.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from channels.errors import MappingError, ParseError, ProfileError
from transforms.measures import measure, structured, usual_range
from transforms.moments import moment
from transforms.oru_lines import Line
from transforms.oru_people import other_laboratory, people
from transforms.oru_rules import OID, Rules
from transforms.report import (
    Answer,
    Attachment,
    Concept,
    Device,
    Flag,
    Identifier,
    Instant,
    LeftOut,
    Note,
    Result,
    Text,
    Unit,
    Validation,
    Value,
)
from transforms.tables import value_set

WORDS = frozenset({"ST", "TX", "FT", "IS", "ID", "TM", ""})
CODED = frozenset({"CE", "CWE", "CNE", "CF"})
DATES = frozenset({"DT", "TS", "DTM"})
_CARRIED = WORDS | CODED | DATES | {"NM", "SN"}
_NOT_CARRIED = frozenset(
    "AD CK CN CP CQ CX DR ED EI MA MO NA NR PN RP SI TN TQ XAD XCN XON XPN XTN".split()  # noqa: SIM905  # a table
)
_STATUSES = {"A": "C", "B": "C", "V": "F", "U": "F"}
_OMITTED = {
    "D": "deleted by the laboratory (OBX-11 = D)",
    "W": "wrong, withdrawn by the laboratory (OBX-11 = W)",
    "N": "not asked for (OBX-11 = N)",
    "O": "order detail, no result (OBX-11 = O)",
}
_FROM_ORDER = {"F": "F", "C": "C", "P": "P", "A": "P", "R": "R", "S": "S", "I": "I", "O": "I", "X": "X"}
_FLAGS = {"MS": "I", "VS": "S"}
_DATA_URL = re.compile(r"data:[a-z/]+;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """What one OBX gives: one of these."""

    result: Result | None = None
    attachment: Attachment | None = None
    left_out: LeftOut | None = None


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
    if kind in ("ED", "RP"):
        return Found(attachment=_attachment(obx, kind, rules))
    status = _status(obx, order_status)
    if status in _OMITTED:
        return Found(left_out=LeftOut(obx.place, _OMITTED[status]))
    if kind in _NOT_CARRIED and obx.value(5):
        raise ProfileError("a value type that a report cannot carry", obx.at(2), "102")
    code = rules.concept(obx.parts(3), obx.at(3))
    if code is None:
        raise ProfileError("a result without code or name", obx.at(3))
    if code.standard is None and rules.laboratory.no_loinc == "refuse":
        raise MappingError("a result without LOINC code (laboratory.no_loinc)", obx.at(3))
    unit = rules.unit(obx.parts(6), obx.at(6)) if kind in ("NM", "SN") or obx.value(6) else None
    values = _values(obx, kind, unit, rules)
    if not values and status not in ("X", "I"):
        raise ProfileError("a result without value, which is neither awaited (I) nor given up (X)", obx.at(5))
    return Found(_result(obx, code, values, status, unit, notes, rules))


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
        usual_range(usual, obx.at(7), comma=rules.comma) if usual else None,
        _flags(obx),
        obx.value(4),
        rules.when(obx.value(19), obx.at(19)) or rules.when(obx.value(14), obx.at(14)),
        rules.concept(obx.parts(17), obx.at(17)),
        _device(obx),
        tuple(Validation(one) for one in people(obx, 16, rules)),
        other_laboratory(obx, rules),
        notes,
        obx.place,
    )


def _status(obx: Line, order_status: str) -> str:
    given = obx.value(11).upper()
    status = _STATUSES.get(given, given) if given else _FROM_ORDER.get(order_status, "")
    if not status:
        raise ProfileError("a result without status, in an order without status (OBR-25)", obx.at(11))
    if status not in "FCPSRIX" and status not in _OMITTED:
        raise MappingError("not a status of HL7 table 0085", obx.at(11))
    return status


def _values(obx: Line, kind: str, unit: Unit | None, rules: Rules) -> tuple[Value, ...]:
    place = obx.at(5)
    if kind in CODED:
        concepts = [rules.concept(parts, place) for parts in obx.all(5)]
        return tuple(Answer(one, place) for one in concepts if one)
    if kind == "SN":
        return tuple(structured(parts, place, comma=rules.comma) for parts in obx.all(5) if any(parts))
    texts = [text for text in obx.texts(5) if text.strip()]
    if kind == "NM":
        return tuple(measure(text, place, comma=rules.comma) or Text(text.strip(), place) for text in texts)
    if kind in DATES:
        return tuple(_date(text, place, rules) for text in texts)
    if kind in ("TX", "FT"):
        lines = "\n".join(obx.texts(5)).strip("\n")
        return (Text(lines, place),) if lines.strip() else ()
    if unit is not None:  # a string that is a measure all the same
        return tuple(measure(text, place, comma=rules.comma) or Text(text, place) for text in texts)
    return tuple(Text(text, place) for text in texts)


def _date(text: str, place: str, rules: Rules) -> Value:
    try:
        found = moment(text, rules.zone, place)
    except ParseError:
        return Text(text, place)
    return Instant(text, found, place) if found else Text(text, place)


def _flags(obx: Line) -> tuple[Flag, ...]:
    labels = value_set("interpretations")
    found = []
    for parts in obx.all(8):
        code = parts[0].strip()
        if code:
            upper = code.upper()
            known = code if code in labels else _FLAGS.get(upper, upper)
            shown = known if known in labels else code
            found.append(Flag(shown, labels.get(known, ""), obx.at(8)))
    return tuple(dict.fromkeys(found))


def _device(obx: Line) -> Device | None:
    parts = [*(part.strip() for part in obx.parts(18)), "", "", ""]
    number, name, universal = parts[:3]
    shown = " ".join(part for part in (name, number) if part)
    if not shown:
        return None
    return Device(shown, Identifier(number, universal) if number and OID.fullmatch(universal) else None, obx.at(18))


def _attachment(obx: Line, kind: str, rules: Rules) -> Attachment:
    """A PDF in an ED. Raises ProfileError for what is not a PDF, ParseError for one that cannot be decoded."""
    parts = [part.strip() for part in obx.parts(5)] + [""] * 5
    _, main, sub, encoding, data = parts[:5]
    if kind == "RP":
        raise ProfileError(
            "a file by reference is not fetched: the report needs the file itself (ED)", obx.at(5), "102"
        )
    if "PDF" not in (sub.upper(), main.upper().removeprefix("APPLICATION/")):
        raise ProfileError("a file that is not a PDF is not carried", f"{obx.at(5)}.3", "102")
    code, other = obx.value(3), other_laboratory(obx, rules)
    title = obx.value(3, 2) or obx.value(3, 5)
    if other is None and code not in rules.laboratory.pdf_codes and obx.value(3, 4) not in rules.laboratory.pdf_codes:
        raise MappingError("a PDF whose code is not in laboratory.pdf_codes: report or enclosure?", obx.at(3))
    file = _decoded(data, encoding.upper(), f"{obx.at(5)}.5")
    return Attachment("application/pdf", file, title, other.organization.name if other else "", obx.place)


def _decoded(data: str, encoding: str, place: str) -> str:
    """Clean base64 of the file."""
    text = "".join(_DATA_URL.sub("", data, count=1).split()).rstrip("=")
    try:
        if encoding == "HEX":
            file = bytes.fromhex(text)
        elif encoding in ("BASE64", ""):
            text = text.replace("-", "+").replace("_", "/")
            file = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        else:
            raise ParseError("the encoding of a file is Base64 or Hex", place.removesuffix(".5") + ".4", "102")
    except (ValueError, binascii.Error):
        raise ParseError("the file cannot be decoded", place, "102") from None
    if not file.startswith(b"%PDF-") or b"%%EOF" not in file[-2048:]:
        raise ParseError("the file is not a whole PDF", place, "102")
    return base64.b64encode(file).decode("ascii")
