"""Terms scored axis by axis against what a line of a catalogue tells."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from operator import mul
from typing import NamedTuple

from loinc.assistant.evidence import Evidence
from loinc.assistant.index import Match
from loinc.assistant.methods import Technique, read_technique
from loinc.assistant.reading import Reading
from loinc.assistant.specimens import UNLIKELY, USUAL_SYSTEMS
from loinc.terms import Term

__all__ = ["FEATURES", "WEIGHTS", "Ranker", "Scored"]

FEATURES = (
    "component",
    "asked",
    "conflict",
    "unit",
    "property_prior",
    "property_hint",
    "system",
    "system_prior",
    "time",
    "method_agrees",
    "method_differs",
    "method_unasked",
    "challenge_agrees",
    "challenge_missing",
    "challenge_unasked",
    "scale",
    "against",
    "usual",
    "act",
    "french",
    "odd",
    "age",
)

WEIGHTS: Mapping[str, float] = {
    "component": 12.0,
    "asked": 2.0,
    "conflict": 3.0,
    "unit": 5.0,
    "property_prior": 1.0,
    "property_hint": 3.0,
    "system": 6.0,
    "system_prior": 3.0,
    "time": 3.0,
    "method_agrees": 2.0,
    "method_differs": 1.5,
    "method_unasked": 1.0,
    "challenge_agrees": 2.0,
    "challenge_missing": 1.5,
    "challenge_unasked": 3.5,
    "scale": 1.5,
    "against": 2.0,
    "usual": 0.6,
    "act": 0.4,
    "french": 2.0,
    "odd": 3.0,
    "age": 0.15,
}
"""One weight a feature; see ``bench/loinc.py`` for how they were chosen."""

_PRIOR = {
    "MCnc": 0.0, "SCnc": 0.0, "NCnc": -0.1, "CCnc": 0.0, "ACnc": -0.3, "PrThr": -0.4, "NFr": -0.2, "MFr": -0.5,
    "VFr": -0.2, "Prid": -0.5, "Type": -0.5, "Time": -0.1, "RelTime": -0.1, "LsCnc": 0.0, "PPres": -0.1, "EntVol": 0.0,
    "EntMass": 0.0, "Titr": -0.9, "Ratio": -0.5, "Naric": -0.9, "Susc": -0.8, "Osmol": 0.0, "Vel": 0.0, "Rden": 0.0,
    "RelACnc": -0.6, "ArVRat": -0.2, "VRat": -0.3, "Vol": -0.2, "Temp": 0.0, "Imp": -1.0, "": -0.5,
}  # fmt: skip
_HINTED = {
    "ratio": {"Ratio", "MRto", "SRto", "RelTime", "NRto", "CRto", "MFr", "RelACnc", "TRto"},
    "fraction": {"NFr", "MFr", "VFr", "SFr", "CFr", "RelACnc", "RelTime", "NRto"},
}
_DIPSTICK = re.compile(
    r"^(?:Protein|Glucose|Ketones|Hemoglobin|Bilirubin|Urobilinogen|Nitrite|Leukocyte esterase)\b[^/]*$"
)
_DIFFERENTIAL = re.compile(
    r"^(?:Neutro|Eosino|Baso|Lympho|Mono|Band|Variant lympho|Segmented|.*myelo|Blasts|Macroph)[^/]*$"
)
_EXCLUSIVE = tuple(
    frozenset(group.split())
    for group in (
        "free total bound ionized",
        "direct indirect",
        "conjugated unconjugated indirect",
        "igg igm iga ige igd",
        "ab ag dna rna",
        "kappa lambda",
        "alpha beta gamma delta",
        "hdl ldl vldl",
        "surface core e",
        "i ii iii iv v vii viii ix x xi xii xiii",
        "systolic diastolic",
        "neutrophil eosinophil basophil lymphocyte monocyte",
    )
)
_UNITLESS = {
    "PrThr",
    "Prid",
    "Type",
    "Imp",
    "Titr",
    "Ratio",
    "RelTime",
    "LsCnc",
    "Rden",
    "Morph",
    "Susc",
    "Aper",
    "Score",
    "MRto",
    "",
}
_FAMILIAR_METHODS = (
    (re.compile(r"^Coagulation assay"), 0.15),
    (re.compile(r"^Automated count"), 0.45),
    (re.compile(r"^(?:Immunoassay|calculation)"), 0.6),
    (re.compile(r"^(?:Immunofluorescence|NAA with probe|Light microscopy|Culture|Test strip)"), 0.7),
)
_CHALLENGES = {
    "trough": re.compile(r"trough", re.IGNORECASE),
    "peak": re.compile(r"peak", re.IGNORECASE),
    "fasting": re.compile(r"fasting|pre-?meal", re.IGNORECASE),
    "postmeal": re.compile(r"post[- ]?(?:meal|prandial)", re.IGNORECASE),
    "baseline": re.compile(r"baseline|^pre\b", re.IGNORECASE),
    "supine": re.compile(r"supine"),
    "upright": re.compile(r"upright"),
    "1st": re.compile(r"1st"),
    "2nd": re.compile(r"2nd"),
    "morning": re.compile(r"AM specimen|8 AM|morning", re.IGNORECASE),
}


class Scored(NamedTuple):
    """A term with its score and the features that made it."""

    term: Term
    match: Match
    score: float
    features: tuple[float, ...]


class Ranker:
    """Scores terms."""

    def __init__(self, usual: Mapping[str, float], acts: frozenset[str], french: Mapping[str, tuple[str, ...]]) -> None:
        """usual: code -> weight; acts: codes of the French nomenclature.

        french: code -> words of the component in its French label.
        """
        self._usual, self._acts, self._french = usual, acts, french
        self.weights = tuple(WEIGHTS[name] for name in FEATURES)

    def score(self, match: Match, evidence: Evidence, reading: Reading) -> list[Scored]:
        """The terms of one component, for one reading of the label."""
        technique = read_technique(evidence.method) if evidence.method else None
        found = []
        for term in match.component.terms:
            values = self._features(term, match, evidence, technique, reading)
            found.append(Scored(term, match, sum(map(mul, self.weights, values)), values))
        return found

    def _features(
        self, term: Term, match: Match, evidence: Evidence, technique: Technique | None, reading: Reading
    ) -> tuple[float, ...]:
        unit, prior, hint = _property(term, evidence)
        system, system_prior = _system(term, evidence)
        agrees, differs, unasked = _method(term, technique, french=evidence.french)
        challenge = _challenge(term, evidence)
        return (
            match.score - 1.0 + 0.5 * (reading.quality - 1.0),
            match.asked - 1.0,
            _conflict(match, reading.above),
            unit,
            prior,
            hint,
            system,
            system_prior,
            _time(term, evidence),
            agrees,
            differs,
            unasked,
            *challenge,
            _scale(term, evidence),
            _against(term, match, evidence, reading.below),
            self._usual.get(term.code, 0.0),
            (1.0 if evidence.french else 0.4) * (term.code in self._acts),
            float(bool(evidence.words) and self._french.get(term.code) == evidence.words),
            _odd(term),
            -math.log10(int(term.code.partition("-")[0]) + 100),
        )


def _conflict(match: Match, asked: Mapping[str, float]) -> float:
    """How often the label says one thing and the component its opposite: free and total, IgG and IgM, Ab and Ag."""
    above = match.component.above
    found = 0.0
    for group in _EXCLUSIVE:
        said = group.intersection(asked)
        if said:
            has = group.intersection(above)
            if has and not said & has:
                found -= 1.0
    return found


def _property(term: Term, evidence: Evidence) -> tuple[float, float, float]:
    hint = 0.0
    if evidence.property:
        expected = _HINTED.get(evidence.property, {evidence.property})
        hint = 0.0 if term.property in expected else -1.0
    if evidence.unit:
        fit = evidence.unit.properties.get(term.property, 0.0)
        if term.property == "Susc" and evidence.specimen == "Isolate":  # the concentration that inhibits
            fit = 1.0
        return -((1 - fit) ** 1.5), 0.0, hint if evidence.property not in ("ratio", "fraction") else hint / 3
    if evidence.unitless:
        return 0.0, -0.3 if term.property == "Titr" else 0.0 if term.property in _UNITLESS else -1.2, hint
    return 0.0, _unitless_prior(term, french=evidence.french), hint


def _unitless_prior(term: Term, *, french: bool) -> float:
    """How usual the property is when no line of the catalogue has a unit: the habits of both countries."""
    property_, urine = term.property, term.system.startswith("Urine")
    if property_ in ("PrThr", "ACnc") and (" Ab" in term.component or " Ag" in term.component):
        return -0.1 if property_ == "PrThr" else -0.5  # serology is read positive or negative
    if "/Creatinine" in term.component:  # mg/mmol in France, mg/g in America
        return {True: {"Ratio": -0.2, "MRto": -0.6}, False: {"MRto": -0.2, "Ratio": -0.6}}[french].get(property_, -1.2)
    if urine and _DIPSTICK.match(term.component):
        return -0.3 if property_ == "PrThr" else -0.6 if property_ in ("MCnc", "SCnc", "NCnc") else -1.5
    if not french and property_ == "NCnc":  # counts per field in a sediment; a differential is in percent
        return -0.9 if urine else -0.5 if _DIFFERENTIAL.match(term.component) else -0.1
    if not french and property_ == "Naric" and term.method.startswith("Microscopy"):
        return -0.2
    prior = _PRIOR.get(property_, -1.5)
    return prior - 0.35 if property_ in ("MCnc", "SCnc") and french == (property_ == "MCnc") else prior


def _system(term: Term, evidence: Evidence) -> tuple[float, float]:
    if not evidence.systems:
        return 0.0, USUAL_SYSTEMS.get(term.system, 0.2) - 1.0
    fit = evidence.systems.get(term.system, 0.0)
    if term.property == "Susc" and term.system == "Isolate":
        fit = max(fit, 0.7)
    return -((1 - fit) ** 1.2), 0.3 * (USUAL_SYSTEMS.get(term.system, 0.2) - 1.0)


def _time(term: Term, evidence: Evidence) -> float:
    if not evidence.time or evidence.time == "Pt":
        collected = term.time == "24H" and "clearance" in term.component  # nobody says that it takes a day
        return 0.0 if term.time == "Pt" or collected else -1.0
    if term.time == evidence.time:
        return 0.0
    return -0.8 if term.time == "Pt" else -1.0


def _method(term: Term, technique: Technique | None, *, french: bool) -> tuple[float, float, float]:
    """Agrees, differs, has a method that nothing asked for."""
    if not term.method:
        specific = technique is not None and technique.pattern is not None
        return 0.0, -0.25 if specific else 0.0, 0.0
    familiar = next((cost for pattern, cost in _FAMILIAR_METHODS if pattern.search(term.method)), 1.0)
    if not french and term.method == "Automated count" and term.scale == "Qn":
        familiar = -0.2
    if technique is None:
        return 0.0, 0.0, -familiar
    if technique.pattern is not None and technique.pattern.search(term.method):
        return 1.0, 0.0, -0.15 * familiar
    return 0.0, -1.0, -0.5 * familiar


def _challenge(term: Term, evidence: Evidence) -> tuple[float, float, float]:
    """Agrees, is asked for but missing, is there but nothing asked for it."""
    text = term.challenge or ("fasting" if term.component.startswith("Fasting") else "")
    asked = evidence.challenge
    if not asked:
        return 0.0, 0.0, -1.0 if text else 0.0
    pattern = _CHALLENGES.get(asked)
    if text and (pattern.search(text) if pattern else text.startswith(asked)):
        # "1.5 hours post insulin 12 hours fasting" says more than that the patient fasted.
        more = asked == "fasting" and re.search(r"\bpost\b", text) is not None
        return 1.0, 0.0, -1.0 if more else 0.0
    return 0.0, -1.0, -1.0 if text else 0.0


def _scale(term: Term, evidence: Evidence) -> float:
    if term.scale in ("Nar", "Doc"):
        return -1.0
    if evidence.scale == "Ord":
        return 0.0 if term.scale in ("Ord", "Nom") else -1.2
    if evidence.scale == "Qn":
        return 0.0 if term.scale == "Qn" else -0.7
    if evidence.unit:
        return -1.0 if term.scale in ("Ord", "Nom") else 0.0
    return 0.0


def _against(term: Term, match: Match, evidence: Evidence, asked: frozenset[str]) -> float:
    """How well the denominator (``/100 leukocytes``, ``/Creatinine``) agrees with the unit."""
    kind, unit = match.component.against, evidence.unit
    wanted = unit.denominator if unit else ""
    if wanted == "creatinine":
        return 0.0 if kind == "creatinine" else -1.2
    if not kind:
        return -0.25 if unit and unit.kind == "percentage" and term.property != "VFr" else 0.0
    if asked and asked & match.component.below:
        return 0.0
    percentage = unit is not None and unit.kind in ("percentage", "ratio or index", "volume per volume")
    if kind in ("hundred", "total", "normal"):
        return 0.0 if percentage else {"hundred": -0.05, "total": -0.5, "normal": -0.2}[kind]
    if kind == "area":
        return 0.0
    if match.component.below and kind in ("creatinine", "other") and match.score >= 0.97:
        return -0.1 if kind == "other" else -0.6 if unit is None else 0.0
    return -0.6


def _odd(term: Term) -> float:
    if term.system.endswith(UNLIKELY) or "panel" in term.component:
        return -1.0
    if term.status in ("DEPRECATED", "DISCOURAGED"):
        return -0.8
    return 0.0
