"""What words of laboratories mean: phrases -> words of LOINC components, and what they tell of the other axes."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from loinc.assistant.normalise import words

__all__ = ["Lexicon", "Sense", "data_rows", "lexicon"]


_START = 3


class Sense(NamedTuple):
    """One meaning of a phrase.

    component: words of a LOINC component; empty when the phrase only tells other axes.
    axes: pairs (axis, value), axis one of sys, time, prop, scale, meth, chal, lang.
    """

    component: str
    axes: tuple[tuple[str, str], ...] = ()


class Lexicon:
    """The phrases of ``data/lexicon.csv``."""

    def __init__(self, senses: Mapping[tuple[str, ...], Sequence[Sense]], stems: Mapping[str, str]) -> None:
        """senses: words of a phrase -> its meanings, the likeliest first.

        stems: of -émie, -urie, -rachie -> component.
        """
        self.senses = {key: list(found) for key, found in senses.items()}
        self.stems = dict(stems)
        self._any_order = {frozenset(key): key for key in senses if 2 <= len(key) <= 3 and len(set(key)) == len(key)}
        self._starting: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for key in senses:
            if len(key) > 1:
                self._starting[key[0][:_START]].append(key)
        self.longest = max(map(len, self.senses), default=0)
        self.words = frozenset(word for key in self.senses for word in key)

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, str]]) -> Lexicon:
        """rows: columns terms, component, axes, as in ``data/lexicon.csv``."""
        senses: dict[tuple[str, ...], list[Sense]] = defaultdict(list)
        stems: dict[str, str] = {}
        for row in rows:
            axes = tuple(_axes(row["axes"] or ""))
            meanings = [Sense(one.strip(), axes) for one in row["component"].split("|")]
            for term in row["terms"].split("|"):
                if term.endswith("-") and len(term) > 2 and " " not in term and row["component"]:
                    stems[words(term)[0]] = meanings[0].component
                    continue
                key = tuple(word for word in words(term) if word != "/" or len(words(term)) > 1)
                if key:
                    senses[key].extend(sense for sense in meanings if sense not in senses[key])
        return cls(senses, stems)

    def with_phrases(self, phrases: Mapping[tuple[str, ...], Sequence[Sense]]) -> Lexicon:
        """The same, with meanings added; what was known comes first."""
        senses = {key: list(found) for key, found in self.senses.items()}
        for key, found in phrases.items():
            senses[key] = senses.get(key, []) + [sense for sense in found if sense not in senses.get(key, [])]
        return Lexicon(senses, self.stems)

    def starting(self, word: str) -> list[tuple[str, ...]]:
        """The phrases of several words that begin with the first letters of this one."""
        return self._starting.get(word[:_START], [])

    def lookup(self, key: tuple[str, ...]) -> list[Sense]:
        """The meanings of a phrase; two or three words may come in any order."""
        if key in self.senses:
            return self.senses[key]
        other = self._any_order.get(frozenset(key)) if 2 <= len(key) <= 3 else None
        return self.senses[other] if other and len(other) == len(key) else []


def _axes(text: str) -> list[tuple[str, str]]:
    """``sys=Urine time=24H`` as pairs; a value may hold blanks up to the next ``name=``."""
    found: list[tuple[str, str]] = []
    for part in text.split():
        name, equal, value = part.partition("=")
        if equal:
            found.append((name, value))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {part}")
    return found


def data_rows(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of ``loinc/data``; lines that begin with ``#`` are comments."""
    text = resources.files("loinc").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader((line for line in text.splitlines() if not line.startswith("#")), delimiter=";"))


@cache
def lexicon() -> Lexicon:
    """The lexicon that ships with the product."""
    return Lexicon.of_rows(data_rows("lexicon.csv"))
