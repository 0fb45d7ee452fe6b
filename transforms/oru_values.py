"""OBX-5 and what qualifies it: values of every type, units, flags, devices.

Source: HL7 v2.5 chapters 2.A (data types) and 7 (OBX), table 0078; defects as met in the field.
"""

from __future__ import annotations

from channels.errors import ParseError, ProfileError
from transforms.measures import measure, number, structured
from transforms.moments import moment
from transforms.oru_lines import Line
from transforms.oru_rules import OID, Rules
from transforms.report import Answer, Device, Flag, Identifier, Instant, Interval, Text, Unit, Value
from transforms.tables import value_set

CODED = frozenset({"CE", "CWE", "CNE", "CF"})
DATES = frozenset({"DT", "TS", "DTM"})
_WITHOUT_PLACE = frozenset(
    "AD CK CN CP CX DR EI MA MO NA PN SI TN TQ XAD XCN XON XPN XTN".split()  # noqa: SIM905  # a table
)
_FLAGS = {"MS": "I", "VS": "S"}


def unit_of(obx: Line, kind: str, rules: Rules) -> Unit | None:
    """OBX-6; else the unit that the value itself has (CQ). None when there is none, or the value is no measure."""
    if kind == "CQ" and not obx.value(6):
        return rules.unit([*obx.subs(5, 2), "", "", ""], f"{obx.at(5)}.2") if obx.value(5, 2) else None
    return rules.unit(obx.parts(6), obx.at(6)) if obx.value(6) or obx.value(6, 2) or obx.value(6, 4) else None


def values_of(obx: Line, kind: str, unit: Unit | None, rules: Rules) -> tuple[Value, ...]:
    """Every repetition of OBX-5.

    Raises:
        ProfileError: a type that a report has no place for (``laboratory.other_values``).
    """
    place = obx.at(5)
    if kind in CODED:
        concepts = [rules.concept(parts, place) for parts in obx.all(5)]
        return tuple(Answer(one, place) for one in concepts if one)
    if kind == "SN":
        return tuple(structured(parts, place, comma=rules.comma) for parts in obx.all(5) if any(parts))
    if kind == "NR":
        return tuple(_between(parts, place, rules) for parts in obx.all(5) if any(parts))
    if kind in _WITHOUT_PLACE and obx.value(5):
        if rules.laboratory.other_values == "refuse":
            raise ProfileError(
                "a value type that a report has no place for (laboratory.other_values)", obx.at(2), "102"
            )
        return tuple(Text(" ".join(filter(None, map(str.strip, parts))), place) for parts in obx.all(5) if any(parts))
    if kind in ("TX", "FT"):
        lines = "\n".join(obx.texts(5)).strip("\n")
        return (Text(lines, place),) if lines.strip() else ()
    texts = [parts[0] for parts in obx.all(5)] if kind == "CQ" else obx.texts(5)
    return tuple(_word(text, kind, place, unit, rules) for text in texts if text.strip())


def _word(text: str, kind: str, place: str, unit: Unit | None, rules: Rules) -> Value:
    """A number, a date or words."""
    if kind in ("NM", "CQ"):
        return measure(text, place, comma=rules.comma) or Text(text.strip(), place)
    if kind in DATES:
        return _date(text, place, rules)
    if unit is not None:  # a string that is a measure all the same
        return measure(text, place, comma=rules.comma) or Text(text, place)
    return Text(text, place)


def _between(parts: list[str], place: str, rules: Rules) -> Value:
    """NR: low ^ high."""
    low, high = ([part.strip() for part in parts] + ["", ""])[:2]
    one, two = number(low, comma=rules.comma), number(high, comma=rules.comma)
    source = f"{low}-{high}"
    if one and two and one.value <= two.value:
        return Interval(source, one, two, place=place)
    return Text(source, place)


def _date(text: str, place: str, rules: Rules) -> Value:
    try:
        found = moment(text, rules.zone, place)
    except ParseError:
        return Text(text, place)
    return Instant(text, found, place) if found else Text(text, place)


def flags_of(obx: Line, rules: Rules) -> tuple[Flag, ...]:
    """OBX-8. A code that is not of the French value set keeps its letters and has no label."""
    labels = value_set("interpretations")
    found = []
    for parts in obx.all(8):
        code = parts[0].strip()
        if code:
            upper = code.upper()
            known = rules.flag(code) or (code if code in labels else _FLAGS.get(upper, upper))
            found.append(Flag(known if known in labels else code, labels.get(known, ""), obx.at(8)))
    return tuple(dict.fromkeys(found))


def devices_of(obx: Line) -> tuple[Device, ...]:
    """OBX-18: every analyser."""
    found = []
    for cells in obx.all(18):
        number_, name, universal = [*(part.strip() for part in cells), "", "", ""][:3]
        shown = " ".join(part for part in (name, number_) if part)
        if shown:
            known = Identifier(number_, universal) if number_ and OID.fullmatch(universal) else None
            found.append(Device(shown, known, place=obx.at(18)))
    return tuple(found)
