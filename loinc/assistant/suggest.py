"""Candidates for each line of a catalogue, with reasons and a confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from loinc.assistant.calibrate import THRESHOLD, confidence
from loinc.assistant.evidence import Analysis, Evidence, gather, is_french
from loinc.assistant.explain import reasons
from loinc.assistant.index import Index
from loinc.assistant.lexicon import Lexicon, lexicon
from loinc.assistant.official import french_words, learned, unfold
from loinc.assistant.rank import Ranker, Scored
from loinc.assistant.reading import Reader, Reading
from loinc.assistant.spelling import Speller
from loinc.assistant.usual import act_codes, usual_weights
from loinc.terms import Terms, shipped

__all__ = ["Assistant", "Candidate", "Ranked", "Suggestion", "assistant", "habits"]


class Candidate(NamedTuple):
    """One proposed term. score: share of the belief, 0 to 1. reasons: axis -> why."""

    loinc: str
    score: float
    reasons: dict[str, str]


class Suggestion(NamedTuple):
    """What is proposed for one line.

    confidence: how likely the first candidate is right. decision: propose or abstain.
    """

    local_code: str
    candidates: list[Candidate]
    confidence: float
    decision: str


class Ranked(NamedTuple):
    """The scored terms of one line, best first; origins: code -> the reading and the evidence that gave its score."""

    scored: list[Scored]
    origins: dict[str, tuple[Reading, Evidence]]


class Assistant:
    """Suggests terms of a table for local analyses."""

    def __init__(self, terms: Terms, words: Lexicon) -> None:
        """terms: what may be suggested, their French labels count too; words: the lexicon."""
        self.terms = terms
        self.index = Index(terms)
        known = {word: float(count) for word, count in self.index.frequency.items()}
        for word in words.words:
            known[word] = known.get(word, 0.0) + 30.0
        self._reader = Reader(words, Speller(known), self.index.frequency.__contains__)
        self._ranker = Ranker(
            usual_weights(terms), act_codes(), {term.code: french_words(term) for term in terms if term.french}
        )

    def rank(self, analysis: Analysis, *, french: bool, unitless: bool) -> Ranked:
        """Every term that the line may mean, best first."""
        best: dict[str, Scored] = {}
        owner: dict[str, tuple[Reading, Evidence]] = {}
        analysis, hints = unfold(analysis)
        for found in self._reader.read(analysis.label):
            reading = found._replace(axes=found.axes + hints)
            if ("lang", "en" if french else "fr") in reading.axes:
                continue
            evidence = gather(analysis, reading, french=french, unitless=unitless)
            unknown = sum(0.6 * self.index.weight(word) for word in reading.unknown)
            for match in self.index.matches(reading.above, reading.below, unknown):
                for scored in self._ranker.score(match, evidence, reading):
                    if scored.term.code not in best or best[scored.term.code].score < scored.score:
                        best[scored.term.code] = scored
                        owner[scored.term.code] = (reading, evidence)
        ranked = sorted(best.values(), key=lambda one: (-one.score, one.term.code))
        return Ranked(ranked, owner)

    def suggest(self, analyses: Sequence[Analysis], top: int = 5) -> Iterator[Suggestion]:
        """One suggestion a line, in order.

        The lines together tell the language, and whether an empty unit means something.
        """
        french, unitless = habits(analyses)
        for analysis in analyses:
            own = is_french(analysis.label, analysis.specimen)
            ranked = self.rank(analysis, french=french if own is None else own, unitless=unitless)
            yield self._suggestion(analysis, ranked, top)

    def _suggestion(self, analysis: Analysis, ranked: Ranked, top: int) -> Suggestion:
        shares = _shares(ranked.scored)
        candidates = [
            Candidate(one.term.code, round(share, 4), reasons(analysis, one, *ranked.origins[one.term.code]))
            for one, share in zip(ranked.scored[:top], shares, strict=False)
        ]
        sure = confidence(ranked)
        return Suggestion(
            analysis.local_code, candidates, round(sure, 4), "propose" if sure >= THRESHOLD else "abstain"
        )


def habits(analyses: Iterable[Analysis]) -> tuple[bool, bool]:
    """Whether the catalogue is French, and whether most of its lines have a unit."""
    french = english = units = total = 0
    for analysis in analyses:
        total += 1
        units += bool(analysis.unit.strip())
        told = is_french(analysis.label, analysis.specimen)
        french += told is True
        english += told is False
    return french >= english, total > 0 and units >= 0.4 * total


def _shares(scored: Sequence[Scored]) -> list[float]:
    if not scored:
        return []
    top = scored[0].score
    weights = [math.exp(one.score - top) for one in scored]
    total = sum(weights)
    return [weight / total for weight in weights]


@cache
def assistant() -> Assistant:
    """The assistant over the terms that ship with the product, with what their French labels teach."""
    return Assistant(shipped(), learned(lexicon(), shipped()))
