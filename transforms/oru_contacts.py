"""Who is near the patient (NK1), and who gets a copy (PRT).

Source: IHE PAM France 2.11 (NK1-3, NK1-7); HL7 v2.7 chapter 7 (PRT).
"""

from __future__ import annotations

from dataclasses import replace

from transforms.oru_lines import Line
from transforms.oru_people import address, people, telecom, titles
from transforms.oru_rules import Rules
from transforms.report import Coding, Contact, Person
from transforms.tables import value_set

_ROLES = {"C": "ECON", "K": "NOK"}
_GUARDIANS = frozenset({"GRD", "CUR"})
_RELATIONS = {"SPO": "SIGOTHR", "CHD": "CHILD", "DOM": "DOMPART", "PAR": "FAMMEMB", "SIB": "FAMMEMB", "FND": "FRND"}
"""HL7 table 0063 -> role code, where they differ."""


def contacts(segments: list[Line]) -> tuple[tuple[Contact, ...], tuple[Person, ...]]:
    """People to call and trusted persons; legal representatives. Anybody else in NK1 is not part of a report."""
    near: list[Contact] = []
    guardians: list[Person] = []
    for nk1 in segments:
        name = nk1.parts(2)
        family = name[0].strip() if name else ""
        if not family:
            continue
        cells = [*(part.strip() for part in name), "", "", "", "", ""]
        prefix, suffix = titles(cells[4])
        home = next(filter(None, map(address, nk1.all(4))), None)
        number = next(filter(None, map(telecom, [*nk1.all(5), *nk1.all(6)])), None)
        person = Person(family, cells[1], prefix, suffix, address=home, telecom=number, place=nk1.at(2))
        role, relation = nk1.value(7).upper(), nk1.value(3).upper()
        if role == "R" or relation in _GUARDIANS:
            guardians.append(person)
        elif role in _ROLES:
            near.append(Contact(person, _ROLES[role], _relation(relation), nk1.place))
    return tuple(near), tuple(guardians)


def _relation(code: str) -> Coding | None:
    labels = value_set("relations")
    known = _RELATIONS.get(code, code)
    return Coding(known, labels[known], value_set("relations", "system")[known]) if known in labels else None


def recipients(segments: list[Line], rules: Rules) -> list[Person]:
    """Copies to (PRT-4 = RCT), with their address of secure mail."""
    found = []
    for prt in segments:
        if prt.value(4).upper() == "RCT":
            mail = next(filter(None, map(telecom, prt.all(15))), None)
            found += [replace(one, telecom=mail or one.telecom) for one in people(prt, 5, rules)]
    return found
