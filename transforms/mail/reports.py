"""What a delivery report (DSN) and a reading report (MDN) tell, in every form that is met.

Source: RFC 3464, RFC 8098, RFC 6522; ANS CI-SIS volet LPS 1.1 (``processed/Error: <code>^<label>``).
"""

from __future__ import annotations

import re
from email.message import Message as Part

from transforms.mail.model import Delivery, DeliveryReport, Disposition, Mail
from transforms.mail.names import one_line
from transforms.mail.read import decoded, header, parsed, payload, read

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_MDN_TYPES = ("message/disposition-notification", "message/global-disposition-notification")
_RETURNED_TYPES = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")
_CODE = re.compile(r"\b(90[0-6])\b")
_STATE = re.compile(r";\s*([a-z-]+)\s*(/.*)?$", re.IGNORECASE)
_SUBJECT_CODE = re.compile(r"\[(?:KO|Erreur)[^\]]*\]\s*\[(90[0-6])\]", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")


def delivery_report(raw: bytes) -> DeliveryReport | None:
    """A DSN; None when the mail has no readable status of a recipient."""
    root = parsed(raw)
    groups = [fields for part in _parts(root, _STATUS_TYPES) for fields in _groups(part)]
    deliveries = tuple(one for one in map(_delivery, groups) if one is not None)
    if not deliveries:
        return None
    envelope = next((one["original-envelope-id"] for one in groups if "original-envelope-id" in one), "")
    return DeliveryReport(_unfolded(envelope), _returned(root, "Message-ID"), deliveries)


def disposition(raw: bytes) -> Disposition | None:
    """An MDN; None when the mail has no readable Disposition."""
    root = parsed(raw)
    for part in _parts(root, _MDN_TYPES):
        for fields in _groups(part):
            if "disposition" in fields:
                return _disposition(fields, root, read(raw))
    return None


def _delivery(fields: dict[str, str]) -> Delivery | None:
    action = fields.get("action", "").partition(" ")[0].lower()
    address = _typed(fields.get("original-recipient", "")) or _typed(fields.get("final-recipient", ""))
    if not action or not address:
        return None
    return Delivery(address, action, fields.get("status", ""), fields.get("diagnostic-code", ""))


def _disposition(fields: dict[str, str], root: Part, mail: Mail) -> Disposition:
    said = fields["disposition"]
    found = _STATE.search(said)
    state, rest = (found[1].lower(), found[2] or "") if found else ("", "")
    wrong = "error" in rest.lower() or "fail" in rest.lower() or state in ("failed", "denied")
    wrong = wrong or bool(fields.get("error") or fields.get("failure"))
    named = " ".join([rest, fields.get("error", ""), fields.get("failure", "")])
    code = _CODE.search(named) or _SUBJECT_CODE.search(mail.subject)
    original = _MESSAGE_ID.search(fields.get("original-message-id", ""))
    references = [mail.in_reply_to, *reversed(mail.references), _returned(root, "Message-ID")]
    return Disposition(
        original[0] if original else "",
        _typed(fields.get("final-recipient", "")) or _typed(fields.get("original-recipient", "")) or mail.sender,
        state,
        wrong or _SUBJECT_CODE.search(mail.subject) is not None,
        code[1] if code else "",
        said.lower().startswith("manual-action"),
        tuple(dict.fromkeys(one for one in references if one)),
    )


def _parts(root: Part, kinds: tuple[str, ...]) -> list[Part]:
    """The parts of the report with one of these types: direct children, as RFC 6522 has it."""
    inside = payload(root)
    children = inside if isinstance(inside, list) else []
    return [one for one in children if one.get_content_type() in kinds]


def _groups(part: Part) -> list[dict[str, str]]:
    """The groups of fields of a status part, names in lower case; the library reads each as a message."""
    inside = payload(part)
    blocks = inside if isinstance(inside, list) else []
    if not blocks:
        text = _bytes(part)
        blocks = [parsed(block) for block in re.split(rb"\r?\n[ \t]*\r?\n", text.strip())[:200]]
    groups = []
    for block in blocks[:200]:
        fields: dict[str, str] = {}
        for name in block.keys():  # noqa: SIM118  # a mail, not a dictionary
            fields.setdefault(name.lower(), header(block, name)[:2000])
        lines = [] if fields else str(payload(block)).splitlines()
        for line in lines:  # a group that begins with an empty line
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name.strip().lower(), one_line(value)[:2000])
        groups.append(fields)
    return groups


def _returned(root: Part, name: str) -> str:
    """A header of the mail that the report gives back, whole or headers only."""
    for part in _parts(root, _RETURNED_TYPES):
        inside = payload(part)
        found = header(inside[0] if isinstance(inside, list) and inside else parsed(_bytes(part)), name)
        if found:
            return found
    return ""


def _bytes(part: Part) -> bytes:
    try:
        return decoded(part)
    except ValueError:
        return b""


def _typed(text: str) -> str:
    """The address of ``rfc822; address``; xtext signs decoded."""
    address = text.rpartition(";")[2].strip().strip("<>")
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), address) if "rfc822" in text else address


def _unfolded(text: str) -> str:
    return "".join(text.split()).strip("<>")
