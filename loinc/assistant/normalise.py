"""Text of laboratories as words that compare: case, accents, Greek letters, digits stuck to letters."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["STOP_WORDS", "fold", "singular", "words"]

_GREEK = {
    "\N{GREEK SMALL LETTER ALPHA}": " alpha ",
    "\N{GREEK SMALL LETTER BETA}": " beta ",
    "\N{GREEK SMALL LETTER GAMMA}": " gamma ",
    "\N{GREEK SMALL LETTER DELTA}": " delta ",
    "\N{GREEK SMALL LETTER KAPPA}": " kappa ",
    "\N{GREEK SMALL LETTER LAMDA}": " lambda ",
    "\N{GREEK SMALL LETTER MU}": "u",
    "\N{MICRO SIGN}": "u",
    "ß": " beta ",
}
_SPELLINGS = str.maketrans(
    _GREEK
    | {"œ": "oe", "Œ": "OE", "æ": "ae"}
    | {"\N{HYPHEN}": "-", "\N{NON-BREAKING HYPHEN}": "-", "\N{EN DASH}": "-", "\N{EM DASH}": "-"}
    | {"\N{RIGHT SINGLE QUOTATION MARK}": "'", "`": "'"}
)
_ELISION = re.compile(r"\b(?:d|l|qu|s|n)'(?=[a-z])")
_GRAVE = re.compile(r"(?<!\w)à(?!\w)|(?<!\w)À(?!\w)")
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}(?:[a-z]\b)?")
_WORD = re.compile(r"[a-z]+|\d+|[/%]")
STOP_WORDS = frozenset(
    (
        *(
            "de",
            "du",
            "des",
            "la",
            "le",
            "les",
            "un",
            "une",
            "et",
            "en",
            "au",
            "aux",
            "dans",
            "par",
            "sur",
            "pour",
            "avec",
        ),
        *("ou", "chez", "apres", "est", "of", "in", "the", "and", "by", "with", "for", "or", "to", "on"),
    )
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
