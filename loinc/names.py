"""The six axes of a LOINC term, read from its long common name.

A site that loads the full release gets the axes as LOINC publishes them; the subset that ships has only codes and long
common names, and these follow a grammar: ``Component [Property] in System by Method --challenge``.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

__all__ = ["Axes", "read_name", "system_names"]


class Axes(NamedTuple):
    """The axes of one term, in the abbreviations of LOINC; an axis that the name does not tell is ``""``.

    challenge: what follows ``--`` in the name (time after a dose, fasting, sample number).
    """

    component: str
    property: str
    time: str
    system: str
    scale: str
    method: str
    challenge: str
    deprecated: bool


PROPERTIES = {
    "#": "Num",
    "# Ratio": "NRto",
    "#/area": "Naric",
    "#/mass": "NCnt",
    "#/time": "NRat",
    "#/volume": "NCnc",
    "Cycle Threshold #": "ThreshNum",
    "Entitic Catalytic Activity": "EntCat",
    "Entitic length": "EntLen",
    "Entitic mass": "EntMass",
    "Entitic mean volume": "EntVol",
    "Entitic substance": "EntSub",
    "Entitic volume": "EntVol",
    "Enzymatic activity ratio": "CRto",
    "Enzymatic activity/mass": "CCnt",
    "Enzymatic activity/substance": "CSub",
    "Enzymatic activity/time": "CRat",
    "Enzymatic activity/volume": "CCnc",
    "Flow": "VRat",
    "Identifier": "Prid",
    "Interpretation": "Imp",
    "Length": "Len",
    "Likelihood": "Likelihood",
    "Log #/volume": "LnCnc",
    "Log Units/volume": "LaCnc",
    "Mass": "Mass",
    "Mass Fraction": "MFr",
    "Mass Ratio": "MRto",
    "Mass concentration difference": "MCncDiff",
    "Mass or Moles/volume": "MSCnc",
    "Mass/kg/time": "MRat",
    "Mass/mass": "MCnt",
    "Mass/time": "MRat",
    "Mass/volume": "MCnc",
    "Molar amount": "Sub",
    "Molar concentration difference": "SCncDiff",
    "Molar ratio": "SRto",
    "Molecules/volume": "NCnc",
    "Moles": "Sub",
    "Moles/kg/time": "SRat",
    "Moles/mass": "SCnt",
    "Moles/time": "SRat",
    "Moles/volume": "SCnc",
    "Morphology": "Morph",
    "Multiple of the median": "MoM",
    "Partial pressure": "PPres",
    "Percentile": "Prctl",
    "Presence": "PrThr",
    "Pure mass fraction": "MFr",
    "Quantitative": "Qn",
    "Quintile": "Quintile",
    "Ratio": "Ratio",
    "Score": "Score",
    "Susceptibility": "Susc",
    "Threshold": "Threshold",
    "Time": "Time",
    "Time Ratio": "TRto",
    "Titer": "Titr",
    "Type": "Type",
    "Units": "Arb",
    "Units threshold": "Threshold",
    "Units/mass": "ACnt",
    "Units/volume": "ACnc",
    "VFr/PPres": "VFr",
    "Volume": "Vol",
    "Volume Fraction": "VFr",
    "Volume Rate/Area": "ArVRat",
    "Z-score": "ZScore",
    "presence": "PrThr",
}
"""Phrase in brackets of a long common name -> LOINC PROPERTY."""

_SCALES = {"PrThr": "Ord", "Prid": "Nom", "Type": "Nom", "Imp": "Nom", "Morph": "Nom", "Susc": "OrdQn"}
_TAILS = {"Narrative": "Nar", "Qualitative": "Ord", "Nominal": "Nom", "Document": "Doc"}
_BRACKET = re.compile(r"\[([A-Za-z#][^\]]*)\]")
_TIME = re.compile(r"^(?:(\d+) hour|unspecified time) (.*)$", re.IGNORECASE)
_UNTIMED = " collected for unspecified duration"
_TAIL = re.compile(r" (Narrative|Qualitative|Nominal|Document)(?= by |$)")
_METHOD = re.compile(r"^(.*?)(?:\s+(?:by|for) (.*))?$")
_QUALIFIED = re.compile(r"^(\(viral load\)|(?:adjusted|corrected|standard)\b.*?)\s+(?=(?:in|of|on) )")
_FIRST_WORDS = re.compile(r"^(?:in|of|on|from)\s+", re.IGNORECASE)

# A name without a specimen: what LOINC has in SYSTEM for this component.
_IMPLIED = (
    (re.compile(r"^(MCH|MCHC|MCV)\b|^Erythrocyte (distribution|mean)"), "RBC"),
    (re.compile(r"^(Thrombin|Reptilase|Prothrombin|dRVVT|aPTT|INR)\b"), "PPP"),
    (re.compile(r"^HLA"), "Bld/Tiss"),
    (re.compile(r"^Creatinine renal clearance"), "Ser/Plas+Urine"),
    (re.compile(r"^(Erythrocyte sedimentation|Bleeding|Reticulocyte|Reverse ABO)"), "Bld"),
)


@cache
def system_names() -> dict[str, str]:
    """Name of a specimen in long common names, lower case -> LOINC SYSTEM."""
    text = resources.files("loinc").joinpath("data/systems.csv").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for row in csv.DictReader(text.splitlines(), delimiter=";"):
        for name in row["name"].split("|"):
            found.setdefault(name.lower(), row["system"])
    return found


def read_name(name: str, units: tuple[str, ...] = ()) -> Axes:
    """The axes of the term with this long common name.

    units: its example UCUM units; they tell the property of a name that has none in brackets.
    """
    deprecated = name.startswith("Deprecated ")
    head, _, challenge = name.removeprefix("Deprecated ").partition("--")
    untimed, head = _UNTIMED in head, head.replace(_UNTIMED, "").strip()
    tail = _TAIL.search(head)
    component, phrase, rest = _split(_TAIL.sub("", head))
    qualified = _QUALIFIED.match(rest)
    if qualified:
        rest = rest[qualified.end() :]
        component = component if qualified[1].startswith("(") else f"{component} {qualified[1]}"
    where, method = _specimen_and_method(rest)
    time, system = _time_and_system(where, component)
    property_ = PROPERTIES.get(phrase, "") or _property_of(component, units)
    scale = _TAILS[tail[1]] if tail else _SCALES.get(property_, "Qn")
    if property_ == "Susc":
        system = system or "Isolate"
    return Axes(component, property_, "XXX" if untimed else time, system, scale, method, challenge.strip(), deprecated)


def _split(head: str) -> tuple[str, str, str]:
    """Component, phrase of the property, and what follows."""
    for found in _BRACKET.finditer(head):
        if found[1] in PROPERTIES:
            return head[: found.start()].strip(), found[1], head[found.end() :].strip()
    if " panel - " in head:
        component, _, rest = head.partition(" - ")
        return component, "", f"in {rest}"
    body, _, method = head.partition(" by ")
    for start in [found.start() for found in re.finditer(r" (?:in|of|on|from|for) ", body)]:
        known = _TIME.sub(r"\2", _FIRST_WORDS.sub("", body[start:].strip().removeprefix("for ")))
        if known.lower() in system_names():
            return body[:start], _phrase(body[:start]), head[start:].strip()
    component, place, _ = body.partition(" identified in ")
    if place:
        return f"{component} identified", "Identifier", f"in {head.partition(' identified in ')[2]}"
    return body, _phrase(body), f"by {method}" if method else ""


def _phrase(component: str) -> str:
    return "Identifier" if component.endswith(" identified") else ""


def _specimen_and_method(rest: str) -> tuple[str, str]:
    if rest.startswith(("by ", "for ")) and rest.removeprefix("for ").lower() not in system_names():
        method, _, where = rest.partition(" ")[2].partition(" in ")
        return where, method
    found = _METHOD.match(_FIRST_WORDS.sub("", rest.removeprefix("for ")))
    return (found[1], found[2] or "") if found else (rest, "")


def _time_and_system(where: str, component: str) -> tuple[str, str]:
    time = "Pt"
    if found := _TIME.match(where):
        time, where = (f"{found[1]}H" if found[1] else "XXX"), found[2]
    if where:
        return time, system_names().get(where.lower(), where)
    return time, next((system for pattern, system in _IMPLIED if pattern.search(component)), "")


def _property_of(component: str, units: tuple[str, ...]) -> str:
    """The property of a name without brackets: counts of cells and fractions are told by their denominators."""
    lower = component.lower()
    if re.search(r"/100 |/leukocytes$|cells actual/normal|/cells", lower):
        return "NFr"
    if "actual/normal" in lower or "actual/control" in lower:
        return "RelTime" if re.match(r"(aptt|prothrombin time|drvvt|thrombin time)", lower) else "RelACnc"
    if lower == "inr":
        return "RelTime"
    for start, property_ in (("ph", "LsCnc"), ("specific gravity", "Rden"), ("osmolality", "Osmol"), ("volume", "Vol")):
        if re.match(rf"{start}\b", lower):
            return property_
    return _property_of_unit(units[0] if units else "") or ("MFr" if "/" in component else "")


def _property_of_unit(unit: str) -> str:
    exact = {
        "s": "Time",
        "min": "Time",
        "h": "Time",
        "%": "MFr",
        "mm[Hg]": "PPres",
        "mosm/kg": "Osmol",
        "mm/h": "Vel",
        "mmol/L": "SCnc",
        "mL/dL": "VFr",
        "mL": "Vol",
        "L": "Vol",
        "mL/min": "VRat",
        "L/min": "VRat",
        "mL/min/{1.73_m2}": "ArVRat",
        "kU/L": "ACnc",
        "k[IU]/L": "ACnc",
        "Cel": "Temp",
        "[pH]": "LsCnc",
        "{ratio}": "Ratio",
        "{score}": "Score",
        "{M.o.M}": "MoM",
    }
    return exact.get(unit, "")
