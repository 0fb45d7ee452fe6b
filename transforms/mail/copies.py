"""The PDF that goes beside IHE_XDM.zip: the one that the document holds, else the document rendered.

Source: REM of MSSanté, 2.1.1 and 2.1.5: PDF/A-1; identical to the one inside for a document of level 1.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lxml import etree

from channels.errors import ConfigError, MessageError, ParseError
from channels.ports import Context
from transforms.cda.reader import read_document
from transforms.submission import Document

_CDA = {"c": "urn:hl7-org:v3"}
_COPY = "1.2.250.1.213.1.1.2.243"
"""Template of the section that holds the laboratory's own PDF."""
_PDF = b"%PDF-"


@dataclass(frozen=True, slots=True)
class Copy:
    """A PDF, and the day of the act that it tells of (``YYYYMMDD``)."""

    content: bytes
    day: str
    label: str


def copies(documents: tuple[Document, ...], context: Context) -> list[Copy]:
    """A PDF for each document; two levels of one document have one PDF, that of level 1.

    Raises:
        MessageError: a document is not readable, or its PDF cannot be taken out.
    """
    first = [one for one in documents if one.level == 1] or list(documents)
    return [_copy(one, context) for one in first]


def _copy(document: Document, context: Context) -> Copy:
    root = parsed(document.content)
    inside = _inside(root)
    return Copy(inside or _rendered(document, root, context), _day(root), document.label or _title(root))


def parsed(content: bytes) -> Any:
    """The root of a CDA document. Raises ParseError; the text quotes nothing."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise ParseError("not well-formed XML", f"{line}:{column}") from None
    if root.getroottree().docinfo.doctype:
        raise ParseError("a CDA document has no document type (DOCTYPE)", "1:1")
    return root


def _inside(root: Any) -> bytes:
    """The PDF of a level 1 body, or the copy in a level 3 one; empty when there is none."""
    held = root.xpath(
        "c:component/c:nonXMLBody/c:text[@mediaType='application/pdf'] | "
        "c:component/c:structuredBody//c:section[c:templateId/@root=$copy]"
        "//c:observationMedia/c:value[@mediaType='application/pdf']",
        namespaces=_CDA, copy=_COPY,
    )  # fmt: skip
    for one in held:
        try:
            content = base64.b64decode("".join("".join(one.itertext()).split()), validate=True)
        except binascii.Error:
            raise ParseError("the PDF of the document is not Base64", "/ClinicalDocument/component", "102") from None
        if content.startswith(_PDF):
            return content
    return b""


def _rendered(document: Document, root: Any, context: Context) -> bytes:
    """PDF/A-1b: a laboratory report as we show one, anything else by its header and narrative."""
    pdf = _renderer()
    try:
        made: bytes = pdf.render(read_document(document.content, context))
    except MessageError:  # not a laboratory report, or one that says less than ours
        made = pdf.render_page(_page(root), document.unique_id)
    return made


def _page(root: Any) -> str:
    return str(_sheet()(root))


@cache
def _sheet() -> Any:
    text = resources.files("transforms.cda").joinpath("presentation.xsl").read_bytes()
    return etree.XSLT(etree.fromstring(text), access_control=etree.XSLTAccessControl.DENY_ALL)


def _day(root: Any) -> str:
    for path in (
        "c:documentationOf/c:serviceEvent/c:effectiveTime/c:low/@value",
        "c:documentationOf/c:serviceEvent/c:effectiveTime/@value",
        "c:effectiveTime/@value",
    ):
        found = root.xpath(path, namespaces=_CDA)
        if found and str(found[0])[:8].isdecimal() and len(found[0]) >= 8:
            return str(found[0])[:8]
    return ""


def _title(root: Any) -> str:
    return " ".join(root.xpath("string(c:title)", namespaces=_CDA).split())


def _renderer() -> Any:
    """It is heavy, and loaded only when it is needed."""
    try:
        from transforms import pdf
    except (ImportError, OSError) as error:  # weasyprint, or the system's Pango library that it loads
        raise ConfigError("the PDF of a document needs weasyprint: install vaguemestre[pdf] and libpango") from error
    return pdf
