"""Narrative of a chapter: what a person reads. Every coded thing of the entries is shown here under an ``ID``."""

from __future__ import annotations

from transforms.cda.rows import Block, Row
from transforms.cda.xml import esc, lines
from transforms.report import Moment, Note, Validation
from transforms.wording import abnormal, common, panel_lines, result_lines, shown_flag, shown_values

_HEAD = (
    "<thead><tr><th>Examen</th><th>Résultat</th><th>Unité</th><th>Valeurs de référence</th><th>Interprétation</th>"
    "</tr></thead>"
)


def narrative(blocks: list[Block]) -> str:
    """``text`` of one chapter: one table for each panel."""
    return f"<text>{''.join(map(_panel, blocks))}</text>"


def _panel(block: Block) -> str:
    panel = block.panel
    time, validations = common(panel.results)
    above = "".join(f"<paragraph>{esc(line)}</paragraph>" for line in panel_lines(panel))
    below = "".join(
        f'<paragraph><content ID="n{number}">{_note(note)}</content></paragraph>' for number, note in block.notes
    )
    rows = "".join([_row(row, time, validations) for row in block.rows])
    title = f'<paragraph><content ID="p{block.number}" styleCode="Bold">{esc(panel.code.text)}</content></paragraph>'
    table = f"<table>{_HEAD}<tbody>{rows}</tbody></table>" if rows else ""
    return f"{title}{above}{table}{below}"


def _note(note: Note) -> str:
    text = lines("\n".join(note.lines))
    return f"{esc(note.title)} : {text}" if note.title else text


def _row(row: Row, time: Moment | None, validations: tuple[Validation, ...]) -> str:
    result, number = row.result, row.number
    style = ' styleCode="Bold"' if abnormal(result) else ""
    unit = esc(result.unit.source) if result.unit else ""
    usual = lines(result.range.source) if result.range else ""
    flags = "<br/>".join([esc(shown_flag(flag)) for flag in result.flags]) if result.flags else ""
    xml = (
        f'<tr><td><content ID="r{number}">{esc(result.code.text)}</content>{_details(row, time, validations)}</td>'
        f'<td><content ID="v{number}"{style}>{lines(shown_values(result))}</content></td>'
        f"<td>{unit}</td><td>{usual}</td><td>{flags}</td></tr>"
    )
    for note_number, note in row.notes:
        xml += f'<tr><td colspan="5"><content ID="n{note_number}">{_note(note)}</content></td></tr>'
    return xml


def _details(row: Row, time: Moment | None, validations: tuple[Validation, ...]) -> str:
    result = row.result
    xml = f'<br/><content ID="m{row.number}">{esc(result.method.text)}</content>' if result.method else ""
    if result.sub_id:
        xml += f"<br/>n° {esc(result.sub_id)}"
    for line in result_lines(result, time, validations):
        xml += f"<br/>{esc(line)}"
    return xml
