"""Body of a CR-Bio: chapters, comments, reports of other laboratories, PDF copy.

Source: CI-SIS volet CR d'examens de biologie médicale 2024.01, sections; the list of first-level sections is closed.
"""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

from transforms.cda.entries import entry
from transforms.cda.narrative import narrative
from transforms.cda.rows import Numbering
from transforms.cda.xml import attributes, code, esc, lines
from transforms.report import Attachment, Chapter, Moment, Note, Report
from transforms.wording import nonconformities

_LOINC = 'codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"'
_CHAPTER = '<templateId root="1.3.6.1.4.1.19376.1.3.3.2.1"/><templateId root="1.2.250.1.213.1.1.2.70"/>'
_SUB_CHAPTER = '<templateId root="1.3.6.1.4.1.19376.1.3.3.2.2"/><templateId root="1.2.250.1.213.1.1.2.71"/>'
_COMMENT = (
    '<templateId root="2.16.840.1.113883.10.12.201"/><templateId root="1.3.6.1.4.1.19376.1.4.1.2.16"/>'
    f'<templateId root="1.2.250.1.213.1.1.2.73"/><code code="55112-7" displayName="Commentaire" {_LOINC}/>'
)
_COPY = (
    '<templateId root="1.2.250.1.213.1.1.2.243"/>',
    f'<code code="55108-5" displayName="Copie du document" {_LOINC}/><title>Copie du document</title>',
    f'<value xsi:type="CD" code="55108-5" displayName="Copie du document" {_LOINC}/>',
)
_OTHER = (
    '<templateId root="1.2.250.1.213.1.1.2.60"/>',
    (
        f'<code code="101792-0" displayName="Résultats de laboratoire scannés" {_LOINC}/>'
        "<title>Résultats de laboratoire de seconde intention</title>"
    ),
    "",
)


def body(report: Report, copies: tuple[Attachment, ...]) -> str:
    """``component`` with everything in it. copies: PDF of the whole report, at least one."""
    numbering = Numbering()
    released = report.released or report.time
    sections = [
        f"<section>{one}</section>" for one in (_chapter(each, numbering, released) for each in report.chapters)
    ]
    sections += [one.xml for one in report.enclosed]
    sections += [f"<section>{_comment(note)}</section>" for note in (*nonconformities(report), *report.notes)]
    for number, attachment in enumerate(report.other_reports, 1):
        sections.append(f"<section>{_attached(report, attachment, f'autre-labo-{number}', _OTHER)}</section>")
    for number, attachment in enumerate(copies, 1):
        sections.append(f"<section>{_attached(report, attachment, f'copie-pdf-{number}', _COPY)}</section>")
    inside = "".join(f"<component>{section}</component>" for section in sections)
    return f"<component><structuredBody>{inside}</structuredBody></component></ClinicalDocument>"


def pdf_body(attachment: Attachment) -> str:
    """``component`` of a document whose body is a PDF (level 1)."""
    return (
        f'<component><nonXMLBody><text mediaType="{attachment.media_type}" representation="B64">{attachment.data}'
        "</text></nonXMLBody></component></ClinicalDocument>"
    )


def _chapter(chapter: Chapter, numbering: Numbering, released: Moment) -> str:
    """Its panels, or its sub-chapters: never both."""
    title = esc(chapter.title or chapter.code.label.upper())
    head = f"{_CHAPTER}{code(chapter.code)}<title>{title}</title>"
    if not chapter.sub_chapters:
        return head + _results(chapter, numbering, released)
    parts = []
    for one in chapter.sub_chapters:
        named = f"<title>{esc(one.title or one.code.label)}</title>"
        inside = f"{_SUB_CHAPTER}{code(one.code)}{named}{_results(one, numbering, released)}"
        parts.append(f"<component><section>{inside}</section></component>")
    return head + "".join(parts)


def _results(chapter: Chapter, numbering: Numbering, released: Moment) -> str:
    blocks = [numbering.block(panel) for panel in chapter.panels]
    return narrative(blocks) + entry(_act(chapter), blocks, released)


def _act(chapter: Chapter) -> str:
    """What the group of results is called: the chapter, unless the report says more."""
    if chapter.act is None or chapter.act.standard is None:
        return code(chapter.code)
    others = "".join(code(one, "translation") for one in chapter.act.others)
    return f"<code{attributes(chapter.act.standard)}>{others}</code>"


def _comment(note: Note) -> str:
    words = lines("\n".join(note.lines))
    return f"{_COMMENT}<title>{esc(note.title or 'Commentaire')}</title><text><paragraph>{words}</paragraph></text>"


def _attached(report: Report, attachment: Attachment, name: str, texts: tuple[str, str, str]) -> str:
    """A section that holds a PDF: FR-Document-attache."""
    template, head, kind = texts
    section, organizer, observation = (_uuid(report, name, part) for part in ("section", "organizer", "observation"))
    title = esc(attachment.title or "Copie PDF du document")
    laboratory = ""
    if attachment.laboratory:
        by = f'<content ID="labo-{name}">{esc(attachment.laboratory)}</content>'
        laboratory = f"<tr><td>Laboratoire : {by}</td></tr>"
    kind = kind or f'<value xsi:type="CD"><originalText><reference value="#titre-{name}"/></originalText></value>'
    return (
        f'{template}<id root="{section}"/>{head}<text><table border="0"><tbody>'
        f'<tr><td><content ID="titre-{name}">{title}</content></td></tr>{laboratory}'
        f'<tr><td><renderMultiMedia referencedObject="{name}"/></td></tr></tbody></table></text>'
        '<entry><organizer classCode="CLUSTER" moodCode="EVN"><templateId root="1.2.250.1.213.1.1.3.18"/>'
        f'<id root="{organizer}"/><code code="55107-7" displayName="Document attaché" {_LOINC}/>'
        '<statusCode code="completed"/><component><observation classCode="OBS" moodCode="EVN">'
        '<templateId root="1.3.6.1.4.1.19376.1.5.3.1.4.13"/><templateId root="1.2.250.1.213.1.1.3.48"/>'
        f'<templateId root="1.2.250.1.213.1.1.3.48.18"/><id root="{observation}"/>'
        f'<code code="69764-9" displayName="Type de document" {_LOINC}/>'
        f'<text><reference value="#titre-{name}"/></text><statusCode code="completed"/><effectiveTime nullFlavor="NA"/>'
        f"{kind}</observation></component>"
        f'<component><observationMedia classCode="OBS" moodCode="EVN" ID="{name}">'
        f'<value mediaType="{attachment.media_type}" representation="B64">{attachment.data}</value>'
        "</observationMedia></component></organizer></entry>"
    )


def _uuid(report: Report, *names: str) -> str:
    return str(uuid5(uuid5(NAMESPACE_OID, report.version.id), "/".join(names))).upper()
