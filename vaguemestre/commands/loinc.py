"""``loinc``: transcode a laboratory's catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaguemestre.commands import loinc_suggest

loinc = typer.Typer(help="Transcode a laboratory's catalogue to LOINC.", no_args_is_help=True)


@loinc.callback()
def group() -> None:
    """Transcode a laboratory's catalogue to LOINC."""


@loinc.command()
def suggest(
    file: Annotated[Path, typer.Argument(help="CSV: local_code,label,specimen,unit,technique.", metavar="FILE.csv")],
    top: Annotated[int, typer.Option(min=1, max=50, help="How many candidates a line.")] = 5,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Propose LOINC candidates for each analysis, with reasons and a confidence; nothing is validated.

    Example: vaguemestre loinc suggest catalogue.csv --top 3
    """
    loinc_suggest.suggest(file, top, json_)
