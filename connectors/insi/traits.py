"""The five traits of an identity, as INSi takes them; and whether two identities agree.

Source: INSi (alphabet of traits: A to Z, space, apostrophe, hyphen); RNIV; IHE PAM France 2.11, PID-5, 7, 8, 11.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from transforms import er7

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ '-")
_PLACE = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{3}")
_LIKE_APOSTROPHE = "\u2019\u2018\u02bc\u00b4"
_LIKE_HYPHEN = "\u2010\u2011\u2013"
_TYPED = str.maketrans({**dict.fromkeys(_LIKE_APOSTROPHE, "'"), **dict.fromkeys(_LIKE_HYPHEN, "-"), "\xa0": " "})
_SPELLED = str.maketrans({"Œ": "OE", "Æ": "AE"})


@dataclass(frozen=True, slots=True)
class Traits:
    """Names in the alphabet of INSi; given: the birth given names in their order. sex: M, F. birth_date: 1979-03-28.

    birth_place: COG code of a commune or country, ``""`` when not known. listed: ``given`` is the whole list.
    """

    family: str
    given: tuple[str, ...]
    sex: str
    birth_date: str
    birth_place: str = ""
    listed: bool = True

    def __repr__(self) -> str:
        """Nothing of the person: representations end in logs."""
        return "<Traits>"

    @property
    def complete(self) -> bool:
        """Enough for a call."""
        return bool(self.family and self.given and self.sex and self.birth_date)


def in_alphabet(text: str) -> str:
    """A name as INSi takes it: capitals without accents, ligatures spelled, other signs dropped."""
    spelled = text.translate(_TYPED).upper().translate(_SPELLED)
    kept = "".join(sign for sign in unicodedata.normalize("NFD", spelled) if sign in _ALPHABET)
    return " ".join(kept.split())


def given_names(text: str) -> tuple[str, ...]:
    """Given names of a list with spaces or commas between; a compound name has a hyphen and is one."""
    return tuple(in_alphabet(text.replace(",", " ")).split())


def tries(given: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    """Given names to search with, in turn: all of them, then each alone; at most so many tries."""
    alone = [(one,) for one in dict.fromkeys(given)] if len(given) > 1 else []
    yield from [given, *alone][:most]


def from_pid(pid: er7.Segment) -> Traits:
    """Traits of a patient; what lacks or cannot be read is empty."""
    name = _legal_name(pid)
    full = pid.get(f"{name}.3").strip() if name else ""
    given = full or (pid.get(f"{name}.2").strip() if name else "")
    sex = pid.get("8").strip().upper()
    return Traits(
        in_alphabet(pid.get(f"{name}.1")) if name else "",
        given_names(given),
        sex if sex in ("M", "F") else "",
        day(pid.get("7.1").strip()[:8]),
        _birth_place(pid),
        listed=bool(full),
    )


def day(text: str) -> str:
    """``19790328`` or ``1979-03-28`` as ISO writes it; ``""`` when it is no day."""
    form = "%Y%m%d" if re.fullmatch(r"[0-9]{8}", text) else "%Y-%m-%d"
    try:
        return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007  # a birth date has no zone
    except ValueError:
        return ""


def commune(text: str) -> str:
    """A COG code, or ``""``."""
    code = text.strip().upper()
    return code if _PLACE.fullmatch(code) else ""


def _legal_name(pid: er7.Segment) -> str:
    """Which repetition of PID-5 is the birth name: type L, else no type, else the old types of it."""
    found: dict[str, str] = {}
    for number in range(1, len(pid.repetitions(5)) + 1):
        place = f"5[{number}]"
        kind = (pid.get(f"{place}.7") or pid.get(f"{place}.8")).strip().upper()
        found.setdefault(kind if len(kind) == 1 else "", place)
    return next((found[kind] for kind in ("L", "", "M", "B") if kind in found), "")


def _birth_place(pid: er7.Segment) -> str:
    for number in range(1, len(pid.repetitions(11)) + 1):
        if pid.get(f"11[{number}].7").strip().upper() == "BDL":
            return commune(pid.get(f"11[{number}].9"))
    return ""


def differences(ours: Traits, theirs: Traits, given: Literal["list", "first"]) -> list[str]:
    """Fields in which an identity is not the one that INSi knows; none: they agree.

    given: the whole list of given names must agree (one that we do not have does not), or the first.
    """
    same_given = ours.given[:1] == theirs.given[:1] if given == "first" else ours.listed and ours.given == theirs.given
    agree = {
        "PID-5": ours.family == theirs.family and same_given,
        "PID-7": ours.birth_date == theirs.birth_date,
        "PID-8": ours.sex == theirs.sex,
        "PID-11": ours.birth_place == theirs.birth_place,
    }
    return [place for place, yes in agree.items() if not yes]
