"""A CDA document that shows itself in a browser: a style sheet that carries the document.

Source: CI-SIS, self-presentable variant: the root is ``xsl:stylesheet``, the document stands in ``data:Contenu`` with
the prefix ``c`` everywhere, ``xsi:type`` included.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from lxml import etree

from channels.errors import UnsupportedError
from channels.message import Message
from channels.ports import Context, in_worker
from transforms.validation.document import CDA, parse

_DATA = "urn:asip-sante:ci-sis"
_NAME = "vgm-presentation"
"""Of the style sheet in its document: by this name Chromium uses it without opening the file again, which it refuses to
do on a disk. It takes the first ``xml-stylesheet``, Firefox the last one: ``#``, which CI-SIS writes.
"""
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@in_worker
def self_presentable(message: Message, context: Context) -> Message:  # noqa: ARG001  # every step has a context
    """The same document inside a style sheet of ours; its elements, attributes and texts are not changed.

    For receivers that ask for this variant; others are given the plain document.

    Raises:
        ParseError: not XML, or with a document type.
        UnsupportedError: not a plain CDA document.
    """
    document = parse(message.body)
    if document.tag != f"{{{CDA}}}ClinicalDocument":
        raise UnsupportedError("not a plain CDA document", "/", "200")
    sheet = _sheet()
    names = {**sheet.nsmap, "data": _DATA, **{prefix: uri for prefix, uri in document.nsmap.items() if prefix}}
    root = etree.Element(sheet.tag, dict(sheet.attrib), nsmap=names)
    root.set("exclude-result-prefixes", "c data")
    for child in sheet:
        root.append(child)
    _copy(document, etree.SubElement(root, f"{{{_DATA}}}Contenu"))
    root.set("{http://www.w3.org/XML/1998/namespace}id", _NAME)
    for place in (f"#{_NAME}", "#"):
        root.addprevious(etree.ProcessingInstruction("xml-stylesheet", f'type="text/xsl" href="{place}"'))
    body = etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
    return message.with_body(body, charset="utf-8")


def _copy(element: Any, parent: Any) -> None:
    """The element and what is in it, names of types with the prefix of the style sheet."""
    attributes = dict(element.attrib)
    kind = attributes.get(_TYPE, "")
    if kind and ":" not in kind:
        attributes[_TYPE] = f"c:{kind}"
    made = etree.SubElement(parent, element.tag, attributes)
    made.text, made.tail = element.text, element.tail
    for child in element.iterchildren(etree.Element):
        _copy(child, made)


@cache
def _text() -> bytes:
    return resources.files("transforms.cda").joinpath("presentation.xsl").read_bytes()


def _sheet() -> Any:
    """The style sheet, without its comments and blanks."""
    return etree.fromstring(_text(), etree.XMLParser(remove_comments=True, remove_blank_text=True, no_network=True))
