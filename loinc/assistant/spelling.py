"""Words that no dictionary has: cut short, misspelt, or French where LOINC has the English cognate."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Guess", "Speller", "distance", "skeleton"]

_COGNATES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^des(?=[ho])", "de"),
        (r"ph", "f"),
        (r"th", "t"),
        (r"rh", "r"),
        (r"ch|qu|k", "c"),
        (r"y", "i"),
        (r"ae|oe", "e"),
        (r"x", "cs"),
        (r"z", "s"),
        (r"h", ""),
        (r"(.)\1", r"\1"),
    )
)
_ENDINGS = re.compile(
    r"(?:oiques?|iques?|icum|ic|ate|at|ines?|in|enes?|en|ones?|on|ides?|id|oles?|ol|oses?|os|ium|aux|al|ales?|eux|ous|"
    r"ated|ed|ees?|aires?|ary|ar|ite|iti|iles?|il|eurs?|or|ie|ia|es|e|um|us|a)$"
)
_MOST_GUESSES = 4
_LEAST_PREFIX = 3
_LEAST_FUZZY = 5


class Guess(NamedTuple):
    """A known word that an unknown one may be, and how likely, 0 to 1."""

    word: str
    confidence: float


@lru_cache(maxsize=65536)
def skeleton(word: str) -> str:
    """What a French word and its English cognate share: ``vancomycine``, ``vancomycin``; ``lactique``, ``lactate``."""
    for _ in range(2):
        stem = _ENDINGS.sub("", word)
        word = stem if len(stem) >= 4 else word
    for pattern, replacement in _COGNATES:
        word = pattern.sub(replacement, word)
    return word


def distance(one: str, two: str, limit: int) -> int:
    """Edits between two words (insert, delete, replace, swap of neighbours); ``limit + 1`` as soon as it is passed."""
    if abs(len(one) - len(two)) > limit:
        return limit + 1
    before: list[int] = []
    above = list(range(len(two) + 1))
    for row, left in enumerate(one, 1):
        here = [row]
        for column, right in enumerate(two, 1):
            cost = min(above[column] + 1, here[-1] + 1, above[column - 1] + (left != right))
            if row > 1 and column > 1 and left == two[column - 2] and one[row - 2] == right:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        if min(here) > limit:
            return limit + 1
        before, above = above, here
    return above[-1]


class Speller:
    """Finds the known words that an unknown one may be."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """weights: known word -> how common it is; the more common of two equal guesses wins."""
        self._weights = weights
        self._sorted = sorted(word for word in weights if len(word) > _LEAST_PREFIX)
        self._skeletons: dict[str, list[str]] = defaultdict(list)
        self._trigrams: dict[str, list[str]] = defaultdict(list)
        for word in self._sorted:
            self._skeletons[skeleton(word)].append(word)
            for gram in _trigrams(word):
                self._trigrams[gram].append(word)
        self._found: dict[str, tuple[Guess, ...]] = {}

    def guesses(self, word: str) -> tuple[Guess, ...]:
        """At most four guesses, the likeliest first; none for digits and words of two letters."""
        if word not in self._found:
            self._found[word] = self._guess(word) if word.isalpha() and len(word) >= _LEAST_PREFIX else ()
        return self._found[word]

    def _guess(self, word: str) -> tuple[Guess, ...]:
        found: dict[str, float] = {}
        for known in self._skeletons.get(skeleton(word), ()):
            edits = distance(word, known, 8)
            found[known] = (0.99 if word[:2] == known[:2] else 0.92) - 0.02 * edits
        for known, confidence in self._completed(word) + (
            [] if found else self._misspelt(word) + self._contracted(word)
        ):
            found[known] = max(confidence, found.get(known, 0))
        ranked = sorted(found.items(), key=lambda one: (-one[1], -self._weights[one[0]], one[0]))
        return tuple(Guess(*one) for one in ranked[:_MOST_GUESSES])

    def _completed(self, word: str) -> list[tuple[str, float]]:
        """Known words that begin with it: labels are cut and abbreviated."""
        found: list[tuple[str, float]] = []
        at = bisect_left(self._sorted, word)
        while at < len(self._sorted) and self._sorted[at].startswith(word) and len(found) < 40:
            known = self._sorted[at]
            found.append((known, 0.62 + 0.3 * len(word) / len(known)))
            at += 1
        found.sort(key=lambda one: (-self._weights[one[0]], -one[1]))
        return found[:_MOST_GUESSES]

    def _misspelt(self, word: str) -> list[tuple[str, float]]:
        """Known words a few edits away, compared as skeletons: letters that sound alike cost nothing."""
        if len(word) < _LEAST_FUZZY:
            return []
        counts: dict[str, int] = defaultdict(int)
        for gram in _trigrams(word):
            for known in self._trigrams.get(gram, ()):
                counts[known] += 1
        near = sorted(counts, key=lambda known: (-counts[known] / (len(word) + len(known)), known))[:25]
        limit = 1 if len(word) < 8 else 2 if len(word) < 13 else 3
        found = []
        for known in near:
            edits = min(distance(word, known, limit), distance(skeleton(word), skeleton(known), limit) + 0.3)
            if edits <= limit:
                found.append((known, 0.95 - 0.9 * edits / len(word)))
        return found

    def _contracted(self, word: str) -> list[tuple[str, float]]:
        """Known words whose letters it has in order, first letter and consonants first: ``plq``, ``hmtcrt``."""
        if not 3 <= len(word) <= 6 or re.search(r"[aeiou]", word[1:]):
            return []
        found: list[tuple[str, float]] = []
        at = bisect_left(self._sorted, word[0])
        while at < len(self._sorted) and self._sorted[at][0] == word[0]:
            known = self._sorted[at]
            at += 1
            if _in_order(word, known) and len(known) <= 3 * len(word) + 2:
                found.append((known, 0.35 + 0.2 * len(word) / len(known)))
        found.sort(key=lambda one: (-self._weights[one[0]], -one[1]))
        return found[:2]


def _trigrams(word: str) -> set[str]:
    padded = f"^{word}$"
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def _in_order(short: str, known: str) -> bool:
    letters = iter(known)
    return all(letter in letters for letter in short)
