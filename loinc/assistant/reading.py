"""A label read as LOINC would say it: several readings, each with words of a component and hints on the other axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from loinc.assistant.index import split_component
from loinc.assistant.lexicon import Lexicon, Sense
from loinc.assistant.normalise import fold, words
from loinc.assistant.specimens import specimen_phrases
from loinc.assistant.spelling import Speller

__all__ = ["Reader", "Reading"]

_SUFFIXES = (
    (re.compile(r"^(.{2,})rachie$"), "CSF"),
    (re.compile(r"^(.{3,}?)(?:o|os)?urie$"), "Urine"),
    (re.compile(r"^(.{2,}?)(?:o|h)?emie$"), "Ser/Plas"),
)
_ANTI = re.compile(r"^(?:auto)?anti(.{2,})$")
_SHORT_ANTI = re.compile(r"\b(?:ac|anticorps)\.?\s+a[-. ](?=[a-z]{2})")
_BEAM = 10
_READINGS = 6
_PRODUCT = 24


class Reading(NamedTuple):
    """One way to read a label.

    above, below: words of the component (before and after ``/``) -> confidence, 0 to 1. axes: hints (axis, value).
    unknown: words that were not understood. quality: 0 to 1, how much of the label was understood.
    """

    above: dict[str, float]
    below: frozenset[str]
    axes: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    quality: float


class _Step(NamedTuple):
    words: int
    score: float
    confidence: float
    sense: Sense | None
    text: str


class _Path(NamedTuple):
    score: float
    steps: tuple[_Step, ...]


class Reader:
    """Reads labels."""

    def __init__(self, lexicon: Lexicon, speller: Speller, in_table: Callable[[str], bool]) -> None:
        """in_table: whether a word is in some LOINC component."""
        self._lexicon, self._speller, self._in_table = lexicon, speller, in_table
        self._specimens = specimen_phrases()
        self._specimen_words = {word for key in self._specimens for word in key}
        self._longest = max(lexicon.longest, 5)

    def read(self, label: str) -> list[Reading]:
        """The likeliest readings of a label, best first; none of an empty one."""
        found = [piece for word in words(_SHORT_ANTI.sub(" anti ", fold(label))) for piece in self._apart(word)]
        if not found:
            return []
        choices = [self._choices(word) for word in found]
        beams: list[list[_Path]] = [[] for _ in range(len(found) + 1)]
        beams[0] = [_Path(0.0, ())]
        for at in range(len(found)):
            paths = sorted(beams[at], key=lambda path: -path.score)[:_BEAM]
            steps = list(self._steps(found, choices, at)) if paths else []
            for path in paths:
                for step in steps:
                    beams[at + step.words].append(_Path(path.score + step.score, (*path.steps, step)))
        best = sorted(beams[-1], key=lambda path: -path.score)[:_READINGS]
        suffix = tuple(_suffix_hints(label))
        readings = [reading for path in best for reading in _readings(path, len(found), suffix)]
        return _distinct(readings)

    def _apart(self, word: str) -> tuple[str, ...]:
        """``antihistone`` as two words; a word that is known stays whole."""
        glued = _ANTI.match(word)
        if not glued or self._known(word) or any(guess.word.startswith(word) for guess in self._speller.guesses(word)):
            return (word,)
        return ("anti", glued[1])

    def _choices(self, word: str) -> list[tuple[str, float]]:
        if (word,) in self._lexicon.senses or word in self._specimen_words or not word.isalpha():
            return [(word, 1.0)]
        guesses = [(guess.word, guess.confidence) for guess in self._speller.guesses(word) if guess.word != word]
        if word in self._lexicon.words and not self._in_table(word):  # known in phrases only: alone it may be a cognate
            return [(word, 1.0), *guesses]
        if self._in_table(word):  # it may be the beginning of a better known word
            return [
                (word, 1.0),
                *((known, 0.9 * confidence) for known, confidence in guesses if known.startswith(word)),
            ]
        return guesses

    def _known(self, word: str) -> bool:
        return word in self._lexicon.words or self._in_table(word) or word in self._specimen_words

    def _steps(self, found: list[str], choices: list[list[tuple[str, float]]], at: int) -> Iterator[_Step]:
        """What may be read from this word on: phrases, words of the table, specimens; or nothing at all."""
        alone = False
        for size in range(min(self._longest, len(found) - at), 0, -1):
            for combination in _combinations(choices[at : at + size]):
                key = tuple(word for word, _ in combination)
                confidence = min(one for _, one in combination)
                score = confidence * (size + 0.25 * (size - 1))
                for rank, sense in enumerate(self._lexicon.lookup(key)):
                    alone = alone or (size == 1 and confidence > 0.9)
                    yield _Step(size, score - 0.01 * rank, confidence, sense, " ".join(key))
                if key in self._specimens:
                    sense = Sense("", (("sys", self._specimens[key]),))
                    yield _Step(size, 0.9 * score, confidence, sense, " ".join(key))
                if size == 1 and self._in_table(key[0]):
                    yield _Step(1, 0.93 * score, confidence, Sense(key[0]), key[0])
        word = found[at]
        yield from self._derived(word)
        yield from self._short_phrases(found, at)
        if not alone:
            yield _Step(1, 0.0, 1.0, None, word)

    def _short_phrases(self, found: list[str], at: int) -> Iterator[_Step]:
        """Phrases whose words are cut short (``PHOSPH ALC``), or that a label cut at 20 letters only begins."""
        for key in self._lexicon.starting(found[at]):
            size = min(len(key), len(found) - at)
            if size < 2 or (size < len(key) and at + size < len(found)):
                continue
            if all(_begins(word, known) for word, known in zip(found[at : at + size], key, strict=False)):
                written = sum(map(len, found[at : at + size]))
                confidence = 0.6 + 0.35 * written / sum(map(len, key))
                if written < sum(map(len, key)):
                    for sense in self._lexicon.senses[key]:
                        yield _Step(size, confidence * (1.25 * size - 0.25), confidence, sense, " ".join(key))

    def _derived(self, word: str) -> Iterator[_Step]:
        """``oxalurie``, ``lipasemie``: what is measured, from the stem."""
        if word in self._lexicon.words:
            return
        for pattern, _ in _SUFFIXES:
            if found := pattern.match(word):
                stem = found[1]
                if component := self._lexicon.stems.get(stem) or self._lexicon.stems.get(stem + "o"):
                    yield _Step(1, 0.95, 0.95, Sense(component), word)
                    return
                for guess in self._speller.guesses(stem)[:2]:
                    for sense in self._lexicon.senses.get((guess.word,), [Sense(guess.word)]):
                        if self._in_table(guess.word) or sense.axes or sense.component != guess.word:
                            yield _Step(1, 0.85 * guess.confidence, 0.85 * guess.confidence, sense, word)


def _begins(word: str, known: str) -> bool:
    """Whether a word is another one, or its beginning."""
    return word == known or (len(word) >= 2 and word.isalpha() and known.startswith(word))


def _combinations(choices: list[list[tuple[str, float]]]) -> Iterator[tuple[tuple[str, float], ...]]:
    for number, combination in enumerate(product(*choices)):
        if number >= _PRODUCT:
            return
        yield combination


def _suffix_hints(label: str) -> Iterator[tuple[str, str]]:
    for word in re.findall(r"[a-z]{5,}", fold(label)):
        for pattern, system in _SUFFIXES:
            if pattern.match(word):
                yield ("sys~", system)
                break


def _readings(path: _Path, length: int, hints: tuple[tuple[str, str], ...]) -> Iterator[Reading]:
    """The path as a reading; twice when it has a ``/``: a ratio, or two things side by side."""
    unknown = tuple(step.text for step in path.steps if step.sense is None and step.text not in ("/", "%"))
    slash = any(step.text == "/" for step in path.steps)
    real = max(length - sum(step.text in ("/", "%") for step in path.steps), 1)
    axes = tuple(axis for step in path.steps if step.sense for axis in step.sense.axes) + hints
    quality = min(path.score / (real + 0.25 * (real - 1)), 1.0)
    for ratio in (True, False) if slash else (False,):
        above: dict[str, float] = {}
        below: set[str] = set()
        after = False
        for step in path.steps:
            if step.text == "/" and above:
                after = ratio
            if step.sense and step.sense.component:
                numerator, denominator, _ = split_component(step.sense.component)
                target = [word for word in words(numerator) if word not in ("%", "/")]
                below.update(word for word in words(denominator) if word != "total" and not word.isdigit())
                if after:
                    below.update(target)
                else:
                    for word in target:
                        above[word] = max(step.confidence, above.get(word, 0.0))
        if above:
            yield Reading(above, frozenset(below), axes, unknown, quality)


def _distinct(readings: list[Reading]) -> list[Reading]:
    found: dict[tuple[object, ...], Reading] = {}
    for reading in readings:
        key = (frozenset(reading.above), reading.below, frozenset(reading.axes))
        if key not in found or found[key].quality < reading.quality:
            found[key] = reading
    return sorted(found.values(), key=lambda reading: -reading.quality)[:_READINGS]
