"""Our own rules: what a person reads and what a program reads are the same.

In a document of ours each cell has an ``ID`` (``r1`` the label of a result, ``v1`` its value, ``u1`` the unit, ``g1``
the usual values, ``f1`` the interpretation), so cells are compared with entries both ways. In another's, the entry's
characters are looked for in the row that its ``reference`` points to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from transforms.measures import listed, ucum_of
from transforms.report import Moment
from transforms.tables import value_set
from transforms.validation.faults import Level
from transforms.validation.view import Found, View, child, kind, row, words

_OURS = re.compile(r"#r(\d+)")
_PLAIN_CELL = re.compile(r"[bwkj]\d+")
"""Cells of ours that no entry points to: previous results and numbers of isolates."""
_DIGITS = re.compile(r"[0-9]+")
_NUMERIC = {"PQ", "INT", "REAL", "IVL_PQ", "RTO", "RTO_PQ_PQ"}
_PARTS = "descendant-or-self::*[@value][self::cda:value or self::cda:low or self::cda:high or self::cda:numerator \
or self::cda:denominator or self::cda:translation]"
_AWAITED = "Résultat en attente"


class _Shown:
    """The words that show one result: cell by cell when the document is ours, else the whole row."""

    def __init__(self, view: View, result: Any, content: Any) -> None:
        reference = next(iter(view.all("cda:code/cda:originalText/cda:reference/@value", result)), "")
        match = _OURS.fullmatch(str(reference))
        self._view, self._number = view, match[1] if match and f"v{match[1]}" in view.by_id else ""
        self._row = words(row(content))
        self.level: Level = "error" if self._number else "warning"

    def cell(self, letter: str, rank: int = 1) -> str:
        """One cell of ours, ``""`` when it is empty; the row of another's document. rank: of several values."""
        if not self._number:
            return self._row
        found = self._view.by_id.get(f"{letter}{self._number}{f'-{rank}' if rank > 1 else ''}")
        return "" if found is None else words(found)

    @property
    def ours(self) -> bool:
        """Whether cells can be told apart."""
        return bool(self._number)


def narrative(view: View) -> Iterator[Found]:
    """Every value, unit, interpretation and bound of an entry is in its row of the narrative, and the reverse."""
    for result in view.results:
        content = view.shown(result)
        if content is None:
            continue
        if not words(content):
            yield Found(result, "the words that show the result are empty")
        shown = _Shown(view, result, content)
        for rank, value in enumerate(view.all("cda:value", result), 1):
            yield from _value(view, value, shown, shown.cell("v", rank))
        yield from _flags(view, result, shown)
        yield from _range(view, result, shown)
        if shown.ours:
            yield from _only_shown(view, result, shown)
            yield from _previous(view, result, row(content))


def unreferenced(view: View) -> Iterator[Found]:
    """A row of the narrative that no entry points to; an awaited result has none."""
    pointed = {str(one)[1:] for one in view.all("//cda:reference/@value")}
    for content in view.all("//cda:section[cda:entry]/cda:text//cda:tr/cda:td[1]//cda:content[@ID]"):
        name = content.get("ID", "")
        if name in pointed or _PLAIN_CELL.fullmatch(name):
            continue
        if _AWAITED not in words(row(content)) and not _awaited_below(row(content)):
            yield Found(content, "words under an ID that no entry points to", "warning")


def _awaited_below(line: Any) -> bool:
    """Whether the next row, our comment on the one above, says that the result is awaited."""
    below = line.getnext()
    return below is not None and _AWAITED in words(below)


def _value(view: View, value: Any, shown: _Shown, cell: str) -> Iterator[Found]:
    """cell: the words that show the value."""
    if kind(value) in _NUMERIC:
        for part in view.all(_PARTS, value):
            if not _number(cell, part.get("value")):
                yield Found(part, "a number that the narrative does not show", shown.level)
            unit = part.get("unit")
            if unit and not _unit(shown.cell("u") if shown.ours else cell, unit):
                yield Found(part, "a unit that the narrative does not show", shown.level)
    elif kind(value) in ("ST", "ED") and value.get("representation") is None:
        if not _says(f"{cell} {shown.cell('u') if shown.ours else ''}", words(value)):
            yield Found(value, "words that the narrative does not show", shown.level)
    elif kind(value) == "TS" and shown.ours:
        digits = _DIGITS.match(value.get("value", ""))
        if digits and not (_says(cell, Moment(digits[0]).french()) or _says(cell, digits[0])):
            yield Found(value, "a date or time that the narrative does not show")
    elif kind(value) in ("CD", "CE", "CO"):
        target = view.shown(value, "cda:originalText/cda:reference")
        if target is not None and not words(target):
            yield Found(value, "the words that show the answer are empty")
        label = value.get("displayName", "")
        if target is None and label and not _says(cell, label):
            yield Found(value, "an answer that the narrative does not show", "warning")


