"""Writing XSLT elements."""

from __future__ import annotations

from typing import Any

from lxml import etree

XSL = "http://www.w3.org/1999/XSL/Transform"
OWN = "urn:vaguemestre:validation"
"""Name space of our variables and functions, prefix ``vgm``."""


def xsl(parent: Any, element: str, /, **attributes: str) -> Any:
    """A child in the XSLT name space; an underscore in the name of an attribute stands for a hyphen."""
    made = etree.SubElement(parent, f"{{{XSL}}}{element}")
    for key, value in attributes.items():
        made.set(key.strip("_").replace("_", "-"), value)
    return made


def plain(parent: Any, element: str, /, **attributes: str) -> Any:
    """A child of the report, in no name space."""
    return etree.SubElement(parent, element, attributes)


def test_of(name: str, prefixes: dict[str, str]) -> str:
    """``{uri}local`` as a name test; ``*`` for any."""
    if not name:
        return "*"
    uri, _, local = name.removeprefix("{").rpartition("}")
    if not uri:
        return local
    return f"{next(prefix for prefix, one in prefixes.items() if one == uri)}:{local}"
