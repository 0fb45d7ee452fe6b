"""What a site's tables of the laboratory may translate into: looked at when the site is read, not when a message comes.

Source: CI-SIS value sets (``mappings/valuesets``); UCUM 2.x; LOINC users' guide (check digit); SNOMED CT release file
specification (identifiers: partition and check digit).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from loinc import ucum
from transforms.oru_rules import is_loinc
from transforms.tables import value_set

_CONCEPT = re.compile(r"[1-9][0-9]{5,17}")
_TURNED = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
"""Permutations of Verhoeff's check digit, by place from the right."""


def problem(setting: str, target: str) -> str:
    """What is wrong with a translation of the table that ``laboratory.<setting>`` names; ``""`` when nothing is."""
    rule = _RULES.get(setting)
    return "" if rule is None or rule[0](target) else rule[1]


def is_concept(code: str) -> bool:
    """Whether a code is a SNOMED CT concept: its form, its partition and its check digit."""
    return bool(_CONCEPT.fullmatch(code)) and code[-3:-1] in ("00", "10") and _verhoeff(code) == 0


def _verhoeff(digits: str) -> int:
    """The check sum in the dihedral group of ten; 0 when the last digit is right."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total = _product(total, _TURNED[place % 8][int(digit)])
    return total


def _product(one: int, other: int) -> int:
    """Of the symmetries of a pentagon: 0 to 4 are turns, 5 to 9 reflections."""
    turn = other % 5 if one < 5 else -(other % 5)
    return (one + turn) % 5 + 5 * ((one < 5) != (other < 5))


def _is_unit(code: str) -> bool:
    return not ucum.validate(code)


def _is_in(name: str) -> Callable[[str], bool]:
    return lambda code: code in value_set(name)


_RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "chapters": (_is_in("chapters"), "the target is not a LOINC chapter of the French circuit"),
    "sub_chapters": (is_loinc, "the target is not a LOINC code (form or check digit)"),
    "units": (_is_unit, "the target is not a UCUM unit"),
    "flags": (_is_in("interpretations"), "the target is not an interpretation of the French value set"),
    "specimens": (_is_in("specimen_types"), "the target is not a specimen type of the French value set"),
    "microorganisms": (is_concept, "the target is not a SNOMED CT concept (form or check digit)"),
    "antibiotics": (is_loinc, "the target is not a LOINC code (form or check digit)"),
}
"""Setting -> rule of its targets. Techniques (``methods``) have no rule: their value set is not part of the product."""
