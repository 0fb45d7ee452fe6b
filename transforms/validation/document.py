"""A document under validation: read safely, and where its elements are."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from lxml import etree

from channels.errors import ParseError

CDA = "urn:hl7-org:v3"
PREFIXES = {
    "cda": CDA,
    "lab": "urn:oid:1.3.6.1.4.1.19376.1.3.2",
    "sdtc": "urn:hl7-org:sdtc",
    "pharm": "urn:ihe:pharm",
    "xsl": "http://www.w3.org/1999/XSL/Transform",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_SHORT = {uri: prefix for prefix, uri in PREFIXES.items()}
_STEP = re.compile(r"/(?:Q\{(?P<uri>[^}]*)\}(?P<name>[\w.-]+)\[(?P<rank>\d+)\]|@(?P<attribute>\S+)|.+)")


def parse(body: bytes) -> Any:
    """The root element; no entity is expanded, no file or address is opened.

    Raises:
        ParseError: not well-formed XML, or with a document type. The place is ``line:column``.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise ParseError("not well-formed XML", f"{line}:{column}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError("a document type (DTD) is not taken", "1:1")
    return root


def place(element: Any, known: dict[Any, str] | None = None) -> str:
    """``/cda:ClinicalDocument[1]/cda:component[1]/…``. known: places found before, kept for those below them."""
    if element is None or not isinstance(element.tag, str):
        return ""
    if known is not None and element in known:
        return known[element]
    name = etree.QName(element)
    rank = 1 + sum(1 for one in element.itersiblings(element.tag, preceding=True))
    prefix = _SHORT.get(name.namespace or "", "*" if name.namespace else "")
    step = f"/{prefix}:{name.localname}[{rank}]" if prefix else f"/{name.localname}[{rank}]"
    found = place(element.getparent(), known) + step
    if known is not None:
        known[element] = found
    return found


def find(root: Any, path: str) -> Any:
    """The element at a path of Saxon (``/Q{uri}name[1]/…``); its owner for an attribute or text."""
    element = None
    for step in _STEP.finditer(path):
        if step["name"] is None:
            break
        tag = f"{{{step['uri']}}}{step['name']}" if step["uri"] else step["name"]
        if element is None:
            element = root
            continue
        below = element.iterchildren(tag)
        element = next((one for rank, one in enumerate(below, 1) if rank == int(step["rank"])), element)
    return root if element is None else element


def templates(root: Any) -> set[tuple[str, str | None]]:
    """Roots and extensions of the document's own templates, wherever a self-presentable one holds it."""
    return {
        (template.get("root", ""), template.get("extension"))
        for document in root.iter(f"{{{CDA}}}ClinicalDocument")
        for template in document.iterchildren(f"{{{CDA}}}templateId")
    }


def identifiers(root: Any) -> Counter[str]:
    """How often each ``ID`` is used."""
    return Counter(one for element in root.iter(etree.Element) if (one := element.get("ID")) is not None)
