"""Narrative: what a person reads. Every coded thing of the entries is shown here under an ``ID``."""

from __future__ import annotations

from transforms.cda.rows import Block, Culture, Notes, Row
from transforms.cda.xml import esc, lines
from transforms.report import Moment, Note, Specimen, Validation
from transforms.wording import (
    abnormal,
    common,
    panel_lines,
    result_lines,
    shown_flag,
    shown_specimen,
    shown_value,
    specimen_type,
)

_HEAD = (
    "<thead><tr><th>Examen</th><th>Résultat</th><th>Unité</th><th>Valeurs de référence</th><th>Interprétation</th>"
    "</tr></thead>"
)
_Shared = tuple[Moment | None, tuple[Validation, ...]]


def narrative(blocks: list[Block]) -> str:
    """``text`` of one chapter or sub-chapter: one table for each panel and isolate."""
    return f"<text>{''.join(map(_panel, blocks))}</text>"


def _panel(block: Block) -> str:
    panel = block.panel
    shared = common(panel.results)
    above = "".join(_specimen(number, one) for number, one in block.specimens)
    above += "".join(f"<paragraph>{esc(line)}</paragraph>" for line in panel_lines(panel))
    title = _content(f"p{block.number}", esc(panel.code.text), bold=True) if panel.code.text else ""
    if title:
        title = f"<paragraph>{title}</paragraph>"
    images = "".join(
        f"<paragraph>{_content(f't{number}', esc(image.title or 'Image'))}</paragraph>"
        f'<renderMultiMedia referencedObject="im{number}"/>'
        for number, image in block.images
    )
    isolates = "".join(map(_isolate, block.isolates))
    return f"{title}{above}{_table(block.rows, shared)}{isolates}{images}{_notes(block.notes)}"


def _isolate(culture: Culture) -> str:
    isolate, number = culture.isolate, culture.number
    numbered = f" n° {_content(f'j{number}', esc(isolate.number))}" if isolate.number else ""
    germ = _content(f"i{number}", esc(isolate.germ.text), bold=True)
    when = f"<paragraph>Le {esc(isolate.time.french())}</paragraph>" if isolate.time else ""
    shared = common(isolate.results)
    return (
        f"<paragraph>Isolat{numbered} : {germ}</paragraph>{when}{_table(culture.rows, shared)}{_shared(shared)}"
        f"{''.join(map(_panel, culture.blocks))}{_notes(culture.notes)}"
    )


def _shared(shared: _Shared) -> str:
    said = [f"validé par {one.person.shown()}" for one in shared[1]]
    return f"<paragraph>{esc(', '.join(said))}</paragraph>" if said else ""


def _specimen(number: int, specimen: Specimen) -> str:
    kind = specimen_type(specimen)
    rest = shown_specimen(specimen).removeprefix(kind)
    return f"<paragraph>{_content(f's{number}', esc(kind))}{esc(rest)}</paragraph>"


def _content(name: str, xml: str, *, bold: bool = False) -> str:
    style = ' styleCode="Bold"' if bold else ""
    return f'<content ID="{name}"{style}>{xml}</content>'


def _notes(notes: Notes) -> str:
    return "".join(f'<paragraph><content ID="n{number}">{_note(note)}</content></paragraph>' for number, note in notes)


def _note(note: Note) -> str:
    text = lines("\n".join(note.lines))
    return f"{esc(note.title)} : {text}" if note.title else text


def _table(rows: tuple[Row, ...], shared: _Shared) -> str:
    inside = "".join([_row(row, *shared) for row in rows])
    return f"<table>{_HEAD}<tbody>{inside}</tbody></table>" if inside else ""


def _row(row: Row, time: Moment | None, validations: tuple[Validation, ...]) -> str:
    result, number = row.result, row.number
    bold = abnormal(result)
    unit = f'<content ID="u{number}">{esc(result.unit.source)}</content>' if result.unit else ""
    usual = f'<content ID="g{number}">{lines(result.range.source)}</content>' if result.range else ""
    flags = "<br/>".join([esc(shown_flag(flag)) for flag in result.flags]) if result.flags else ""
    if flags:
        flags = f'<content ID="f{number}">{flags}</content>'
    values = "<br/>".join(
        [
            _content(f"v{number}-{rank}" if rank > 1 else f"v{number}", lines(shown_value(value)), bold=bold)
            for rank, value in enumerate(result.values, 1)
        ]
    ) or _content(f"v{number}", "")
    xml = (
        f'<tr><td><content ID="r{number}">{esc(result.code.text)}</content>{_details(row, time, validations)}</td>'
        f"<td>{values}</td><td>{unit}</td><td>{usual}</td><td>{flags}</td></tr>"
    )
    for previous_number, previous in row.previous:
        said = ", ".join(lines(shown_value(value)) for value in previous.values)
        its_unit = f" {_content(f'w{previous_number}', esc(previous.unit.source))}" if previous.unit else ""
        named = f" ({_content(f'q{previous_number}', esc(previous.code.text))})" if previous.code else ""
        xml += (
            f'<tr><td colspan="5">Résultat antérieur{named} du {esc(previous.time.french())} : '
            f'<content ID="b{previous_number}">{said}</content>{its_unit}</td></tr>'
        )
    for note_number, note in row.notes:
        xml += f'<tr><td colspan="5"><content ID="n{note_number}">{_note(note)}</content></td></tr>'
    return xml


def _details(row: Row, time: Moment | None, validations: tuple[Validation, ...]) -> str:
    result = row.result
    xml = f'<br/><content ID="m{row.number}">{esc(result.method.text)}</content>' if result.method else ""
    if result.sub_id:
        xml += f'<br/>n° <content ID="k{row.number}">{esc(result.sub_id)}</content>'
    for line in result_lines(result, time, validations):
        xml += f"<br/>{esc(line)}"
    return xml
