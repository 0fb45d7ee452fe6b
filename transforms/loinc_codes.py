"""LOINC codes in the results of an ORU, from the laboratory's checked transcoding table.

A result is transcoded wholly (code, value, unit, usual range) or left as it came. Nothing passes through a float.

Source: HL7 v2.5 chapter 7 (OBX-3, OBX-5 to OBX-7); ``loinc/transcoding.csv`` of the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

from pydantic import Field

from channels.errors import MappingError, UnknownNameError
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context
from loinc.laboratory_units import CannotConvert, conversion, ucum_of
from loinc.transcoding import FILE, Ambiguous, Row, Transcoding
from loinc.ucum import UcumError, decimal_of
from transforms import er7, measures
from transforms.escapes import Separators, escape
from transforms.oru_lines import Line
from transforms.report import Interval, Quantity
from transforms.steps import editable, edited

__all__ = ["Transcode"]

_LOINC = ("LN", "LOINC")
_NOT_RESULTS = ("ED", "RP")
_DIRECTIONS = "MetaDMPMSS"


class TranscodeSettings(Settings):
    """What becomes of results without a checked code, and where the code is written."""

    unknown: Literal["keep", "refuse"] = Field(
        "keep",
        description="A result without checked code, or that cannot be converted: leave it as it came, or refuse (103).",
    )
    position: Literal["first", "second"] = Field(
        "second", description="Where the LOINC code goes in OBX-3: before the local code (`.1`) or after it (`.4`)."
    )

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that the step reads."""
        return (FILE,)


@dataclass(slots=True)
class _Group:
    """One OBR with its OBX, and how its specimen is called."""

    observations: list[tuple[er7.Segment, Line]] = field(default_factory=list)
    specimens: list[str] = field(default_factory=list)


class _Change(NamedTuple):
    """What is written in one OBX: field -> text as HL7 has it."""

    fields: dict[int, str]


class _Cannot(Exception):
    """Why a result stays as it came; place: the field. The text goes into errors: never a value."""

    def __init__(self, problem: str, place: str) -> None:
        self.problem, self.place = problem, place
        super().__init__(problem)


class Transcode:
    """Write the checked LOINC code of each result into OBX-3, and its value in the unit that the table asks for."""

    settings = TranscodeSettings

    def __init__(self, settings: TranscodeSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, context: Context) -> Message:
        """See ``channels.ports.Transform``. Raises MappingError with the place, when the step refuses."""
        table = context.table(FILE)
        if not isinstance(table, Transcoding):
            raise UnknownNameError(f"{FILE} is not a transcoding table")
        view = editable(message)
        job = _Job(table, context, self._settings)
        for group in _groups(view):
            for segment, line in group.observations:
                try:
                    change = job.change(segment, line, group.specimens)
                except _Cannot as error:
                    if self._settings.unknown == "refuse":
                        raise MappingError(error.problem, error.place) from None
                    continue
                for number, text in change.fields.items():
                    segment[number] = text
        return edited(message, view)


def _groups(view: er7.Er7) -> list[_Group]:
    groups = [_Group()]
    number = 0
    for segment in view.segments:
        if segment.id in ("ORC", "OBR", "PID") and (groups[-1].observations or groups[-1].specimens):
            groups.append(_Group())
        if segment.id == "OBX":
            number += 1
            groups[-1].observations.append((segment, Line(view, segment, f"OBX[{number}]")))
        elif segment.id in ("OBR", "SPM"):
            line = Line(view, segment, segment.id)
            found = line.subs(15, 1) if segment.id == "OBR" else line.parts(4)
            groups[-1].specimens += [text.strip() for text in found if text.strip()]
    return groups


class _Job:
    """One message through one table."""

    def __init__(self, table: Transcoding, context: Context, settings: TranscodeSettings) -> None:
        self._table, self._settings = table, settings
        laboratory = context.site.laboratory
        self._comma = laboratory.decimal_comma if laboratory else False
        self._units = context.table(laboratory.units).translate if laboratory and laboratory.units else _nothing
        self._day: date = context.now.astimezone(context.site.timezone).date()

    def change(self, segment: er7.Segment, line: Line, specimens: Iterable[str]) -> _Change:
        """What to write in one OBX. Raises _Cannot."""
        nothing = _Change({})
        if line.value(2).upper() in _NOT_RESULTS or line.value(3, 3) == _DIRECTIONS:
            return nothing
        triplets = _triplets(line)
        if not triplets or any(system.upper() in _LOINC and code for code, _, system in triplets):
            return nothing
        row = self._row(triplets[0][0], line, specimens)
        if not row.loinc:
            return nothing
        values = self._values(row, line, segment.owner.separators) if row.ucum else {}
        return _Change({3: self._codes(row, segment, line), **values})

    def _row(self, code: str, line: Line, specimens: Iterable[str]) -> Row:
        units = [text for text in line.parts(6)[:5] if text.strip()]
        try:
            row = self._table.find(
                code,
                self._day,
                specimens=specimens,
                units=[*units, *filter(None, (self._ucum(line),))],
                techniques=[text for text in line.parts(17)[:5] if text.strip()],
            )
        except Ambiguous:
            raise _Cannot("two checked rows of the transcoding table speak of this result", line.at(3)) from None
        if row is None:
            raise _Cannot("a result without checked LOINC code", line.at(3))
        return row

    def _ucum(self, line: Line) -> str:
        parts = [part.strip() for part in line.parts(6)] + [""] * 6
        named = [code for code, system in ((parts[0], parts[2]), (parts[3], parts[5])) if system.upper() == "UCUM"]
        return next(filter(None, (ucum_of(text, self._spelled) for text in (*named, parts[0] or parts[1]))), "")

    def _spelled(self, text: str) -> str | None:
        return self._units(text) or measures.ucum_of(text)

    def _codes(self, row: Row, segment: er7.Segment, line: Line) -> str:
        """OBX-3 with the code; what was there stays, moved to the next free triplet."""
        _, component, *_ = separators = segment.owner.separators
        if not component:
            raise _Cannot("the message has no component separator: no place for a second code", line.at(3))
        cells = segment[3].split(component)
        cells += [""] * (12 - len(cells))
        added = [row.loinc, escape(_carried(row.loinc_name, segment.owner.charset), separators), "LN"]
        kept = [cells[start : start + 3] for start in (0, 3, 9) if any(cells[start : start + 3])]
        order = [added, *kept] if self._settings.position == "first" else [kept[0], added, *kept[1:]]
        if len(order) > 3:
            raise _Cannot("OBX-3 has no room for one more code", line.at(3))
        for start, triplet in zip((0, 3, 9), [*order, *[["", "", ""]] * 2], strict=False):
            cells[start : start + 3] = triplet
        while not cells[-1]:
            cells.pop()
        return component.join(cells)

    def _values(self, row: Row, line: Line, separators: Separators) -> dict[int, str]:
        """OBX-5, 6 and 7 in the unit of the table; nothing when they are already."""
        source = self._ucum(line)
        if source == row.ucum or not (line.parts(5) or line.parts(6)):
            return {}
        if not source:
            raise _Cannot("the unit is not known: the value cannot be converted", line.at(6))
        try:
            turn = conversion(source, row.ucum, row.molar_mass)
        except CannotConvert as error:
            raise _Cannot(str(error), line.at(6)) from None
        return _Rewriter(turn, row.decimals, line, separators, comma=self._comma).fields(row.ucum)


