"""CR-Bio (CDA R2 level 3, or 1): from an ORU^R01 or another CR-Bio (``cr_bio``), or from a report (``write``)."""

from __future__ import annotations

import base64
from dataclasses import replace
from hashlib import sha256
from uuid import UUID, uuid5

from lxml import etree

from channels.errors import ConfigError, ProfileError
from channels.message import Message
from channels.numbering import issue_of, numbered
from channels.ports import Context, in_worker
from transforms.cda.body import body, pdf_body
from transforms.cda.header import header
from transforms.cda.reader import read_document
from transforms.oru import read_report
from transforms.report import Attachment, Report, Version
from transforms.submission.origin import kept
from transforms.transitions import check, statuses

_BLANKS = b"\xef\xbb\xbf \t\r\n"
__all__ = ["cr_bio", "level_1", "write", "write_level_1"]


@numbered
@in_worker
def cr_bio(message: Message, context: Context) -> Message:
    """ORU^R01 -> CR-Bio 2024.01; the PDF copy is the laboratory's own, else rendered from the same report.

    A CR-Bio that was received is read and written again as ours: the same version, its copies, every fact.

    Returns a message of format ``cda``. The same message gives the same bytes.

    Raises:
        MessageError: what the document cannot carry, with its place and rule; or the name of a setting that lacks.

    Source: CI-SIS volet CR d'examens de biologie médicale 2024.01.
    """
    if message.body.lstrip(_BLANKS).startswith(b"<"):
        return message.with_body(_again(read_document(message.body, context)), format="cda", charset="utf-8")
    report = _issued(read_report(message, context), message)
    written = write(report, report.copies or _rendered_copy(report))
    return message.with_body(written, format="cda", charset="utf-8", attributes=kept(message))


def _again(report: Report) -> bytes:
    """A document that was read, by our writer."""
    for one in report.left_out:
        raise ProfileError(f"the document cannot be carried whole: {one.reason}", one.place)
    copies = report.copies or _rendered_copy(report)
    return write(report, copies) if report.chapters else write_level_1(report, copies[0])


@numbered
@in_worker
def level_1(message: Message, context: Context) -> Message:
    """ORU^R01 -> CDA whose body is the laboratory's PDF, for results that cannot be structured.

    Without a PDF in the message it is rendered, and then the results must be readable as for ``cr_bio``.

    Raises:
        MessageError: as for ``cr_bio``; or two PDF of the whole report, of which the body holds one.

    Source: CI-SIS, structuration minimale des documents de santé (documents à corps non structuré).
    """
    report = read_report(message, context, structured=False)
    if not report.copies:
        report = read_report(message, context)
    report = _issued(_series_of_its_own(report), message)
    (first, *more) = report.copies or _rendered_copy(report)
    if more:
        raise ProfileError("two PDF of the whole report: the body of a document holds one", more[0].place)
    written = write_level_1(report, first)
    return message.with_body(written, format="cda", charset="utf-8", attributes=kept(message))


def _series_of_its_own(report: Report) -> Report:
    """Beside the CR-Bio of the same message this is another document, and never a version of it."""
    set_id = uuid5(UUID(report.version.set_id), "level 1")
    own = Version(str(uuid5(set_id, report.version.id)).upper(), str(set_id).upper())
    return replace(report, version=own)


def _issued(report: Report, message: Message) -> Report:
    """With the version that the engine remembers; the first one where nobody does."""
    version = report.version
    content = sha256(message.body).hexdigest()
    issue = issue_of(message, version.set_id, content, version.id, statuses(report))
    if issue is None:
        return report
    check(report, issue.before)
    return replace(report, version=Version(issue.document, version.set_id, issue.number, issue.replaces))


def _rendered_copy(report: Report) -> tuple[Attachment, ...]:
    return (Attachment("application/pdf", base64.b64encode(_rendered(report)).decode("ascii")),)


def _rendered(report: Report) -> bytes:
    """Our PDF; the renderer is heavy, and loaded only when a report needs it."""
    try:
        from transforms.pdf import render
    except (ImportError, OSError) as error:  # weasyprint, or the system's Pango library that it loads
        raise ConfigError("a report without PDF needs weasyprint: install vaguemestre[pdf] and libpango") from error
    return render(report)


def write(report: Report, copies: tuple[Attachment, ...]) -> bytes:
    """The document, proved well formed. copies: PDF of the whole report, at least one."""
    document = header(report) + body(report, copies)
    written = document.encode("utf-8")
    etree.fromstring(written, _PARSER)
    return written


def write_level_1(report: Report, pdf: Attachment) -> bytes:
    """The document whose body is a PDF, proved well formed."""
    written = (header(report, structured=False) + pdf_body(pdf)).encode("utf-8")
    etree.fromstring(written, _PARSER)
    return written


_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
