"""Exact conversion of values between units: fractions, never floats.

A conversion whose exact result is not a rational number (pH into mol/L, decibels into a ratio, most of the time) is
refused, not rounded.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import NamedTuple

from loinc.ucum.errors import ConversionError
from loinc.ucum.essence import BASE, Function
from loinc.ucum.units import Unit, factor_between, parse, reference

__all__ = ["convert", "decimal_of", "factor", "is_finite", "molar_factor", "molar_masses"]

_AFFINE: dict[str, tuple[Fraction, Fraction]] = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "degF": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "degRe": (Fraction(5, 4), Fraction("273.15")),
}
"""Function -> (a, b): kelvins are a × value + b."""


class _Log(NamedTuple):
    """value = times × log(base) of the quantity."""

    base: int
    times: int


_LOGS = {
    "pH": _Log(10, -1),
    "lg": _Log(10, 1),
    "lgTimes2": _Log(10, 2),
    "ld": _Log(2, 1),
    "hpX": _Log(10, -1),
    "hpC": _Log(100, -1),
    "hpM": _Log(1000, -1),
    "hpQ": _Log(50000, -1),
}


def convert(value: str | Decimal | int | Fraction, source: str, target: str) -> Fraction:
    """The value in ``target`` of a value in ``source``, exactly.

    value: decimal point; never a float. source, target: UCUM codes.

    Raises:
        UnitError: one of them is not a UCUM code.
        ConversionError: not commensurable, arbitrary, not a number, or a result that is not rational.
    """
    number = _number(value)
    one, other = parse(source), parse(target)
    if not one.function and not other.function:
        return number * factor_between(one, other)
    if one.function and other.function and one.function.name == other.function.name and _same_scale(one, other):
        return number * one.factor / other.factor
    shifted = _logs_apart(one, other, number)
    return shifted if shifted is not None else _into(other, _from(one, number))


def factor(source: str, target: str) -> Fraction:
    """How many ``target`` one ``source`` is. Raises UnitError, ConversionError (also for special units)."""
    return factor_between(parse(source), parse(target))


def _number(value: str | Decimal | int | Fraction) -> Fraction:
    if isinstance(value, float):
        raise ConversionError("a float is not an exact value")
    try:
        number = Fraction(Decimal(value.strip()) if isinstance(value, str) else value)
    except (InvalidOperation, ValueError, OverflowError):
        raise ConversionError("not a decimal number") from None
    return number


def _same_scale(one: Unit, other: Unit) -> bool:
    first, second = one.function, other.function
    return first is not None and second is not None and (first.value, first.unit) == (second.value, second.unit)


def _base(function: Function) -> Fraction:
    """The quantity that the function's argument is measured in, in base units."""
    return function.value * parse(function.unit).factor


def _check(one: Unit, other: Unit) -> None:
    if not one.commensurable(other):
        raise ConversionError("the units have not the same dimension")


def _logs_apart(one: Unit, other: Unit, number: Fraction) -> Fraction | None:
    """Two levels over different references (B[V], B[mV]): they differ by a constant, if that is rational."""
    first, second = one.function, other.function
    if first is None or second is None or first.name != second.name or first.name not in _LOGS:
        return None
    _check(one, other)
    log = _LOGS[first.name]
    power = _logarithm(_base(first) / _base(second), log.base)
    return (number * one.factor + log.times * power) / other.factor


def _logarithm(ratio: Fraction, base: int) -> int:
    """The whole power of ``base`` that ``ratio`` is. Raises ConversionError when it is none."""
    power = 0
    while ratio > 1 and power < 400:
        ratio, power = ratio / base, power + 1
    while ratio < 1 and ratio > 0 and power > -400:
        ratio, power = ratio * base, power - 1
    if ratio != 1:
        raise ConversionError("the exact result is not a rational number")
    return power


def _from(unit: Unit, number: Fraction) -> tuple[Fraction, Unit]:
    """The quantity in base units, with a unit of its dimension."""
    function = unit.function
    if function is None:
        return number * unit.factor, unit
    value = number * unit.factor
    if function.name in _AFFINE:
        scale, shift = _AFFINE[function.name]
        return scale * value + shift, reference(unit)
    if function.name == "sqrt":
        return value * value * _base(function), reference(unit)
    log = _LOGS.get(function.name)
    exponent = value / log.times if log else None
    if log is None or exponent is None or exponent.denominator != 1 or abs(exponent) > 400:
        raise ConversionError("the exact result is not a rational number")
    return Fraction(log.base) ** int(exponent) * _base(function), reference(unit)


def _into(unit: Unit, quantity: tuple[Fraction, Unit]) -> Fraction:
    value, kind = quantity
    function = unit.function
    _check(kind, unit)
    if function is None:
        return value / unit.factor
    if function.name in _AFFINE:
        scale, shift = _AFFINE[function.name]
        return (value - shift) / scale / unit.factor
    ratio = value / _base(function)
    if function.name == "sqrt":
        return _root(ratio) / unit.factor
    log = _LOGS.get(function.name)
    if log is None or ratio <= 0:
        raise ConversionError("the exact result is not a rational number")
    return Fraction(_logarithm(ratio, log.base) * log.times) / unit.factor


def _root(ratio: Fraction) -> Fraction:
    if ratio >= 0:
        found = Fraction(math.isqrt(ratio.numerator), math.isqrt(ratio.denominator))
        if found * found == ratio:
            return found
    raise ConversionError("the exact result is not a rational number")


def is_finite(number: Fraction) -> bool:
    """Whether the number has finitely many decimals."""
    denominator = number.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def decimal_of(number: Fraction, places: int | None = None) -> Decimal:
    """The number in decimals.

    places: decimals to round to, a half away from zero; None: all of them. Raises ConversionError when there is no end.
    """
    if places is None:
        if not is_finite(number):
            raise ConversionError("the value has no end of decimals: say how many are kept")
        places = 0
        while (number * 10**places).denominator != 1:
            places += 1
    scaled = abs(number) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal((number < 0, tuple(int(digit) for digit in str(whole)), -places))


@cache
def molar_masses() -> dict[str, Fraction]:
    """Name of an analyte (case does not count: keys are lower case, in English) -> g/mol."""
    text = resources.files("loinc.ucum").joinpath("molar-mass.csv").read_text(encoding="utf-8")
    return {row["component"].lower(): Fraction(row["g_per_mol"]) for row in csv.DictReader(text.splitlines())}


def molar_factor(
    source: str, target: str, analyte: str, masses: Callable[[], dict[str, Fraction]] = molar_masses
) -> Fraction:
    """How many ``target`` one ``source`` is, mass against amount of the analyte named in the table of molar masses.

    Raises:
        UnitError: not UCUM.
        ConversionError: the analyte is not in the table, or the units are not mass and amount of one dimension.
    """
    mass = masses().get(analyte.lower())
    if mass is None:
        raise ConversionError("the analyte is not in the table of molar masses")
    one, other = parse(source), parse(target)
    gram, mole = BASE.index("g"), BASE.index("mol")
    for direction in (1, -1):
        shifted = list(one.dimension)
        shifted[gram] -= direction
        shifted[mole] += direction
        if (
            tuple(shifted) == other.dimension
            and one.arbitrary == other.arbitrary
            and not (one.function or other.function)
        ):
            return one.factor / other.factor / mass**direction
    raise ConversionError("the units are not a mass and an amount of substance of the same kind")
