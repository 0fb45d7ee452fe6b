"""Delimiters and escape sequences of HL7 v2 text.

Source: HL7 v2.5, 2.5.4 and 2.7; defects as met in the field (doubled escape, XML-escaped delimiters).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from channels.errors import ParseError


class Separators(NamedTuple):
    """The delimiters that one message declares; ``""`` for a role that MSH-2 does not give."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str

    @classmethod
    def read(cls, line: str) -> Separators:
        """From the start of a decoded MSH, FHS or BHS line.

        Raises:
            ParseError: MSH-1 or MSH-2 cannot be used (alphanumeric, control or repeated characters).
        """
        return separators_of(line[3:4], line[4:].split(line[3:4], 1)[0][:12] if len(line) > 4 else "")


@lru_cache(maxsize=256)
def separators_of(field: str, declared: str) -> Separators:
    """From MSH-1 and MSH-2. Raises ParseError when they cannot be used."""
    if not field or not field.isascii() or field.isalnum() or not field.isprintable() or field.isspace():
        raise ParseError("the field separator is missing, alphanumeric, a control or a multi-byte character", "MSH-1")
    declared = repaired_signs(declared)
    roles = declared[:4]
    unusable = any(sign.isalnum() or not sign.isprintable() or sign.isspace() for sign in roles)
    if not roles or unusable or field in roles or len(set(roles)) < len(roles):
        raise ParseError("MSH-2 delimiters unreadable", "MSH-2")
    component, repetition, escape, subcomponent = (*roles, "", "", "")[:4]
    return Separators(field, component, repetition, escape, subcomponent)


def repaired_signs(declared: str) -> str:
    r"""MSH-2 without the two usual spoilings: a doubled escape (``^~\\&``) and an ampersand written as in XML."""
    declared = declared.replace("&amp;", "&")
    if len(declared) > 4 and declared[2] == declared[3]:
        return declared[:3] + declared[4:]
    return declared


@lru_cache(maxsize=256)
def _escape_table(separators: Separators) -> dict[int, str]:
    mark = separators.escape
    letters = zip(separators, "FSRET", strict=True)
    table = {ord(sign): f"{mark}{letter}{mark}" for sign, letter in letters if sign}
    return table | {13: f"{mark}X0D{mark}", 10: f"{mark}X0A{mark}"}


def escape(text: str, separators: Separators) -> str:
    """Text as it is written inside a field: delimiters and line breaks become escape sequences.

    Raises:
        ParseError: the message declares no escape character and the text needs one.
    """
    table = _escape_table(separators)
    if separators.escape:
        return text.translate(table)
    if any(ord(sign) in table for sign in text):
        raise ParseError("the message declares no escape character and a value needs one", "MSH-2")
    return text


@lru_cache(maxsize=256)
def _sequence(mark: str) -> re.Pattern[str]:
    quoted = re.escape(mark)
    return re.compile(f"{quoted}([FSRETP]|X(?:[0-9A-Fa-f]{{2}})+|\\.br){quoted}")


def unescape(text: str, separators: Separators, charset: str = "utf-8") -> str:
    r"""Text as its author meant it. Unknown or unfinished sequences stay as they are: nothing is dropped.

    charset: codec of ``\Xhh..\`` bytes, the message's own.
    """
    mark = separators.escape
    if not mark or mark not in text:
        return text
    signs = {letter: sign for letter, sign in zip("FSRET", separators, strict=True) if sign}

    def meaning(match: re.Match[str]) -> str:
        code = match[1]
        if code in signs:
            return signs[code]
        if code == ".br":
            return "\n"
        if code in "FSRETP":  # a role that MSH-2 does not give; truncation (v2.7), whose sign is not among the five
            return match[0]
        data = bytes.fromhex(code[1:])
        try:
            return data.decode(charset)
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace") if data != b"\r\n" else "\n"

    return _sequence(mark).sub(meaning, text)
