"""How sure: the chance that the first candidate is the right one, from what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from loinc.assistant.lexicon import data_rows

if TYPE_CHECKING:
    from loinc.assistant.suggest import Ranked

__all__ = ["SIGNS", "THRESHOLD", "confidence", "sign"]

THRESHOLD = 0.9
"""Confidence from which the first candidate is proposed; see ``loinc/README.md`` for what it keeps."""

SIGNS = (
    "constant",
    "lead",
    "share",
    "component",
    "understood",
    "unknown_words",
    "unit_told",
    "specimen_told",
    "property_fit",
    "system_fit",
    "usual",
    "method_open",
    "twin",
)
"""constant: 1. lead: score over the second, at most 4. share: of the belief. component, understood: 0 to 1, squared.
unknown_words: whether more than three letters were not understood. unit_told, specimen_told: whether the line has
one that says something. property_fit, system_fit: 0 down to -1. usual: weight of the term, 0 to 3. method_open: the
first two differ only by method. twin: the second has the same component, property and system."""


def sign(ranked: Ranked) -> tuple[float, ...]:
    """The signs of a line that has at least one candidate, in the order of SIGNS."""
    from loinc.assistant.rank import FEATURES

    first = ranked.scored[0]
    second = ranked.scored[1] if len(ranked.scored) > 1 else None
    features = dict(zip(FEATURES, first.features, strict=True))
    lead = min(first.score - second.score, 4.0) if second else 4.0
    same = second is not None and (second.term.component, second.term.system) == (
        first.term.component,
        first.term.system,
    )
    reading, evidence = ranked.origins[first.term.code]
    twin = same and second is not None and second.term.property == first.term.property
    others = sum(math.exp(max(one.score - first.score, -20.0)) for one in ranked.scored[1:40])
    return (
        1.0,
        lead / 2.0,
        1.0 / (1.0 + others),
        first.match.score**2,
        reading.quality**2,
        float(sum(map(len, reading.unknown)) > 3),
        float(evidence.unit is not None),
        float(evidence.column),
        features["unit"],
        features["system"],
        min(features["usual"], 3.0) / 3.0,
        float(twin and second is not None and second.term.method != first.term.method),
        float(twin),
    )


@cache
def _weights() -> Mapping[str, float]:
    return {row["sign"]: float(row["weight"]) for row in data_rows("confidence.csv")}


def confidence(ranked: Ranked) -> float:
    """The chance that the first candidate is right, 0 to 1; 0 without candidates."""
    if not ranked.scored:
        return 0.0
    weights = _weights()
    total = sum(weights[name] * value for name, value in zip(SIGNS, sign(ranked), strict=True))
    return 1.0 / (1.0 + math.exp(-total))
