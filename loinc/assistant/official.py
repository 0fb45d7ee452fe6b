"""Labels that are LOINC names already, French or English: taken apart before they are read.

French: ``Composant [Grandeur] Milieu ; Échelle ; Technique`` or six axes with ``:``; English: a long common name.
"""

from __future__ import annotations

import re

from loinc.assistant.evidence import Analysis
from loinc.assistant.lexicon import Lexicon, Sense
from loinc.assistant.normalise import fold, words
from loinc.names import PROPERTIES, read_name
from loinc.terms import Term, Terms

__all__ = ["french_words", "learned", "unfold"]

_FRENCH = re.compile(
    r"^(?P<component>.+?) \[(?P<property>[^\]]+)\] ?(?P<system>[^;]*?)(?: ; (?P<scale>[^;]+))?(?: ; (?P<method>.+))?$"
)
_PROPERTIES = {
    "masse/volume": "MCnc",
    "moles/volume": "SCnc",
    "catalytique/volume": "CCnc",
    "arbitraire/volume": "ACnc",
    "unite arbitraire/volume": "ACnc",
    "nombre/volume": "NCnc",
    "fraction massique": "fraction",
    "fraction de nombres": "NFr",
    "fraction volumique": "VFr",
    "volume entite": "EntVol",
    "masse entite": "EntMass",
    "masse ratio": "MRto",
    "moles ratio": "SRto",
    "ratio": "ratio",
    "presence/seuil": "PrThr",
    "identification": "Prid",
    "type": "Type",
    "interpretation": "Imp",
    "temps": "Time",
    "temps relatif": "RelTime",
    "volume/temps": "VRat",
    "masse/temps": "MRat",
    "moles/temps": "SRat",
    "titre": "Titr",
    "sensibilite": "Susc",
    "nombre/surface": "Naric",
    "pression partielle": "PPres",
}
_SCALES = {"qualitatif": "Ord", "numerique": "Qn"}

Hints = tuple[tuple[str, str], ...]


def unfold(analysis: Analysis) -> tuple[Analysis, Hints]:
    """The line with the component as its label, and what its name told of the other axes."""
    label = analysis.label
    if found := _FRENCH.match(label):
        if found["property"] in PROPERTIES:
            return _english(analysis)
        hints = _hints(
            ("prop", _PROPERTIES.get(fold(found["property"]))), ("scale", _SCALES.get(fold(found["scale"] or "")))
        )
        return _filled(analysis, found["component"], found["system"] or "", found["method"] or ""), hints
    if label.count(":") == 5:
        component, property_, _, system, scale, method = (part.strip() for part in label.split(":"))
        hints = _hints(("prop", _PROPERTIES.get(fold(property_))), ("scale", _SCALES.get(fold(scale))))
        return _filled(analysis, component, system, method), hints
    return analysis, ()


def _english(analysis: Analysis) -> tuple[Analysis, Hints]:
    axes = read_name(analysis.label)
    hints = _hints(("prop", axes.property), ("time", "" if axes.time == "Pt" else axes.time))
    return _filled(analysis, axes.component, axes.system, axes.method), hints


def _hints(*pairs: tuple[str, str | None]) -> Hints:
    return tuple((axis, value) for axis, value in pairs if value)


def _filled(analysis: Analysis, component: str, system: str, method: str) -> Analysis:
    return analysis._replace(
        label=component, specimen=analysis.specimen or system, technique=analysis.technique or method
    )


def learned(lexicon: Lexicon, terms: Terms) -> Lexicon:
    """The lexicon, and what the French labels of the table call each component."""
    added: dict[tuple[str, ...], set[str]] = {}
    for term in terms:
        if key := french_words(term):
            added.setdefault(key, set()).add(term.component)
    return lexicon.with_phrases({key: [Sense(one) for one in sorted(found)] for key, found in added.items()})


def french_words(term: Term) -> tuple[str, ...]:
    """The words of the component in the French label of a term; none without a label."""
    return words(_component(term)) if term.french else ()


def _component(term: Term) -> str:
    if term.french.count(":") == 5:
        return term.french.partition(":")[0]
    found = _FRENCH.match(term.french)
    return found["component"] if found else term.french
