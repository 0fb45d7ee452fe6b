"""``hl7.repair``: writes a message as the standard wants it, where that takes no guess.

Repaired: line ends, blanks, byte order mark, MSH-2, MSH-9, MSH-18, lower-case ids, text outside segments; types and
states of results, numbers, Base64; sex and names; shifted ZBE and PRT; FINESS of ten digits. An INS that may not
travel is taken out. What could only be guessed stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from channels.message import Message
from channels.ports import Context
from transforms import er7
from transforms.charsets import NAMES
from transforms.content_rules import NAME_TYPES, NUMBER, STATUSES, VALUE_TYPES, is_shifted, misplaced_name_types
from transforms.document_rules import cleaned_base64, decoded_base64
from transforms.er7 import Er7, Segment
from transforms.escapes import repaired_signs, unescape
from transforms.header import BLANKS, BOM
from transforms.ins import withhold_unverified
from transforms.structures import structure_of

_SEX_WORDS = {
    "F": "F", "FEMALE": "F", "FEMININ": "F", "FÉMININ": "F", "2": "F",
    "M": "M", "MALE": "M", "MASCULIN": "M", "1": "M", "U": "U", "UNKNOWN": "U",
}  # fmt: skip
_COMPARED = re.compile(r"\s*(<=|>=|<|>)\s*([+-]?\d+(?:\.\d+)?)\s*")
_ROLES = {"SB": "Send by", "RCT": "Result Copies To", "REPLY": "Reply To"}


def repair(message: Message, context: Context) -> Message:
    """The message repaired; itself when there is nothing to repair.

    Raises:
        ParseError: MSH cannot be read even so.
        MessageError: a repaired value has a character that the message's character set lacks.
    """
    body = _lines(message.body)
    parsed = er7.parse(body, message.charset)
    _header(parsed, message.charset)
    for segment in parsed.segments:
        if segment.text()[:3] != segment.id:
            segment[0] = segment.id
        change = _CHANGES.get(segment.id)
        if change is not None:
            change(segment)
    _statuses(parsed)
    repaired = message if parsed.encode() == message.body else message.with_body(parsed.encode())
    return withhold_unverified(repaired, context)


def _lines(body: bytes) -> bytes:
    """One segment a line, each ended by CR; a line break inside a field is written as an escape sequence."""
    if b"\n" not in body and er7.is_regular(body, body[3:4].decode("latin-1")) and body.endswith(b"\r"):
        return body
    header = er7.peek(body)
    mark, escape = header.separators.field.encode(), header.separators.escape.encode(header.charset, "replace")
    lines: list[bytes] = []
    for line in re.split(rb"\r\n|\r|\n", body.removeprefix(BOM)):
        text = line.strip(b"\x0b\x1c").lstrip(b" \t")
        if not text.strip(BLANKS):
            continue
        if lines and not er7.segment_id(text[:4], mark):
            lines[-1] += (escape + b"X0A" + escape if escape else b" ") + line
        else:
            lines.append(text)
    return b"\r".join([*lines, b""])


def _header(parsed: Er7, charset: str) -> None:
    msh = parsed.segments[0]
    between = parsed.separators.component
    signs = repaired_signs(msh[2])
    if signs != msh[2]:
        msh[2] = signs
    code, _, event = parsed.header.kind.partition("^")
    parts = msh[9].split(between) if between else [msh[9]]
    if between and event and parts[:2] != [code, event]:
        msh[9] = between.join([code, event, structure_of(code, event)]).rstrip(between)
    name = NAMES.get(charset, "")
    if charset != "ascii" and name and msh[18].split(parsed.separators.repetition or "~")[0] != name:
        msh[18] = name


def _patient(pid: Segment) -> None:
    between, again = pid.owner.separators.component, pid.owner.separators.repetition
    sex = _SEX_WORDS.get((pid[8].split(between)[0] if between else pid[8]).strip().upper())
    if pid[8] and pid[8] != '""' and sex and sex != pid[8]:
        pid[8] = sex
    if not between or not misplaced_name_types(pid):
        return
    names = [one.split(between) for one in pid.repetitions(5)]
    legal = any(len(one) > 6 and one[6].strip().upper() == "L" for one in names)
    for parts in names:
        kind = parts[6].strip().upper() if len(parts) > 6 else ""
        if not kind and len(parts) > 7 and parts[7].strip().upper() in NAME_TYPES:  # one component too many
            del parts[4 if not parts[4] else 6]
        elif kind in NAME_TYPES:
            parts[6] = kind
        elif kind in ("M", "B") and not legal:
            parts[6] = "L"
    pid[5] = (again or "").join(between.join(parts) for parts in names)


def _observation(obx: Segment) -> None:
    between = obx.owner.separators.component
    kind = (obx[2].split(between)[0] if between else obx[2]).strip().upper()
    kind = kind if kind in VALUE_TYPES else "ST"
    if obx[2] != kind and (obx[2] or obx[5]):
        obx[2] = kind
    if kind == "NM" and obx[5] and obx[5] != '""':
        _number(obx, between)
    if kind == "ED" and between:
        parts = obx[5].split(between)
        if len(parts) > 4 and parts[3].strip().upper() == "BASE64" and decoded_base64(obx.get("5.5")) is not None:
            clean = cleaned_base64(unescape(parts[4], obx.owner.separators))
            if clean != parts[4]:
                parts[4] = clean
                obx[5] = between.join(parts)


def _number(obx: Segment, between: str) -> None:
    """A value that is not numeric: a comparison is an SN, anything else a text."""
    if all(NUMBER.fullmatch(one) or not one for one in obx.repetitions(5)):
        return
    match = _COMPARED.fullmatch(obx.get("5"))
    if match and between:
        obx[2], obx[5] = "SN", between.join(match.groups())
    else:
        obx[2] = "ST"


def _movement(zbe: Segment) -> None:
    if is_shifted(zbe):
        zbe.fields.insert(3, "")
        zbe[3] = ""


def _participation(prt: Segment) -> None:
    between = prt.owner.separators.component
    if not between:
        return
    if not prt[4] and prt.get("3.1").strip() in _ROLES:
        prt[3], prt[4] = "", prt[3]
    role = prt.get("4.1").strip()
    if role in _ROLES and prt.get("4.3").strip().lower() != "participation":
        prt[4] = between.join([role, _ROLES[role], "participation"])
    parts = prt[8].split(between)
    if len(parts) > 9 and parts[6].strip() in ("FINEG", "FINEJ", "FINESS") and re.fullmatch(r"1\d{9}", parts[9]):
        parts[9] = parts[9][1:]
        prt[8] = between.join(parts)


def _statuses(parsed: Er7) -> None:
    """OBX-11: trimmed; when it is missing, that of its order, else final."""
    between, order = parsed.separators.component, ""
    for segment in parsed.segments:
        if segment.id == "OBR":
            order = segment[25].strip()
        elif segment.id == "OBX":
            written = segment[11]
            status = (written.split(between)[0] if between else written).strip()
            if not status:
                status = order if order in STATUSES else "F"
            if status in STATUSES and status != written:
                segment[11] = status


_CHANGES: dict[str, Callable[[Segment], None]] = {
    "PID": _patient,
    "OBX": _observation,
    "ZBE": _movement,
    "PRT": _participation,
}
