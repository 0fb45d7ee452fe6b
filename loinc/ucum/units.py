"""A unit as an exact factor and a dimension, and what it converts to.

Source: The Unified Code for Units of Measure 2.2, §§ 17 to 24 (semantics, special and arbitrary units).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from loinc.ucum.errors import ConversionError, UnitError
from loinc.ucum.essence import BASE, Function, atoms, prefixes
from loinc.ucum.grammar import Component, read

__all__ = ["Unit", "parse", "validate"]

Dimension = tuple[int, ...]
_NONE: Dimension = (0,) * len(BASE)
_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: ``factor`` times the base units raised to ``dimension``.

    dimension: exponents of BASE. arbitrary: units that convert into nothing else, with their exponents, sorted.
    function: of a special unit (``Cel``, ``[pH]``, ``B``), whose values are not proportional to anything; the factor is
    then that of its prefix. annotations: in the order of the code; they mean nothing to UCUM.
    """

    code: str
    factor: Fraction
    dimension: Dimension = _NONE
    arbitrary: tuple[tuple[str, int], ...] = ()
    function: Function | None = None
    annotations: tuple[str, ...] = ()

    def commensurable(self, other: Unit) -> bool:
        """Whether a value in this unit can be a value in the other one. Log units convert among their own kind only."""
        mine, theirs = reference(self), reference(other)
        return (mine.dimension, mine.arbitrary) == (theirs.dimension, theirs.arbitrary)


@lru_cache(maxsize=_LIMIT)
def parse(code: str) -> Unit:
    """The unit of a UCUM code (case sensitive). Raises UnitError, at most 200 characters are read."""
    if len(code) > 200:
        raise UnitError("longer than 200 characters", 200)
    components = read(code)
    notes = tuple(one.annotation for one in components if one.annotation)
    special = next((one for one in components if one.atom and atoms()[one.atom].function), None)
    if special is not None:
        return _special(code, components, special, notes)
    factor, dimension, arbitrary = _product(components)
    return Unit(code, factor, dimension, arbitrary, None, notes)


def validate(code: str) -> str:
    """``""`` for a UCUM code, else what is wrong with it."""
    try:
        parse(code)
    except UnitError as error:
        return str(error)
    return ""


def reference(unit: Unit) -> Unit:
    """The proportional unit that a special unit is defined on; any other unit itself."""
    return parse(unit.function.unit) if unit.function else unit


def _special(code: str, components: tuple[Component, ...], special: Component, notes: tuple[str, ...]) -> Unit:
    """A special unit takes a prefix and numbers, nothing else.

    Beside other units (``Cel/min``, ``m[H2O]/Cel``) it stands for a difference and is then proportional: only Cel,
    [degF] and [degRe] have such differences.
    """
    function = atoms()[special.atom].function
    alone = all(one is special or not one.atom for one in components) and special.exponent == 1
    if alone and function is not None:
        scale = prefixes()[special.prefix] if special.prefix else Fraction(1)
        for one in components:
            if one is not special:
                scale *= Fraction(one.number) ** one.exponent
        return Unit(code, scale, reference(Unit(code, Fraction(1), function=function)).dimension, (), function, notes)
    factor, dimension, arbitrary = _product(components)
    return Unit(code, factor, dimension, arbitrary, None, notes)


def _product(components: tuple[Component, ...]) -> tuple[Fraction, Dimension, tuple[tuple[str, int], ...]]:
    factor, dimension = Fraction(1), list(_NONE)
    arbitrary: dict[str, int] = {}
    for one in components:
        scale, powers, units = _atom(one.atom) if one.atom else (Fraction(one.number), _NONE, {})
        scale *= prefixes()[one.prefix] if one.prefix else 1
        if not scale and one.exponent < 0:
            raise UnitError("a division by zero", 0)
        factor *= scale**one.exponent
        for at, power in enumerate(powers):
            dimension[at] += power * one.exponent
        for name, power in units.items():
            arbitrary[name] = arbitrary.get(name, 0) + power * one.exponent
    return factor, tuple(dimension), tuple(sorted((name, power) for name, power in arbitrary.items() if power))


@lru_cache(maxsize=1024)
def _atom(code: str) -> tuple[Fraction, Dimension, dict[str, int]]:
    """Factor, dimension and arbitrary units of one atom."""
    atom = atoms()[code]
    if atom.dimension >= 0:
        return Fraction(1), tuple(int(at == atom.dimension) for at in range(len(BASE))), {}
    if atom.arbitrary:
        return Fraction(1), _NONE, {_SAME.get(code, code): 1}
    if atom.function is not None:
        if atom.function.name not in DIFFERENCES:
            return Fraction(1), _NONE, {code: 1}
        value, unit = atom.function.value, parse(atom.function.unit)
        return value * unit.factor, unit.dimension, {}
    factor, dimension, arbitrary = _product(read(atom.unit))
    return atom.value * factor, dimension, dict(arbitrary)


DIFFERENCES = frozenset({"Cel", "degF", "degRe"})
_SAME = {"[iU]": "[IU]"}
"""Two spellings of the international unit: the table defines one by the other."""


def factor_between(source: Unit, target: Unit) -> Fraction:
    """How many of ``target`` one ``source`` is. Raises ConversionError for special and incommensurable units."""
    if source.function or target.function:
        raise ConversionError("the values of a special unit are not proportional to those of another")
    if source.arbitrary != target.arbitrary:
        raise ConversionError("arbitrary units convert into nothing else")
    if source.dimension != target.dimension:
        raise ConversionError("the units have not the same dimension")
    if not target.factor:
        raise ConversionError("a unit of zero")
    return source.factor / target.factor
