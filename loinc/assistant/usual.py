"""How usual a term is: what every laboratory measures, and what the French nomenclature pays for."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import product

from loinc.assistant.lexicon import data_rows
from loinc.terms import Term, Terms

__all__ = ["act_codes", "usual_weights"]


def usual_weights(terms: Terms) -> dict[str, float]:
    """Code -> 1 (weekly) to 3 (on every report); a code that is missing is rarer.

    COMMON_TEST_RANK counts when the table has it.
    """
    by_key: dict[tuple[str, str, str, str], list[Term]] = defaultdict(list)
    for term in terms:
        if term.time in ("Pt", "24H") and not term.challenge:
            by_key[term.component.lower(), term.system, term.property, term.method.lower()].append(term)
    found = {term.code: 3.0 - 2 * term.rank / 2500 for term in terms if 0 < term.rank <= 2500}
    for row in data_rows("usual.csv"):
        columns = (row["component"].lower(), row["systems"], row["properties"], row["methods"].replace("-", "").lower())
        plain = row["methods"].split("|")
        for component, system, property_ in product(*(column.split("|") for column in columns[:3])):
            for method in plain:
                for term in by_key.get((component, system, property_, "" if method == "-" else method.lower()), ()):
                    found[term.code] = max(found.get(term.code, 0.0), float(row["weight"]))
    return found


@cache
def act_codes() -> frozenset[str]:
    """The codes that some act of the nomenclature covers: what French laboratories report."""
    return frozenset(code for row in data_rows("nabm.csv") for code in row["codes"].split())
