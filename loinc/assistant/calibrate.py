"""How sure: the chance that the first candidate is the right one, from what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from loinc.assistant.lexicon import data_rows

if TYPE_CHECKING:
    from loinc.assistant.suggest import Ranked

__all__ = ["DOUBT", "SIGNS", "THRESHOLD", "confidence", "sign"]

THRESHOLD = 0.9
"""Confidence from which the first candidate is proposed; see ``loinc/README.md`` for what it keeps."""

DOUBT = 0.5
"""At most this when the best candidate contradicts the unit or the specimen, or shares little with the label."""

SIGNS = (
    "constant",
    "lead",
    "share",
    "component",
    "understood",
    "unknown_words",
    "guessed",
    "unit_told",
    "property_prior",
    "property_fit",
    "system_fit",
    "usual",
)
"""constant: 1. lead: score over the second, at most 4, halved. share: of the belief.
component, understood: 0 to 1, squared. unknown_words: whether three letters or more were not
understood. guessed: whether a word was guessed from few letters.
unit_told: whether the unit says something. property_fit, system_fit: 0 down to -1; property_prior: 0 down to -1.5, when
there is no unit. usual: weight of the term, 0 to 1."""


def sign(ranked: Ranked) -> tuple[float, ...]:
    """The signs of a line that has at least one candidate, in the order of SIGNS."""
    from loinc.assistant.rank import FEATURES

    first = ranked.scored[0]
    second = ranked.scored[1] if len(ranked.scored) > 1 else None
    features = dict(zip(FEATURES, first.features, strict=True))
    lead = min(first.score - second.score, 4.0) if second else 4.0
    reading, evidence = ranked.origins[first.term.code]
    others = sum(math.exp(max(one.score - first.score, -20.0)) for one in ranked.scored[1:40])
    return (
        1.0,
        lead / 2.0,
        1.0 / (1.0 + others),
        first.match.score**2,
        reading.quality**2,
        float(sum(map(len, reading.unknown)) >= 3),
        float(min(reading.above.values()) < 0.75),
        float(evidence.unit is not None),
        features["property_prior"],
        features["unit"],
        features["system"],
        min(features["usual"], 3.0) / 3.0,
    )


@cache
def _weights() -> Mapping[str, float]:
    return {row["sign"]: float(row["weight"]) for row in data_rows("confidence.csv")}


def confidence(ranked: Ranked) -> float:
    """The chance that the first candidate is right, 0 to 1; 0 without candidates."""
    if not ranked.scored:
        return 0.0
    weights, signs = _weights(), sign(ranked)
    total = sum(weights[name] * value for name, value in zip(SIGNS, signs, strict=True))
    told = dict(zip(SIGNS, signs, strict=True))
    contradicted = told["property_fit"] < -0.7 or told["system_fit"] < -0.7 or told["component"] < 0.36
    return min(1.0 / (1.0 + math.exp(-total)), DOUBT if contradicted else 1.0)
