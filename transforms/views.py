"""A laboratory report to look at: as JSON, as PDF, as a page of HTML. From an ORU^R01 or from a CR-Bio.

Source: cr-bio of ANS and HL7 v2 as their readers say (``transforms.oru``, ``transforms.cda.reader``).
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

from channels.errors import ConfigError
from channels.message import Message
from channels.ports import Context, in_worker
from transforms.cda.reader import read_document
from transforms.oru import read_report
from transforms.report import Answer, Instant, Interval, Number, Quantity, Ratio, Report, Text

_KINDS = {
    Quantity: "quantity", Interval: "interval", Ratio: "ratio", Text: "text", Answer: "answer", Instant: "instant",
}  # fmt: skip
_BOM = b"\xef\xbb\xbf"


def report_of(message: Message, context: Context) -> Report:
    """The report that a message holds, whichever way it is written.

    Raises:
        MessageError: see the readers.
    """
    if message.body.removeprefix(_BOM).lstrip()[:1] == b"<":
        return read_document(message.body, context)
    return read_report(message, context)


def as_json(message: Message, context: Context) -> Message:
    """The report as JSON, UTF-8: what is empty is left out, numbers are texts with the digits of the source.

    A value has ``kind``: quantity, interval, ratio, text, answer or instant. The same message gives the same bytes.

    Raises:
        MessageError: see the readers.
    """
    text = json.dumps(plain(report_of(message, context)), ensure_ascii=False, indent=1)
    return message.with_body(f"{text}\n".encode(), format="raw", charset="utf-8")


def plain(value: Any) -> Any:
    """A report, or a part of one, as dictionaries, lists and texts."""
    if isinstance(value, Number):
        return {"source": value.source, "digits": value.digits}
    if is_dataclass(value):
        kind = _KINDS.get(type(value))
        found: dict[str, Any] = {"kind": kind} if kind else {}
        for one in fields(value):
            inside = plain(getattr(value, one.name))
            if inside not in (None, "", [], {}, False):
                found[one.name] = inside
        return found
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value


@in_worker
def as_pdf(message: Message, context: Context) -> Message:
    """The report as PDF/A: ours, even when the laboratory sent its own. The same message gives the same bytes.

    Raises:
        MessageError: see the readers.
    """
    return message.with_body(_pdf().render(report_of(message, context)), format="pdf")


@in_worker
def as_html(message: Message, context: Context) -> Message:
    """The report as a page of HTML, safe to show: no script, nothing loaded from elsewhere, every value escaped.

    Raises:
        MessageError: see the readers.
    """
    from transforms.page import page

    return message.with_body(page(report_of(message, context)).encode(), format="raw", charset="utf-8")


def _pdf() -> Any:
    """The renderer is heavy, and loaded only when it is needed."""
    try:
        from transforms import pdf
    except (ImportError, OSError) as error:  # weasyprint, or the system's Pango library that it loads
        raise ConfigError("the PDF of a report needs weasyprint: install vaguemestre[pdf] and libpango") from error
    return pdf
