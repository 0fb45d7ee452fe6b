"""ORU (22 results) -> CR-Bio, no PDF rendered: documents a second, and the ratio to lxml building the same tree.

    python -m bench.cr_bio [--rules DIR [--document FILE]] [--memory 10000] [--json]

`--rules`: folder of the official rules; their validation is then measured too, of our document and of `--document` (the
biggest official example, for instance). `--memory`: that many documents, of
different messages in turn, are made, rendered (one in a hundred), validated and read back in one process, and its
memory is looked at ten times on the way.

The floor is `etree.SubElement` for every element of the same document, then `etree.tostring`; both are timed in turn,
in one process, and the best of each is kept. Goal: ratio at most 1.5; all layers of validation at most 50 ms.
"""

from __future__ import annotations

import argparse
import base64
import json
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lxml import etree

from channels.ports import Context, Tables
from channels.site import Site
from transforms import er7
from transforms.cda import write
from transforms.cda.reader import read_document
from transforms.oru import read_report
from transforms.pdf import render
from transforms.report import Attachment, Report
from transforms.validation import validate

MESSAGE = Path(__file__).resolve().parent.parent / "tests" / "messages" / "oru_multi.hl7"
COPY = (Attachment("application/pdf", base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()),)
BIOLOGIST = {"rpps": "01000000058", "family": "DURAND", "given": "Anne", "title": "DR", "profession": "G15_10/SM03"}
SUBCONTRACTOR = {
    "finess": "690000007",
    "name": "Laboratoire X",
    "address": ["2 quai des Analyses", "69000 ESSAIVILLE"],
    "telecom": "0470000000",
    "aliases": ["LABX"],
    "director": BIOLOGIST | {"rpps": "01000000066", "family": "AUTRE", "given": "Jo"},
}
NUMBERINGS = ("patient", "visit", "placer_order", "filler_order", "specimen", "local_codes")
SITE = {
    "site": "bench",
    "establishment": {"name": "CH de Testville", "finess": "990000001"},
    "ins_domain": "test",
    "laboratory": {
        "finess": "990000009",
        "name": "Laboratoire de biologie médicale de Testville",
        "address": ["1 rue des Essais", "75013 TESTVILLE"],
        "telecom": "0140000000",
        "aliases": ["LBM1"],
        "director": BIOLOGIST,
        "profession": "G15_10/SM03",
        "subcontractors": [SUBCONTRACTOR],
        "oids": {name: f"1.2.250.1.999999.2.{number}" for number, name in enumerate(NUMBERINGS, 1)},
    },
}
Node = tuple[str, dict[str, str], str | None, list[Any]]


def measure(rounds: int = 300) -> dict[str, float]:
    """Microseconds of the conversion, of its two halves and of the floor; documents a second; the ratio."""
    body = MESSAGE.read_bytes()
    context = _context()
    report, document = _example()
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


def apart(rules: Path | None, other: Path | None = None, rounds: int = 20) -> dict[str, float]:
    """What comes on top of the conversion, in microseconds of a warm process: PDF, our rules, the official ones.

    other: a document to validate as well.
    """
    report, document = _example()
    found = {
        "pdf_us": _best(lambda: render(report), max(3, rounds // 4)),
        "own_rules_us": _best(lambda: validate(document), rounds),
    }
    if rules is not None:
        begin = time.perf_counter()
        validate(document, rules)
        found["official_rules_first_us"] = (time.perf_counter() - begin) * 1e6
        found["all_rules_us"] = _best(lambda: validate(document, rules), rounds)
        if other is not None:
            body = other.read_bytes()
            validate(body, rules)
            found["document_rules_us"] = _best(lambda: validate(body, rules), 2 * rounds)
    return found


def memory(count: int, rules: Path | None) -> Iterator[tuple[int, float]]:
    """Documents made, validated and read back so far, one in a hundred rendered, and the megabytes of the process."""
    bodies = [path.read_bytes() for path in sorted(MESSAGE.parent.glob("oru_*.hl7"))]
    context = _context()
    for number in range(1, count + 1):
        # No two documents are alike: their numbers and times differ, as those of a day's work do.
        body = bodies[number % len(bodies)].replace(b"20260310", b"202603%02d" % (1 + number % 28))
        report = read_report(er7.message(body), context)
        written = write(report, COPY)
        validate(written, rules, "test")
        read_document(written, context)
        if number % 100 == 0:
            render(report)
        if number % max(1, count // 10) == 0:
            yield number, _resident() / 1e6


def _resident() -> int:
    """Bytes of memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def _context() -> Context:
    return Context(Site.model_validate(SITE), "bench", datetime(2026, 3, 10, tzinfo=UTC), _no_table)


def _example() -> tuple[Report, bytes]:
    report = read_report(er7.message(MESSAGE.read_bytes()), _context())
    return report, write(report, COPY)


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


def main() -> None:
    """The figures, one a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--document", type=Path)
    parser.add_argument("--memory", type=int, default=0, metavar="DOCUMENTS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure() | apart(options.rules, options.document)
    if options.memory:
        found |= {f"memory_mb_after_{number}": size for number, size in memory(options.memory, options.rules)}
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:26} {value:12.2f}")


if __name__ == "__main__":
    main()
