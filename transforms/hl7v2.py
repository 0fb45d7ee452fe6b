"""What the core needs to know of an HL7 v2 message: its header, what keeps its order, how it is found again.

Source: HL7 v2.5 chapters 3 and 4 (PID, PV1, MRG, ORC, OBR); IHE PAM France 2.11 (PID-3, MRG-1).
"""

from __future__ import annotations

from channels.message import Message
from transforms import er7
from transforms.er7 import Er7
from transforms.paths import parse_path
from transforms.segment import LARGE

Facet = tuple[str, str]

_MERGED = {("PID", 3): 1, ("PID", 18): 3, ("PV1", 19): 5}
"""Field of a lane -> field of MRG that holds its earlier value."""

_IDENTIFYING = frozenset({"PID", "PV1", "MRG", "ORC", "OBR"})
_IDENTIFYING_BYTES = frozenset(one.encode() for one in _IDENTIFYING)


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
        parsed = er7.read(message)
        patients: list[str] = []
        merged: list[str] = []
        facets: list[Facet] = []
        visited = False
        for segment_id, fields in _identifying(parsed):
            size = len(fields)
            if segment_id == "PID":
                if size > 3 and fields[3]:
                    facets += _patient(fields[3], parsed, patients)
                if size > 18 and fields[18]:
                    facets += _facet("account", fields[18], parsed)
            elif segment_id == "PV1":
                if size > 19 and fields[19] and not visited:
                    facets += _facet("visit", fields[19], parsed)
                visited = True
            elif segment_id == "MRG":
                facets += _merged(fields, parsed, merged)
            else:
                for number in fields[2:4]:
                    facets += [one for one in _facet("order", number, parsed) if one not in facets] if number else ()
        keys = patients + merged
        if paths != ("patient",):
            keys = [key for path in paths for key in _keys(parsed, path, keys)]
        return (tuple(dict.fromkeys(keys)) if len(keys) > 1 else tuple(keys)), facets


FORMAT = Hl7v2()


def _identifying(parsed: Er7) -> list[tuple[str, list[str]]]:
    """Id and fields, as written, of the segments that have identifiers, in order."""
    body, separator = parsed.body, parsed.separators[0]
    if len(body) > LARGE or not er7.is_regular(body, separator):
        return [(segment.id, segment.fields) for segment in parsed.segments if segment.id in _IDENTIFYING]
    charset = parsed.charset
    return [
        (line[:3].decode(), line.decode(charset, "surrogateescape").split(separator))
        for line in body.split(b"\r")
        if line[:3] in _IDENTIFYING_BYTES
    ]


def _identifier(text: str, parsed: Er7) -> str:
    """First component of the first repetition; an order to delete (``""``) is no identifier."""
    _, component, repetition, escape, _ = parsed.separators
    if repetition and repetition in text:
        text = text.split(repetition, 1)[0]
    if component and component in text:
        text = text.split(component, 1)[0]
    if escape and escape in text:
        text = er7.unescape(text, parsed.separators, parsed.charset)
    return "" if text == '""' else text.strip()


def _facet(kind: str, text: str, parsed: Er7) -> list[Facet]:
    value = _identifier(text, parsed)
    return [(kind, value)] if value else []


def _patient(raw: str, parsed: Er7, keys: list[str]) -> list[Facet]:
    """All identifiers of PID-3; the one that keeps order is added to ``keys``.

    The authority is not part of it: one sender writes it in several ways, MRG-1 often leaves it out, and two
    patients who share a number only share a lane.
    """
    _, component, repetition, escape, subcomponent = parsed.separators
    facets, first, internal = [], "", ""
    for one in raw.split(repetition) if repetition and repetition in raw else (raw,):
        parts = one.split(component) if component else [one]
        number = parts[0].strip()
        if not number or '"' in number or escape in number:
            number = _identifier(one, parsed)
            if not number:
                continue
        facets.append(("patient", number))
        first = first or number
        if not internal and len(parts) > 4 and parts[4].partition(subcomponent or "&")[0] == "PI":
            internal = number
    if first:
        keys.append(internal or first)
    return facets


def _merged(fields: list[str], parsed: Er7, keys: list[str]) -> list[Facet]:
    """The identifiers of MRG-1, also added to ``keys``."""
    repetition = parsed.separators.repetition
    text = fields[1] if len(fields) > 1 else ""
    found = [_identifier(one, parsed) for one in (text.split(repetition) if repetition else [text])]
    numbers = [number for number in found if number]
    keys += numbers
    return [("patient", number) for number in numbers]


def _keys(parsed: Er7, path: str, patients: list[str]) -> list[str]:
    """Keys of one entry of ``lane:``."""
    if path == "patient":
        return patients
    if path == "channel":
        return []
    place = parse_path(path)
    values = [value for value in parsed.values(path) if value and value != '""']
    earlier = _MERGED.get((place.segment, place.field))
    if earlier and (place.component or 1) == 1:
        values += [_identifier(one, parsed) for segment in parsed.all("MRG") for one in segment.repetitions(earlier)]
    return [f"{path} {value}" for value in values if value]
