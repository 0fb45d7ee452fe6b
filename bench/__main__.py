"""Run the parts of the benchmark: ``python -m bench [--part engine,large] [--rounds 3] [--json]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from vaguemestre.measure.parts import Plan
from vaguemestre.measure.report import Goal, Part, machine

PARTS = ("engine", "at_rest", "large", "rows", "deep_queue", "pfi")
TABLES = {
    "er7": "HL7 v2 readers: µs of CPU a message",
    "cr_bio": "ORU to CR-Bio, without a PDF: µs of CPU a document, and the ratio to lxml building the same tree",
}
"""Parts that need no process and no disk: ``measure()`` gives figures by name, or a list of rows."""


def _of_rows(name: str, found: dict[str, Any] | list[dict[str, Any]]) -> Part:
    if isinstance(found, dict):
        part = Part(TABLES[name], ("figure", "value"), list(found.items()))
        if "ratio" in found:
            part.goals = [Goal("conversion ÷ lxml building the same tree", found["ratio"], at_most=1.5)]
        return part
    columns = list(found[0]) if found else []
    return Part(TABLES[name], columns, [[row.get(column, "") for column in columns] for row in found])


def _measure(name: str, plan: Plan) -> list[Part]:
    module = importlib.import_module(f"bench.{name}")
    if name in TABLES:
        return [_of_rows(name, module.measure())]
    found = module.measure(plan)
    return found if isinstance(found, list) else [found]


def main() -> None:
    """The program."""
    every = (*PARTS, *TABLES)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--part", default=",".join(every), help=f"comma-separated, of: {', '.join(every)}")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each run")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is repeated, in turn with its floors")
    parser.add_argument("--directory", type=Path, help="where journals are written")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    asked = parser.parse_args()
    console = Console(quiet=asked.json, width=None if sys.stdout.isatty() else 110)
    done: list[Part] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.directory) as place:
        facts = machine(Path(place))
        for name, value in facts.items():
            console.print(f"{name}: {value}", style="dim", highlight=False)
        plan = Plan(Path(place), asked.seconds, asked.rounds)
        for name in asked.part.split(","):
            for part in _measure(name, plan):
                done.append(part)
                part.show(console)
    if asked.json:
        print(json.dumps({"machine": facts, "parts": [part.values() for part in done]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
