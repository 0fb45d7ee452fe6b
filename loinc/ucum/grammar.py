"""The grammar of UCUM codes, case sensitive.

Source: The Unified Code for Units of Measure 2.2, §§ 1 to 12.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from loinc.ucum.errors import UnitError
from loinc.ucum.essence import atoms, prefixes

__all__ = ["Component", "read"]

_ANNOTATION = re.compile(r"\{[\x21-\x7a\x7c\x7e]*\}")
_DIGITS = re.compile(r"[0-9]+")
_SYMBOL = re.compile(
    r"(?:\[[\x21-\x5a\x5c\x5e-\x7e]*\]|[\x21\x23-\x27\x2a\x2c\x3a-\x3c\x3e-\x5a\x5c\x5e-\x7a\x7c\x7e]|[0-9])+"
)
_SIGNED = re.compile(r"[+-]?[0-9]+")
_EXPONENT = re.compile(r"(?P<symbol>.*?)(?P<exponent>[0-9]+)?")
_DEPTH = 50


class Component(NamedTuple):
    """One factor of a unit, raised to ``exponent`` (negative below the solidus).

    atom: ``""`` for a number alone or an annotation alone. prefix: ``""`` when there is none.
    """

    prefix: str
    atom: str
    exponent: int
    number: int = 1
    annotation: str = ""


def read(code: str) -> tuple[Component, ...]:
    """The factors of a unit; none for the unity ``""``. Raises UnitError."""
    if not code:
        return ()
    reader = _Reader(code)
    found = reader.term(0, 1, unary=True)
    if reader.at < len(code):
        raise UnitError("something follows the unit", reader.at)
    return tuple(found)


class _Reader:
    def __init__(self, code: str) -> None:
        self._code, self.at = code, 0

    def _next(self) -> str:
        return self._code[self.at : self.at + 1]

    def term(self, depth: int, sign: int, *, unary: bool) -> list[Component]:
        """Components between points and solidi, read from left to right."""
        if depth > _DEPTH:
            raise UnitError("too many parentheses", self.at)
        direction = 1
        if unary and self._next() == "/":
            direction, self.at = -1, self.at + 1
        found = self._component(depth, sign * direction)
        while self._next() in {".", "/"}:
            direction = -1 if self._next() == "/" else 1
            self.at += 1
            found += self._component(depth, sign * direction)
        return found

    def _component(self, depth: int, sign: int) -> list[Component]:
        following = self._next()
        if following == "(":
            self.at += 1
            found = self.term(depth + 1, sign, unary=True)
            if self._next() != ")":
                raise UnitError("a parenthesis is not closed", self.at)
            self.at += 1
            return found
        if following == "{":
            return [Component("", "", sign, annotation=self._annotation())]
        return [self._simple(sign)]

    def _annotation(self) -> str:
        if self._next() != "{":
            return ""
        match = _ANNOTATION.match(self._code, self.at)
        if match is None:
            raise UnitError("an annotation is printable ASCII between { and }", self.at)
        self.at = match.end()
        return match[0][1:-1]

    def _simple(self, sign: int) -> Component:
        start = self.at
        match = _SYMBOL.match(self._code, start)
        if match is None:
            raise UnitError("a unit is missing" if start == len(self._code) else "no unit begins here", start)
        text = match[0]
        if _DIGITS.fullmatch(text):
            self.at = match.end()
            return Component("", "", sign, number=self._factor(text, start), annotation=self._annotation())
        prefix, atom, exponent = self._split(text, start)
        self.at = start + len(text)
        signed = _SIGNED.match(self._code, self.at) if not exponent else None
        if signed:
            exponent, self.at = int(signed[0]), signed.end()
        power = 1 if exponent is None else exponent
        return Component(prefix, atom, sign * power, annotation=self._annotation())

    def _factor(self, text: str, start: int) -> int:
        if len(text) > 18:
            raise UnitError("a number of more than 18 digits", start)
        return int(text)

    def _split(self, text: str, start: int) -> tuple[str, str, int | None]:
        """Prefix, atom and exponent of a symbol; an atom may end in a digit itself."""
        match = _EXPONENT.fullmatch(text)
        bare, digits = (match["symbol"], match["exponent"]) if match else (text, None)
        for symbol, exponent in ((text, None), (bare, digits)):
            found = _prefixed(symbol)
            if found is not None:
                if exponent and len(exponent) > 3:
                    raise UnitError("an exponent of more than three digits", start)
                return *found, int(exponent) if exponent else None
        raise UnitError("no such unit", start)


def _prefixed(symbol: str) -> tuple[str, str] | None:
    """Prefix and atom; an atom that is in the table whole has no prefix (``cd``, ``Pa``, ``min``)."""
    known = atoms()
    if symbol in known:
        return "", symbol
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in prefixes() and rest in known and known[rest].metric:
            return prefix, rest
    return None
