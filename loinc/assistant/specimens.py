"""What a specimen, as laboratories write it, says of the LOINC SYSTEM."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

from loinc.assistant.lexicon import data_rows
from loinc.assistant.normalise import words

__all__ = ["UNLIKELY", "USUAL_SYSTEMS", "fits_of_specimen", "fits_of_system", "specimen_phrases"]

# How well the terms of another SYSTEM fit a specimen: a tube of serum answers for Ser/Plas; "blood" in a catalogue
# is often what was drawn, whatever was then measured on it.
_NEAR: Mapping[str, Mapping[str, float]] = {
    "Ser/Plas": {"Ser": 0.98, "Plas": 0.75, "Ser/Plas/Bld": 0.8, "PPP": 0.5, "Bld": 0.4},
    "Ser": {"Ser/Plas": 1.0, "Ser/Plas/Bld": 0.8, "Plas": 0.45, "Bld": 0.35, "PPP": 0.2, "Ser+CSF": 0.3},
    "Plas": {"Ser/Plas": 0.97, "PPP": 0.85, "Ser/Plas/Bld": 0.8, "Ser": 0.6, "Bld": 0.5},
    "PPP": {"Plas": 0.8, "Ser/Plas": 0.6, "Bld": 0.4, "PRP": 0.4},
    "Bld": {
        "Ser/Plas": 0.82, "Ser": 0.8, "PPP": 0.84, "Plas": 0.75, "RBC": 0.85, "Ser/Plas/Bld": 0.85, "BldV": 0.7,
        "Bld/Tiss": 0.85, "BldA": 0.6, "WBC": 0.7, "PRP": 0.6, "BldC": 0.5, "Platelets": 0.6, "Retic": 0.7,
        "Bld/Mar": 0.6, "Ser/Plas+Urine": 0.4,
    },
    "Bld.whole": {
        "Bld": 1.0, "RBC": 0.85, "WBC": 0.75, "Retic": 0.75, "BldV": 0.75, "Ser/Plas/Bld": 0.8, "Bld/Tiss": 0.85,
        "Platelets": 0.6, "Bld/Mar": 0.6, "PPP": 0.4, "Ser/Plas": 0.45, "Ser": 0.4,
        "Plas": 0.45, "BldC": 0.5, "BldA": 0.6,
    },
    "BldA": {"Bld": 0.6},
    "BldV": {"Bld": 0.8, "Ser/Plas": 0.6, "Ser": 0.55, "PPP": 0.6},
    "BldC": {"Bld": 0.7, "Ser/Plas": 0.4},
    "BldMV": {"BldV": 0.6, "Bld": 0.4},
    "RBC": {"Bld": 0.7},
    "WBC": {"Bld": 0.7},
    "Retic": {"Bld": 0.8},
    "Platelets": {"Bld": 0.6, "PRP": 0.5},
    "Urine": {"Urine sed": 0.85, "Ser/Plas+Urine": 0.4, "Bld/Urine": 0.5},
    "Urine sed": {"Urine": 0.9},
    "Body fld": {"Plr fld": 0.35, "Periton fld": 0.35, "Synv fld": 0.3, "XXX": 0.3},
    "Plr fld": {"Body fld": 0.62},
    "Periton fld": {"Body fld": 0.62, "Dial fld prt": 0.2},
    "Pericard fld": {"Body fld": 0.6},
    "Synv fld": {"Body fld": 0.62},
    "Dial fld prt": {"Body fld": 0.5, "Periton fld": 0.5, "Dial fld": 0.6},
    "Dial fld": {"Body fld": 0.4, "Dial fld prt": 0.5},
    "Amnio fld": {"Body fld": 0.4},
    "Bile fld": {"Body fld": 0.6},
    "Sputum": {"Respiratory.lower": 0.7, "Respiratory": 0.6, "XXX": 0.5, "Sputum/Bronchial": 0.8},
    "Bronchial": {"Respiratory.lower": 0.7, "BAL": 0.6, "XXX": 0.5, "Sputum/Bronchial": 0.8},
    "BAL": {"Bronchial": 0.7, "Respiratory.lower": 0.7, "XXX": 0.5},
    "Trachea": {"Bronchial": 0.5, "Respiratory.lower": 0.7, "Sputum": 0.4, "XXX": 0.5},
    "Nph": {"Respiratory.upper": 0.8, "Respiratory": 0.7, "Nose": 0.6, "XXX": 0.6},
    "Nose": {"Nph": 0.6, "Respiratory.upper": 0.7, "XXX": 0.5},
    "Thrt": {"Respiratory.upper": 0.7, "XXX": 0.5},
    "Respiratory": {"Respiratory.upper": 0.8, "Respiratory.lower": 0.8, "XXX": 0.6, "Nph": 0.5},
    "Cvx": {"Genital": 0.7, "Vag": 0.5, "XXX": 0.55},
    "Vag": {"Genital": 0.8, "Cvx": 0.5, "XXX": 0.55, "Genital fld": 0.7},
    "Urethra": {"Genital": 0.7, "XXX": 0.55},
    "Genital": {"Vag": 0.6, "Cvx": 0.6, "Urethra": 0.6, "XXX": 0.55},
    "Bone mar": {"Bld/Mar": 0.8},
    "Stool": {"XXX": 0.35},
    "CSF": {"XXX": 0.35, "Body fld": 0.4},
    "XXX": {"Isolate": 0.5, "Specimen": 1.0, "Body fld": 0.4},
    "Isolate": {"": 0.6, "XXX": 0.5},
    "Wound": {"Wound.deep": 0.6, "Wound.shlw": 0.6, "XXX": 0.6},
    "Pus": {"Wound": 0.6, "Abscess": 0.6, "XXX": 0.6},
    "Skin": {"XXX": 0.5, "Wound": 0.4},
    "Tiss": {"XXX": 0.6, "Bld/Tiss": 0.5},
    "Ser/Plas+Urine": {"Urine": 0.7, "Ser/Plas": 0.7, "": 0.7},
}  # fmt: skip
_GENERIC = {"XXX": 0.3, "": 0.45}

USUAL_SYSTEMS: Mapping[str, float] = {
    "Ser/Plas": 1.0, "Ser": 0.97, "Bld": 0.98, "PPP": 0.97, "RBC": 0.93, "Plas": 0.85, "Ser/Plas/Bld": 0.8,
    "Bld/Tiss": 0.85, "": 0.85, "Urine": 0.68, "Isolate": 0.6, "XXX": 0.5, "BldA": 0.55, "Stool": 0.5, "Urine sed": 0.6,
    "Ser/Plas+Urine": 0.6, "CSF": 0.4, "Body fld": 0.4, "Retic": 0.8, "Semen": 0.5, "PRP": 0.5, "BldV": 0.45, "BldC":
    0.4, "Bone mar": 0.3,
}  # fmt: skip
"""How usual each SYSTEM is when nothing tells the specimen; 0.2 for the others."""

UNLIKELY = (".ctl", ".donor", ".BPU", ".fetus", "Control", "Donor", "BPU")
"""Ends of SYSTEMs that nobody means without saying so: controls, donors, blood products, the unborn."""


@cache
def specimen_phrases() -> dict[tuple[str, ...], str]:
    """Words of a specimen -> LOINC SYSTEM."""
    found: dict[tuple[str, ...], str] = {}
    for row in data_rows("systems.csv"):
        for label in [*(row["labels"] or "").split("|"), *row["name"].split("|")]:
            if key := words(label):
                found.setdefault(key, row["system"])
    return found


def fits_of_system(system: str) -> dict[str, float]:
    """SYSTEM -> how well a term of it fits a specimen that is ``system``, 0 to 1."""
    return {**_GENERIC, **_NEAR.get(system, {}), system: 1.0}


@lru_cache(maxsize=4096)
def fits_of_specimen(text: str) -> tuple[dict[str, float], str]:
    """How well each SYSTEM fits the specimen as written, and the SYSTEM read; ``({}, "")`` when it says nothing."""
    key = words(text)
    phrases = specimen_phrases()
    if key in phrases:
        return fits_of_system(phrases[key]), phrases[key]
    found: list[str] = []
    start = 0
    while start < len(key):
        length = next(
            (size for size in range(min(5, len(key) - start), 0, -1) if key[start : start + size] in phrases), 0
        )
        if length:
            found.append(phrases[key[start : start + length]])
        start += length or 1
    if not found:
        return {}, ""
    fits: dict[str, float] = {}
    for system in found:
        for name, fit in fits_of_system(system).items():
            fits[name] = max(fit * (1.0 if system == found[0] else 0.97), fits.get(name, 0))
    return fits, found[0]
