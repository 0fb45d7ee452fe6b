"""Acknowledgements: the one place that turns an outcome into MSA and ERR, and the one that reads them.

An acknowledgement is a function of the received header and of the outcome alone: the answer to a resend is the same
bytes. Of the message it repeats nothing but the fields of its header that routing needs.

Source: HL7 v2.5 chapter 2 (2.9 processing rules; ERR, MSA; tables 0008, 0155, 0357, 0516); ANS CI-SIS volet
"Transmission de documents CDA en HL7v2" 2.1 (codes 198, 199 and 900 to 906).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Literal

from channels.errors import ConfigError, DeliveryError, Finding, MessageError, ParseError, VaguemestreError
from channels.ports import Outcome
from transforms import er7
from transforms.charsets import NAMES
from transforms.conditions import RESEND, SENTENCES, TEXTS
from transforms.escapes import Separators, escape
from transforms.paths import parse_path

Mode = Literal["auto", "original", "enhanced", "application"]
"""``auto``: what MSH-15 and MSH-16 ask. ``original``: always AA, AE or AR. ``enhanced``: always CA, CE or CR.
``application``: the second answer of the enhanced mode, for a sender whose MSH-15 and MSH-16 want both."""

_UNSUPPORTED = frozenset({"200", "201", "202", "203"})
_RESEND = Finding("", "207", "not stored, to be sent again later", "reject")
_REFUSED = Finding("", "207", "refused by the destination", "reject")
_LONGEST = 250
"""Characters of a text in ERR or MSA-3."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement as read.

    code: MSA-1 in upper case. control_id: MSA-2, ``""`` when the other side left it empty.
    errors: place and 0357 code of each ERR, never its text: the other side may quote the message there.
    """

    code: str
    control_id: str
    errors: tuple[Finding, ...] = ()

    @property
    def accepted(self) -> bool:
        """AA or CA."""
        return self.code in ("AA", "CA")

    @property
    def commit(self) -> bool:
        """CA, CE or CR: the first answer of the enhanced mode."""
        return self.code in ("CA", "CE", "CR")


def acknowledge(
    header: er7.Header,
    outcome: Outcome,
    *,
    mode: Mode = "auto",
    charset: str = "",
    zone: tzinfo = UTC,
    warnings: bool = False,
    unsupported: Literal["AR", "AE"] = "AR",
) -> bytes:
    """The acknowledgement of a message; ``b""`` when its sender wants none.

    charset: codec of the answer; the message's own when not given. zone: of MSH-7.
    warnings: return the outcome's findings too (ERR-4 ``W``).
    unsupported: what conditions 200 to 203 answer (HL7 says AR; a sample of the ANS answers AE).
    """
    plan = _plan(header.separators, header.shape(), mode, charset or header.charset, zone)
    error = outcome.error
    passed = outcome.answer or (error.answer if isinstance(error, DeliveryError) else b"")
    if passed:
        return _pass_on(passed, plan, header, outcome)
    found = outcome.findings if warnings else ()
    if error is None:
        return plan.write("A", header, outcome, found) if plan.when_yes else b""
    if not plan.when_no:
        return b""
    return plan.write(_verdict(error, unsupported), header, outcome, (_finding(error), *found))


def _verdict(error: VaguemestreError, unsupported: str = "AR") -> str:
    """``E``: never again as it is. ``R``: not here, or not now."""
    if isinstance(error, MessageError):
        if error.condition in _UNSUPPORTED:
            return unsupported[1]
        return "R" if error.condition == "206" else "E"
    return "R" if error.retry else "E"


def _finding(error: VaguemestreError) -> Finding:
    if isinstance(error, MessageError):
        return error.finding
    return _RESEND if error.retry else _REFUSED


def _pass_on(passed: bytes, plan: _Plan, header: er7.Header, outcome: Outcome) -> bytes:
    """``ack: delivered``: the destination's answer; its very bytes when they name the message that was received."""
    error = outcome.error
    try:
        answer = read_ack(passed)
    except ParseError:  # not HL7: what the engine understood of it counts
        answer = Answer("A" + (_verdict(error) if error else "A"), "")
    verdict = answer.code[1:]
    if not (plan.when_yes if verdict == "A" else plan.when_no):
        return b""
    if answer.control_id and answer.control_id == header.control_id and answer.code == plan.initial + verdict:
        return passed
    found = () if verdict == "A" else answer.errors or (_finding(error) if error else _REFUSED,)
    return plan.write(verdict, header, outcome, found)


