"""The value sets behind metadata; see ``data/NOTICE.txt``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from transforms.xds.model import Code

CONFIDENTIALITY = "2.16.840.1.113883.5.25"
VISIBILITY = "1.2.250.1.213.1.1.4.13"
FRENCH_FORMATS = "1.2.250.1.213.1.1.4.2.282"
SETS = {
    "specialties": "JDV_J01", "facilities": "JDV_J02", "content_types": "JDV_J03", "practice_settings": "JDV_J04",
    "types": "JDV_J07", "confidentiality": "JDV_J08", "class_codes": "JDV_J57", "format_codes": "JDV_J60",
}  # fmt: skip
"""File of a value set -> its name."""
_UNSTRUCTURED = {
    "application/pdf": "urn:ihe:iti:xds-sd:pdf:2008",
    "text/plain": "urn:ihe:iti:xds-sd:text:2008",
    "image/jpeg": "urn:ihe:iti-fr:xds-sd:jpeg:2010",
    "image/tiff": "urn:ihe:iti-fr:xds-sd:tiff:2010",
    "text/rtf": "urn:ihe:iti-fr:xds-sd:rtf:2010",
    "application/rtf": "urn:ihe:iti-fr:xds-sd:rtf:2010",
}
_LEVEL_1 = "1.3.6.1.4.1.19376.1.2.20"


def _rows(name: str) -> list[list[str]]:
    text = resources.files("transforms.xds").joinpath("data", f"{name}.csv").read_text("utf-8")
    return list(csv.reader(text.splitlines()))[1:]


@cache
def values(name: str) -> dict[str, Code]:
    """A value set by the name of its file: code -> Code with display and system."""
    return {code: Code(code, label, system) for code, system, label in _rows(name)}


@cache
def _class_codes() -> dict[str, str]:
    return {code: found for _, code, found in _rows("classes")}


def class_of(type_code: str, own: Mapping[str, str]) -> Code | None:
    """Class of a document type (ASS_X04), None when it has none. own: of the site, first."""
    found = own.get(type_code) or _class_codes().get(type_code)
    return values("class_codes").get(found) if found else None


@cache
def _formats() -> dict[str, str]:
    return {template: code for template, code, _ in _rows("formats") if template != _LEVEL_1}


def formats_of(templates: Sequence[str], own: Mapping[str, str], french_system: str) -> tuple[Code, ...]:
    """Formats of a structured document by its templates (ASS_A11), each once. own: of the site, first."""
    found = [own[one] for one in templates if one in own] or [_formats()[one] for one in templates if one in _formats()]
    return tuple(_format(one, french_system) for one in dict.fromkeys(found))


def unstructured_format(media_type: str) -> Code | None:
    """Format of a document whose body is one file (level 1), None for what has none (ASS_A12)."""
    code = _UNSTRUCTURED.get(media_type.partition(";")[0].strip().lower())
    return _format(code, FRENCH_FORMATS) if code else None


def _format(code: str, french_system: str) -> Code:
    known = values("format_codes").get(code, Code(code, code, FRENCH_FORMATS))
    return replace(known, system=french_system) if known.system == FRENCH_FORMATS else known
