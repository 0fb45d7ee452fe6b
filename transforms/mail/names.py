"""Words that become headers and file names: one line, no control character, no path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from channels.errors import MessageError

PREFIX = "XDM/1.0/DDM+"
"""What every subject of a mail with documents begins with."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_FIELD = re.compile(r"\{([a-z_]+)\}")
_UNSAFE = re.compile(r"[^0-9A-Za-zÀ-ÖØ-öø-ÿŒœŸ' -]+")
_LONGEST_TYPE, _LONGEST_NAME = 40, 60


def one_line(text: str) -> str:
    """The text without control characters (which a header must not have) and without more than one space in a row."""
    shown = (" " if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Cs") else sign for sign in text)
    return " ".join("".join(shown).split())


def checked_address(address: str, place: str) -> str:
    """An address as it may stand in an envelope. Raises MessageError: it is none."""
    bare = address.strip()
    if len(bare) > 254 or ".." in bare or not _ADDRESS.fullmatch(bare):
        raise MessageError("not a mail address", place, "102")
    return bare


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """A text of the site with ``{name}`` replaced; a name that is not known stays as it is."""
    return _FIELD.sub(lambda match: values.get(match[1], match[0]), pattern)


def date(digits: str) -> str:
    """``YYYYMMDD`` as ``dd/mm/yyyy``; what is shorter as it is."""
    return f"{digits[6:8]}/{digits[4:6]}/{digits[:4]}" if len(digits) >= 8 else digits


def file_name(day: str, label: str, family: str, given: str, ending: str = "pdf") -> str:
    """``<yyyymmdd>_<type>_<NAME>_<given>.pdf``: letters, digits, spaces and hyphens only.

    Source: REM of MSSanté, 2.1.6 (type of at most 40 characters).
    """
    parts = [
        day[:8], _safe(label)[:_LONGEST_TYPE], _safe(family).upper()[:_LONGEST_NAME], _safe(given)[:_LONGEST_NAME]
    ]  # fmt: skip
    return "_".join(part.strip() for part in parts if part.strip()) + f".{ending}"


def _safe(text: str) -> str:
    return " ".join(_UNSAFE.sub(" ", unicodedata.normalize("NFC", text)).split())
