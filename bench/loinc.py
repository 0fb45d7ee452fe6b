"""How often the assistant is right, and whether its confidence is true: ``python -m bench.loinc [--part dev]``.

Label sets, built apart from the lexicon:

- ``official``: the official French labels that ship, their component as the label. The assistant learns such labels
  from a table; here it runs without any (``honest``) and, to show what leakage would be worth, with them (``leaking``).
- ``french``: a catalogue as French laboratories write it; ``longtail``: labels for codes drawn at random from the
  table.
- ``fresh``: as ``longtail``, another draw, in another manner;
- ``degraded``: the first two again, in capitals without accents, cut at 20 characters, abbreviated or misspelt,
  without technique.
- ``poorer``: ``french`` and ``longtail`` by an assistant without a third of its lexicon, drawn at random;
- ``english``: items of English-speaking hospitals, without units; ``short``: long common names made into such items
  by rule.

A code is in the part ``test`` when the checksum of its digits is odd, whatever the set; only ``dev`` was looked at
while the weights and the confidence were set; ``test`` was run twice, for its totals, at the end. Each family is run
beside a ranking by shared words.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from loinc.assistant.evidence import Analysis
from loinc.assistant.lexicon import Lexicon, data_rows, lexicon
from loinc.assistant.normalise import fold, words
from loinc.assistant.suggest import Assistant, assistant
from loinc.terms import Term, Terms, shipped

SETS = Path(__file__).with_name("loinc_sets")
GOALS = {"french": (0.90, 0.97), "degraded": (0.70, 0.88), "english": (0.60, 0.82)}
SEED = 20261125
SHORT = 300


class Question(NamedTuple):
    """A line of a catalogue and the code it should get."""

    analysis: Analysis
    code: str


class Result(NamedTuple):
    """How one family went. answers: (confidence, right) of each line, for the curve."""

    family: str
    lines: int
    top1: float
    top5: float
    base1: float
    base5: float
    coverage: float
    proposed: float
    precision: float
    seconds: float
    answers: list[tuple[float, bool]]


def part_of(code: str) -> str:
    """``dev`` or ``test``; the same for a code in every set."""
    return "test" if zlib.crc32(code.encode()) % 2 else "dev"


def _written(name: str) -> list[Question]:
    with (SETS / f"{name}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter=";"))
    return [
        Question(Analysis(str(number), row["label"], row["specimen"], row["unit"], row["technique"]), row["code"])
        for number, row in enumerate(rows)
    ]


def _official(terms: Terms) -> list[Question]:
    found = []
    for row in data_rows("labels_fr.csv"):
        term = terms.get(row["code"])
        if not term:
            continue
        if row["form"] == "axes":
            component, _, _, system, _, method = row["french"].split(":")
        else:
            component, _, rest = row["french"].partition(" [")
            system, *others = rest.partition("] ")[2].split(" ; ")
            method = others[1] if len(others) > 1 else ""
        found.append(
            Question(Analysis(row["code"], component, system, term.units[0] if term.units else "", method), row["code"])
        )
    return found


_SHORTER = {
    "Serum or Plasma": "Blood", "Serum": "Serum", "Blood": "Blood", "Urine": "Urine", "Cerebral spinal fluid": "CSF",
    "Platelet poor plasma": "Plasma", "Stool": "Stool", "Synovial fluid": "Joint Fluid", "Pleural fluid": "Pleural",
    "Peritoneal fluid": "Ascites", "Body fluid": "Other Body Fluid", "Arterial blood": "Arterial Blood",
}  # fmt: skip


def _short(terms: Terms, rng: random.Random) -> list[Question]:
    """Long common names as a hospital might list them: the component, shortened, and the fluid."""
    from loinc.assistant.usual import usual_weights

    usual = usual_weights(terms)
    pool = [term for term in terms if term.status == "ACTIVE" and not term.challenge and "IgE" not in term.component]
    chosen = rng.sample(sorted(usual), SHORT // 2) + [term.code for term in rng.sample(pool, SHORT // 2)]
    found = []
    for code in chosen:
        term = terms.get(code)
        place = term and re.search(r" (?:in|of|on) ([A-Z][a-z ]+?)(?: by .*)?$", term.name)
        if term and place and place[1] in _SHORTER:
            found.append(Question(Analysis(code, _shortened(term, rng), _SHORTER[place[1]]), code))
    return found


def _shortened(term: Term, rng: random.Random) -> str:
    text = re.sub(r"\([^)]*\)|\.total|/100 leukocytes| identified", "", term.component).strip()
    pieces = text.replace(".", " ").split()
    if len(pieces) > 2 and rng.random() < 0.5:
        pieces = [piece if len(piece) < 8 else piece[: rng.randint(5, 8)] for piece in pieces]
    text = " ".join(pieces)
    if term.property == "NFr" and rng.random() < 0.5:
        text += " %"
    return text.upper() if rng.random() < 0.4 else text


def degrade(question: Question, rng: random.Random) -> Question:
    """A label as old systems keep it: capitals, no accents, cut, abbreviated or misspelt; no technique."""
    label = question.analysis.label
    noise = rng.choice((_cut, _cut, _abbreviated, _misspelt, _misspelt))
    return Question(question.analysis._replace(label=noise(label, rng), technique=""), question.code)


def _cut(label: str, _rng: random.Random) -> str:
    return fold(label).upper()[:20]


def _abbreviated(label: str, rng: random.Random) -> str:
    pieces = [
        piece if len(piece) < 6 else piece[: rng.randint(4, 6)] + rng.choice((".", "")) for piece in label.split()
    ]
    text = " ".join(piece for piece in pieces if piece.lower() not in ("de", "la", "des", "du", "le", "les", "à"))
    return fold(text).upper() if rng.random() < 0.5 else text


def _misspelt(label: str, rng: random.Random) -> str:
    return " ".join(_slip(piece, rng) if len(piece) > 4 else piece for piece in label.split())


def _slip(word: str, rng: random.Random) -> str:
    at = rng.randint(1, len(word) - 2)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    letter = rng.choice("aeinorstlu")
    return word[:at] + letter + word[at + (kind == 2) :]


def families(terms: Terms) -> dict[str, list[Question]]:
    """Every set, whole."""
    french, longtail = _written("french"), _written("longtail")
    rng = random.Random(SEED)
    return {
        "official": _official(terms),
        "french": french,
        "longtail": longtail,
        "fresh": _written("fresh"),
        "degraded": [degrade(question, rng) for question in french],
        "degraded longtail": [degrade(question, rng) for question in longtail],
        "english": _written("english"),
        "short": _short(terms, rng),
    }


def without_french() -> Terms:
    """The shipped terms without their French labels."""
    return Terms(term._replace(french="") for term in shipped())


def plain() -> Assistant:
    """The assistant without what the official French labels teach it: they are asked for here."""
    return Assistant(without_french(), lexicon())


def poorer(seed: int) -> Assistant:
    """The assistant with a third of its lexicon taken away: what it does with words that it was never told."""
    rows = data_rows("lexicon.csv")
    return Assistant(without_french(), Lexicon.of_rows(random.Random(seed).sample(rows, 2 * len(rows) // 3)))


class Baseline:
    """Terms by the share of words they have in common with the line."""

    def __init__(self, terms: Terms) -> None:
        self._words = {term.code: frozenset(words(f"{term.name} {' '.join(term.units)}")) for term in terms}
        self._postings: dict[str, list[str]] = defaultdict(list)
        for code, own in self._words.items():
            for word in own:
                self._postings[word].append(code)

    def rank(self, analysis: Analysis) -> list[str]:
        """The five best codes."""
        asked = frozenset(words(f"{analysis.label} {analysis.specimen} {analysis.unit} {analysis.technique}"))
        shared: dict[str, int] = defaultdict(int)
        for word in asked:
            for code in self._postings.get(word, ()):
                shared[code] += 1
        return sorted(shared, key=lambda code: (-shared[code] / len(asked | self._words[code]), code))[:5]


def measure(family: str, questions: Sequence[Question], assistant: Assistant, baseline: Baseline) -> Result:
    """One family, the assistant and the baseline on the same lines."""
    started = time.perf_counter()
    found = list(assistant.suggest([question.analysis for question in questions]))
    seconds = time.perf_counter() - started
    ranks = [[one.loinc for one in suggestion.candidates] for suggestion in found]
    base = [baseline.rank(question.analysis) for question in questions]
    codes = [question.code for question in questions]
    answers = [(one.confidence, rank[:1] == [code]) for one, rank, code in zip(found, ranks, codes, strict=True)]
    proposed = [right for one, (_, right) in zip(found, answers, strict=True) if one.decision == "propose"]
    return Result(
        family,
        len(codes),
        _share(rank[:1] == [code] for rank, code in zip(ranks, codes, strict=True)),
        _share(code in rank[:5] for rank, code in zip(ranks, codes, strict=True)),
        _share(rank[:1] == [code] for rank, code in zip(base, codes, strict=True)),
        _share(code in rank for rank, code in zip(base, codes, strict=True)),
        coverage_at(answers, 0.98),
        len(proposed) / max(len(codes), 1),
        _share(proposed),
        seconds,
        answers,
    )


def _share(values: Iterator[bool] | Sequence[bool]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def coverage_at(answers: Sequence[tuple[float, bool]], precision: float) -> float:
    """The largest share of lines, the surest first, whose first candidate is right at least this often."""
    ordered = sorted(answers, key=lambda one: -one[0])
    right, best = 0, 0
    for number, (_, good) in enumerate(ordered, 1):
        right += good
        if right >= precision * number:
            best = number
    return best / len(ordered) if ordered else 0.0


def failures(questions: Sequence[Question], assistant: Assistant) -> Iterator[str]:
    """The lines whose first candidate is wrong, with what came first."""
    found = list(assistant.suggest([question.analysis for question in questions]))
    for question, suggestion in zip(questions, found, strict=True):
        ranked = [one.loinc for one in suggestion.candidates]
        if ranked[:1] == [question.code]:
            continue
        place = ranked.index(question.code) + 1 if question.code in ranked else "-"
        got, wanted = (assistant.terms.get(code) for code in (ranked[0] if ranked else "", question.code))
        line = "|".join(question.analysis[1:])
        names = f"    got  {got and got.name}\n    want {question.code} {wanted and wanted.name}"
        yield f"{line}  [{place}] {suggestion.confidence:.2f}\n{names}"


def _curve(results: Sequence[Result]) -> Table:
    """Confidence promised and kept, all families together."""
    answers = [answer for result in results for answer in result.answers]
    table = Table("confidence", "lines", "said", "right", title="Calibration, all families")
    for low, high in (
        (0, 0.2),
        (0.2, 0.4),
        (0.4, 0.6),
        (0.6, 0.8),
        (0.8, 0.9),
        (0.9, 0.95),
        (0.95, 0.98),
        (0.98, 1.01),
    ):
        inside = [answer for answer in answers if low <= answer[0] < high]
        if inside:
            said = sum(confidence for confidence, _ in inside) / len(inside)
            table.add_row(
                f"{low:.2f}-{min(high, 1):.2f}",
                str(len(inside)),
                f"{said:.2f}",
                f"{_share([r for _, r in inside]):.2f}",
            )
    return table


def _table(results: Sequence[Result], part: str) -> Table:
    columns = (
        "family",
        "lines",
        "top 1",
        "top 5",
        "words 1",
        "words 5",
        "cover@98%",
        "proposed",
        "precision",
        "ms/line",
        "goal",
    )
    table = Table(*columns, title=f"Part {part}")
    for one in results:
        goal = GOALS.get(one.family.split()[0])
        shares = (one.top1, one.top5, one.base1, one.base5, one.coverage, one.proposed, one.precision)
        speed = f"{1000 * one.seconds / max(one.lines, 1):.1f}"
        table.add_row(one.family, str(one.lines), *(f"{share:.3f}" for share in shares), speed, str(goal or ""))
    return table


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.loinc", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=("dev", "test", "all"), default="dev")
    parser.add_argument("--family", default="", help="comma-separated; every family by default")
    parser.add_argument("--failures", action="store_true", help="list the lines that went wrong (dev only)")
    parser.add_argument("--json", action="store_true", help="one JSON object a family")
    chosen = parser.parse_args()
    terms = shipped()
    helper, without, baseline = plain(), poorer(7), Baseline(terms)
    results = []
    for family, questions in families(terms).items():
        if chosen.family and family not in chosen.family.split(","):
            continue
        asked = [one for one in questions if chosen.part == "all" or part_of(one.code) == chosen.part]
        results.append(measure(family, asked, helper, baseline))
        if family == "official":
            results.append(measure("official, leaking", asked, assistant(), baseline))
        if family in ("french", "longtail"):
            results.append(measure(f"poorer {family}", asked, without, baseline))
        if chosen.failures and chosen.part == "dev":
            print(f"== {family}", *failures(asked, helper), sep="\n")
    if chosen.json:
        for one in results:
            print(json.dumps({**one._asdict(), "answers": None}))
        return
    console = Console(width=150, file=sys.stdout)
    console.print(_table(results, chosen.part), _curve(results))


if __name__ == "__main__":
    main()
