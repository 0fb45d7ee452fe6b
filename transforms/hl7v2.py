"""What the core needs to know of an HL7 v2 message: its header, what keeps its order, how it is found again.

Source: HL7 v2.5 chapters 3 and 4 (PID, PV1, MRG, ORC, OBR); IHE PAM France 2.11 (PID-3, MRG-1).
"""

from __future__ import annotations

from channels.message import Message
from transforms import er7
from transforms.er7 import Er7, Segment
from transforms.paths import parse_path
from transforms.segment import Text

Facet = tuple[str, str]

_MERGED = {("PID", 3): 1, ("PID", 18): 3, ("PV1", 19): 5}
"""Field of a lane -> field of MRG that holds its earlier value."""

_ORDERS = (("ORC", (2, 3)), ("OBR", (2, 3)))


class Hl7v2:
    """The format ``hl7v2`` of ``channels.registry.FORMATS``."""

    def message(self, body: bytes, received: float, default_charset: str = "cp1252") -> Message:
        """A Message with what its header tells. Raises ParseError when it has none."""
        return er7.message(body, received, default_charset)

    def lanes(self, message: Message, paths: tuple[str, ...]) -> tuple[str, ...]:
        """See ``index``."""
        return self.index(message, paths)[0]

    def facets(self, message: Message) -> list[Facet]:
        """See ``index``."""
        return self.index(message, ())[1]

    def index(self, message: Message, paths: tuple[str, ...]) -> tuple[tuple[str, ...], list[Facet]]:
        """The keys that keep the order of a message, and the identifiers by which it is found.

        paths: ``patient`` (number of the ``PI`` of PID-3, else of its first repetition), or places such as PID-18.1;
            ``channel`` gives no key. A message with several patients, or with MRG, has the keys of all identities.
        Returns (keys, [(kind, value)]); kinds are ``patient``, ``visit``, ``account`` and ``order``.

        Raises:
            ParseError: the body is not HL7 v2.
        """
        parsed, body = er7.read(message), message.body
        if b"MRG" in body or body.count(b"PID") > 1 or b"mrg" in body:
            patients, merged = parsed.all("PID"), parsed.all("MRG")
        else:
            pid = parsed.first("PID")
            patients, merged = [pid] if pid is not None else [], []
        facets: list[Facet] = []
        keys: list[str] = []
        for segment in patients:
            numbers, main = _patient(segment)
            facets += [("patient", number) for number in numbers]
            if main:
                keys.append(main)
            account = segment[18] and _identifier(segment[18], parsed)
            if account:
                facets.append(("account", account))
        for segment in merged:
            numbers = [_identifier(one, parsed) for one in segment.repetitions(1)]
            keys += [number for number in numbers if number]
            facets += [("patient", number) for number in numbers if number]
        visit = parsed.first("PV1")
        if visit is not None and visit[19]:
            number = _identifier(visit[19], parsed)
            if number:
                facets.append(("visit", number))
        if b"ORC" in body or b"OBR" in body:
            facets += _orders(parsed)
        if paths != ("patient",):
            keys = [key for path in paths for key in _keys(parsed, path, keys, merged)]
        return (tuple(dict.fromkeys(keys)) if len(keys) > 1 else tuple(keys)), facets


FORMAT = Hl7v2()


def _identifier(text: str, parsed: Er7 | Text) -> str:
    """First component of the first repetition; an order to delete (``""``) is no identifier."""
    _, component, repetition, escape, _ = parsed.separators
    if repetition and repetition in text:
        text = text.split(repetition, 1)[0]
    if component and component in text:
        text = text.split(component, 1)[0]
    if escape and escape in text:
        text = er7.unescape(text, parsed.separators, parsed.charset)
    return "" if text == '""' else text.strip()


def _patient(segment: Segment) -> tuple[list[str], str]:
    """All identifiers of PID-3, and the one that keeps order.

    The authority is not part of it: one sender writes it in several ways, MRG-1 often leaves it out, and two
    patients who share a number only share a lane.
    """
    raw = segment[3]
    if not raw:
        return [], ""
    parsed = segment.owner
    _, component, repetition, _, _ = parsed.separators
    numbers, first, internal = [], "", ""
    for one in raw.split(repetition) if repetition and repetition in raw else (raw,):
        parts = one.split(component) if component else [one]
        number = parts[0].strip()
        if not number or '"' in number or parsed.separators.escape in number:
            number = _identifier(one, parsed)
            if not number:
                continue
        numbers.append(number)
        first = first or number
        if not internal and len(parts) > 4 and parts[4].partition(parsed.separators.subcomponent or "&")[0] == "PI":
            internal = number
    return numbers, internal or first


def _orders(parsed: Er7) -> list[Facet]:
    found: dict[Facet, None] = {}
    for segment_id, fields in _ORDERS:
        for segment in parsed.all(segment_id):
            for field in fields:
                number = segment[field] and _identifier(segment[field], parsed)
                if number:
                    found["order", number] = None
    return list(found)


def _keys(parsed: Er7, path: str, patients: list[str], merged: list[Segment]) -> list[str]:
    """Keys of one entry of ``lane:``."""
    if path == "patient":
        return patients
    if path == "channel":
        return []
    place = parse_path(path)
    values = [value for value in parsed.values(path) if value and value != '""']
    earlier = _MERGED.get((place.segment, place.field))
    if earlier and (place.component or 1) == 1:
        values += [_identifier(one, parsed) for segment in merged for one in segment.repetitions(earlier)]
    return [f"{path} {value}" for value in values if value]
