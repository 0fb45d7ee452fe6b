"""Fit the confidence on the part ``dev``: ``python -m bench.loinc_fit [--write]``.

A logistic regression on what is known of each first candidate, each weight with the sign that it must have. A line
counts three times: with the whole lexicon, and twice with a third of it taken away, because a real catalogue has
words that the lexicon has not. It is fitted on half of the lines and checked on the other half, then fitted on all.
``test`` is not read.

The weights of the ranking are set by hand (``rank.WEIGHTS``): fitted ones (conditional logit) were not better on
held out lines, 0.867 and 0.867 right.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from collections.abc import Sequence
from pathlib import Path

from bench.loinc import families, part_of, plain, poorer
from loinc.assistant.calibrate import SIGNS, sign
from loinc.assistant.evidence import is_french
from loinc.assistant.suggest import Assistant, habits
from loinc.terms import shipped

DATA = Path(__file__).parents[1] / "loinc" / "data"
BELOW = {"constant": 0.0, "unknown_words": -1.3, "guessed": -1.0}
"""At most this, whatever the sets say: a word that nobody knows, or that was guessed, may be the one that matters."""

Example = tuple[tuple[float, ...], bool]


def examples(helper: Assistant) -> list[Example]:
    """What is known of each first candidate of ``dev``, and whether it is right."""
    found: list[Example] = []
    for questions in families(shipped()).values():
        french, unitless = habits([question.analysis for question in questions])
        for question in questions:
            if part_of(question.code) != "dev":
                continue
            own = is_french(question.analysis.label, question.analysis.specimen)
            ranked = helper.rank(question.analysis, french=french if own is None else own, unitless=unitless)
            if ranked.scored:
                found.append((sign(ranked), ranked.scored[0].term.code == question.code))
    return found


def fit(found: Sequence[Example], *, rounds: int = 2500, pull: float = 0.001) -> list[float]:
    """Weights of the regression."""
    weights = [0.0] * len(SIGNS)
    for _ in range(rounds):
        slope = [pull * weight for weight in weights]
        for values, right in found:
            guess = chance(weights, values)
            for at, value in enumerate(values):
                slope[at] += (guess - right) * value / len(found)
        weights = [weight - 0.8 * change for weight, change in zip(weights, slope, strict=True)]
        weights = [_bounded(name, weight) for name, weight in zip(SIGNS, weights, strict=True)]
    return weights


def _bounded(name: str, weight: float) -> float:
    return min(weight, BELOW[name]) if name in BELOW else max(weight, 0.0)


def chance(weights: Sequence[float], values: Sequence[float]) -> float:
    """The confidence of one example."""
    return 1 / (1 + math.exp(-sum(w * x for w, x in zip(weights, values, strict=True))))


def report(found: Sequence[Example], weights: Sequence[float]) -> str:
    """Coverage and precision from several confidences on."""
    lines = []
    for threshold in (0.5, 0.7, 0.8, 0.85, 0.9, 0.95):
        kept = [right for values, right in found if chance(weights, values) >= threshold]
        share = sum(kept) / len(kept) if kept else 0.0
        lines.append(f"  from {threshold:.2f}: {len(kept) / len(found):.3f} of the lines, {share:.3f} right")
    return "\n".join(lines)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.loinc_fit", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write loinc/data/confidence.csv")
    chosen = parser.parse_args()
    found = [one for helper in (plain(), poorer(1), poorer(2)) for one in examples(helper)]
    mixed = random.Random(1).sample(found, len(found))
    half = len(mixed) // 2
    print("fitted on one half, on the other half:", report(mixed[half:], fit(mixed[:half])), sep="\n")
    weights = fit(found)
    for name, weight in zip(SIGNS, weights, strict=True):
        print(f"{name:20} {weight:6.2f}")
    if chosen.write:
        with (DATA / "confidence.csv").open("w", encoding="utf-8", newline="") as stream:
            stream.write("# Written by bench/loinc_fit.py.\n")
            writer = csv.writer(stream, delimiter=";", lineterminator="\n")
            writer.writerow(("sign", "weight"))
            writer.writerows((name, f"{weight:.3f}") for name, weight in zip(SIGNS, weights, strict=True))


if __name__ == "__main__":
    main()
