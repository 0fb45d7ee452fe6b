"""Rows: what the narrative shows and the entries code, numbered once so that each points to the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from transforms.report import Note, Panel, Result
from transforms.wording import STATUS


@dataclass(frozen=True, slots=True)
class Row:
    """One result. number: of the ``rN`` (label), ``vN`` (value) and ``mN`` (method) identifiers of the narrative.

    notes: its comments with their numbers (``nN``); the last may be ours (not final, not done).
    """

    result: Result
    number: int
    notes: tuple[tuple[int, Note], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One panel: its rows, number ``pN`` and comments."""

    panel: Panel
    number: int
    rows: tuple[Row, ...]
    notes: tuple[tuple[int, Note], ...]


class Numbering:
    """Counters of one document: an identifier is never used twice."""

    def __init__(self) -> None:
        self._panels, self._rows, self._notes = count(1), count(1), count(1)

    def block(self, panel: Panel) -> Block:
        """Number a panel and all that is in it."""
        return Block(panel, next(self._panels), tuple(map(self._row, panel.results)), self._numbered(panel.notes))

    def _row(self, result: Result) -> Row:
        notes = result.notes
        said = STATUS.get(result.status)
        if said:
            given = "\n".join(value.source for value in result.values) if result.status == "X" else ""
            words = f"{said} : {given}" if given else f"{said}."
            notes = (*notes, Note(tuple(words.split("\n")), place=f"{result.place}-11"))
        return Row(result, next(self._rows), self._numbered(notes) if notes else ())

    def _numbered(self, notes: tuple[Note, ...]) -> tuple[tuple[int, Note], ...]:
        return tuple((next(self._notes), note) for note in notes)
