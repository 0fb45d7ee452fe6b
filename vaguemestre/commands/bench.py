"""``bench``: the short version of the benchmark, on any machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vaguemestre.measure import parts
from vaguemestre.measure.report import Part, machine


def bench(
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="How long each run lasts.")] = 2.0,
    directory: Annotated[
        Path | None, typer.Option(help="Where journals are written: name the disk that a site would use.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure the engine beside the floors of this machine, in less than a minute; needs Linux.

    Everything runs on 127.0.0.1 and in a temporary folder. Goals are shown beside the figures; a miss is no error.

    Example: vaguemestre bench --directory /var/lib
    """
    console = Console(quiet=json_)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=directory) as place:
        plan = parts.Plan(Path(place), seconds, 1, (1, 16), ("adt",))
        facts = machine(Path(place))
        for name, value in facts.items():
            console.print(f"{name}: {value}", style="dim", highlight=False)
        done = []

        def show(part: Part) -> None:
            done.append(part)
            part.show(console)

        show(parts.floors(plan))
        show(parts.throughput(plan))
        show(parts.at_rest(plan))
        show(parts.large(plan, ("10MB",), 10))
    if json_:
        typer.echo(json.dumps({"machine": facts, "parts": [part.values() for part in done]}, ensure_ascii=False))
