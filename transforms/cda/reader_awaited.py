"""Results that are awaited: our narrative shows them, and no entry may say so (see ``transforms.cda.rows``)."""

from __future__ import annotations

import re
from dataclasses import replace

from transforms.cda.reader_values import unit_shown
from transforms.cda.reader_xml import HL7, Element, Source, child, place, value, words
from transforms.report import Concept, Isolate, Note, Panel, Range, Result
from transforms.wording import STATUS

_TITLE = re.compile(r"[pi]\d+")
_LABEL = re.compile(r"r(\d+)")


def with_awaited(panels: tuple[Panel, ...], section: Element, source: Source) -> tuple[Panel, ...]:
    """The panels with the rows of the narrative that no entry refers to, each in the group under whose title it is."""
    referred = {one.get("value", "").removeprefix("#") for one in section.iter(f"{{{HL7}}}reference")}
    owner = ""
    for content in section.iter(f"{{{HL7}}}content"):
        name = content.get("ID", "")
        if _TITLE.fullmatch(name):
            owner = _place_of(name, section)
        match = _LABEL.fullmatch(name)
        if match and name not in referred and source.has(f"v{match[1]}"):
            awaited = _awaited(content, match[1], source)
            panels = tuple(_added(one, owner, awaited) for one in panels)
    return panels


def _place_of(name: str, section: Element) -> str:
    """Place of the organizer that this title is the words of."""
    for organizer in section.iter(f"{{{HL7}}}organizer"):
        own = child(organizer, "code")
        germ = child(organizer, "specimen", "specimenRole", "specimenPlayingEntity", "code")
        if f"#{name}" in (value(own, "originalText", "reference"), value(germ, "originalText", "reference")):
            return place(organizer)
    return ""


def _awaited(content: Element, number: str, source: Source) -> Result:
    usual = source.words(f"g{number}")
    at = place(content)
    return Result(
        Concept(words(content), place=at),
        (),
        "I",
        unit_shown(None, source.words(f"u{number}"), at),
        Range(usual, place=at) if usual else None,
        sub_id=source.words(f"k{number}"),
        notes=_notes(content),
        place=at,
    )


def _notes(content: Element) -> tuple[Note, ...]:
    """Comments in the rows below, without ours."""
    row = next(content.iterancestors(f"{{{HL7}}}tr"), None)
    found = []
    for below in row.itersiblings(f"{{{HL7}}}tr") if row is not None else ():
        note = child(below, "td", "content")
        if note is None or not note.get("ID", "").startswith("n"):
            break
        found.append(words(note))
    if found and found[-1] == f"{STATUS['I']}.":
        found.pop()
    return tuple(Note(tuple(one.split("\n"))) for one in found)


def _added(panel: Panel, owner: str, awaited: Result) -> Panel:
    if panel.place == owner:
        return replace(panel, results=(*panel.results, awaited))
    return replace(panel, isolates=tuple(_to_isolate(one, owner, awaited) for one in panel.isolates))


def _to_isolate(isolate: Isolate, owner: str, awaited: Result) -> Isolate:
    if isolate.place == owner:
        return replace(isolate, results=(*isolate.results, awaited))
    return replace(isolate, panels=tuple(_added(one, owner, awaited) for one in isolate.panels))
