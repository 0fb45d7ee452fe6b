"""``trace``: where each field of a result message is in the document made of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from channels.casetests import read_case
from channels.errors import MessageError
from channels.ports import Context
from transforms.trace import Traced
from transforms.trace import trace as traced
from vaguemestre.commands.convert import refusal, site_of
from vaguemestre.commands.files import read_message, shown

_RANKS = re.compile(r"\[1\]")


def trace(
    file: Annotated[str, typer.Argument(help="File with one ORU^R01; - reads standard input.")],
    site: Annotated[
        Path | None,
        typer.Option(
            help="Site whose settings and tables are used.", exists=True, file_okay=False,
            show_default="the example site",
        ),
    ] = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="A list of {place, paths, reason}.")] = False,
    left_out: Annotated[bool, typer.Option("--left-out", help="Only what is carried nowhere, and why.")] = False,
) -> None:  # fmt: skip
    """Show where each field of a result message is in the CR-Bio made of it, and what is carried nowhere and why.

    It is found by trying: each value is changed in turn, and the document made again. Values are not shown.

    Exit codes: 0 everything is carried or has its reason; 1 the message is refused, or a value is lost.

    Example: vaguemestre trace result.hl7 --site mon-hopital
    """
    message = replace(read_case(read_message(file)), received=time.time())
    with site_of(site) as loaded:
        context = Context(loaded.site, "", datetime.fromtimestamp(message.received, UTC), loaded.table)
        try:
            found = traced(message, context)
        except MessageError as error:
            typer.echo(refusal(file, error, as_json=json_), err=True)
            raise typer.Exit(1) from error
    chosen = [one for one in found if not (left_out and one.paths)]
    typer.echo(json.dumps([asdict(one) for one in chosen], indent=2) if json_ else "\n".join(_lines(chosen)))
    lost = [one.place for one in found if one.lost]
    if lost:
        typer.echo(f"{shown(file)}: carried nowhere, without a reason: {', '.join(lost)}", err=True)
        raise typer.Exit(1)


def _lines(found: Iterable[Traced]) -> Iterable[str]:
    for one in found:
        if not one.paths:
            yield f"{one.place:18} -  {one.reason or 'LOST'}"
            continue
        first, *others = (_RANKS.sub("", path).removeprefix("/ClinicalDocument") for path in one.paths)
        yield f"{one.place:18} {first}"
        for path in others[:5]:
            yield f"{'':18} {path}"
        if len(others) > 5:
            yield f"{'':18} … and {len(others) - 5} more"
