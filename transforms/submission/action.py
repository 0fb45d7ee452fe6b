"""Which action a request asks: its trigger, ORC-1, OBX-11 and TXA-13 must say the same.

Source: ANS volet "Transmission de documents CDA en HL7v2" 2.1 (consistency of the action); 2.0 and 1.2 have no ORC-1 of
their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from channels.errors import MessageError, UnsupportedError
from transforms.er7 import Er7, Segment
from transforms.submission.model import Action
from transforms.submission.notes import Notes

_TRIGGERS: dict[str, Action] = {"T02": "create", "T10": "replace", "T04": "delete"}
_ORDERS: dict[str, Action] = {"NW": "create", "RO": "replace", "CA": "delete"}
_STATUSES: dict[str, Action] = {"F": "create", "C": "replace", "D": "delete"}
PROFILES = {"2.1", "2.0", "1.2"}
_OLD = ("2.0", "1.2")
_INCONSISTENT = "the trigger, ORC-1 and OBX-11 do not say the same action"


@dataclass(frozen=True, slots=True)
class Found:
    """A document OBX. number: from 1. place: ``OBX[2]``."""

    obx: Segment
    place: str


def profile(parsed: Er7, notes: Notes) -> str:
    """Version of the volet: MSH-21, else what the message looks like.

    Raises:
        UnsupportedError: not a request to publish or send documents.
    """
    header = parsed.header
    code, _, event = header.kind.partition("^")
    if code not in ("MDM", "ORU"):
        raise UnsupportedError("not a request to publish or send documents", "MSH-9.1", "200")
    if (code == "MDM" and event not in _TRIGGERS) or (code == "ORU" and event not in ("R01", "")):
        raise UnsupportedError("not an event of a request to publish or send documents", "MSH-9.2", "201")
    version, name = header.component(21, 1).strip(), header.component(21, 2).strip().upper()
    if name.endswith("_LPS"):
        raise UnsupportedError("a document for the hospital's software, not a request", "MSH-21", "200")
    expected = "2.6" if code == "MDM" else "2.5"
    if header.component(12).strip() != expected:
        notes.warn("MSH-12", "203", f"a request in {code} is of version {expected}")
    if version in PROFILES:
        return version
    notes.warn("MSH-21", "101", "the version of the volet is not said: taken from the shape of the message")
    if parsed.get("ORC-1").strip().upper() in _ORDERS:
        return "2.1"
    return "2.0" if code == "MDM" else "1.2"


def action(parsed: Er7, version: str, documents: list[Found], notes: Notes) -> Action:
    """The action.

    Raises:
        MessageError: it is said in two ways (207), or by a code that is none (103).
    """
    said: list[tuple[str, Action]] = []
    trigger = _TRIGGERS.get(parsed.header.kind.partition("^")[2])
    if trigger:
        said.append(("MSH-9.2", trigger))
    if version not in _OLD:
        said += _ordered(parsed, notes)
    for one in documents:
        status = one.obx.get("11.1").strip().upper()
        if not status:
            notes.warn(f"{one.place}-11", "101", "the status of the document is missing")
        elif status not in _STATUSES:
            raise MessageError("the status of a document is F, C or D", f"{one.place}-11", "103")
        else:
            said.append((f"{one.place}-11", _STATUSES[status]))
    if not said:
        raise MessageError("nothing says whether the document is new, replaced or deleted", "ORC-1", "101")
    if len({kind for _, kind in said}) > 1:
        place = "ORC-1" if version not in _OLD else next(where for where, kind in said if kind != said[0][1])
        raise MessageError(_INCONSISTENT, place, "207")
    found = said[0][1]
    _replaced(parsed, found, notes)
    return found


def _ordered(parsed: Er7, notes: Notes) -> list[tuple[str, Action]]:
    orc = parsed.first("ORC")
    order = orc.get("1.1").strip().upper() if orc is not None else ""
    if not order:
        notes.warn("ORC-1" if orc is not None else "ORC", "101" if orc is not None else "100", "the action is missing")
        return []
    if order not in _ORDERS:
        raise MessageError("the action is NW, RO or CA", "ORC-1", "103")
    return [("ORC-1", _ORDERS[order])]


def _replaced(parsed: Er7, found: Action, notes: Notes) -> None:
    """TXA-13 is there for a replacement alone."""
    txa = parsed.first("TXA")
    if txa is None:
        return
    named = txa.get("13.1").strip() or txa.get("13.3").strip()
    if found == "replace" and not named:
        raise MessageError("a replacement names the document that it replaces", "TXA-13", "101")
    if found != "replace" and named:
        notes.warn("TXA-13", "103", "only a replacement names a replaced document", always=found == "delete")
