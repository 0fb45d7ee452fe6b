"""French wording of a report: the same words in the narrative of the CDA and in the PDF."""

from __future__ import annotations

from transforms.report import (
    Flag,
    Instant,
    Isolate,
    Moment,
    Note,
    Panel,
    Previous,
    Report,
    Result,
    Specimen,
    Validation,
    Value,
)

STATUS = {
    "P": "Résultat provisoire",
    "S": "Résultat partiel",
    "R": "Résultat non validé",
    "I": "Résultat en attente",
    "X": "Examen non réalisé",
    "C": "Résultat corrigé",
}
"""What a reader of the report is told about a result that is not simply final (HL7 table 0085)."""

_PANEL = {"X": "Examen annulé", "C": "Résultats corrigés"}


def abnormal(result: Result) -> bool:
    """Whether a flag says anything else than normal or susceptible."""
    return any(flag.code not in ("N", "S") for flag in result.flags)


def shown_flag(flag: Flag) -> str:
    """``Anormalement haut (H)``; the code alone when it has no French label."""
    return f"{flag.label} ({flag.code})" if flag.label else flag.code


def shown_values(result: Result) -> str:
    """All values, one line each."""
    return "\n".join(map(shown_value, result.values))


def shown_value(value: Value) -> str:
    """As the source writes it; a date or time as one reads it."""
    return value.shown if isinstance(value, Instant) else value.source


def specimen_type(specimen: Specimen) -> str:
    """``Sang veineux``."""
    return specimen.type.text if specimen.type else "Échantillon"


def specimen_name(specimen: Specimen) -> str:
    """``Sang veineux n° 123``."""
    number = f" n° {specimen.id.value}" if specimen.id and specimen.id.value else ""
    return f"{specimen_type(specimen)}{number}"


def shown_specimen(specimen: Specimen) -> str:
    """``Sang veineux n° 123, prélevé le … par …, reçu le …``."""
    parts = [specimen_name(specimen)]
    if specimen.act:
        parts.append(specimen.act.text)
    if specimen.site:
        parts.append(f"site : {specimen.site.text}")
    if specimen.collected and specimen.collected_until:
        parts.append(f"prélevé du {specimen.collected.french()} au {specimen.collected_until.french()}")
    elif specimen.collected:
        parts.append(f"prélevé le {specimen.collected.french()}")
    if specimen.collector:
        parts.append(f"par {specimen.collector.shown()}")
    if specimen.received:
        parts.append(f"reçu le {specimen.received.french()}")
    if specimen.nonconformity:
        parts.append(f"non-conformité : {specimen.nonconformity.text}")
    return ", ".join(parts)


def nonconformities(report: Report) -> tuple[Note, ...]:
    """One comment for the specimens that are not as they should be."""
    said = [
        f"{specimen_name(specimen)} : {specimen.nonconformity.text}"
        for panel in report.panels()
        for specimen in panel.specimens
        if specimen.nonconformity
    ]
    return (Note(tuple(dict.fromkeys(said)), "Non-conformité"),) if said else ()


def shown_validation(validation: Validation) -> str:
    """``validé par … le …``."""
    when = f" le {validation.time.french()}" if validation.time else ""
    return f"validé par {validation.person.shown()}{when}"


def common(results: tuple[Result, ...]) -> tuple[Moment | None, tuple[Validation, ...]]:
    """Time and validations that all results of a panel share; what differs is shown with each result."""
    if not results:
        return None, ()
    first = results[0]
    time, validations = first.time, first.validations
    for result in results:
        if time is not None and (result.time is None or result.time.digits != time.digits):
            time = None
        if validations and [one.person.id for one in result.validations] != [one.person.id for one in validations]:
            validations = ()
    return time, validations


def panel_lines(panel: Panel) -> list[str]:
    """What is true of the whole panel besides its specimens: status, times, validation."""
    found = []
    empty = not (panel.results or panel.isolates or panel.images)
    if empty or panel.status in _PANEL:
        found.append(_PANEL.get(panel.status, "Résultats en attente"))
    time, validations = common(panel.results)
    said = [f"Résultats du {time.french()}"] if time else []
    said += [shown_validation(one) for one in validations]
    if panel.released:
        said.append(f"rendus le {panel.released.french()}")
    if said:
        found.append(", ".join(said))
    return found


def isolate_title(isolate: Isolate) -> str:
    """``Isolat n° 1 : Escherichia coli``."""
    return f"Isolat{f' n° {isolate.number}' if isolate.number else ''} : {isolate.germ.text}"


def shown_previous(previous: Previous) -> str:
    """``Résultat antérieur du 12/09/2020 à 08:15 : 8.5 mmol/L``."""
    unit = f" {previous.unit.source}" if previous.unit else ""
    values = ", ".join(map(shown_value, previous.values))
    named = f" ({previous.code.text})" if previous.code else ""
    return f"Résultat antérieur{named} du {previous.time.french()} : {values}{unit}"


def result_lines(result: Result, time: Moment | None, validations: tuple[Validation, ...]) -> list[str]:
    """What is particular to one result, besides its method: analyser, laboratory, time, validation."""
    found = []
    found += [f"{'Réactif' if one.consumable else 'Automate'} : {one.name}" for one in result.devices]
    if result.laboratory:
        organization = result.laboratory.organization
        place = ", ".join(organization.address.shown()) if organization.address else ""
        where = f" ({place})" if place else ""
        found.append(f"Réalisé par {organization.name}{where}, {result.laboratory.director.shown()}")
    if result.time and time is None:
        found.append(f"Le {result.time.french()}")
    if result.validations and not validations:
        found += [shown_validation(one) for one in result.validations]
    return found