@lru_cache(maxsize=1024)
def _plan(separators: Separators, shape: tuple[str, ...], mode: Mode, charset: str, zone: tzinfo) -> _Plan:
    return _Plan(er7.Header.of_shape(separators, shape), mode, charset, zone)


class _Plan:
    """What the acknowledgements of all messages with one shape of header have in common."""

    def __init__(self, header: er7.Header, mode: Mode, charset: str, zone: tzinfo) -> None:
        self.separators, self.charset, self.zone = header.separators, charset, zone
        self.field = header.separators.field.encode(charset, "surrogateescape")
        self.version = _version(header.component(12))
        self.initial, wanted = _wanted(header.component(15).strip().upper(), header.component(16).strip().upper(), mode)
        self.when_yes, self.when_no = wanted in ("AL", "SU"), wanted in ("AL", "ER")
        self.system = "messageErrorCondition" if header.field(21).startswith("2.1^CISIS") else "HL70357"
        field = header.separators.field
        route = [header.field(number) for number in (5, 6, 3, 4)]
        self.head = self.coded(field.join(["MSH", "".join(header.separators[1:]), *route, ""]))
        self.kind = self.coded(f"{field}{field}{self._message_type(header)}{field}VM")
        name = header.field(18) if charset == "ascii" else NAMES.get(charset, "")
        end = [header.field(11) or "P", header.field(12) or "2.5", "", "", "", "", "FRA", name]
        self.tail = self.coded(field.join(["", *end]).rstrip(field) + f"\rMSA{field}{self.initial}")

    def _message_type(self, header: er7.Header) -> str:
        event = header.kind.partition("^")[2]
        component = self.separators.component
        if not event or not component or self.version < (2, 3, 1):
            return "ACK"
        return component.join(["ACK", event, "ACK"] if self.version >= (2, 5) else ["ACK", event])

    def coded(self, text: str) -> bytes:
        """``text`` in the codec of the answer; a letter that it lacks loses its accent, or is a question mark."""
        try:
            return text.encode(self.charset, "surrogateescape")
        except UnicodeEncodeError:
            parts = unicodedata.normalize("NFD", text.replace("’", "'"))
            return "".join(sign for sign in parts if not unicodedata.combining(sign)).encode(self.charset, "replace")

    def write(self, verdict: str, header: er7.Header, outcome: Outcome, found: tuple[Finding, ...]) -> bytes:
        """One acknowledgement, with one ERR for each finding."""
        number = b"%d" % outcome.id if outcome.id else b"T%d" % int(outcome.received * 1_000_000)
        stamp = _stamp(int(outcome.received), self.zone)
        head = (
            self.head,
            stamp,
            self.kind,
            number,
            self.tail,
            verdict.encode(),
            self.field,
            self.coded(header.control_id),
        )
        if not found:
            return b"".join((*head, b"\r"))
        trace = f" (trace {outcome.id})" if outcome.id else ""
        text = self.field + self._text(_sentence(found[0]) + trace) if self.version < (2, 5) else b""
        return b"".join((*head, text, b"\r", *(self._err(one, trace) for one in found)))

    def _text(self, text: str) -> bytes:
        text = text[:_LONGEST]
        if not self.separators.escape:
            text = "".join(" " if sign in self.separators else sign for sign in text)
        return self.coded(escape(text, self.separators))

    def _err(self, finding: Finding, trace: str) -> bytes:
        """ERR of 2.5 and later, or the ELD of ERR-1 before.

        Source: HL7 v2.5, 2.15.5; HL7 v2.4, 2.16.5.
        """
        _, component, _, _, subcomponent = self.separators
        own = finding.code if finding.code.isdigit() and int(finding.code) >= 900 else ""
        code = "207" if own else finding.code
        text = TEXTS.get(code, TEXTS["207"])
        location = _location(finding.place)
        if self.version < (2, 5):
            eld = subcomponent.join([code, text, self.system]) if subcomponent else code
            place = [*location[:3], *[""] * (3 - len(location[:3])), eld]
            return self.coded(f"ERR{self.separators.field}{component.join(place) if component else eld}\r")
        if not component:
            return self.field.join((b"ERR", b"", b"", code.encode(), _severity(finding))) + b"\r"
        condition = self.coded(component.join([code, text, self.system]))
        application = self.coded(component.join([own, TEXTS.get(own, ""), "applicationErrorCondition"])) if own else b""
        where = self.coded(component.join(location))
        said = self._text(finding.problem + trace), self._text(_sentence(finding) + trace)
        return self.field.join((b"ERR", b"", where, condition, _severity(finding), application, b"", *said)) + b"\r"


