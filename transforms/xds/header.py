"""What metadata takes from the header of a CDA document.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (from CDA to XDS); structuration minimale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from channels.errors import ProfileError
from transforms.cda.reader_xml import Element, Source, child, children, local, text, value
from transforms.ins import ins_kind
from transforms.xds import composed
from transforms.xds.model import Author, Code
from transforms.xds.settings import XdsSettings
from transforms.xds.values import CONFIDENTIALITY, values

_HEAD = "/ClinicalDocument"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one document. times: UTC. local_ids: ``(number, OID)`` of recordTarget, the INS left out."""

    templates: list[str]
    mime_type: str
    title: str
    creation_time: str
    language: str
    type_code: Code
    confidentiality: Code
    authors: tuple[Author, ...]
    legal_authenticator: str
    service_start: str
    service_stop: str
    facility: Code
    practice_setting: Code
    local_ids: tuple[tuple[str, str], ...]


class Reader:
    """Reads one document. Every method raises ProfileError with the place in the document."""

    def __init__(self, content: bytes, settings: XdsSettings, zone: tzinfo) -> None:
        """zone: of times without one. Raises ParseError or UnsupportedError: not a CDA document."""
        self._root, self._settings, self._zone = Source(content).root, settings, zone

    def header(self) -> Header:
        """All of it."""
        root = self._root
        wrapped = root.getparent() is not None
        event = self._event()
        facility = child(root, "componentOf", "encompassingEncounter", "location", "healthCareFacility", "code")
        setting = self._setting(event)
        start = value(event, "effectiveTime", "low") or value(event, "effectiveTime")
        return Header(
            [one.get("root", "") for one in children(root, "templateId")],
            "application/xslt+xml" if wrapped else "text/xml",
            self._needed(text(root, "title"), "title"),
            self._time(value(root, "effectiveTime"), "effectiveTime"),
            value(root, "languageCode", name="code") or "fr-FR",
            self._code(child(root, "code"), "code", "types"),
            self._code(child(root, "confidentialityCode"), "confidentialityCode", "confidentiality"),
            tuple(self._author(one, number) for number, one in enumerate(children(root, "author"), 1)),
            self._legal(),
            self._time(start, "documentationOf/serviceEvent/effectiveTime/low"),
            composed.moment(value(event, "effectiveTime", "high"), self._zone),
            self._default(facility, self._settings.facility, _FACILITY, "facilities"),
            self._default(setting, self._settings.practice_setting, _SETTING, "practice_settings"),
            tuple(
                (one.get("extension", ""), one.get("root", ""))
                for one in children(root, "recordTarget", "patientRole", "id")
                if one.get("extension") and not _is_ins(one.get("root", ""))
            ),
        )

    # people

    def _author(self, element: Element, number: int) -> Author:
        assigned = child(element, "assignedAuthor")
        place = f"author[{number}]/assignedAuthor"
        organization = child(assigned, "representedOrganization")
        specialty = child(assigned, "code")
        role = value(element, "functionCode", name="displayName")
        known = specialty is not None and specialty.get("code") and not specialty.get("nullFlavor")
        return Author(
            (self._person(assigned, "assignedPerson", place),),
            (_institution(organization),) if _institution(organization) else (),
            (role,) if role else (),
            (self._specialty(specialty, f"{place}/code"),) if specialty is not None and known else (),
        )

    def _legal(self) -> str:
        place = "legalAuthenticator/assignedEntity"
        entity = child(self._root, "legalAuthenticator", "assignedEntity")
        if entity is None:
            raise ProfileError("the document has no legal authenticator", f"{_HEAD}/{place}", "101")
        return self._person(entity, "assignedPerson", place)

    def _person(self, assigned: Element | None, name: str, place: str) -> str:
        """XCN of an author or authenticator: a professional, the patient, or a device."""
        identifier = _number(assigned)
        root = identifier.get("root", "") if identifier is not None else ""
        number = (identifier.get("extension", "") or root) if identifier is not None else ""
        if not number:
            raise ProfileError("an author has no identifier", f"{_HEAD}/{place}/id", "101")
        family, given = text(assigned, name, "name", "family"), text(assigned, name, "name", "given")
        if _is_ins(root):
            return composed.patient_author(number, root, family, given)
        machine = child(assigned, "assignedAuthoringDevice")
        if machine is not None:
            model = text(machine, "softwareName") or text(machine, "manufacturerModelName")
            return composed.device(self._of_structure(assigned, number, place), model)
        if root == composed.PROFESSIONALS:
            return composed.person(number, family, given)
        return composed.person(self._of_structure(assigned, number, place), family, given, kind="EI")

    def _of_structure(self, assigned: Element | None, number: str, place: str) -> str:
        """A number that the structure gave: ``3``, its FINESS, ``/``, the number; whole ones stay."""
        if number[:1] in "345" and "/" in number:
            return number
        structure = value(assigned, "representedOrganization", "id", name="extension")
        if not structure.startswith("1"):
            raise ProfileError("a local identifier needs the FINESS of its structure", f"{_HEAD}/{place}/id", "101")
        return f"3{structure[1:]}/{number}"

    def _specialty(self, element: Element, place: str) -> str:
        code = self._code(element, place, "specialties")
        return f"{composed.text(code.code)}^{composed.text(code.display)}^{code.system}"

    # codes

    def _event(self) -> Element | None:
        """The act documented: the first with a performer, else the first."""
        events = [child(one, "serviceEvent") for one in children(self._root, "documentationOf")]
        return next((one for one in events if child(one, "performer") is not None), events[0] if events else None)

    def _setting(self, event: Element | None) -> Element | None:
        path = ("representedOrganization", "standardIndustryClassCode")
        found = child(event, "performer", "assignedEntity", *path)
        return found if found is not None else child(self._root, "legalAuthenticator", "assignedEntity", *path)

    def _default(self, element: Element | None, default: str | None, place: str, name: str) -> Code:
        if element is not None and element.get("code"):
            return self._code(element, place, name)
        if default is None:
            setting = "facility" if name == "facilities" else "practice_setting"
            raise ProfileError(f"the document does not say it, and neither does the setting {setting!r}", place, "101")
        return values(name).get(default, Code(default, default))

    def _code(self, element: Element | None, place: str, name: str) -> Code:
        """A code of a value set, with the set's system and the document's words."""
        where = place if place.startswith("/") else f"{_HEAD}/{place}"
        code = element.get("code", "") if element is not None else ""
        if not code or element is None:
            raise ProfileError("the code is missing", where, "101")
        known = values(name).get(code)
        if known is not None:
            return Code(code, element.get("displayName") or known.display, known.system)
        if self._settings.unknown_code == "refuse":
            raise ProfileError(f"the code is not of the value set {_SETS[name]}", where, "103")
        return Code(code, element.get("displayName", ""), element.get("codeSystem", CONFIDENTIALITY))

    def _needed(self, found: str, place: str) -> str:
        if not found:
            raise ProfileError("it is missing", f"{_HEAD}/{place}", "101")
        return found

    def _time(self, written: str, place: str) -> str:
        found = composed.moment(written, self._zone)
        if not found:
            raise ProfileError("the time is missing, or no time", f"{_HEAD}/{place}", "102" if written else "101")
        return found


_FACILITY = f"{_HEAD}/componentOf/encompassingEncounter/location/healthCareFacility/code"
_SETTING = (
    f"{_HEAD}/documentationOf/serviceEvent/performer/assignedEntity/representedOrganization/standardIndustryClassCode"
)
_SETS = {
    "specialties": "JDV_J01", "facilities": "JDV_J02", "practice_settings": "JDV_J04", "types": "JDV_J07",
    "confidentiality": "JDV_J08",
}  # fmt: skip


def _is_ins(root: str) -> bool:
    return bool(ins_kind(root, "production") or ins_kind(root, "test"))


def _number(assigned: Element | None) -> Element | None:
    """The national identifier of a person when there is one, else the first."""
    found = [one for one in children(assigned, "id") if not one.get("nullFlavor")]
    return next((one for one in found if one.get("root") == composed.PROFESSIONALS), found[0] if found else None)


def _institution(organization: Element | None) -> str:
    if organization is None:
        return ""
    for one in organization:
        if local(one) == "id" and one.get("root") == composed.STRUCTURES and one.get("extension"):
            return composed.institution(one.get("extension", ""), text(organization, "name"))
    return ""
