"""What one line of a catalogue tells of each axis, whatever LOINC has."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from loinc.assistant.normalise import fold, words
from loinc.assistant.reading import Reading
from loinc.assistant.specimens import fits_of_specimen, fits_of_system
from loinc.assistant.units import UnitEvidence, read_unit

__all__ = ["Analysis", "Evidence", "gather", "is_french"]

_FRENCH = re.compile(
    r"[àâçéèêëîïôûùüœ]|\b(?:sang|serique|urinaire|selles|recherche|taux|temps|numeration|dosage|libre|totales?|totaux|anticorps|"
    r"des|du|de|la|le)\b|(?:emie|urie|ique|eux|aire|cytes)\b"
)
_ENGLISH = re.compile(
    r"\b(?:blood|stool|free|count|urine|fluid|antibod(?:y|ies)|antigen|test|screen|level|ratio|with|cells?|other)\b"
)
_AFTER = re.compile(r"(\d+(?:[.,]\d+)?)\s?(h(?:eures?|rs?|ours?)?|min(?:utes?)?|mn|')\b")
_POINT = re.compile(r"\bt\s?(?:(0)|\+\s?(\d{1,3})|(\d{2,3}))\s?(h|min|mn|')?(?=\W|$)")


class Analysis(NamedTuple):
    """One line of a catalogue; any column may be empty."""

    local_code: str
    label: str
    specimen: str = ""
    unit: str = ""
    technique: str = ""


class Evidence(NamedTuple):
    """systems: SYSTEM -> fit, 0 to 1; empty when nothing tells the specimen. specimen: the SYSTEM as it was read.

    column: whether the specimen is from its column, and not guessed from the label. property, scale, time, method,
    challenge: hints from words; ``""`` when there are none. unit: None when empty or not understood.
    french: whether the label is French. unitless: an empty unit tells something, because the other lines have one.
    words: of the label.
    """

    systems: dict[str, float]
    specimen: str
    column: bool
    unit: UnitEvidence | None
    property: str
    scale: str
    time: str
    method: tuple[str, ...]
    challenge: str
    french: bool
    unitless: bool
    words: tuple[str, ...]


def gather(analysis: Analysis, reading: Reading, *, french: bool, unitless: bool) -> Evidence:
    """Everything the line tells, for one reading of its label."""
    hints: dict[str, list[str]] = {}
    for axis, value in reading.axes:
        hints.setdefault(axis, []).append(value)
    systems, specimen = fits_of_specimen(analysis.specimen)
    column = bool(systems)
    systems, specimen = _with_label(systems, specimen, hints)
    unit = read_unit(analysis.unit)
    time = _last(hints, "time") or (_time(analysis.specimen) or (unit.time if unit else ""))
    method = (*hints.get("meth", ()), *_technique(analysis.technique))
    return Evidence(
        systems,
        specimen,
        column,
        unit,
        _last(hints, "prop"),
        _last(hints, "scale"),
        time,
        method,
        _last(hints, "chal") or _delay(analysis.label),
        french,
        unitless and not analysis.unit.strip(),
        words(analysis.label),
    )


def _last(hints: dict[str, list[str]], axis: str) -> str:
    return hints[axis][-1] if axis in hints else ""


def _with_label(systems: dict[str, float], specimen: str, hints: dict[str, list[str]]) -> tuple[dict[str, float], str]:
    """The column wins; the label makes it more precise, and stands in for it when it is empty."""
    told = hints.get("sys", []) + hints.get("sys~", [])
    for system in told:
        if not systems:
            systems, specimen = fits_of_system(system if system != "Ser/Plas" else "Bld"), system
            if system == "Ser/Plas":  # -émie: in the blood, whatever is then centrifuged
                systems = {**systems, "Ser/Plas": 1.0, "Ser": 0.97}
        elif systems.get(system, 0) >= 0.35 and system != specimen:
            near = fits_of_system(system)
            systems = {
                name: max(min(fit, near.get(name, 0.3)), near.get(name, 0) * 0.97) for name, fit in systems.items()
            }
            systems[system] = 1.0
            specimen = system
    return systems, specimen


@lru_cache(maxsize=4096)
def _technique(text: str) -> tuple[str, ...]:
    return (text,) if text.strip() else ()


@lru_cache(maxsize=4096)
def _time(text: str) -> str:
    found = re.search(r"\b(\d{1,2})\s?(?:h\b|hr|heures?|hours?)", fold(text))
    return f"{found[1]}H" if found else ""


def _delay(label: str) -> str:
    """A time after a dose or a load: ``T30``, ``120 min``, ``H+2``; as LOINC writes it."""
    text = fold(label)
    if found := _POINT.search(text):
        return "baseline" if found[1] else f"{found[2] or found[3]} {'hours' if found[4] == 'h' else 'minutes'} post"
    found = _AFTER.search(re.sub(r"\b(?:24|12|48|72|1)\s?h(?:eures?|rs?|ours?)?\b", "", text))
    if found:
        number, unit = found[1], "hours" if found[2].startswith("h") else "minutes"
        return f"{number} {unit} post"
    return ""


@lru_cache(maxsize=65536)
def is_french(label: str, specimen: str = "") -> bool | None:
    """Whether the text is French; None when it may be either."""
    text = f"{fold(label)} {label.lower()} {fold(specimen)} {specimen.lower()}"
    french, english = len(_FRENCH.findall(text)), len(_ENGLISH.findall(text))
    if french == english or not words(label):
        return None
    return french > english
