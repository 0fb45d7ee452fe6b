"""The value sets behind metadata; see ``data/NOTICE.txt``."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from transforms.xds.model import Code

IHE_FORMATS = "1.3.6.1.4.1.19376.1.2.3"
CLASSES = "1.2.250.1.213.1.1.4.1"
VISIBILITY = "1.2.250.1.213.1.1.4.13"
CONFIDENTIALITY = "2.16.840.1.113883.5.25"
_CLASS_LABELS = {"10": "Compte rendu"}
_FORMAT_LABELS = {
    "urn:ihe:lab:xd-lab:2008": "Compte rendu structuré d'examens de biologie médicale",
    "urn:ihe:iti:xds-sd:pdf:2008": "Document à corps non structuré en Pdf/A-1",
}


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


def class_of(type_code: str, own: dict[str, str]) -> Code | None:
    """Class of a document type (ASS_X04). own: of the site, first."""
    found = own.get(type_code) or _class_codes().get(type_code)
    return Code(found, _CLASS_LABELS.get(found, found), CLASSES) if found else None


@cache
def _formats() -> dict[str, tuple[str, str]]:
    return {template: (code, table) for template, code, table in _rows("formats")}


def format_of(templates: list[str], own: dict[str, str], french_system: str) -> Code | None:
    """Format of a document by its templates (ASS_A11), the most particular first as the document lists them last."""
    for template in templates:
        if template in own:
            code = own[template]
            system = IHE_FORMATS if code.startswith("urn:ihe:") else french_system
            return Code(code, _FORMAT_LABELS.get(code, code), system)
    for template in reversed(templates):
        if template in _formats():
            code, table = _formats()[template]
            system = IHE_FORMATS if table.startswith("TRE_A11") else french_system
            return Code(code, _FORMAT_LABELS.get(code, code), system)
    return None
