"""Our own rules on results: codes, statuses, units, usual values, interpretations.

Source: CI-SIS volet CR d'examens de biologie médicale 2024.01; LOINC users' guide (check digit).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from transforms.oru_rules import is_loinc
from transforms.report import LOINC
from transforms.validation.view import Found, View, child, kind

_HIGH, _LOW = {"H", "HH", "HU", "HX"}, {"L", "LL", "LU", "LX"}


def loinc(view: View) -> Iterator[Found]:
    """A LOINC code has its shape and its check digit."""
    for code in view.elements("code", "translation"):
        if code.get("codeSystem") != LOINC or not code.get("code"):
            continue
        if not is_loinc(code.get("code")):
            yield Found(code, "not the shape or the check digit of a LOINC code")


def statuses(view: View) -> Iterator[Found]:
    """A result that is given has a value, one that is given up has none; each level says what is below it."""
    for result in view.results:
        status = child(result, "statusCode")
        given = view.all("cda:value", result)
        if status is not None and status.get("code") == "aborted" and given:
            yield Found(result, "a result that is given up (aborted) has a value")
        if status is not None and status.get("code") == "completed" and not given:
            yield Found(result, "a result that is completed has no value")
    header = view.all("cda:documentationOf[1]/cda:serviceEvent/lab:statusCode")
    active = view.all("//cda:entry/cda:act/cda:statusCode[@code='active']")
    if header and header[0].get("code") == "completed" and active:
        yield Found(header[0], "said to be complete, and a chapter is not")
    if header and header[0].get("code") == "active" and not active and view.structured:
        yield Found(header[0], "said to be partial, and every chapter is complete", "warning")
    for act in view.all("//cda:entry/cda:act[cda:statusCode/@code='completed']"):
        for group in view.all(".//cda:organizer/cda:statusCode[@code='active']", act):
            yield Found(group, "a group that is not complete in a chapter that is")


def units(view: View) -> Iterator[Found]:
    """The usual values have the unit of the value; their lower bound is not above the upper one."""
    for result in view.results:
        own = {
            str(one) for one in view.all("cda:value/@unit | cda:value/cda:low/@unit | cda:value/cda:high/@unit", result)
        }
        for bounds in view.all("cda:referenceRange//cda:value", result):
            low, high = child(bounds, "low"), child(bounds, "high")
            for bound in (low, high):
                if bound is not None and own and bound.get("unit") is not None and bound.get("unit") not in own:
                    yield Found(bound, "usual values in another unit than the value")
            first, last = _decimal(low), _decimal(high)
            if first is not None and last is not None and first > last:
                yield Found(bounds, "usual values whose lower bound is above the upper one")


def flags(view: View) -> Iterator[Found]:
    """An interpretation does not say the contrary of the usual values."""
    for result in view.results:
        measured = view.all("cda:value", result)
        if len(measured) != 1 or kind(measured[0]) not in ("PQ", "REAL", "INT"):
            continue
        value = _decimal(measured[0])
        low = _decimal(next(iter(view.all("cda:referenceRange//cda:value/cda:low", result)), None))
        high = _decimal(next(iter(view.all("cda:referenceRange//cda:value/cda:high", result)), None))
        if value is None:
            continue
        below, above = low is not None and value < low, high is not None and value > high
        for flag in view.all("cda:interpretationCode", result):
            said = flag.get("code", "")
            if (said in _HIGH and below) or (said in _LOW and above):
                yield Found(flag, "an interpretation that is the contrary of the usual values")
            elif said == "N" and (below or above):
                yield Found(flag, "said to be normal, outside of the usual values", "warning")


def previous(view: View) -> Iterator[Found]:
    """Each previous result, not only one of them, is complete and dated; it is of the same test."""
    for result in view.results:
        code = child(result, "code")
        for before in view.all("cda:entryRelationship[@typeCode='REFR']/cda:observation", result):
            if child(before, "statusCode") is None or child(before, "effectiveTime") is None:
                yield Found(before, "a previous result without status or date")
            other = child(before, "code")
            if code is None or other is None or not code.get("code") or not other.get("code"):
                continue
            if (code.get("code"), code.get("codeSystem")) != (other.get("code"), other.get("codeSystem")):
                yield Found(before, "a previous result of another test", "warning")


def isolates(view: View) -> Iterator[Found]:
    """A susceptibility test hangs on its germ."""
    for battery in view.all("//cda:organizer[@classCode='BATTERY'][cda:code/@code='18769-0']"):
        if not view.all("ancestor::cda:organizer[@classCode='CLUSTER']", battery):
            yield Found(battery, "a susceptibility test without its germ", "warning")


def _decimal(element: Any) -> Decimal | None:
    try:
        return Decimal(element.get("value")) if element is not None and element.get("value") else None
    except InvalidOperation:
        return None
