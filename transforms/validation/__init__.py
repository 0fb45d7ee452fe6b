"""Validation of CDA documents: our own rules always, the official ones when the site has them on disk.

A document is said to conform only when every official layer that concerns it ran.
"""

from __future__ import annotations

from pathlib import Path

from channels.errors import ParseError
from transforms.validation import document, own
from transforms.validation.faults import OWN, XML, Fault, Level, Verdict
from transforms.validation.official import Rules, rules

__all__ = ["Fault", "Level", "Rules", "Verdict", "rules", "validate"]

NO_RULES = "the official rules (XML Schema and Schematron of ANS): the site has none on disk (setting `rules`)"


def validate(body: bytes, folder: Path | None = None, domain: str = "") -> Verdict:
    """Every fault of a document.

    folder: of the official rules; None: they are not checked, and the verdict says so.
    domain: ``production`` or ``test``, the INS domain that the document is for; ``""``: not checked.

    Raises:
        ConfigError: the rules cannot be read or compiled; saxonche is not installed.
    """
    try:
        root = document.parse(body)
    except ParseError as error:
        line = int(error.place.partition(":")[0] or 0)
        return Verdict((Fault(XML, "error", "well-formed", "/", line, error.problem),), (XML,), ("all the rest",))
    faults: list[Fault] = []
    checked, unchecked = [XML], [NO_RULES]
    if folder is not None:
        official = rules(folder)
        names, unchecked = official.layers(root)
        faults += official.check(root)
        checked += names
    faults += own.check(root, domain)
    return Verdict(tuple(faults), (*checked, OWN), tuple(unchecked))
