"""``validate``: CDA documents against the official rules that the site has, and ours."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from channels.loader import load_site
from transforms.validation import Verdict
from transforms.validation import validate as verdict_of
from vaguemestre.commands.files import read_bytes, shown


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="CDA documents; - reads standard input.")],
    rules: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the official rules (ANS, testContenuCDA).",
            exists=True, file_okay=False, show_default="`rules` of the site",
        ),
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="Site whose `rules` and `ins_domain` hold.", exists=True, file_okay=False)
    ] = None,
    *,
    warnings: Annotated[bool, typer.Option("--warnings", help="Show warnings too; they change no outcome.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One list: per file its verdict, layers and faults.")] = False,
) -> None:  # fmt: skip
    """Check CDA documents: XML Schema and Schematron of ANS when they are on disk, and our own rules always.

    Without the official rules no document is called conformant: the last line says what was not checked.
    Texts name the place and the rule, never what the document says of the patient.

    Exit codes: 0 no error; 1 at least one document has errors; 2 could not run.

    Examples: vaguemestre validate report.xml --rules /opt/testContenuCDA

    vaguemestre convert cr-bio result.hl7 | vaguemestre validate - --site mon-hopital
    """
    domain = ""
    if site is not None:
        loaded = load_site(site).site
        rules, domain = rules or loaded.rules, loaded.ins_domain
    verdicts = [(file, verdict_of(read_bytes(file), rules, domain)) for file in files]
    if json_:
        found = [_data(file, verdict, warnings=warnings) for file, verdict in verdicts]
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for file, verdict in verdicts:
            _show(shown(file), verdict, warnings=warnings)
    if any(verdict.errors for _, verdict in verdicts):
        raise typer.Exit(1)


def _outcome(verdict: Verdict) -> str:
    if verdict.errors:
        return "invalid"
    return "conformant" if verdict.conformant else "no error found"


def _data(file: str, verdict: Verdict, *, warnings: bool) -> dict[str, Any]:
    faults = verdict.faults if warnings else verdict.errors
    return {
        "file": shown(file),
        "verdict": _outcome(verdict),
        "checked": verdict.checked,
        "not_checked": verdict.unchecked,
        "faults": [asdict(fault) for fault in faults],
    }


def _show(name: str, verdict: Verdict, *, warnings: bool) -> None:
    for fault in verdict.faults if warnings else verdict.errors:
        where = f"{name}:{fault.line}" if fault.line else name
        typer.echo(f"{where}: {fault.level} [{fault.layer} {fault.rule}] {fault.text}\n    {fault.place}")
    lesser = len(verdict.faults) - len(verdict.errors)
    counted = f"{len(verdict.errors)} error{'s' * (len(verdict.errors) != 1)}"
    typer.echo(f"{name}: {_outcome(verdict)} ({counted}, {lesser} lesser). Checked: {', '.join(verdict.checked)}.")
    for one in verdict.unchecked:
        typer.echo(f"{name}: not checked: {one}.")
