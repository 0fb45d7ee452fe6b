"""Authors and authenticators of a CDA document, as XDS writes them.

Source: ANS CI-SIS, volet Partage de documents de santé (XCN and XON); structuration minimale.
"""

from __future__ import annotations

from channels.errors import ProfileError
from transforms.cda.reader_xml import Element, child, children, place, text, value
from transforms.ins import ins_kind
from transforms.xds import composed
from transforms.xds.codes import Codes
from transforms.xds.model import Author


def author(element: Element, codes: Codes) -> Author:
    """An ``author``. Raises ProfileError with the place in the document."""
    assigned = child(element, "assignedAuthor")
    if assigned is None:
        raise ProfileError("an author is missing", f"{place(element)}/assignedAuthor", "101")
    institution = _institution(child(assigned, "representedOrganization"))
    specialty = child(assigned, "code")
    role = value(element, "functionCode", name="displayName")
    known = specialty is not None and specialty.get("code")
    return Author(
        (_xcn(assigned, child(assigned, "assignedAuthoringDevice")),),
        (institution,) if institution else (),
        (composed.text(role),) if role else (),
        (_specialty(specialty, codes),) if specialty is not None and known else (),
    )


def authenticator(root: Element) -> str:
    """``legalAuthenticator``: a person. Raises ProfileError with the place in the document."""
    entity = child(root, "legalAuthenticator", "assignedEntity")
    if entity is None:
        raise ProfileError(
            "the document has no legal authenticator", f"{place(root)}/legalAuthenticator/assignedEntity", "101"
        )
    return _xcn(entity)


def _xcn(assigned: Element, machine: Element | None = None) -> str:
    """A professional, the patient, or a device."""
    where = place(assigned)
    identifier = _number(assigned)
    if identifier is None:
        raise ProfileError("an author has no identifier", f"{where}/id", "101")
    number, root = identifier.get("extension", ""), identifier.get("root", "")
    if machine is not None:
        model = text(machine, "softwareName") or text(machine, "manufacturerModelName")
        if not model:
            raise ProfileError("a device has no name", f"{where}/assignedAuthoringDevice/softwareName", "101")
        return composed.device(_in_structure(assigned, number or root, identifier), model)
    family, given = (
        text(assigned, "assignedPerson", "name", "family"),
        text(assigned, "assignedPerson", "name", "given"),
    )
    if not family:
        raise ProfileError("a person has no family name", f"{where}/assignedPerson/name/family", "101")
    if is_ins(root):
        return composed.patient_author(number, root, family, given)
    if root == composed.PROFESSIONALS and number and "/" not in number:
        return composed.person(number, family, given)
    return composed.person(_in_structure(assigned, number or root, identifier), family, given, kind="EI")


def _in_structure(assigned: Element, number: str, identifier: Element) -> str:
    structure = _structure(child(assigned, "representedOrganization"))
    found = composed.in_structure(structure, number)
    if not found:
        raise ProfileError("a local identifier needs the national number of its structure", place(identifier), "101")
    return found


def _institution(organization: Element | None) -> str:
    """XON; ``""`` for a structure without national number."""
    number = _structure(organization)
    if organization is None or not number:
        return ""
    name = text(organization, "name")
    if not name:
        raise ProfileError("a structure has no name", f"{place(organization)}/name", "101")
    return composed.institution(number, name)


def _structure(organization: Element | None) -> str:
    """Struct_IdNat, ``""`` when it has none."""
    numbers = (one.get("extension", "") for one in children(organization, "id") if one.get("root") == _STRUCTURES)
    return next((one for one in numbers if one), "")


def _specialty(element: Element, codes: Codes) -> str:
    code = codes.of(element, "specialties", place(element))
    return f"{composed.text(code.code)}^{composed.text(code.display)}^{code.system}"


def _number(assigned: Element) -> Element | None:
    """The national identifier of a person when there is one, else the first."""
    found = [one for one in children(assigned, "id") if one.get("root") and not one.get("nullFlavor")]
    return next((one for one in found if one.get("root") == composed.PROFESSIONALS), found[0] if found else None)


def is_ins(root: str) -> bool:
    """Whether an OID is an authority of INS numbers, production or test."""
    return bool(ins_kind(root, "production") or ins_kind(root, "test"))


_STRUCTURES = composed.STRUCTURES
