"""Which METHOD of LOINC a technique agrees with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

from loinc.assistant.lexicon import data_rows
from loinc.assistant.normalise import words

__all__ = ["Technique", "read_technique"]


class Technique(NamedTuple):
    """kinds: the names of what was recognised. pattern: agrees with the METHOD; None when LOINC has none for it."""

    kinds: tuple[str, ...]
    pattern: re.Pattern[str] | None


@cache
def _kinds() -> dict[tuple[str, ...], list[tuple[str, str]]]:
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for row in data_rows("methods.csv"):
        for phrase in row["words"].split("|"):
            if key := words(phrase):
                found.setdefault(key, []).append((row["kind"], row["method"] or ""))
    return found


@lru_cache(maxsize=8192)
def read_technique(texts: tuple[str, ...]) -> Technique | None:
    """What the techniques, and the words of a label about methods, agree with; None when they tell nothing."""
    found: dict[str, str] = {}
    for text in texts:
        found.update(_recognised(words(text)))
    if not found:
        return None
    specific = [method for method in found.values() if method]
    return Technique(tuple(found), re.compile("|".join(specific)) if specific else None)


def _recognised(key: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    start = 0
    while start < len(key):
        size = next(
            (size for size in range(min(5, len(key) - start), 0, -1) if key[start : start + size] in _kinds()), 0
        )
        if size:
            yield from _kinds()[key[start : start + size]]
        start += size or 1
