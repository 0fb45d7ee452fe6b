"""Keys of the national numbers of professionals and structures.

Source: RPPS, FINESS, SIREN, SIRET: Luhn's formula (ISO/IEC 7812-1, annex B); PS_IdNat and Struct_IdNat: ANS, CI-SIS.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LA_POSTE = "356000000"
_RPPS = re.compile(r"[0-9]{11}")
_FINESS = re.compile(r"[0-9][0-9AB][0-9]{7}")
_ADELI = re.compile(r"[0-9A-Z]{9}")


def luhn(digits: str) -> bool:
    """Whether the last digit is the key of those before; not when there are other signs than digits."""
    if not (digits.isascii() and digits.isdecimal()):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def rpps(number: str) -> bool:
    """11 digits and the key."""
    return bool(_RPPS.fullmatch(number)) and luhn(number)


def finess(number: str) -> bool:
    """9 characters and the key; with a letter (Corsica) the key's rule is not public: only the form is."""
    if not _FINESS.fullmatch(number):
        return False
    return luhn(number) if number.isdigit() else True


def adeli(number: str) -> bool:
    """9 digits or capitals; the key's rule is not public: only the form is."""
    return bool(_ADELI.fullmatch(number))


def siren(number: str) -> bool:
    """9 digits and the key."""
    return len(number) == 9 and luhn(number)


def siret(number: str) -> bool:
    """14 digits and the key; those of La Poste have the sum of their digits a multiple of 5 instead."""
    if len(number) != 14 or not (number.isascii() and number.isdecimal()):
        return False
    return luhn(number) or (number.startswith(_LA_POSTE) and sum(map(int, number)) % 5 == 0)


def professional(number: str) -> bool:
    """PS_IdNat: a digit that says what follows (``8`` RPPS, ``0`` ADELI, others with a number of their structure)."""
    kind, rest = number[:1], number[1:]
    if kind == "8":
        return rpps(rest)
    if kind == "0":
        return adeli(rest)
    national, slash, own = rest.partition("/")
    checks = {"1": adeli, "3": finess, "4": siren, "5": siret, "6": rpps}
    return kind in checks and bool(slash and own) and checks[kind](national)


def structure(number: str) -> bool:
    """Struct_IdNat: a digit, then ``1`` FINESS, ``2`` SIREN, ``3`` SIRET, ``0`` ADELI, ``4`` RPPS rank."""
    kind, rest = number[:1], number[1:]
    if kind == "0":
        return adeli(rest[:9])
    if kind == "4":
        return rpps(rest[:11])
    checks = {"1": finess, "2": siren, "3": siret}
    return kind in checks and checks[kind](rest)


RULES: dict[str, Callable[[str], bool]] = {
    "RPPS": rpps, "FINESS": finess, "ADELI": adeli, "SIREN": siren, "SIRET": siret,
    "IDNPS": professional, "IDNST": structure,
}  # fmt: skip
"""Kind of a number -> its rule."""


def is_right(kind: str, number: str) -> bool:
    """Whether a number has the form and the key of its kind (``RULES``). Raises KeyError for another kind."""
    return RULES[kind](number)
