"""What a validation finds, and what it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]

XML, XSD, OWN = "xml", "xsd", "own"
"""Layers that are no set of official Schematron rules: well-formed XML, XML Schema, our own rules."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule. It never quotes the document.

    layer: ``xml``, ``xsd``, ``own`` or the name of a set of official rules. rule: its name in the layer.
    place: XPath of the element. line: in the source, 0 when unknown.
    """

    layer: str
    level: Level
    rule: str
    place: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one document.

    checked: layers that ran. unchecked: what did not run, and why, in words.
    """

    faults: tuple[Fault, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that make the document invalid."""
        return tuple(fault for fault in self.faults if fault.level == "error")

    @property
    def conformant(self) -> bool:
        """Every official layer that concerns the document ran, and nothing is wrong: only then."""
        return not self.errors and not self.unchecked
