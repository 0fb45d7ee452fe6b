"""Where each field of a result message is in the document made of it, found by trying.

Each value of the message is changed a little, in turn, and the document is made again: what differs between the two
documents is what carries the value. So nothing is declared that could drift from the code, and a value that is dropped
shows as carried nowhere. A value that may not change (a code of a table...) is emptied instead.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from string import ascii_letters, ascii_uppercase
from typing import Any

from lxml import etree

from channels.errors import MessageError
from channels.message import Message
from channels.ports import Context
from transforms import er7
from transforms.cda import write
from transforms.oru import read_report
from transforms.report import Attachment, Report
from transforms.trace_reasons import known_reason

_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Size 3/Root 1 0 R>>\n%%EOF\n"
)
_LARGE = 2048
"""Characters from which a value is a file: a small one stands for it while tracing."""
_TELLING = 2
"""Characters from which an equal text in the document is the value: a letter (F: final, female) is anywhere."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One value of the message.

    place: ``OBX[3]-5`` or, when the field has components, ``OBX[3]-3.1``.
    paths: XPaths of the document that carry it, all in the CDA name space; ``/@code`` at the end for an attribute.
    reason: when there is no path, why; ``""`` when nothing says so: the value is lost.
    """

    place: str
    paths: tuple[str, ...] = ()
    reason: str = ""

    @property
    def lost(self) -> bool:
        """Carried nowhere, and nothing says why."""
        return not self.paths and not self.reason


def trace(message: Message, context: Context) -> list[Traced]:
    """Every value of an ORU^R01, in the order of the message.

    Raises:
        MessageError: the message gives no document.
    """
    return _Tracer(_light(message), context).all()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value: segment, its number among those of its name, field, repetition, component, sub-component."""

    index: int
    field: int
    repetition: int
    component: int
    sub: int
    place: str
    text: str


def _light(message: Message) -> Message:
    """The same message, a small PDF in the place of each file."""
    own = er7.parse(message.body, message.charset)
    small = base64.b64encode(_PDF).decode("ascii")
    for segment in own.all("OBX"):
        raw = segment[5]
        if len(raw) > _LARGE and own.separators.component in raw:
            parts = raw.split(own.separators.component)
            if "PDF" in raw[:200].upper():
                segment[5] = own.separators.component.join([*parts[:4], small])
    return er7.message(own.encode(), default_charset=message.charset) if own.encode() != message.body else message


def _document(report: Report) -> bytes:
    copies = report.copies or (Attachment("application/pdf", base64.b64encode(_PDF).decode("ascii")),)
    return write(report, copies)


def _flat(body: bytes) -> dict[str, str]:
    """Every attribute and text of a document, by its path."""
    found: dict[str, str] = {}
    _add(etree.fromstring(body, etree.XMLParser(resolve_entities=False, huge_tree=True)), "", 1, found)
    return found


def _add(element: Any, above: str, rank: int, found: dict[str, str]) -> None:
    path = f"{above}/{etree.QName(element).localname}[{rank}]"
    for name, value in element.attrib.items():
        found[f"{path}/@{etree.QName(name).localname}"] = value
    ranks: dict[str, int] = {}
    text = element.text or ""
    for child in element:
        ranks[child.tag] = ranks.get(child.tag, 0) + 1
        _add(child, path, ranks[child.tag], found)
        text += child.tail or ""
    if text.strip():
        found[path] = text


def _leaves(message: Message) -> Iterator[_Leaf]:
    parsed = er7.read(message)
    counts: dict[str, int] = {}
    totals = {segment.id: len(parsed.all(segment.id)) for segment in parsed.segments}
    for index, segment in enumerate(parsed.segments):
        counts[segment.id] = counts.get(segment.id, 0) + 1
        name = f"{segment.id}[{counts[segment.id]}]" if totals[segment.id] > 1 else segment.id
        for field in range(1, len(segment.fields)):
            if segment.id in ("MSH", "FHS", "BHS") and field < 3:
                continue
            yield from _values(index, field, f"{name}-{field}", segment, parsed.separators)


def _values(index: int, field: int, place: str, segment: Any, separators: Any) -> Iterator[_Leaf]:
    repetitions = segment.repetitions(field)
    for repetition, raw in enumerate(repetitions, 1):
        at = f"{place}[{repetition}]" if len(repetitions) > 1 else place
        components = raw.split(separators.component) if separators.component else [raw]
        for component, inner in enumerate(components, 1):
            inside = f"{at}.{component}" if len(components) > 1 else at
            subs = inner.split(separators.subcomponent) if separators.subcomponent else [inner]
            for sub, text in enumerate(subs, 1):
                if text.strip() and text != '""':
                    full = f"{inside}.{sub}" if len(subs) > 1 else inside
                    yield _Leaf(index, field, repetition, component, sub, full, text)


