"""The report of another laboratory, received as a CDA document, in the report of the main one.

Structured results go into the chapters, each with the laboratory that made it; a document whose body is a PDF, or
one that holds what a report does not carry, is enclosed as its PDF (results of second intention).
"""

from __future__ import annotations

import base64
from dataclasses import replace

from channels.errors import MessageError, ProfileError
from channels.ports import Context
from transforms.cda.reader import read_document
from transforms.report import Attachment, Chapter, Isolate, Laboratory, Panel, Patient, Report, Result, Validation


def merged(report: Report, document: Attachment, context: Context) -> Report:
    """The report with what a document of another laboratory says.

    document: a CDA document, base64.

    Raises:
        ProfileError: it is of another patient; it cannot be carried whole and has no PDF.
        MessageError: it cannot be read; the place is that of the file, then that of the fault in it.
    """
    try:
        other = read_document(base64.b64decode(document.data), context)
    except MessageError as error:
        raise type(error)(error.problem, f"{document.place}-5.5 {error.place}", error.condition) from None
    if not same_patient(report.patient, other.patient):
        raise ProfileError("a report of another patient in this message", f"{document.place}-5.5", "204")
    name = other.laboratory.organization.name
    if other.left_out or not other.chapters:
        if not other.copies:
            raise ProfileError(
                "a report that cannot be carried whole, and has no PDF", f"{document.place}-5.5", "102"
            )  # fmt: skip
        files = tuple(replace(one, laboratory=name, place=document.place) for one in other.copies)
        return replace(report, other_reports=(*report.other_reports, *files))
    chapters = report.chapters
    for chapter in other.chapters:
        chapters = _with(chapters, _made_by(chapter, other.laboratory))
    others = tuple(replace(one, laboratory=one.laboratory or name) for one in other.other_reports)
    known = {report.responsible.id, *(one.person.id for one in report.validators)}
    signed = Validation(other.responsible, other.released or other.time)
    validators = tuple(one for one in (signed, *other.validators) if one.person.id and one.person.id not in known)
    return replace(
        report,
        chapters=chapters,
        validators=(*report.validators, *validators),
        notes=(*report.notes, *other.notes),
        enclosed=(*report.enclosed, *other.enclosed),
        other_reports=(*report.other_reports, *others),
    )


def same_patient(one: Patient, other: Patient) -> bool:
    """By the INS when both have it; else by birth name, first given name, birth date and sex."""
    if one.ins and other.ins:
        return one.ins.number == other.ins.number
    return _traits(one) == _traits(other)


def _traits(one: Patient) -> tuple[str, str, str, str]:
    family, given = one.family or one.used_family, one.given or one.used_given
    return family.casefold(), given.casefold(), one.birth_date.digits, one.sex


def _with(chapters: tuple[Chapter, ...], more: Chapter) -> tuple[Chapter, ...]:
    """Panels of one discipline together, when both have no sub-chapters."""
    for number, one in enumerate(chapters):
        if one.code.code == more.code.code and not one.sub_chapters and not more.sub_chapters:
            joined = replace(one, panels=(*one.panels, *more.panels))
            return (*chapters[:number], joined, *chapters[number + 1 :])
    return (*chapters, more)


def _made_by(chapter: Chapter, laboratory: Laboratory) -> Chapter:
    return replace(
        chapter,
        panels=tuple(_panel(one, laboratory) for one in chapter.panels),
        sub_chapters=tuple(_made_by(one, laboratory) for one in chapter.sub_chapters),
    )


def _panel(panel: Panel, laboratory: Laboratory) -> Panel:
    return replace(
        panel,
        results=tuple(_result(one, laboratory) for one in panel.results),
        isolates=tuple(_isolate(one, laboratory) for one in panel.isolates),
    )


def _isolate(isolate: Isolate, laboratory: Laboratory) -> Isolate:
    return replace(
        isolate,
        results=tuple(_result(one, laboratory) for one in isolate.results),
        panels=tuple(_panel(one, laboratory) for one in isolate.panels),
    )


def _result(result: Result, laboratory: Laboratory) -> Result:
    return result if result.laboratory else replace(result, laboratory=laboratory)
