"""Dates and times of HL7 v2 (DT, TS, DTM).

Source: HL7 v2.5, 2.A.21 and 2.A.77; French constraints on data types 1.8.2. No zone means the sender's local time.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from channels.errors import ParseError
from transforms.report import Moment

_DTM = re.compile(r"(\d{4}(?:\d\d){0,5})(\.\d{1,6})?([+-]\d{4}|Z)?", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?([+-]\d\d:?\d\d|Z)?", re.ASCII)
_FRENCH = re.compile(r"(\d\d)/(\d\d)/(\d{4})(?: (\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII)


def moment(text: str, zone: ZoneInfo, place: str) -> Moment | None:
    """A date or time with the zone of its own date; None when the text is empty, ``""`` or all zeros.

    Raises:
        ParseError: not a date that exists.
    """
    if not text:
        return None
    found = _read(text.strip(), zone)
    if found is None:
        raise ParseError("not a date or time that exists (YYYY[MM[DD[HH[MM[SS]]]]][+/-ZZZZ])", place, "102")
    digits, offset, assumed = found
    return Moment(digits, offset, assumed, place) if digits else None


@lru_cache(maxsize=4096)
def _read(text: str, zone: ZoneInfo) -> tuple[str, str, bool] | None:
    """Digits, zone and whether it is assumed; digits ``""`` for no date; None when it is not one."""
    if text == '""' or not text.strip("0"):
        return "", "", False
    digits, fraction, offset = _shape(text)
    if not digits or (fraction and len(digits) != 14):
        return None
    numbers = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))]
    if not 1850 <= numbers[0] <= 2199:  # a day and month taken for a year, most often
        return None
    numbers += [1] * (3 - len(numbers))
    try:
        instant = datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001  # three to six numbers; the zone comes below
    except ValueError:
        return None
    if len(digits) <= 8:
        return digits, "", False
    if not offset:
        offset = instant.replace(tzinfo=zone).strftime("%z")[:5]
        return digits + fraction, offset, True
    return digits + fraction, "+0000" if offset == "Z" else offset.replace(":", ""), False


def instant(value: Moment) -> datetime:
    """For putting moments in order: the earliest instant that it may mean."""
    digits = (
        (value.digits[:14] + "00000101000000"[len(value.digits[:14]) :])
        if len(value.digits) < 14
        else value.digits[:14]
    )
    return datetime.strptime(f"{digits}{value.zone or '+0000'}", "%Y%m%d%H%M%S%z")


def _shape(text: str) -> tuple[str, str, str]:
    if match := _DTM.fullmatch(text):
        return match[1], match[2] or "", match[3] or ""
    if match := _ISO.fullmatch(text):
        return "".join(part for part in match.groups()[:6] if part), "", match[7] or ""
    if match := _FRENCH.fullmatch(text):
        day, month, year, *clock = match.groups()
        return f"{year}{month}{day}" + "".join(part for part in clock if part), "", ""
    return "", "", ""