def _orders_of_files(message: Message, files: Collection[str]) -> Iterator[str]:
    """Places of the OBR whose OBX are all files."""
    parsed = er7.read(message)
    several = {name: len(parsed.all(name)) > 1 for name in ("OBR", "OBX")}
    order, held = "", dict[str, list[str]]()
    counts = {"OBR": 0, "OBX": 0}
    for segment in parsed.segments:
        if segment.id in counts:
            counts[segment.id] += 1
            place = f"{segment.id}[{counts[segment.id]}]" if several[segment.id] else segment.id
            if segment.id == "OBR":
                order = place
            else:
                held.setdefault(order, []).append(place)
    yield from (one for one, places in held.items() if all(place in files for place in places))


class _Tracer:
    """One message and its document."""

    def __init__(self, source: Message, context: Context) -> None:
        """Raises MessageError: the message gives no document."""
        self._source, self._context = source, context
        self._report = read_report(source, context)
        self._body = _document(self._report)
        self._base = _flat(self._body)
        panels = [panel for chapter in self._report.chapters for panel in chapter.panels]
        self._previous = {one.place for result in self._report.results() for one in result.previous}
        self._awaited = {one.place for one in self._report.results() if one.status == "I"}
        images = [image for panel in panels for image in panel.images]
        files = {one.place for one in (*self._report.copies, *self._report.other_reports, *images)}
        self._files = files | set(_orders_of_files(source, files))

    def all(self) -> list[Traced]:
        """Every value, in the order of the message."""
        return [self._traced(leaf) for leaf in _leaves(self._source)]

    def _traced(self, leaf: _Leaf) -> Traced:
        refused = False
        for text in _others(leaf.text):
            try:
                made = _document(read_report(_changed(self._source, leaf, text), self._context))
            except MessageError:
                refused = True
                continue
            if made != self._body:
                return Traced(leaf.place, self._differences(_flat(made)))
            if not refused:
                break
        same: tuple[str, ...] = ()
        if refused and len(leaf.text) >= _TELLING:
            same = tuple(path for path, value in self._base.items() if value == leaf.text)
        why = "" if same else self._why(leaf)
        return Traced(leaf.place, same, why or ("" if same or not refused else "decides: another value is refused"))

    def _differences(self, other: dict[str, str]) -> tuple[str, ...]:
        """What the value changes in the document; what it adds when it changes nothing that was there."""
        changed = tuple(path for path, value in self._base.items() if other.get(path) != value)
        return changed or tuple(path for path in other if path not in self._base)

    def _why(self, leaf: _Leaf) -> str:
        """The reason given for the place, its field or its segment."""
        for one in self._report.left_out:
            if leaf.place == one.place or leaf.place.startswith((f"{one.place}-", f"{one.place}.", f"{one.place}[")):
                return one.reason
        return known_reason(leaf.place, self._previous, self._files, self._awaited)


def _others(text: str) -> list[str]:
    """The value changed in one character that keeps its kind (a letter alone is a code: all letters); then nothing."""
    if text in ascii_letters and len(text) == 1:
        return [*(one for one in ascii_uppercase if one != text), ""]
    found = []
    order = range(len(text) // 2, len(text)) if len(text) > _LARGE // 8 else range(len(text) - 1, -1, -1)
    for position in order:
        sign = text[position]
        if sign.isascii() and sign.isalnum():
            after = chr(ord(sign) - 1) if sign in "9zZ" else chr(ord(sign) + 1)
            found.append(text[:position] + after + text[position + 1 :])
            if sign.isdigit() and position and text[position - 1].isdigit():
                before = str((int(sign) + 9) % 10)
                found.append(text[:position] + before + text[position + 1 :])
            break
    return [*found, ""]


def _changed(message: Message, leaf: _Leaf, text: str) -> Message:
    own = er7.parse(message.body, message.charset)
    segment, separators = own.segments[leaf.index], own.separators
    repetitions = list(segment.repetitions(leaf.field))
    components = _parts(repetitions[leaf.repetition - 1], separators.component)
    subs = _parts(components[leaf.component - 1], separators.subcomponent)
    subs[leaf.sub - 1] = text
    components[leaf.component - 1] = separators.subcomponent.join(subs)
    repetitions[leaf.repetition - 1] = separators.component.join(components)
    segment[leaf.field] = separators.repetition.join(repetitions)
    return er7.message(own.encode(), default_charset=message.charset)


def _parts(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else [text]
