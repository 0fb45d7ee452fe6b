"""The report as a page of HTML, in French, complete in itself: for the screen, and for the PDF.

Safe to show: every value is escaped, there is no script, and nothing is loaded from elsewhere, which a browser is told
too (Content-Security-Policy).
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib import resources

from transforms.ins import ins_kind
from transforms.ins_datamatrix import svg
from transforms.report import (
    Address,
    Attachment,
    Chapter,
    Ins,
    Interval,
    Isolate,
    Moment,
    Note,
    Organization,
    Panel,
    Patient,
    Quantity,
    Ratio,
    Report,
    Result,
    Telecom,
    Validation,
)
from transforms.wording import (
    STATUS,
    abnormal,
    common,
    isolate_title,
    nonconformities,
    panel_lines,
    result_lines,
    shown_flag,
    shown_previous,
    shown_specimen,
    shown_values,
)

_NUMERIC = (Quantity, Interval, Ratio)
"""Values that stand in the column of numbers; words take the column of units too."""

_SHORT = 12
"""Lines of a value that stay together on a page; more of them may go on over the next one, as comments do."""
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'\">"
)
_SEXES = {"M": "masculin", "F": "féminin", "UN": "indifférencié"}


def page(report: Report) -> str:
    """The page for a screen, with its style."""
    return html(report, f"{_POLICY}<meta name='viewport' content='width=device-width'><style>{style('page')}</style>")


@cache
def style(name: str) -> str:
    """A style sheet of ours: ``page`` or ``pdf``."""
    return resources.files("transforms").joinpath(f"{name}.css").read_text("utf-8")


def html(report: Report, head: str = "") -> str:
    """The page. head: what more its ``head`` holds, as HTML."""
    laboratory = report.laboratory.organization
    patient = report.patient
    made = _iso(report.time)
    title = f"Compte rendu d'examens biologiques - {_name(patient)}"
    chapters = "".join(map(_chapter, report.chapters))
    notes = "".join(
        f"<div class='comment'><h3>{_t(one.title or 'Commentaire')}</h3>{_br(_joined(one))}</div>"
        for one in (*nonconformities(report), *report.notes)
    )
    notes += "".join(
        f"<div class='comment'><h3>{_t(one.title)}</h3>{'<br>'.join(map(_t, one.lines))}</div>"
        for one in report.enclosed
    )
    return (
        f"<!doctype html><html lang='fr'><head><meta charset='utf-8'><title>{_t(title)}</title>"
        f"<meta name='author' content='{_t(laboratory.name)}'><meta name='dcterms.created' content='{made}'>"
        f"<meta name='dcterms.modified' content='{made}'>{head}</head><body>"
        f"<div id='running'>{_t(_name(patient))} — né(e) le {_t(patient.birth_date.french())}"
        f" — demande {_t(_numbers(report))}</div><div id='foot'>{_t(laboratory.name)}</div>"
        f"{_letterhead(report, laboratory)}{_people(report)}{_state(report)}"
        f"{chapters}{notes}{_signature(report)}</body></html>"
    )


def _t(text: str) -> str:
    return escape(text, quote=True)


def _br(text: str) -> str:
    return "<br>".join(map(_t, text.split("\n")))


def _iso(moment: Moment) -> str:
    digits = moment.digits.partition(".")[0]
    day = f"{digits[:4]}-{digits[4:6] or '01'}-{digits[6:8] or '01'}"
    if len(digits) < 12:
        return day
    return f"{day}T{digits[8:10]}:{digits[10:12]}:{digits[12:14] or '00'}{moment.zone[:3]}:{moment.zone[3:]}"


def _numbers(report: Report) -> str:
    return ", ".join(one.value for one in report.requested)


def _name(patient: Patient) -> str:
    return " ".join(
        part for part in (patient.family or patient.used_family, patient.given or patient.used_given) if part
    )


def _lines(address: Address | None) -> str:
    return "".join(f"<div>{_t(line)}</div>" for line in address.shown()) if address else ""


def _telecom(telecom: Telecom | None) -> str:
    if telecom is None:
        return ""
    number = telecom.uri.partition(":")[2]
    if telecom.uri.startswith("tel:") and number.isdigit() and len(number) == 10:
        number = " ".join(number[at : at + 2] for at in range(0, 10, 2))
    return f"<div>{'Tél. ' if telecom.uri.startswith('tel:') else ''}{_t(number)}</div>"


def _letterhead(report: Report, laboratory: Organization) -> str:
    accreditation = (
        f"<div>Accréditation COFRAC n° {_t(laboratory.accreditation)}</div>" if laboratory.accreditation else ""
    )
    return (
        f"<header><div class='lab'><div class='name'>{_t(laboratory.name)}</div>{_lines(laboratory.address)}"
        f"{_telecom(laboratory.telecom)}<div>FINESS {_t(laboratory.id[1:])}</div>{accreditation}"
        f"<div>Directeur : {_t(report.laboratory.director.shown())}</div></div>"
        f"<div class='title'><h1>Compte rendu d'examens<br>de biologie médicale</h1>"
        f"<div>Demande n° {_t(_numbers(report))}</div><div>Édité le {_t(report.time.french())}</div></div></header>"
    )


def _people(report: Report) -> str:
    patient, prescription = report.patient, report.prescription
    used = " ".join(part for part in (patient.used_family, patient.used_given) if part)
    rows = [
        ("Nom de naissance", patient.family),
        ("Prénoms de naissance", patient.birth_given_names),
        ("Nom et prénom utilisés", used),
        ("Né(e) le", f"{patient.birth_date.french()}{f' à {patient.birth_city}' if patient.birth_city else ''}"),
        ("Code du lieu de naissance", patient.birth_place),
        ("Sexe", _SEXES[patient.sex]),
        ("INS", f"{_spaced(patient.ins.number)} ({_ins_kind(patient.ins)})" if patient.ins else ""),
        ("IPP", ", ".join(one.value for one in patient.ids)),
    ]
    orders = ", ".join(one.value for one in prescription.orders)
    dated = f" le {prescription.time.french()}" if prescription.time else ""
    asked = [("Prescripteur", one.shown()) for one in prescription.prescribers]
    asked += [("Prescription", f"n° {orders}{dated}" if orders else dated.strip())]
    if report.encounter.id:
        asked.append(("Venue", f"n° {report.encounter.id.value}"))
    asked += [("Préleveur", person.shown()) for person, _ in report.collectors]
    asked.append(("Reçu au laboratoire", report.received.french()))
    asked += [("Copie à", one.shown()) for one in report.recipients]
    addresses = "".join(f"<div class='address'>{_lines(one)}</div>" for one in patient.addresses[:1])
    symbol = svg(patient)
    scanned = f"<div class='ins'>{symbol}INS à scanner</div>" if symbol else ""
    return (
        f"<section class='who'><div><h2>Patient</h2>{_table(rows)}{addresses}</div>"
        f"<div><h2>Demande</h2>{_table(asked)}{scanned}</div></section>"
    )


def _ins_kind(ins: Ins) -> str:
    return ins_kind(ins.root, "production") or f"{ins_kind(ins.root, 'test')} de test"


def _spaced(number: str) -> str:
    return " ".join((number[:1], number[1:3], number[3:5], number[5:7], number[7:10], number[10:13], number[13:]))


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_t(head)}</th><td>{_t(text)}</td></tr>" for head, text in rows if text)
    return f"<table class='facts'>{cells}</table>"


def _state(report: Report) -> str:
    state = (
        "Compte rendu complet"
        if report.complete
        else "Compte rendu partiel : des résultats sont attendus ou provisoires"
    )
    version = f"version {report.version.number}"
    replaces = ", annule et remplace la version précédente" if report.version.replaces else ""
    return f"<p class='state{'' if report.complete else ' partial'}'>{state} — {version}{replaces}</p>"


def _chapter(chapter: Chapter) -> str:
    inside = "".join(map(_panel, chapter.panels))
    for one in chapter.sub_chapters:
        inside += f"<h3 class='sub'>{_t(one.title or one.code.label)}</h3>{''.join(map(_panel, one.panels))}"
    return f"<section class='chapter'><h2>{_t(chapter.title or chapter.code.label)}</h2>{inside}</section>"


def _panel(panel: Panel) -> str:
    above = "".join(f"<p class='context'>{_t(shown_specimen(one))}</p>" for one in panel.specimens)
    above += "".join(f"<p class='context'>{_t(line)}</p>" for line in panel_lines(panel))
    below = "".join(f"<figure>{_image(one)}</figure>" for one in panel.images)
    below += "".join(f"<div class='note'>{_note(note)}</div>" for note in panel.notes)
    title = f"<h3>{_t(panel.code.text)}</h3>" if panel.code.text else ""
    isolates = "".join(map(_isolate, panel.isolates))
    return f"<article>{title}{above}{_results(panel.results)}{isolates}{below}</article>"


def _isolate(isolate: Isolate) -> str:
    when = f"<p class='context'>Le {_t(isolate.time.french())}</p>" if isolate.time else ""
    tests = "".join(map(_panel, isolate.panels))
    notes = "".join(f"<div class='note'>{_note(note)}</div>" for note in isolate.notes)
    return f"<h3 class='isolate'>{_t(isolate_title(isolate))}</h3>{when}{_results(isolate.results)}{tests}{notes}"


def _image(image: Attachment) -> str:
    source = f"data:{image.media_type};base64,{image.data}"
    return f"<img src='{_t(source)}' alt='{_t(image.title)}'><figcaption>{_t(image.title)}</figcaption>"


def _results(results: tuple[Result, ...]) -> str:
    shared = common(results)
    rows = "".join(_row(result, shared) for result in results)
    head = (
        "<thead><tr><th>Examen</th><th class='number'>Résultat</th><th>Unité</th><th>Valeurs de référence</th>"
        "<th>Interprétation</th></tr></thead>"
    )
    return f"<table class='results'>{head}<tbody>{rows}</tbody></table>" if rows else ""


def _row(result: Result, shared: tuple[Moment | None, tuple[Validation, ...]]) -> str:
    small = [result.method.text] if result.method else []
    small += result_lines(result, *shared)
    status = STATUS.get(result.status)
    tag = f"<span class='status'>{_t(status)}</span>" if status else ""
    details = "".join(f"<div class='small'>{_t(line)}</div>" for line in small)
    label = f"{_t(result.code.text)}{f' (n° {_t(result.sub_id)})' if result.sub_id else ''}"
    shown = shown_values(result)
    wide = result.unit is None and not all(isinstance(one, _NUMERIC) for one in result.values)
    alone = wide and result.range is None and not result.flags
    unit = _t(result.unit.source) if result.unit else ""
    measured = (
        f"<td class='value' colspan='{4 if alone else 2}'>{_br(shown)}</td>"
        if wide
        else f"<td class='value number'>{_br(shown)}</td><td>{unit}</td>"
    )
    flags = "<br>".join(_t(shown_flag(flag)) for flag in result.flags)
    usual = _br(result.range.source) if result.range else ""
    rest = "" if alone else f"<td>{usual}</td><td class='flag'>{flags}</td>"
    marks = " ".join(("abnormal",) * abnormal(result) + ("said",) * (shown.count("\n") > _SHORT))
    marked = f" class='{marks}'" if marks else ""
    row = f"<tr{marked}><td>{label}{tag}{details}</td>{measured}{rest}</tr>"
    row += "".join(f"<tr><td colspan='5' class='note'>{_t(shown_previous(one))}</td></tr>" for one in result.previous)
    return row + "".join(
        f"<tr class='said'><td colspan='5' class='note'>{_note(note)}</td></tr>" for note in result.notes
    )


def _joined(note: Note) -> str:
    return "\n".join(note.lines)


def _note(note: Note) -> str:
    text = _br(_joined(note))
    return f"<b>{_t(note.title)} :</b> {text}" if note.title else text


def _signature(report: Report) -> str:
    who = report.responsible
    others = ", ".join(one.person.shown() for one in report.validators)
    also = f"<div>Validation également par {_t(others)}</div>" if others else ""
    profession = f"<div>{_t(who.profession.label)}</div>" if who.profession else ""
    when = report.released or report.time
    return (
        f"<footer><div>Compte rendu validé le {_t(when.french())} par</div>"
        f"<div class='signatory'>{_t(who.shown())}</div>"
        f"{profession}<div>RPPS {_t(who.id[1:])}</div>{also}</footer>"
    )
