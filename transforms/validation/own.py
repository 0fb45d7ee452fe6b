"""Our own rules: what a CR-Bio must say and no official layer checks. They need no file beside the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from transforms.validation import own_body, own_header, own_narrative, own_results
from transforms.validation.document import place
from transforms.validation.faults import OWN, Fault
from transforms.validation.view import Found, View

Rule = Callable[[View], Iterator[Found]]

RULES: dict[str, Rule] = {
    "model": own_header.model,
    "patient": own_header.patient,
    "ins": own_header.ins,
    "national-number": own_header.numbers,
    "version": own_header.versions,
    "zone": own_header.zones,
    "order-of-times": own_header.order,
    "template": own_body.templates,
    "reference": own_body.references,
    "shared-words": own_body.one_reference_each,
    "file": own_body.files,
    "narrative": own_narrative.narrative,
    "unreferenced": own_narrative.unreferenced,
    "loinc": own_results.loinc,
    "status": own_results.statuses,
    "usual-values": own_results.units,
    "interpretation": own_results.flags,
    "previous-result": own_results.previous,
    "isolate": own_results.isolates,
}


def check(root: Any, domain: str = "") -> Iterator[Fault]:
    """Every fault that our rules find. domain: ``production``, ``test``, or ``""`` when it is not known."""
    view = View(root, domain)
    known: dict[Any, str] = {}
    for name, rule in RULES.items():
        for found in rule(view):
            line = found.element.sourceline or 0
            yield Fault(OWN, found.level, name, place(found.element, known), line, found.text)
