"""Author of a lot: who sends, as the request says (PRT ``SB``).

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (mapping to XDS).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from channels.errors import ProfileError
from transforms.submission import Person, Sender
from transforms.submission.participants import structure_id
from transforms.xds import composed
from transforms.xds.model import Author
from transforms.xds.settings import XdsSettings
from transforms.xds.values import values

_NATIONAL = frozenset({"IDNPS", "RPPS", "ADELI"})
_NUMBER = re.compile(r"0[0-9A-Z]{9}|8[0-9]{11}")
"""PS_IdNat of ADELI and RPPS numbers."""


def lot_author(sender: Sender, settings: XdsSettings, authors: Sequence[Author]) -> Author:
    """authors: of the documents: the one with the number of who sends tells the specialty.

    Raises:
        ProfileError: nobody sends, or by a local number without the structure that gave it.
    """
    organization = sender.organization
    structure = structure_id(organization) if organization else ""
    institution = composed.institution(structure, organization.name) if organization and structure else ""
    person = _person(sender, structure)
    specialty = _specialty(person, settings, authors)
    return Author(
        (person,), (institution,) if institution else (), (), (specialty,) if specialty else (),
    )  # fmt: skip


def _person(sender: Sender, structure: str) -> str:
    """A professional when the request names one with a number, else the device."""
    person = sender.person
    if person is not None and person.id:
        if _is_national(person):
            return composed.person(person.id, person.family, person.given)
        number = composed.in_structure(structure, person.id)
        if not number:
            raise ProfileError("a local number needs the national number of its structure", "PRT-8.10", "101")
        return composed.person(number, person.family, person.given, kind="EI")
    if not sender.device:
        raise ProfileError("the request says neither who sends nor which device", "PRT-5", "101")
    number = composed.in_structure(structure, sender.device)
    if not number:
        raise ProfileError("a device needs the national number of its structure", "PRT-8.10", "101")
    return composed.device(number, sender.device)


def _is_national(person: Person) -> bool:
    """Whether the number is a PS_IdNat that no structure gave."""
    if person.kind or "/" in person.id:
        return person.kind in _NATIONAL and "/" not in person.id
    return person.authority in ("", composed.PROFESSIONALS) and _NUMBER.fullmatch(person.id) is not None


def _specialty(person: str, settings: XdsSettings, authors: Sequence[Author]) -> str:
    if settings.specialty:
        code = values("specialties")[settings.specialty]
        return f"{code.code}^{composed.text(code.display)}^{code.system}"
    number = person.partition("^")[0]
    same = (one for one in authors if one.persons and one.persons[0].partition("^")[0] == number)
    return next((one.specialties[0] for one in same if one.specialties), "")
