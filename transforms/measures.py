"""Numbers, comparisons, ranges and units as laboratories write them. Nothing passes through a float.

Source: HL7 v2.5, NM (2.A.47) and SN (2.A.70); UCUM; ``mappings/tables/units.csv`` for French spellings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, lru_cache

from transforms.report import Interval, Number, Quantity, Range, Ratio, Text, Unit, Value
from transforms.tables import table, value_set

_NUMBER = r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"
_IS_NUMBER = re.compile(_NUMBER, re.ASCII)
_COMPARED = re.compile(rf"(<=|>=|=<|=>|<|>|≤|≥)\s*({_NUMBER})", re.ASCII)
_BETWEEN = re.compile(rf"({_NUMBER})\s*(?:-|–|à|a|to)\s*({_NUMBER})", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_LOW = {">": False, ">=": True, "=>": True, "≥": True}
_HIGH = {"<": False, "<=": True, "=<": True, "≤": True}
_SIGNS = str.maketrans({"µ": "u", "μ": "u", "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁶": "6", "⁹": "9"})


@lru_cache(maxsize=4096)
def number(text: str, *, comma: bool) -> Number | None:
    """A decimal number, or None.

    comma: a decimal comma is always read; else only one that cannot separate thousands (``12,5``, not ``1,234``).
    """
    if not _IS_NUMBER.fullmatch(text) or ("," in text and not comma and _THOUSANDS.fullmatch(text)):
        return None
    digits = text.replace(",", ".")
    return Number(text, digits, Decimal(digits))


def measure(text: str, place: str, *, comma: bool) -> Value | None:
    """A number or a comparison (``< 0,5``), or None when the text is anything else."""
    bare = text.strip()
    exact = number(bare, comma=comma)
    if exact:
        return Quantity(exact, place)
    return compared(bare, place, comma=comma)


def compared(text: str, place: str, *, comma: bool) -> Interval | None:
    """``<5``, ``>= 60``, ``≤ 4,2``, or None."""
    match = _COMPARED.fullmatch(text)
    bound = number(match[2], comma=comma) if match else None
    if match is None or bound is None:
        return None
    sign = match[1]
    if sign in _HIGH:
        return Interval(text, high=bound, high_inclusive=_HIGH[sign], place=place)
    return Interval(text, low=bound, low_inclusive=_LOW[sign], place=place)


def structured(parts: list[str], place: str, *, comma: bool) -> Value:
    """SN: comparator ^ number ^ separator ^ number. What is neither comparison, interval nor ratio stays words."""
    comparator, first, separator, second = ([part.strip() for part in parts] + [""] * 4)[:4]
    source = f"{comparator}{first}{separator}{second}"
    one, two = number(first, comma=comma), number(second, comma=comma)
    if one and not separator and not second:
        if comparator in ("", "="):
            return Quantity(one, place)
        return compared(comparator + first, place, comma=comma) or Text(source, place)
    if one and two and not comparator:
        if separator == "-" and one.value <= two.value:
            return Interval(source, one, two, place=place)
        if separator in (":", "/"):
            return Ratio(source, one, two, place)
    return Text(source, place)


def usual_range(text: str, place: str, *, comma: bool) -> Range:
    """OBX-7. Bounds are read only when there is no doubt: ``a-b``, ``a à b``, ``<b``, ``>= a``."""
    return Range(text, _bounds(text.strip(), comma=comma), place)


@lru_cache(maxsize=4096)
def _bounds(text: str, *, comma: bool) -> Interval | None:
    match = _BETWEEN.fullmatch(text)
    if match is None:
        return compared(text, "", comma=comma)
    low, high = number(match[1], comma=comma), number(match[2], comma=comma)
    if low is None or high is None or low.value > high.value:
        return None
    return Interval(text, low, high)


def normal(unit: str) -> str:
    """One spelling of a unit for looking it up: micro sign, superscripts, blanks, powers of ten, litres."""
    text = "".join(unit.translate(_SIGNS).split())
    text = re.sub(r"10(?:\^|\*\*|[eE])(\d)", r"10*\1", text)
    return re.sub(r"(?<![A-Za-z])([mudcnpf]?)l(?![A-Za-z])", r"\1L", text)


@cache
def _spellings() -> dict[str, str]:
    known = table("units")
    return {normal(local): ucum for local, ucum in reversed(known.items())} | known


@lru_cache(maxsize=4096)
def listed(ucum: str) -> bool:
    """Whether French reports accept this code in ``@unit`` (annotations of lower-case letters are not looked at)."""
    return bool(ucum) and re.sub(r"\{.[a-z]*.\}", "", ucum) in value_set("ucum", "code") | {"": ""}


@lru_cache(maxsize=4096)
def ucum_of(text: str) -> str:
    """The UCUM code of a unit as laboratories write it, or ``""``. A code of the French UCUM list is taken as it is."""
    if text in value_set("ucum", "code"):
        return text
    spellings = _spellings()
    return spellings.get(text) or spellings.get(normal(text), "")


def unit(parts: list[str], place: str, translate: Callable[[str], str | None]) -> Unit | None:
    """OBX-6. translate: the site's own table, asked first.

    Either triplet may hold the UCUM code; ``ucum`` is ``""`` when no table knows the unit.
    """
    written, label, system, other, other_label, other_system = (parts + [""] * 6)[:6]
    source = written or label or other or other_label
    if not source:
        return None
    ucum = translate(source) or ""
    if not ucum:
        named = [code for code, name in ((written, system), (other, other_system)) if name.upper() == "UCUM" and code]
        ucum = next((found for found in map(ucum_of, named) if found), "") or ucum_of(source)
    shown = label if label and system.upper() == "UCUM" and written == ucum else source
    return Unit(shown, ucum, listed(ucum), place)
