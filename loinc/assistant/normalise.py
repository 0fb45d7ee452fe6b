"""Text of laboratories as words that compare: case, accents, Greek letters, digits stuck to letters."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["STOP_WORDS", "fold", "singular", "words"]

_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "κ": "kappa", "λ": "lambda", "µ": "u", "μ": "u"}
_SPELLINGS = str.maketrans(
    {
        **{letter: f" {name} " for letter, name in _GREEK.items() if name != "u"},
        "µ": "u",
        "μ": "u",
        "œ": "oe",
        "Œ": "OE",
        "æ": "ae",
        "ß": " beta ",
        "‐": "-",
        "‑": "-",
        "–": "-",
        "—": "-",
        "’": "'",
        "`": "'",
    }
)
_ELISION = re.compile(r"\b(?:d|l|qu|s|n)'(?=[a-z])")
_GRAVE = re.compile(r"(?<!\w)à(?!\w)|(?<!\w)À(?!\w)")
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}(?:[a-z]\b)?")
_WORD = re.compile(r"[a-z]+|\d+(?:[.,]\d+)?|[/%]")
STOP_WORDS = frozenset(
    "de du des la le les un une et en au aux dans par sur pour avec of in the and by with for ou or to on chez apres est".split()
)


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """Lower case without accents; ``œ`` as ``oe``, Greek letters by their names, ``T.S.H.`` as ``tsh``."""
    text = _GRAVE.sub(" ", text.translate(_SPELLINGS))
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(char for char in decomposed if not unicodedata.combining(char)).lower()
    return _ELISION.sub("", _DOTTED.sub(lambda found: found[0].replace(".", ""), plain)).strip()


@lru_cache(maxsize=65536)
def words(text: str) -> tuple[str, ...]:
    """The words of a text: letters and digits apart (``B12`` is ``b``, ``12``), ``/`` and ``%`` alone, no plural in s.

    Articles and prepositions are left out.
    """
    return tuple(singular(word) for word in _WORD.findall(fold(text)) if word not in STOP_WORDS)


def singular(word: str) -> str:
    """The word without a final s of plural; ``virus``, ``mucus`` and short words keep theirs."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
