"""``loinc suggest``: LOINC candidates for the lines of a catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from loinc.assistant.suggest import Suggestion, assistant
from loinc.assistant.table import read_analyses

_FRENCH = {
    "matched": "concorde",
    "inferred": "déduit",
    "usual": "usuel",
    "missing": "manque",
    "contradicted": "contredit",
    "component": "composant",
    "property": "grandeur",
    "time": "temps",
    "system": "milieu",
    "scale": "échelle",
    "method": "technique",
}
_WIDTH = 140


def suggest(file: Path, top: int, json_: bool) -> None:
    """Print candidates for each line of a CSV file: one JSON object a line, or a table.

    Raises OSError, ChannelFileError when the file cannot be read.
    """
    helper = assistant()
    analyses = read_analyses(file.read_bytes(), file.name)
    found = helper.suggest(analyses, top)
    if json_:
        for one in found:
            typer.echo(as_json(one))
        return
    labels = {number: analysis.label for number, analysis in enumerate(analyses)}
    _show(list(found), labels, {term.code: term.name for term in helper.terms})


def as_json(suggestion: Suggestion) -> str:
    """One line of the output for scripts."""
    return json.dumps(
        {
            "local_code": suggestion.local_code,
            "candidates": [candidate._asdict() for candidate in suggestion.candidates],
            "confidence": suggestion.confidence,
            "decision": suggestion.decision,
        },
        ensure_ascii=False,
    )


def _show(found: Sequence[Suggestion], labels: dict[int, str], names: dict[str, str]) -> None:
    columns = ("Code", "Libellé", "LOINC", "Nom", "Part", "Pourquoi")
    table = Table(*columns, title="Propositions LOINC (LOINC candidates)", caption=_caption(found))
    for number, suggestion in enumerate(found):
        sure = f"{suggestion.confidence:.0%}"
        state = (
            f"[green]proposé {sure}[/green]" if suggestion.decision == "propose" else f"[yellow]à voir {sure}[/yellow]"
        )
        for rank, candidate in enumerate(suggestion.candidates):
            first = (suggestion.local_code, f"{labels[number]}\n{state}") if not rank else ("", "")
            why = _why(candidate.reasons) if not rank else ""
            table.add_row(*first, candidate.loinc, names.get(candidate.loinc, ""), f"{candidate.score:.2f}", why)
        if not suggestion.candidates:
            table.add_row(suggestion.local_code, labels[number], "", "aucun candidat (no candidate)", "", "")
        table.add_section()
    console = Console()
    console.print(table if console.is_terminal else table, width=max(console.width, _WIDTH))


def _why(reasons: dict[str, str]) -> str:
    lines = []
    for axis, reason in reasons.items():
        verdict, _, detail = reason.partition(": ")
        lines.append(f"{_FRENCH[axis]} {_FRENCH.get(verdict, verdict)} : {detail}")
    return "\n".join(lines)


def _caption(found: Sequence[Suggestion]) -> str:
    proposed = sum(one.decision == "propose" for one in found)
    return f"{proposed} lignes proposées sur {len(found)} ({proposed} of {len(found)} lines proposed); rien n'est validé sans relecture"
