"""Places in an HL7 v2 message: ``PID-3[2].4.2``, ``OBX[3]-5``, ``OBX[DESTDMP]-5.1``, ``ZFP``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from channels.errors import ConfigError

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<which>[^\]]+)\])?"
    r"(?:-(?P<field>\d+)(?:\[(?P<repetition>\d+)\])?(?:\.(?P<component>\d+)(?:\.(?P<sub>\d+))?)?)?"
)


class Path(NamedTuple):
    """A place, each part 1-based; 0 where the path does not say.

    which: which segment of that id; 0 = the first when one is read, all when values are listed.
    selector: the OBX-3.1 of the segment wanted, or ``""``.
    """

    segment: str
    which: int
    selector: str
    field: int
    repetition: int
    component: int
    sub: int


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Read a path. Raises ConfigError when it is not one."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1")
    which = match["which"] or ""
    index = int(which) if which.isdigit() else 0
    selector = "" if which.isdigit() else which
    if selector and match["segment"] != "OBX":
        raise ConfigError(f"{text!r}: only an OBX is chosen by its code (OBX-3.1); use a number for other segments")
    numbers = [int(match[part] or 0) for part in ("field", "repetition", "component", "sub")]
    if any(match[part] == "0" for part in ("field", "repetition", "component", "sub")) or which == "0":
        raise ConfigError(f"{text!r}: places are counted from 1")
    return Path(match["segment"], index, selector, *numbers)
