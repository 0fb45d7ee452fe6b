"""The atoms and prefixes of UCUM, read from the unmodified ``ucum-essence.xml``."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from importlib import resources
from typing import NamedTuple

from lxml import etree

__all__ = ["BASE", "Atom", "Function", "atoms", "prefixes", "version"]

_NS = "{http://unitsofmeasure.org/ucum-essence}"
BASE = ("m", "s", "g", "rad", "K", "C", "cd", "mol")
"""The dimensions, in the order of a dimension vector.

UCUM defines ``mol`` as a number (6.022·10²³). Here it is a dimension of its own: a laboratory never means that a molar
concentration is a count of particles, and a table that allowed it would convert mmol/L into 10*9/L without a word.
"""


class Function(NamedTuple):
    """A special unit's function on its ``value`` × ``unit``: ``Cel``, ``ln``, ``lgTimes2``."""

    name: str
    value: Fraction
    unit: str


class Atom(NamedTuple):
    """One unit of the table. value × unit is its definition; ``dimension`` is its index in BASE, or -1."""

    code: str
    metric: bool
    arbitrary: bool
    value: Fraction
    unit: str
    function: Function | None = None
    dimension: int = -1


@cache
def _root() -> etree._Element:
    data = resources.files("loinc.ucum").joinpath("ucum-essence.xml").read_bytes()
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(data, parser)


def version() -> str:
    """The version of the table: ``2.2``."""
    return str(_root().get("version"))


@cache
def prefixes() -> dict[str, Fraction]:
    """Prefix -> factor."""
    return {str(one.get("Code")): _number(_child(one, "value")) for one in _root().iter(f"{_NS}prefix")}


@cache
def atoms() -> dict[str, Atom]:
    """Code (case sensitive) -> atom."""
    found = {code: Atom(code, True, False, Fraction(1), "", dimension=at) for at, code in enumerate(BASE)}
    for element in _root().iter(f"{_NS}unit"):
        code = str(element.get("Code"))
        if code not in found:
            found[code] = _atom(code, element)
    return found


def _atom(code: str, element: etree._Element) -> Atom:
    value = _child(element, "value")
    function = value.find(f"{_NS}function")
    special = None
    if function is not None:
        special = Function(str(function.get("name")), Fraction(function.get("value") or "1"), str(function.get("Unit")))
    return Atom(
        code,
        element.get("isMetric") == "yes",
        element.get("isArbitrary") == "yes",
        Fraction(1) if special else _number(value),
        "" if special else str(value.get("Unit") or ""),
        special,
    )


def _child(element: etree._Element, name: str) -> etree._Element:
    child = element.find(f"{_NS}{name}")
    if child is None:
        raise ValueError(f"the table of UCUM has a unit without {name}")
    return child


def _number(element: etree._Element) -> Fraction:
    return Fraction(element.get("value") or "1")
