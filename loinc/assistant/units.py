"""What a unit says of the property: mass or amount, concentration or rate, count, fraction, ratio, time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from loinc.assistant.normalise import fold

__all__ = ["UnitEvidence", "read_unit"]


class UnitEvidence(NamedTuple):
    """kind: the shape of the unit, in words; properties: LOINC PROPERTY -> how well it fits, 0 to 1.

    time: ``24H`` when the unit is per day, else ``""``. denominator: words of what it is counted or weighed against.
    """

    kind: str
    properties: dict[str, float]
    time: str = ""
    denominator: str = ""


_NUMBER = re.compile(
    r"^(?:x|\*)?(?:10(?:\^|\*\*?|e|exp)?\s?[-]?(?:3|6|9|12)(?!\d)|giga|tera|t|milliers?|millions?|th(?:ous)?|mill?)$"
)
_GIGA = re.compile(r"^\s*(?:G|Giga)\s*/\s*[lL]\b")
_SMALL_VOLUME = re.compile(r"^(?:u|micro)l$|^(?:c)?mm3?$|^mm\^3$")
_MASS = re.compile(r"^(?:k|m|u|n|p|f|mc|micro)?g(?:rammes?)?(?:\s?(?:feu|ddu|eq feu))?$")
_MOLE = re.compile(r"^(?:m|u|n|p|f|mc)?(?:mol(?:es?)?|eq|val|m)$")
_LITRE = re.compile(r"^(?:100\s?)?(?:d|c|m|u|n)?l(?:itres?)?$|^100\s?ml$|^mm3?$|^cc$|^mm\^3$")
_INTERNATIONAL = re.compile(r"^(?:k|m|u|n)?(?:iu|ui|u\.?i\.?)a?$")
_ENZYME = re.compile(r"^(?:k|m|u)?u(?:nites?)?$|^(?:u|n|m)?kat$")
_ARBITRARY = re.compile(
    r"^(?:k|m|u)?(?:ua|au|arb|u\s?arb|arb'?u|\[arb'?u\]|ut|ub|gpl|mpl|apl|ub?ethesda|kua|mui?a|ru|bau|dk|rlu)(?:\s?u)?$"
)
_CELLS = re.compile(
    r"^(?:[{(]?(?:cell?(?:ule)?s?|cells|elements?|elts?|hematies?|leucocytes?|copies?|cop|cp|ufc|cfu|germes?|bact(?:eries)?|"
    r"spz|spermatozoides?|#|geq|genomes?|eq)[})]?)$"
)
_HOURS = re.compile(r"^\(?(\d+)?\.?\s?(h|hr|heures?|j|jours?|d|day|24h)\)?$")
_Fits = dict[str, float]
_TABLE: tuple[tuple[str, str, _Fits], ...] = (
    (r"^f(?:l|emtolitres?)$|^u(?:m)?3$|^um\^3$", "volume of one cell", {"EntVol": 1, "EntMeanVol": 1, "Vol": 0.2}),
    (r"^(?:s(?:ec(?:ondes?)?)?|min(?:utes?)?|mn|ms)\.?$", "time", {"Time": 1, "RelTime": 0.1}),
    (r"^h(?:eures?)?$", "time", {"Time": 1}),
    (r"^mm(?:\s?/\s?(?:1?\s?h)|\s?1ere heure|\s?\(1h\))$|^mm h$", "length per hour", {"Vel": 1, "Len": 0.7}),
    (r"^mm\s?\(?\[?hg\]?\)?$|^k?pa$|^mm\[hg\]$|^torr$", "pressure", {"PPres": 1, "Pres": 0.8}),
    (r"^m?osmo?l?e?s?/(?:kg.*|l)$", "osmolality", {"Osmol": 1, "Osmol.": 0.8}),
    (r"^\[?ph\]?$|^unites? (?:de )?ph$|^u\.? ?ph$|^units$", "pH", {"LsCnc": 1, "Rden": 0.3}),
    (r"^(?:°\s?c|cel|deg c|degres?)$", "temperature", {"Temp": 1}),
    (r"^mom$|^\{m\.o\.m\}$", "multiple of the median", {"MoM": 1}),
    (r"^(?:ds|sd|z-?score|\{zscore\})$", "standard deviations", {"ZScore": 1}),
    (r"^\{?score\}?$|^points?$", "score", {"Score": 1, "Ratio": 0.3}),
    (r"^\{?inr\}?$", "relative time", {"RelTime": 1, "Ratio": 0.3}),
    (r"^(?:\{?tit(?:re|er)\}?|dilutions?|1/|1:|inverse.*)$", "titre", {"Titr": 1}),
    (
        r"^(?:ml|m l|cc|l)/?s?(?:/|\s)?(?:min|mn|s)\s?/?\s?(?:par )?\(?\{?1[.,_]73.*$",
        "clearance per area",
        {"ArVRat": 1, "VRat": 0.75},
    ),
    (r"^(?:ml|l)/(?:min|mn|s|h)$", "volume rate", {"VRat": 1, "ArVRat": 0.4}),
    (r"^(?:m|c|d)?l$", "volume", {"Vol": 1}),
    (r"^(?:c|m|u)?m$|^cm$", "length", {"Len": 1}),
    (r"^pg(?:/(?:cell(?:ule)?|gr|hematie|erythrocyte)s?)?$", "mass of one cell", {"EntMass": 1, "Mass": 0.3}),
    (r"^fmol(?:/cell)?$", "amount in one cell", {"EntSub": 1, "Sub": 0.3}),
    (r"^(?:k|m)?g$", "mass", {"Mass": 1, "MCnt": 0.2}),
    (r"^(?:do|od|densite optique)$", "optical density", {"ACnc": 0.9, "Ratio": 0.6, "PrThr": 0.3}),
    (r"^cp$|^mpa\.?s$", "viscosity", {"Visc": 1}),
    (r"^kg/l$|^g/(?:ml|cm3)$", "density", {"Rden": 1, "MCnc": 0.8}),
)
_EXACT = tuple((re.compile(pattern), kind, properties) for pattern, kind, properties in _TABLE)
_RATIO = re.compile(
    r"^(?:rapport|ratio|index|indice|\{?index.*|\{?ratio\}?|s/co|signal.*|u\.?index|ir|coi|sans.*|1|fraction)$"
)
_RATIOS = {
    "MRto": 1.0,
    "Ratio": 1.0,
    "SRto": 0.9,
    "RelTime": 0.9,
    "ACnc": 0.75,
    "RelACnc": 0.7,
    "NRto": 0.8,
    "CRto": 0.8,
}
_FRACTIONS = {
    "NFr": 1.0, "MFr": 1.0, "MFr.DF": 1.0, "VFr": 1.0, "SFr": 1.0, "CFr": 1.0, "AFr": 1.0, "RelACnc": 1.0,
    "RelTime": 0.9, "NRto": 0.6, "Ratio": 0.55, "MRto": 0.5, "SRto": 0.4, "Prctl": 0.3, "ACnc": 0.5,
    "MCnt": 0.4, "CCnc": 0.15, "MCnc": 0.1,
}  # fmt: skip


@lru_cache(maxsize=4096)
def read_unit(unit: str) -> UnitEvidence | None:
    """What the unit says; None for no unit, or one whose shape is unknown."""
    text = fold(unit.replace("\u00b2", "2").replace("\u00b3", "3")).strip(" .")
    text = re.sub(r"\s+(?:feu|ddu|bce)\b", "", text)
    if not text:
        return None
    if _GIGA.match(unit):  # cells; in small letters it is a mass
        return _concentration("count")
    text = re.sub(r"\{[a-z0-9_. ]*\}", lambda found: found[0] if found[0] in _KEPT else "", text) or text
    if re.match(r"^(?:%|/ ?100|p[. ]100|pour ?cent)", text):
        return UnitEvidence("percentage", _FRACTIONS, denominator=text.lstrip("%/ 0123456789"))
    for pattern, kind, properties in _EXACT:
        if pattern.match(text):
            return UnitEvidence(kind, dict(properties))
    if _RATIO.match(text):
        return UnitEvidence(
            "ratio or index", _RATIOS | ({"LsCnc": 0.8, "Rden": 0.9} if text.startswith("sans") else {})
        )
    return _quotient(text)


_KEPT = ("{ratio}", "{index}", "{titer}", "{score}", "{inr}", "{m.o.m}", "{zscore}")


def _quotient(text: str) -> UnitEvidence | None:
    text = re.sub(r"\bpar\b", "/", text).replace(" / ", "/")
    logarithm = text.startswith("log")
    above, _, below = re.sub(r"^log(?:10)?\.?\s?", "", text).partition("/")
    above, below = above.strip(" []"), below.strip(" []")
    if not below:
        return _single(above)
    top = _numerator(above, below)
    if hours := _HOURS.match(below):
        return _rate(top, hours)
    if re.match(r"^(?:champs?|hpf|lpf|\[hpf\]|champ.*|mm2|high.*)$", below):
        return UnitEvidence("count per field", {"Naric": 1, "NCnc": 0.3})
    if re.match(r"^100\s?(?:gb|leuco.*|wbcs?|elements?|cell.*|gr|hematies)", below):
        return UnitEvidence("percentage", _FRACTIONS)
    if re.match(r"^[dmu]?l/h$", below):
        return UnitEvidence("activity", {"CCnc": 1, "ACnc": 0.8, "MRat": 0.5, "MCnc": 0.3})
    if _LITRE.match(below.split("/")[0].strip()):
        if logarithm:
            return UnitEvidence("logarithm of a count per volume", {"LnCnc": 1, "LaCnc": 0.9, "NCnc": 0.2, "ACnc": 0.2})
        return _concentration(top)
    return _relative(top, below)


def _single(above: str) -> UnitEvidence | None:
    if _ARBITRARY.match(above) or _INTERNATIONAL.match(above):
        return UnitEvidence("arbitrary units", {"ACnc": 1, "Arb": 0.8})
    if _MOLE.match(above) and above != "m":
        return UnitEvidence("amount", {"Sub": 1, "SCnc": 0.6 if above.endswith("m") else 0.2})
    if _CELLS.match(above):
        return UnitEvidence("count", {"Num": 1, "Naric": 0.6, "NCnc": 0.5})
    return None


def _numerator(above: str, below: str) -> str:
    above = re.sub(r"\s*\(.*\)$", "", above)
    if not above or _NUMBER.match(above) or (above in ("k", "m") and _SMALL_VOLUME.match(below)):
        return "count"
    if re.match(r"^(?:x|\*)?10(?:\^|\*\*?|e|exp)?\s?\d+", above) or _CELLS.match(above):
        return "count"
    for kind, pattern in (
        ("mass", _MASS),
        ("amount", _MOLE),
        ("international", _INTERNATIONAL),
        ("enzyme", _ENZYME),
        ("arbitrary", _ARBITRARY),
        ("volume", _LITRE),
    ):
        if pattern.match(above):
            return kind
    return "count" if re.search(r"\d{1,2}\s?(?:cell|copies|cp|ufc|cfu|ui)?", above) and below.endswith("l") else ""


_CONCENTRATIONS: dict[str, _Fits] = {
    "mass": {"MCnc": 1, "MSCnc": 0.7, "MCncDiff": 0.8, "ACnc": 0.3},
    "amount": {"SCnc": 1, "MSCnc": 0.7, "SCncDiff": 0.8},
    "international": {"ACnc": 1, "CCnc": 0.9, "RelACnc": 0.25, "MCnc": 0.05},
    "enzyme": {"CCnc": 1, "ACnc": 0.9, "RelACnc": 0.2},
    "arbitrary": {"ACnc": 1, "CCnc": 0.3, "RelACnc": 0.3},
    "count": {"NCnc": 1, "LnCnc": 0.3, "Num": 0.3, "Naric": 0.2, "ACnc": 0.15},
    "volume": {"VFr": 1, "MFr": 0.4, "NFr": 0.4},
    "": {"MCnc": 0.5, "ACnc": 0.5, "SCnc": 0.4, "NCnc": 0.4},
}
_KINDS = {
    "mass": "mass per volume",
    "amount": "amount of substance per volume",
    "international": "international units per volume",
    "enzyme": "enzyme units per volume",
    "arbitrary": "arbitrary units per volume",
    "count": "count per volume",
    "volume": "volume per volume",
}


def _concentration(top: str) -> UnitEvidence:
    return UnitEvidence(_KINDS.get(top, "something per volume"), _CONCENTRATIONS[top])


def _rate(top: str, hours: re.Match[str]) -> UnitEvidence:
    rates: dict[str, _Fits] = {
        "mass": {"MRat": 1},
        "amount": {"SRat": 1},
        "volume": {"Vol": 1, "VRat": 0.9},
        "enzyme": {"CRat": 1},
        "international": {"CRat": 0.9, "ARat": 1},
        "count": {"NRat": 1},
    }
    day = hours[2][0] in "jd" or hours[1] == "24" or hours[2] == "24h"
    time = "24H" if day else f"{hours[1]}H" if hours[1] else ""
    return UnitEvidence("amount excreted per time", rates.get(top, {"MRat": 0.7, "SRat": 0.7}), time)


def _relative(top: str, below: str) -> UnitEvidence | None:
    denominator = "creatinine" if "creat" in below else "hemoglobin" if "hb" in below or "hemo" in below else ""
    first = below.split(maxsplit=1)[0] if below else ""
    amount, mass = bool(_MOLE.match(first)), bool(_MASS.match(first))
    if top == "mass" and mass:
        return UnitEvidence(
            "mass per mass", {"MRto": 1, "MCnt": 0.9, "Ratio": 0.7, "MFr": 0.5}, denominator=denominator
        )
    if top == "amount" and amount:
        return UnitEvidence(
            "amount per amount", {"SRto": 1, "Ratio": 0.7, "MFr": 0.5, "SFr": 0.8}, denominator=denominator
        )
    if top in ("mass", "amount") and (mass or amount):
        fits = {"Ratio": 1, "MRto": 0.75, "SRto": 0.7, "SCnt": 0.9, "MCnt": 0.6, "MFr": 0.3}
        return UnitEvidence("mass against amount", fits, denominator=denominator)
    if top in ("enzyme", "international") and mass:
        return UnitEvidence("enzyme units per mass", {"CCnt": 1, "ACnt": 0.9, "CRto": 0.8}, denominator=denominator)
    if top == "amount" and below.startswith("min"):
        return UnitEvidence("amount per time", {"SRat": 1})
    if top in ("amount", "mass") and "kg" in below:
        return UnitEvidence("content", {"SCnt": 1, "MCnt": 1})
    if top and top == _numerator(below, "l"):
        return UnitEvidence("ratio", _RATIOS)
    return None