def _severity(finding: Finding) -> bytes:
    return b"E" if finding.level == "reject" else b"W"


def _sentence(finding: Finding) -> str:
    """In French: the condition, then the place."""
    sentence = RESEND if finding == _RESEND else SENTENCES.get(finding.code, SENTENCES["207"])
    return f"{sentence} : {finding.place}" if finding.place else sentence


def _location(place: str) -> list[str]:
    """``PID-3[2].4`` -> PID, 1, 3, 2, 4; nothing when it is not a place of an HL7 message."""
    try:
        path = parse_path(place)
    except ConfigError:
        return []
    sequence = "" if path.selector else str(path.which or 1)
    parts = [path.repetition or (1 if path.component else 0), path.component, path.sub]
    numbers = [path.field, *parts] if path.field else []
    return [path.segment, sequence, *(str(number) for number in numbers if number)]


def _version(text: str) -> tuple[int, ...]:
    """``2.3.1`` -> (2, 3, 1); 2.5, the French one, when it cannot be read."""
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() and part.isascii() for part in parts) else (2, 5)


def _wanted(accept: str, application: str, mode: Mode) -> tuple[str, str]:
    """The letter that begins MSA-1, and when an answer is wanted (table 0155)."""
    enhanced = bool(accept or application)
    if mode == "original" or (mode == "auto" and not enhanced):
        return "A", "AL"
    if mode == "enhanced":
        return "C", _condition(accept) if accept else "AL"
    if mode == "application":
        both = accept not in ("", "NE") and application
        return "A", _condition(application) if both else "NE"
    if accept in ("", "NE"):
        return "A", _condition(application)
    return "C", _condition(accept)


def _condition(text: str) -> str:
    """Table 0155; a value that is not of it asks for an answer, an empty one does not."""
    return text if text in ("NE", "ER", "SU") else ("AL" if text else "NE")


@lru_cache(maxsize=64)
def _stamp(seconds: int, zone: tzinfo) -> bytes:
    return datetime.fromtimestamp(seconds, zone).strftime("%Y%m%d%H%M%S").encode()


def read_ack(body: bytes) -> Answer:
    """Read an acknowledgement, tolerantly: ERR may lack, MSH may not be swapped, any charset.

    Raises:
        ParseError: it is no HL7 message, it has no MSA, or MSA-1 is not of table 0008.
    """
    errors: tuple[Finding, ...] = ()
    if body[:4] == b"MSH|" and body.count(b"\rMSA|") == 1 and b"\rERR" not in body and body.isascii():
        start = body.index(b"\rMSA|") + 5
        end = body.find(b"\r", start)
        fields = (body[start:end] if end >= 0 else body[start:]).decode().split("|", 2)
        code, control_id = fields[0], fields[1] if len(fields) > 1 else ""
    else:
        parsed = er7.parse(body)
        msa = parsed.first("MSA")
        if msa is None:
            raise ParseError("the answer has no MSA segment", "MSA")
        code, control_id = msa[1], msa[2]
        errors = tuple(_read_err(segment) for segment in parsed.all("ERR"))
    code = code.strip().upper()
    if code not in ("AA", "AE", "AR", "CA", "CE", "CR"):
        raise ParseError("the acknowledgement code is not of table 0008", "MSA-1")
    return Answer(code, control_id.strip(), errors)


def _read_err(segment: er7.Segment) -> Finding:
    code = segment.get("3.1").strip()
    where, level = "2", segment.get("4").strip()
    if not code:  # before 2.5
        code, where = segment.get("1.4.1").strip(), "1"
    if code not in TEXTS:
        code = "207"
    names = [segment.get(f"{where}.{component}").strip() for component in range(1, 7)]
    return Finding(_place(names, where), code, TEXTS[code], "warn" if level.startswith(("W", "I")) else "reject")


def _place(names: list[str], where: str) -> str:
    """PID, 1, 3, 2, 4 -> ``PID-3[2].4``; ``""`` unless every part is what the standard says."""
    segment, sequence, *numbers = names[: 3 if where == "1" else 6]
    index = f"[{sequence}]" if sequence not in ("", "1") else ""
    forms = ("-{}", "[{}]", ".{}", ".{}")
    place = segment.upper() + index
    for number, form in zip(numbers, forms, strict=False):
        if not number:
            break
        place += form.format(number) if form != "[{}]" or number != "1" else ""
    try:
        parse_path(place)
    except ConfigError:
        return ""
    return place
