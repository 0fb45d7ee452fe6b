"""Values of results in a CDA document that is read."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from channels.errors import ParseError
from transforms.cda.reader_xml import Element, Source, child, concept, kind, moment, place, words
from transforms.measures import listed, ucum_of
from transforms.measures import unit as read_unit
from transforms.report import Answer, Instant, Interval, Number, Quantity, Range, Ratio, Text, Unit, Value

_CODED = frozenset({"CD", "CE", "CV", "CO", "CS"})


def read_value(element: Element, source: Source) -> tuple[Value | None, Unit | None]:
    """``value`` of an observation with its unit; None for a null one.

    Raises:
        ParseError: a number or a time that is none.
    """
    its_kind = kind(element)
    at = place(element)
    if its_kind in ("PQ", "REAL", "INT", "MO"):
        number, unit = _measured(element)
        return (Quantity(number, at) if number else None), unit
    if its_kind.startswith("IVL_") and its_kind != "IVL_TS":
        found = interval(element)
        return (found[0], found[1]) if found else (None, None)
    if its_kind.startswith("RTO"):
        return _ratio(element), None
    if its_kind in _CODED:
        coded = concept(element, source)
        return (Answer(coded, at) if coded else None), None
    if its_kind == "TS":
        when = moment(element)
        return (Instant(when.digits, when, at) if when else None), None
    said = source.referred(element) if child(element, "reference") is not None else _lines(element)
    said = said or element.get("value", "")
    return (Text(said, at) if said else None), None


def _lines(element: Element) -> str:
    """Text of a value, line by line."""
    return "\n".join(line.strip() for line in "".join(element.itertext()).strip().split("\n"))


def _number(element: Element | None) -> Number | None:
    written = element.get("value", "") if element is not None else ""
    if element is None or not written:
        return None
    try:
        return Number(written, written, Decimal(written))
    except InvalidOperation:
        raise ParseError("not a number", place(element)) from None


def _measured(element: Element) -> tuple[Number | None, Unit | None]:
    """A PQ: its number and unit, or those of its translation when the unit may not stand in ``@unit``."""
    number = _number(element)
    if number:
        return number, _unit(element.get("unit", ""), "", element)
    translation = child(element, "translation")
    if translation is None:
        return None, None
    shown = child(translation, "originalText")
    code = translation.get("code", "")
    return _number(translation), _unit(code, words(shown) if shown is not None else "", translation)


def _unit(code: str, shown: str, element: Element) -> Unit | None:
    return Unit(shown or code, code, listed(code), place(element)) if code or shown else None


def interval(element: Element) -> tuple[Interval, Unit | None] | None:
    """An IVL_PQ with one bound or two; None without any. A ``@value`` alone is no interval."""
    bounds: dict[str, tuple[Number, bool]] = {}
    unit: Unit | None = None
    for name in ("low", "high"):
        one = child(element, name)
        number, its_unit = _measured(one) if one is not None else (None, None)
        if one is not None and number:
            bounds[name] = (number, one.get("inclusive", "true") != "false")
            unit = unit or its_unit
    if not bounds:
        return None
    low, high = bounds.get("low"), bounds.get("high")
    if low and high:
        shown = f"{low[0].digits} - {high[0].digits}"
    elif low:
        shown = f"{'>=' if low[1] else '>'}{low[0].digits}"
    else:
        shown = f"{'<=' if high and high[1] else '<'}{high[0].digits if high else ''}"
    found = Interval(
        shown,
        low[0] if low else None,
        high[0] if high else None,
        low[1] if low else True,
        high[1] if high else True,
        place(element),
    )
    return found, unit


def _ratio(element: Element) -> Value | None:
    one, two = _number(child(element, "numerator")), _number(child(element, "denominator"))
    return Ratio(f"{one.digits}:{two.digits}", one, two, place(element)) if one and two else None


def read_range(element: Element, source: Source) -> Range | None:
    """``observationRange``: bounds, or words."""
    found = child(element, "value")
    bounds = interval(found) if found is not None and kind(found).startswith("IVL_") else None
    said = source.referred(child(element, "text"))
    if bounds:
        return Range(said or bounds[0].source, bounds[0], place(element))
    if not said and found is not None:
        other, _ = read_value(found, source)
        said = other.source if other else ""
    return Range(said, None, place(element)) if said else None


def as_shown(value: Value, shown: str, unit: str) -> Value:
    """The value with the words of its cell, when they say the same; unit: words of the cell beside."""
    if not shown or shown == value.source:
        return value
    if isinstance(value, Quantity) and shown.replace(",", ".") == value.number.digits:
        return Quantity(Number(shown, value.number.digits, value.number.value), value.place)
    if isinstance(value, Interval) and _digits(shown) == _digits(value.source):
        return Interval(
            shown, value.low, value.high, value.low_inclusive, value.high_inclusive, value.place
        )  # fmt: skip
    if isinstance(value, Text) and value.source.split() in (shown.split(), f"{shown} {unit}".split()):
        return Text(shown, value.place)
    return value


def _digits(text: str) -> str:
    return "".join(sign for sign in text.replace(",", ".") if sign.isdigit() or sign == ".")


def unit_shown(unit: Unit | None, shown: str, at: str) -> Unit | None:
    """The unit with the words of its cell; the cell's own when the entry has none (a pure number, words)."""
    if not shown:
        return unit
    if unit is None:
        return read_unit([shown], at, lambda _: None)
    if shown == unit.source or not unit.ucum or ucum_of(shown) in (unit.ucum, ""):
        return Unit(shown, unit.ucum, unit.listed, unit.place)
    return unit
