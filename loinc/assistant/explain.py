"""Why a term is proposed, axis by axis, in words.

Each reason begins with its verdict: ``matched`` (the line says so), ``inferred`` (it follows from the line), ``usual``
(nothing says it; it is what is usual), ``missing`` (the line says something that the term has not) or ``contradicted``.
"""

from __future__ import annotations

from loinc.assistant.evidence import Analysis, Evidence
from loinc.assistant.methods import read_technique
from loinc.assistant.rank import FEATURES, Scored
from loinc.assistant.reading import Reading

__all__ = ["VERDICTS", "reasons"]

VERDICTS = ("matched", "inferred", "usual", "missing", "contradicted")


def reasons(analysis: Analysis, scored: Scored, reading: Reading, evidence: Evidence) -> dict[str, str]:
    """Axis -> verdict and why; axes: component, property, time, system, scale, method."""
    values = dict(zip(FEATURES, scored.features, strict=True))
    return {
        "component": _component(scored, reading),
        "property": _property(scored, evidence, values),
        "time": _time(scored, evidence),
        "system": _system(analysis, scored, evidence, values),
        "scale": _scale(scored, evidence, values),
        "method": _method(scored, evidence, values),
    }


def _component(scored: Scored, reading: Reading) -> str:
    own = scored.match.component.above
    shared = " ".join(word for word in reading.above if word in own)
    absent = [word for word in own if word not in reading.above]
    ignored = [word for word in reading.above if word not in own]
    text = f"read as '{shared}'"
    if ignored:
        text += f"; without '{' '.join(ignored)}'"
    if reading.unknown:
        text += f"; not understood: '{' '.join(reading.unknown)}'"
    if scored.match.score >= 0.97 and not reading.unknown:
        return f"matched: {text}"
    if absent and not ignored:
        text += f"; the term adds '{' '.join(absent)}'"
    return f"{'missing' if ignored or reading.unknown else 'inferred'}: {text}"


def _property(scored: Scored, evidence: Evidence, values: dict[str, float]) -> str:
    name = scored.term.property or "none"
    if evidence.unit:
        verdict = "matched" if values["unit"] > -0.1 else "inferred" if values["unit"] > -0.5 else "contradicted"
        return f"{verdict}: {name}, the unit is {evidence.unit.kind}"
    if evidence.property and not values["property_hint"]:
        return f"inferred: {name}, from the words of the label"
    if evidence.unitless:
        return f"{'inferred' if values['property_prior'] > -0.5 else 'missing'}: {name}, the line has no unit"
    return f"usual: {name}, no unit to tell"


def _time(scored: Scored, evidence: Evidence) -> str:
    name, asked = scored.term.time, evidence.time
    challenge = scored.term.challenge
    said = f"{name}, {challenge}" if challenge else name
    if values := evidence.challenge:
        agrees = scored.features[FEATURES.index("challenge_agrees")] > 0
        return f"{'matched' if agrees else 'missing'}: {said}; the label says {values}"
    if challenge:
        return f"contradicted: {said}; nothing in the line says so"
    if not asked:
        return f"usual: {said}"
    return f"{'matched' if asked == name else 'contradicted'}: {said}, the line says {asked}"


def _system(analysis: Analysis, scored: Scored, evidence: Evidence, values: dict[str, float]) -> str:
    name = scored.term.system or "none"
    if not evidence.systems:
        return f"usual: {name}, no specimen to tell"
    told = f"specimen '{analysis.specimen.strip()}'" if evidence.column else "the words of the label"
    verdict = "matched" if values["system"] > -0.03 else "inferred" if values["system"] > -0.4 else "contradicted"
    return f"{verdict}: {name}, from {told}"


def _scale(scored: Scored, evidence: Evidence, values: dict[str, float]) -> str:
    name = scored.term.scale
    if values["scale"] < 0:
        return f"contradicted: {name}"
    if evidence.scale:
        return f"matched: {name}, from the words of the label"
    return f"inferred: {name}, from the unit" if evidence.unit else f"usual: {name}"


def _method(scored: Scored, evidence: Evidence, values: dict[str, float]) -> str:
    name = scored.term.method or "none"
    technique = read_technique(evidence.method) if evidence.method else None
    if values["method_agrees"] > 0 and technique:
        return f"matched: {name}, from {', '.join(technique.kinds)}"
    if technique and scored.term.method:
        return f"contradicted: {name}; the line says {', '.join(technique.kinds)}"
    if technique:
        return f"inferred: {name}, which covers {', '.join(technique.kinds)}"
    return f"usual: {name}" if not scored.term.method else f"usual: {name}, no technique to tell"
