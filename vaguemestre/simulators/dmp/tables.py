"""Tables of the package: rules, codes."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

_FOLDER = resources.files("vaguemestre.simulators.dmp") / "data"


def rows(name: str) -> list[dict[str, str]]:
    """Rows of a CSV file with a header."""
    return list(csv.DictReader((_FOLDER / name).read_text("utf-8").splitlines()))


def content(name: str) -> bytes:
    """A file as it is."""
    return (_FOLDER / name).read_bytes()


@cache
def value_set(name: str) -> frozenset[tuple[str, str]]:
    """``(system, code)`` of a value set: J01, J02, J04, J07, J08, J231."""
    return frozenset((row["system"], row["code"]) for row in rows("value-sets.csv") if row["set"] == name)


@cache
def class_of_type() -> dict[tuple[str, str], str]:
    """``(system, code)`` of a type to the code of its class (ASS_X04)."""
    return {(row["type_system"], row["type_code"]): row["class_code"] for row in rows("type-to-class.csv")}


@cache
def formats() -> dict[str, str]:
    """Code of a format to its table: TRE_A11 (IHE) or TRE_A06 (French)."""
    return {row["format_code"]: row["table"] for row in rows("formats.csv")}
