"""ORU (22 results) -> CR-Bio, no PDF rendered: documents a second, and the ratio to lxml building the same tree.

    python bench/cr_bio.py

The floor is `etree.SubElement` for every element of the same document, then `etree.tostring`; both are timed in turn,
in one process, and the best of each is kept. Goal: ratio at most 1.5.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lxml import etree

from channels.ports import Context, Tables
from channels.site import Site
from transforms import er7
from transforms.cda import write
from transforms.oru import read_report
from transforms.report import Attachment

MESSAGE = Path(__file__).resolve().parent.parent / "tests" / "messages" / "oru_multi.hl7"
COPY = (Attachment("application/pdf", base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()),)
BIOLOGIST = {"rpps": "01000000058", "family": "DURAND", "given": "Anne", "title": "DR", "profession": "G15_10/SM03"}
NUMBERINGS = ("patient", "visit", "placer_order", "filler_order", "specimen", "local_codes")
SITE = {
    "site": "bench",
    "establishment": {"name": "CH de Testville", "finess": "990000001"},
    "laboratory": {
        "finess": "990000009",
        "name": "Laboratoire de biologie médicale de Testville",
        "address": ["1 rue des Essais", "75013 TESTVILLE"],
        "telecom": "0140000000",
        "director": BIOLOGIST,
        "oids": {name: f"1.2.250.1.999999.2.{number}" for number, name in enumerate(NUMBERINGS, 1)},
    },
}
Node = tuple[str, dict[str, str], str | None, list[Any]]


def measure(rounds: int = 300) -> dict[str, float]:
    """Microseconds of the conversion, of its two halves and of the floor; documents a second; the ratio."""
    body = MESSAGE.read_bytes()
    context = Context(Site.model_validate(SITE), "bench", datetime(2026, 3, 10, tzinfo=UTC), _no_table)
    report = read_report(er7.message(body), context)
    document = write(report, COPY)
    root = etree.fromstring(document)
    names, tree = dict(root.nsmap), _plain(root)
    convert = _best(lambda: write(read_report(er7.message(body), context), COPY), rounds)
    floor = _best(lambda: _build(tree, names), rounds)
    return {
        "results": float(sum(1 for _ in report.results())),
        "document_bytes": float(len(document)),
        "elements": float(sum(1 for _ in root.iter())),
        "convert_us": convert,
        "read_us": _best(lambda: read_report(er7.message(body), context), rounds),
        "write_us": _best(lambda: write(report, COPY), rounds),
        "lxml_subelement_us": floor,
        "documents_per_s": 1e6 / convert,
        "ratio": convert / floor,
    }


def _no_table(name: str) -> Tables:
    raise KeyError(name)


def _best(function: Callable[[], object], rounds: int) -> float:
    """Microseconds of the fastest of ``rounds`` calls."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best * 1e6


def _plain(element: Any) -> Node:
    """The tree as tuples, so that the floor pays for building and writing only."""
    children = [(_plain(child), child.tail) for child in element]
    return element.tag, dict(element.attrib), element.text, children


def _build(tree: Node, names: Any) -> bytes:
    tag, attributes, text, children = tree
    root = etree.Element(tag, attributes, nsmap=names)
    root.text = text
    _fill(root, children)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _fill(parent: Any, children: list[Any]) -> None:
    for (tag, attributes, text, grandchildren), tail in children:
        child = etree.SubElement(parent, tag, attributes)
        if text:
            child.text = text
        if tail:
            child.tail = tail
        if grandchildren:
            _fill(child, grandchildren)


if __name__ == "__main__":
    found = measure()
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:20} {value:12.2f}")