class _Rewriter:
    """The numbers of one OBX in another unit."""

    def __init__(
        self, turn: Callable[[Fraction], Fraction], decimals: str, line: Line, separators: Separators, *, comma: bool
    ) -> None:
        self._turn, self._line, self._separators, self._comma = turn, line, separators, comma
        self._places = int(decimals) if decimals else None

    def fields(self, ucum: str) -> dict[int, str]:
        """OBX-5 to 7. A value without any digit is no measure: it stays, and its unit with it."""
        line, separators = self._line, self._separators
        if line.value(2).upper() == "SN":
            texts = [separators.component.join(self._structured(parts)) for parts in line.all(5)]
        else:
            texts = [self._text(text, 5) for text in line.texts(5)]
        if not any(_has_digit(text) for text in texts) and not _has_digit(line.value(7)):
            return {}
        written = {5: separators.repetition.join(texts), 6: f"{escape(ucum, separators)}{separators.component * 2}UCUM"}
        return written | ({7: escape(self._range(line.value(7)), separators)} if line.value(7) else {})

    def _text(self, text: str, number: int) -> str:
        bare = text.strip()
        if not _has_digit(bare):
            return escape(bare, self._separators)
        value = measures.measure(bare, "", comma=self._comma)
        if isinstance(value, Quantity):
            return self._number(value.number.value, number)
        if isinstance(value, Interval):
            return escape(self._bounded(value, number), self._separators)
        raise _Cannot("a value that is not a number cannot be converted", self._line.at(number))

    def _structured(self, parts: list[str]) -> Iterator[str]:
        """SN: comparator, number, separator, number. Only ranges are converted: the ratio of two values has no unit."""
        if "".join(parts[2:3]).strip() not in ("", "-"):
            raise _Cannot("a ratio cannot be converted", self._line.at(5))
        for text in parts:
            yield self._text(text, 5) if _has_digit(text) else escape(text, self._separators)

    def _range(self, text: str) -> str:
        if not _has_digit(text):
            return text
        bounds = measures.usual_range(text, "", comma=self._comma).bounds
        if bounds is None:
            raise _Cannot("a usual range in words cannot be converted", self._line.at(7))
        return self._bounded(bounds, 7)

    def _bounded(self, bounds: Interval, number: int) -> str:
        low = self._number(bounds.low.value, number) if bounds.low else ""
        high = self._number(bounds.high.value, number) if bounds.high else ""
        if low and high:
            return f"{low}-{high}"
        if low:
            return f"{'>=' if bounds.low_inclusive else '>'}{low}"
        return f"{'<=' if bounds.high_inclusive else '<'}{high}"

    def _number(self, value: Decimal, number: int) -> str:
        try:
            found = decimal_of(self._turn(Fraction(value)), self._places)
        except UcumError as error:
            raise _Cannot(str(error), self._line.at(number)) from None
        return format(found if self._places is not None else _as_precise(found, value), "f")


def _as_precise(number: Decimal, source: Decimal) -> Decimal:
    """The number with at least as many significant digits as its source: 13.50 g/dL is 135.0 g/L."""
    missing = len(source.as_tuple().digits) - len(number.as_tuple().digits)
    exponent = number.as_tuple().exponent
    if missing <= 0 or not number or not isinstance(exponent, int):
        return number
    return number.quantize(Decimal(1).scaleb(exponent - missing))


def _triplets(line: Line) -> list[tuple[str, str, str]]:
    cells = [part.strip() for part in line.parts(3)] + [""] * 12
    found = [(cells[start], cells[start + 1], cells[start + 2]) for start in (0, 3, 9)]
    return [one for one in found if one[0]]


def _carried(name: str, charset: str) -> str:
    """The name of a code, or ``""`` when the message's character set lacks a letter of it: the code says it all."""
    try:
        name.encode(charset)
    except UnicodeEncodeError:
        return ""
    return name


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _nothing(_text: str) -> str | None:
    return None
