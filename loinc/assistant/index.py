"""LOINC components by their words: which ones may a reading of a label mean."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from loinc.assistant.normalise import words
from loinc.terms import Term, Terms

__all__ = ["Component", "Index", "Match", "split_component"]

_PARENTHESES = re.compile(r"\([^)]*\)")
_HUNDRED = re.compile(r"^100+0? ?|^(?:leukocyte|lymphocyte|reticulocyte|platelet|cell)s?\b")
_LIGHT = {
    "total": 0.3,
    "sp": 0.15,
    "activity": 0.3,
    "cell": 0.5,
    "virus": 0.35,
    "human": 0.4,
    "type": 0.5,
    "light": 0.6,
    "actual": 0.2,
}
_COMMON = 900  # components: a word of more is not looked up, only counted
_KEPT = 30


class Component(NamedTuple):
    """One component of the table.

    above, below: words of the numerator, with their weights, and of what stands after ``/``.
    head, alias: in ``Thyroxine (T4) free``, what stands before the parentheses and what is in them: one stands for the
    other. weight: of all words but the alias.
    against: ``""``, or the kind of the denominator: hundred, total, normal, creatinine, other.
    """

    text: str
    above: Mapping[str, float]
    below: frozenset[str]
    head: frozenset[str]
    alias: frozenset[str]
    against: str
    weight: float
    terms: tuple[Term, ...]


class Match(NamedTuple):
    """A component and how well it matches, 0 to 1. asked: share of the label's words that it has; own: of its words."""

    component: Component
    score: float
    asked: float
    own: float


def split_component(text: str) -> tuple[str, str, str]:
    """Numerator, denominator and kind of the denominator."""
    above, slash, below = text.partition("/")
    lower = below.lower()
    if not slash or not below:
        return text, "", ""
    if lower.startswith("1.73"):
        return f"{above} {below.partition('.predicted')[2]}", "", "area"
    if "normal" in lower or lower.startswith("control"):
        return above, "", "normal"
    if _HUNDRED.match(lower):
        return above, below, "hundred"
    if "creatinine" in lower:
        return above, below, "creatinine"
    base = re.sub(r"\.total$|\btotal$", "", lower).strip(" .")
    if lower.endswith("total") and (not base or base in above.lower() or base == "protein"):
        return above, below, "total"
    return above, below, "other"


class Index:
    """Finds components by words."""

    def __init__(self, terms: Terms) -> None:
        """terms: what may be suggested."""
        by_text: dict[str, list[Term]] = defaultdict(list)
        for term in terms:
            by_text[term.component].append(term)
        counts: dict[str, int] = defaultdict(int)
        parts = {text: _parts(text) for text in by_text}
        for part in parts.values():
            for word in {*part.above, *part.below}:
                counts[word] += 1
        total = len(by_text)
        self._default = math.log(1 + total / 2)
        self.weights = {word: self._weight(word, count, total) for word, count in counts.items()}
        self.frequency = dict(counts)
        self._components = [self._component(text, parts[text], by_text[text]) for text in by_text]
        self._postings: dict[str, list[int]] = defaultdict(list)
        for number, component in enumerate(self._components):
            for word in component.above:
                self._postings[word].append(number)

    @staticmethod
    def _weight(word: str, count: int, total: int) -> float:
        weight = math.log(1 + total / count)
        if word.isdigit():
            weight = max(2.5, min(weight, 4.0))
        elif len(word) == 1:
            weight = max(3.0, min(weight, 5.0))
        return min(weight, 7.0) * _LIGHT.get(word, 1.0)

    def _component(self, text: str, parts: _Parts, terms: list[Term]) -> Component:
        weighed = {word: self.weights[word] for word in parts.above}
        needed = sum(weight for word, weight in weighed.items() if word not in parts.alias)
        return Component(
            text, weighed, parts.below, parts.head, parts.alias, parts.against, max(needed, 0.5), tuple(terms)
        )

    def weight(self, word: str) -> float:
        """How much a word tells; a word that no component has tells as much as a rare one."""
        return self.weights.get(word, self._default * 0.6)

    def matches(self, above: Mapping[str, float], below: frozenset[str], unknown: float) -> list[Match]:
        """The components that match best.

        above: words of the reading -> confidence. below: words after ``/``. unknown: weight of the words not
        understood.
        """
        shared: dict[int, float] = defaultdict(float)
        rare = [word for word in above if self.frequency.get(word, 0) <= _COMMON] or list(above)
        for word in rare:
            for number in self._postings.get(word, ()):
                shared[number] += self.weights[word] * above[word]
        asked = sum(self.weight(word) for word in above) + unknown
        first = sorted(shared, key=lambda one: (-shared[one] / (asked + self._components[one].weight), one))[:200]
        found = [self._match(self._components[number], above, below, asked) for number in first]
        return sorted(found, key=lambda match: (-match.score, match.component.text))[:_KEPT]

    def _match(self, component: Component, above: Mapping[str, float], below: frozenset[str], asked: float) -> Match:
        common = sum(weight * above[word] for word, weight in component.above.items() if word in above)
        covered = min(common / asked, 1.0) if asked else 0.0
        own = min(_own(component, above) / component.weight, 1.0)
        score = 2 * covered * own / (covered + own) if common else 0.0
        if below:
            both = len(below & component.below) / max(len(below), 1)
            score *= 0.55 + 0.45 * both
        elif component.against == "other":
            score *= 0.75
        return Match(component, score, covered, own)


def _own(component: Component, asked: Mapping[str, float]) -> float:
    """The weight of the component's words that the label has; the alias stands for the head."""
    if not component.alias:
        return sum(weight * asked[word] for word, weight in component.above.items() if word in asked)
    needed = {word: weight for word, weight in component.above.items() if word not in component.alias}
    found = {word: asked.get(word, 0.0) for word in needed}
    if component.alias <= asked.keys():
        sure = min(asked[word] for word in component.alias)
        found.update({word: max(found[word], sure) for word in component.head & needed.keys()})
    return sum(weight * found[word] for word, weight in needed.items())


class _Parts(NamedTuple):
    above: list[str]
    below: frozenset[str]
    head: frozenset[str]
    alias: frozenset[str]
    against: str


def _parts(text: str) -> _Parts:
    above, below, against = split_component(text)
    everything = list(dict.fromkeys(word for word in words(above) if word not in ("/", "%")))
    denominator = frozenset(word for word in words(below) if word not in ("/", "%", "total") and not word.isdigit())
    inside = _PARENTHESES.search(above)
    head = frozenset(words(above[: inside.start()])) if inside else frozenset()
    outside = head | frozenset(words(above[inside.end() :])) if inside else frozenset(everything)
    alias = frozenset(everything) - outside if head else frozenset()
    return _Parts(everything, denominator, head, alias, against)
