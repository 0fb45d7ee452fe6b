"""``loinc suggest``: LOINC candidates for the lines of a catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
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
_WIDTH = 110


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
    labels = [analysis.label for analysis in analyses]
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


def _show(found: Sequence[Suggestion], labels: Sequence[str], names: Mapping[str, str]) -> None:
    table = Table(
        "Code",
        "Libellé",
        "LOINC",
        "Nom",
        "Part",
        title="Propositions LOINC (LOINC candidates)",
        caption=_caption(found),
    )
    for suggestion, label in zip(found, labels, strict=True):
        sure = f"{suggestion.confidence:.0%}"
        state = (
            f"[green]proposé {sure}[/green]" if suggestion.decision == "propose" else f"[yellow]à voir {sure}[/yellow]"
        )
        for rank, candidate in enumerate(suggestion.candidates):
            first = (suggestion.local_code, f"{escape(label)}\n{state}") if not rank else ("", "")
            name = escape(names.get(candidate.loinc, ""))
            why = f"\n[dim]{escape(_why(candidate.reasons))}[/dim]" if not rank else ""
            table.add_row(*first, candidate.loinc, name + why, f"{candidate.score:.2f}")
        if not suggestion.candidates:
            table.add_row(suggestion.local_code, escape(label), "", "aucun candidat (no candidate)", "")
        table.add_section()
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=_WIDTH)).print(table)


def _why(reasons: Mapping[str, str]) -> str:
    """The reasons on one line; what is only usual is left out."""
    parts = []
    for axis, reason in reasons.items():
        verdict, _, detail = reason.partition(": ")
        if verdict != "usual":
            parts.append(f"{_FRENCH[axis]} : {_FRENCH.get(verdict, verdict)} ({detail})")
    return " · ".join(parts)


def _caption(found: Sequence[Suggestion]) -> str:
    proposed = sum(one.decision == "propose" for one in found)
    counts = f"{proposed} lignes proposées sur {len(found)} ({proposed} of {len(found)} lines proposed)"
    return f"{counts} ; rien n'est validé sans relecture. Contains content from LOINC, http://loinc.org"
