"""Rows: what the narrative shows and the entries code, numbered once so that each points to the other.

Identifiers of the narrative, by number: ``r`` label of a result, ``v`` its value (``v3-2`` for a second one), ``u``
unit, ``g`` usual range, ``f`` interpretation, ``m`` method, ``k`` sub-id, ``b`` previous result, ``w`` its unit,
``q`` its test, ``n`` comment, ``p`` panel, ``s`` specimen, ``i`` germ and ``j`` number of its isolate, ``t`` title of
an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from transforms.report import Attachment, Isolate, Note, Panel, Previous, Result, Specimen
from transforms.wording import STATUS

Notes = tuple[tuple[int, Note], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One result. notes: its comments; the last may be ours (not final, not done)."""

    result: Result
    number: int
    notes: Notes
    previous: tuple[tuple[int, Previous], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """One panel."""

    panel: Panel
    number: int
    rows: tuple[Row, ...]
    notes: Notes
    specimens: tuple[tuple[int, Specimen], ...] = ()
    isolates: tuple[Culture, ...] = ()
    images: tuple[tuple[int, Attachment], ...] = ()


@dataclass(frozen=True, slots=True)
class Culture:
    """One isolate."""

    isolate: Isolate
    number: int
    rows: tuple[Row, ...]
    blocks: tuple[Block, ...]
    notes: Notes


class Numbering:
    """Counters of one document: an identifier is never used twice."""

    def __init__(self) -> None:
        self._panels, self._rows, self._notes = count(1), count(1), count(1)
        self._others = count(1)

    def block(self, panel: Panel) -> Block:
        """Number a panel and all that is in it."""
        number = next(self._panels)
        specimens = tuple((next(self._others), one) for one in panel.specimens)
        rows = tuple(map(self._row, panel.results))
        isolates = tuple(map(self._isolate, panel.isolates)) if panel.isolates else ()
        images = tuple((next(self._others), one) for one in panel.images)
        return Block(panel, number, rows, self._numbered(panel.notes), specimens, isolates, images)

    def _isolate(self, isolate: Isolate) -> Culture:
        number = next(self._others)
        rows = tuple(map(self._row, isolate.results))
        return Culture(isolate, number, rows, tuple(map(self.block, isolate.panels)), self._numbered(isolate.notes))

    def _row(self, result: Result) -> Row:
        notes = result.notes
        said = STATUS.get(result.status)
        if said:
            given = "\n".join(value.source for value in result.values) if result.status == "X" else ""
            words = f"{said} : {given}" if given else f"{said}."
            notes = (*notes, Note(tuple(words.split("\n")), place=f"{result.place}-11"))
        previous = tuple((next(self._others), one) for one in result.previous) if result.previous else ()
        return Row(result, next(self._rows), self._numbered(notes) if notes else (), previous)

    def _numbered(self, notes: tuple[Note, ...]) -> Notes:
        return tuple((next(self._notes), note) for note in notes)
