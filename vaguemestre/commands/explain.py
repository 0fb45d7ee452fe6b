"""``explain``: a message as a tree with the standard's names."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from channels.errors import Finding
from transforms import er7
from vaguemestre.commands.files import read_message
from vaguemestre.explain.faults import Faults, inspect
from vaguemestre.explain.names import Names
from vaguemestre.explain.tree import Node, build, fault_as_json

_LONGEST = 100
"""Characters of a value that are shown; a PDF in OBX-5 has millions."""
_COLOURS = {"reject": "red", "warn": "yellow", "ignore": "dim"}


def explain(
    file: Annotated[str, typer.Argument(help="File with one message; - reads standard input.")],
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print the tree and the faults as JSON.")] = False,
) -> None:
    """Show a message as a tree with the standard's names (segments, fields, components, tables), faults marked.

    Every segment is shown, French and local ones too. Values are those of the message: mind who looks.

    Example: vaguemestre explain adt.hl7

    Exit code 1 when the message cannot be read at all.
    """
    message = er7.message(read_message(file))
    parsed = er7.read(message)
    names = Names(parsed.header.component(12))
    found = inspect(message, names.version)
    nodes = build(parsed, names, found.findings)
    if json_:
        typer.echo(json.dumps(_as_json(parsed, names, nodes, found), ensure_ascii=False, indent=1))
        return
    console = Console(soft_wrap=True, highlight=False)
    title = f"[bold]{escape(message.kind)}[/]  {escape(message.control_id)}  HL7 {names.version}, {message.charset}"
    console.print(title)
    _grow(console, nodes, "")
    _summary(console, found, names, parsed)


def _grow(console: Console, nodes: list[Node], guide: str) -> None:
    """Print the parts, a line each and never cut, with the lines that join them."""
    for rank, node in enumerate(nodes, 1):
        last = rank == len(nodes)
        console.print(f"[dim]{guide}{'└── ' if last else '├── '}[/]{_line(node)}")
        _grow(console, node.parts, guide + ("    " if last else "│   "))


def _line(node: Node) -> str:
    name = node.name
    words = [f"[bold cyan]{escape(node.place)}[/]", escape(name.text) or "[dim]?[/]"]
    notes = [name.datatype, f"table {name.table}" if name.table else "", f"added in {name.added}" if name.added else ""]
    note = ", ".join(part for part in notes if part)
    if note:
        words.append(f"[dim]({escape(note)})[/]")
    if not node.parts and "-" in node.place:
        words.append(f"[green]{escape(_short(node.value))}[/]")
    words += [f"[{_COLOURS[fault.level]}]◄ {escape(fault.problem)} ({fault.code})[/]" for fault in node.faults]
    return " ".join(words)


def _short(value: str) -> str:
    value = value.replace("\r", "\\r").replace("\n", "\\n")
    if len(value) <= _LONGEST:
        return value
    return f"{value[:_LONGEST]}… ({len(value)} characters)"


def _summary(console: Console, found: Faults, names: Names, parsed: er7.Er7) -> None:
    declared = parsed.header.component(12)
    if declared != names.version:
        console.print(f"Version {escape(declared) or '?'} is not known here: names are those of {names.version}.")
    if found.dropped:
        left = ", ".join(f"{name} × {count}" for name, count in sorted(found.dropped.items()))
        console.print(f"hl7apy left out {left}: shown above, not validated.")
    if not found.findings:
        console.print("No fault was found.")
        return
    table = Table("place", "level", "code", "problem", title=f"{len(found.findings)} findings", title_justify="left")
    for fault in found.findings:
        table.add_row(*_row(fault))
    console.print(table)


def _row(fault: Finding) -> list[str]:
    return [
        escape(fault.place) or "message",
        f"[{_COLOURS[fault.level]}]{fault.level}[/]",
        fault.code,
        escape(fault.problem),
    ]


def _as_json(parsed: er7.Er7, names: Names, nodes: list[Node], found: Faults) -> dict[str, object]:
    header = parsed.header
    return {
        "kind": header.kind,
        "control_id": header.control_id,
        "sender": header.sender,
        "charset": header.charset,
        "declared_version": header.component(12),
        "names_of_version": names.version,
        "segments": [node.as_json() for node in nodes],
        "faults": [fault_as_json(fault) for fault in found.findings],
        "not_validated": found.dropped,
    }