def _flags(view: View, result: Any, shown: _Shown) -> Iterator[Found]:
    for flag in view.all("cda:interpretationCode[@code]", result):
        if not _says(shown.cell("f"), flag.get("displayName", "")) and not _word(shown.cell("f"), flag.get("code", "")):
            yield Found(flag, "an interpretation that the narrative does not show", shown.level)


def _range(view: View, result: Any, shown: _Shown) -> Iterator[Found]:
    for bound in view.all(
        "cda:referenceRange//cda:value/cda:low[@value] | cda:referenceRange//cda:value/cda:high[@value]", result
    ):
        if not _number(shown.cell("g"), bound.get("value")):
            yield Found(bound, "a bound of the usual values that the narrative does not show", shown.level)
    for text in view.all("cda:referenceRange/cda:observationRange/cda:text[not(cda:reference)]", result):
        if words(text) and not _says(shown.cell("g"), words(text)):
            yield Found(text, "usual values that the narrative does not show", shown.level)


def _only_shown(view: View, result: Any, shown: _Shown) -> Iterator[Found]:
    """What a cell of ours shows and the entry does not say."""
    values = view.all("cda:value", result)
    aborted = view.all("cda:statusCode[@code='aborted']", result)
    if shown.cell("v") and not values and not aborted:
        yield Found(result, "a value that only the narrative shows")
    if shown.cell("g") and child(result, "referenceRange") is None:
        yield Found(result, "usual values that only the narrative shows")
    labels = value_set("interpretations").values()
    said = sum(1 for label in labels if f"{label} (" in shown.cell("f"))
    if said > len(view.all("cda:interpretationCode", result)):
        yield Found(result, "an interpretation that only the narrative shows")
    ucum = ucum_of(shown.cell("u"))
    coded = any(view.all("descendant-or-self::*/@unit | .//cda:translation", value) for value in values)
    if ucum and listed(ucum) and not coded and any(kind(value) in _NUMERIC - {"RTO"} for value in values):
        yield Found(result, "a unit that only the narrative shows")


def _previous(view: View, result: Any, line: Any) -> Iterator[Found]:
    """Previous results stand in the rows below that of the result, one row each."""
    below = []
    for one in line.itersiblings():
        if view.all("cda:td/cda:content[starts-with(@ID, 'r')]", one):
            break
        below.append(words(one))
    for value in view.all("cda:entryRelationship[@typeCode='REFR']/cda:observation/cda:value", result):
        if kind(value) not in _NUMERIC:
            continue
        for part in view.all(_PARTS, value):
            if not any(_number(text, part.get("value")) for text in below):
                yield Found(part, "a previous result that the narrative does not show")


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()


def _says(shown: str, text: str) -> bool:
    return bool(text) and _plain(text) in _plain(shown)


def _word(shown: str, text: str) -> bool:
    return bool(text) and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", shown) is not None


def _number(shown: str, digits: str) -> bool:
    """Whether the digits stand in the words as they are; a decimal comma, a plus sign, a leading zero may differ."""
    sign = "-" if digits.startswith("-") else ""
    bare = digits.lstrip("+-")
    zero = "0?" if bare.startswith("0.") else ""
    form = re.escape(bare.removeprefix("0") if zero else bare).replace(r"\.", "[.,]")
    return re.search(rf"{sign}(?<![0-9]){zero}{form}(?![0-9]|[.,][0-9])", shown) is not None


def _unit(shown: str, ucum: str) -> bool:
    """Whether the words name the unit: in UCUM, or as our table knows that laboratories write it."""
    if _says(shown, ucum) or ucum_of(shown) == ucum:
        return True
    parts = shown.split()
    pairs = (" ".join(pair) for pair in pairwise(parts))
    return any(ucum_of(one.strip("()[],;")) == ucum for one in (*parts, *pairs))
