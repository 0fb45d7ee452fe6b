"""Names of files: a template filled from a message, that never leaves its folder."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from channels.message import Message
from channels.registry import suggestion
from connectors.shared.arrivals import SUFFIXES

_LONGEST = 80
"""Characters of one value in a name."""
_LONGEST_NAME = 200
"""Characters of a whole name: file systems allow 255 bytes, and temporary names add to it."""

MESSAGE_FIELDS = {
    "id": 1, "control_id": "1", "kind": "ADT^A01", "sender": "GAP", "channel": "c", "destination": "d", "file": "f",
    "format": "hl7v2", "suffix": ".hl7", "received": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip
"""Fields of the name of one message, each with a sample."""
PERIOD_FIELDS = {
    "channel": "c", "destination": "d",
    "begin": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 1, 2, tzinfo=UTC),
}  # fmt: skip
"""Fields of the name of a file that holds the messages of a period."""


def safe(value: str) -> str:
    """A value as a part of a name: ASCII letters, digits, ``.``, ``_`` and ``-``; never a hidden or empty name."""
    plain = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]", "_", plain).lstrip(".")[:_LONGEST] or "_"


def check(template: str, fields: Mapping[str, Any]) -> str:
    """The template, when it can be filled.

    Raises:
        ValueError: an unknown field, a format that does not suit it, a way out of the folder.
    """
    try:
        parsed = list(string.Formatter().parse(template))
        for _, name, form, conversion in parsed:
            if name is None:
                continue
            if conversion or "{" in (form or ""):
                raise ValueError("a field of a name is written {field} or {field:format}")
            if name not in fields:
                raise ValueError(
                    f"no field is called {name!r}{suggestion(name, fields)}; there are {', '.join(fields)}"
                )
        filled = template.format_map(fields)
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"name: {error}") from None
    parts = filled.split("/")
    if any(not part or part.startswith(".") or "\0" in part or "\\" in part for part in parts):
        raise ValueError("name: a file inside the folder, without '..', and no part that is empty or begins with a dot")
    return template


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A relative path; values are made safe first, and a name that is too long is cut before its suffix."""
    made = {
        name: safe(value) if isinstance(value, str) and name != "suffix" else value for name, value in values.items()
    }
    parts = template.format_map(made).split("/")
    return "/".join(_short(part.lstrip(".") or "_") for part in parts)


def _short(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem[: _LONGEST_NAME - 10]}.{suffix[:9]}" if dot else name[:_LONGEST_NAME]


def of_message(template: str, message: Message, channel: str, destination: str, zone: tzinfo) -> str:
    """The name of one message's file; ``received`` in local time."""
    return fill(
        template,
        {
            "id": message.id,
            "control_id": message.control_id,
            "kind": message.kind,
            "sender": message.sender,
            "channel": channel,
            "destination": destination,
            "file": message.attributes.get("file", ""),
            "format": message.format,
            "suffix": suffix(message.format),
            "received": datetime.fromtimestamp(message.received, zone),
        },
    )


def suffix(format: str) -> str:  # noqa: A002  # the name of the field of Message
    """``.hl7``, ``.xml`` and so on."""
    return SUFFIXES.get(format, ".dat")


def numbered(name: str, number: int) -> str:
    """``a.hl7`` -> ``a-2.hl7``; the name itself for number 1."""
    if number == 1:
        return name
    folder, slash, last = name.rpartition("/")
    stem, dot, end = last.rpartition(".")
    return f"{folder}{slash}{stem}-{number}.{end}" if dot else f"{folder}{slash}{last}-{number}"
