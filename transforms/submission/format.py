"""What the core needs to know of a submission: whose it is, which keeps the order, and how it is found again."""

from __future__ import annotations

import json
from typing import Any

from channels.errors import ParseError
from channels.message import Message

_DECODER = json.JSONDecoder()
_HEAD = 20_000
"""Bytes in which the patient is found: documents, which may be large, come after it."""


class SubmissionFormat:
    """The format ``submission`` of ``channels.registry.FORMATS``."""

    def index(self, message: Message, paths: tuple[str, ...]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """The keys that keep the order of a submission, and the identifiers by which it is found.

        paths: ``patient`` gives the number that the messages of the same patient have as their key (IPP, else INS);
            others give no key.

        Raises:
            ParseError: the body is not a submission.
        """
        patient = _patient(message.body)
        known = [number for number in (patient.get("local_id", ""), patient.get("ins", "")) if number]
        keys = (known[0],) if known and "patient" in paths else ()
        return keys, [("patient", number) for number in known]


FORMAT = SubmissionFormat()


def _patient(body: bytes) -> dict[str, Any]:
    start = body.find(b'"patient":', 0, _HEAD)
    try:
        if start < 0:
            raise ValueError
        head = body[start + 10 : start + 10 + _HEAD].decode("utf-8", "replace")
        found: dict[str, Any] = _DECODER.raw_decode(head)[0]
    except ValueError:
        raise ParseError("the body is not a submission") from None
    return found
