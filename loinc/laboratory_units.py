"""Units as laboratories write them, as UCUM codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from channels.errors import VaguemestreError
from loinc.ucum import BASE, ConversionError, UcumError, Unit, UnitError, convert, molar_factor, parse
from loinc.ucum.grammar import read

__all__ = ["CannotConvert", "conversion", "fold_unit", "ucum_of"]

_SIGNS = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "⁶": "6", "⁹": "9", "¹": "1"})
_PHYSICS = tuple(BASE.index(name) for name in ("rad", "C", "cd"))
_LITRE = re.compile(r"(?<![A-Za-z])([mudcnpf]?)l(?![A-Za-z])")


@lru_cache(maxsize=4096)
def fold_unit(text: str) -> str:
    """One spelling for comparing units: no blanks, ``u`` for micro, ``L`` for litre. Case counts (mU, MU)."""
    return _LITRE.sub(r"\1L", "".join(text.translate(_SIGNS).split()))


def ucum_of(text: str, spelled: Callable[[str], str | None]) -> str:
    """The UCUM code of a unit, or ``""``.

    spelled: the tables of spellings, asked first: ``G/L`` is 10*9/L, although UCUM reads gauss per litre. A UCUM code
    that no laboratory means (electricity, light, angles: ``T/L``, ``ph``) is not taken as one.
    """
    bare = text.strip()
    if not bare:
        return ""
    known = spelled(bare) or spelled(fold_unit(bare))
    if known:
        return known
    for code in (bare, fold_unit(bare)):
        try:
            unit = parse(code)
        except UnitError:
            continue
        if not any(unit.dimension[at] for at in _PHYSICS) and (
            unit.function is None or unit.function.name in ("Cel", "pH")
        ):
            return code
    return ""


class CannotConvert(VaguemestreError):
    """Why values of one unit may not be sent in another; never with a value."""


def conversion(source: str, target: str, analyte: str = "") -> Callable[[Fraction], Fraction]:
    """What turns a value in ``source`` into one in ``target``.

    source, target: UCUM codes. analyte: name in the table of molar masses, when mass and amount are exchanged.
    Raises CannotConvert: not commensurable, arbitrary; equivalents or osmoles against moles (they are not the same
    number of an ion); annotations that say that the units measure different things.
    """
    try:
        if analyte:
            scale = molar_factor(source, target, analyte)
            return lambda value: value * scale
        _check(parse(source), parse(target))
    except UcumError as error:
        raise CannotConvert(str(error)) from None
    if _counted(source) != _counted(target):
        raise CannotConvert("equivalents, osmoles and moles of an analyte are not the same number")
    return lambda value: convert(value, source, target)


def _check(one: Unit, other: Unit) -> None:
    if not one.commensurable(other):
        raise ConversionError("the units have not the same dimension, or are arbitrary")
    mine, theirs = _meaningful(one), _meaningful(other)
    if mine != theirs and ((mine and theirs) or any("log" in note for note in (*mine, *theirs))):
        raise ConversionError("the units have different annotations: they do not measure the same thing")


def _counted(code: str) -> set[str]:
    return {one.atom for one in read(code)} & {"mol", "eq", "osm"}


def _meaningful(unit: Unit) -> tuple[str, ...]:
    """Annotations in small letters; plural and singular are one."""
    return tuple(sorted(note.lower().rstrip("s") for note in unit.annotations))
