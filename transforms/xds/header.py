"""What metadata takes from the header of a CDA document.

Source: ANS CI-SIS, volet "Transmission de documents CDA en HL7v2" 2.1 (from CDA to XDS); structuration minimale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

from channels.errors import ProfileError
from transforms.cda.reader_xml import Element, Source, child, children, place, text, value
from transforms.xds import composed, people
from transforms.xds.codes import Codes
from transforms.xds.model import Author, Code
from transforms.xds.settings import XdsSettings
from transforms.xds.values import class_of, formats_of, unstructured_format

_HEAD = "/ClinicalDocument"
_EVENT = f"{_HEAD}/documentationOf/serviceEvent"
_FACILITY = f"{_HEAD}/componentOf/encompassingEncounter/location/healthCareFacility/code"
_SETTING = f"{_EVENT}/performer/assignedEntity/representedOrganization/standardIndustryClassCode"
_CONFIDENTIALITY = frozenset("NRV")

Number = tuple[str, str]
"""A number and the OID of who gave it."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of the patient. sex: as CDA has it, ``UN`` for unknown."""

    family: str = ""
    given: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one document. times: UTC. ins, local_ids: numbers of recordTarget. orders: inFulfillmentOf."""

    level: Literal[1, 3]
    mime_type: str
    title: str
    creation_time: str
    language: str
    type_code: Code
    class_code: Code
    format_code: Code
    confidentiality: Code
    authors: tuple[Author, ...]
    legal_authenticator: str
    service_start: str
    service_stop: str
    facility: Code
    practice_setting: Code
    ins: tuple[Number, ...]
    local_ids: tuple[Number, ...]
    traits: Traits
    orders: tuple[Number, ...]


def read_header(content: bytes, settings: XdsSettings, zone: tzinfo) -> Header:
    """The header of a document. zone: of times without one.

    Raises:
        ParseError, UnsupportedError: not a CDA document.
        ProfileError: what metadata needs is missing or not of its value set; the place is its path in the document.
    """
    return _Reader(Source(content).root, settings, zone).header()


class _Reader:
    def __init__(self, root: Element, settings: XdsSettings, zone: tzinfo) -> None:
        self._root, self._settings, self._zone = root, settings, zone
        self._codes = Codes(settings)

    def header(self) -> Header:
        root, codes, settings = self._root, self._codes, self._settings
        event = self._event()
        numbers = _numbers(children(root, "recordTarget", "patientRole", "id"))
        facility = child(root, "componentOf", "encompassingEncounter", "location", "healthCareFacility", "code")
        setting = child(event, "performer", "assignedEntity", "representedOrganization", "standardIndustryClassCode")
        body = child(root, "component", "nonXMLBody")
        type_code = codes.of(child(root, "code"), "types", f"{_HEAD}/code")
        return Header(
            level=3 if body is None else 1,
            mime_type="text/xml" if root.getparent() is None else "application/xslt+xml",
            title=self._needed(text(root, "title"), "title"),
            creation_time=self._time(child(root, "effectiveTime"), f"{_HEAD}/effectiveTime"),
            language=self._needed(value(root, "languageCode", name="code"), "languageCode"),
            type_code=type_code,
            class_code=self._class(type_code.code),
            format_code=self._format(body),
            confidentiality=self._confidentiality(),
            authors=self._authors(),
            legal_authenticator=people.authenticator(root),
            service_start=self._start(event),
            service_stop=self._stop(event),
            facility=codes.or_default(facility, "facilities", _FACILITY, settings.facility, "facility"),
            practice_setting=codes.or_default(
                setting, "practice_settings", _SETTING, settings.practice_setting, "practice_setting"
            ),
            ins=tuple(one for one in numbers if people.is_ins(one[1])),
            local_ids=tuple(one for one in numbers if not people.is_ins(one[1])),
            traits=_traits(child(root, "recordTarget", "patientRole", "patient")),
            orders=_numbers(
                [one for order in children(root, "inFulfillmentOf") for one in children(order, "order", "id")]
            ),
        )

    def _authors(self) -> tuple[Author, ...]:
        found = children(self._root, "author")
        if not found:
            raise ProfileError("the document has no author", f"{_HEAD}/author", "101")
        return tuple(people.author(one, self._codes) for one in found)

    def _confidentiality(self) -> Code:
        element = child(self._root, "confidentialityCode")
        found = self._codes.of(element, "confidentiality", f"{_HEAD}/confidentialityCode")
        if found.code not in _CONFIDENTIALITY and self._settings.unknown_code == "refuse":
            raise ProfileError("the confidentiality is not N, R or V", f"{_HEAD}/confidentialityCode", "103")
        return found

    def _class(self, type_code: str) -> Code:
        found = class_of(type_code, self._settings.classes)
        if found is None:
            raise ProfileError(
                "no class (JDV_J57) is known for this type of document (ASS_X04)", f"{_HEAD}/code", "103"
            )
        return found

    def _format(self, body: Element | None) -> Code:
        """Of a document without structure by what its body is, of another by its templates."""
        if body is not None:
            form = unstructured_format(value(body, "text", name="mediaType"))
            if form is None:
                where = f"{_HEAD}/component/nonXMLBody/text"
                raise ProfileError("no format is known for this media type (ASS_A12)", where, "103")
            return form
        templates = [one.get("root", "") for one in children(self._root, "templateId")]
        found = formats_of(templates, self._settings.formats, self._settings.format_system)
        if len(found) != 1:
            problem = (
                "no format is known for these templates" if not found else "these templates are of several formats"
            )
            raise ProfileError(f"{problem} (ASS_A11); the setting 'formats' tells it", f"{_HEAD}/templateId", "103")
        return found[0]

    # the act

    def _event(self) -> Element | None:
        """The act documented: the first with a performer, else the first."""
        events = [child(one, "serviceEvent") for one in children(self._root, "documentationOf")]
        return next((one for one in events if child(one, "performer") is not None), events[0] if events else None)

    def _start(self, event: Element | None) -> str:
        low = child(event, "effectiveTime", "low")
        return self._time(low if low is not None else child(event, "effectiveTime"), f"{_EVENT}/effectiveTime/low")

    def _stop(self, event: Element | None) -> str:
        high = child(event, "effectiveTime", "high")
        return self._time(high, "") if high is not None and high.get("value") else ""

    def _time(self, element: Element | None, where: str) -> str:
        written = element.get("value", "") if element is not None else ""
        if element is None or not written:
            raise ProfileError("the time is missing", where, "101")
        found = composed.moment(written, self._zone)
        if not found:
            raise ProfileError("not a time (YYYY[MM[DD[HH[MM[SS]]]]]+ZZZZ)", place(element), "102")
        return found

    def _needed(self, found: str, name: str) -> str:
        if not found:
            raise ProfileError("it is missing", f"{_HEAD}/{name}", "101")
        return found


def _numbers(elements: list[Element]) -> tuple[Number, ...]:
    found = ((one.get("extension", "").strip(), one.get("root", "").strip()) for one in elements)
    return tuple(one for one in found if all(one))


def _traits(patient: Element | None) -> Traits:
    name = child(patient, "name")
    born = [one for one in children(name, "family") if one.get("qualifier") == "BR"] or children(name, "family")
    first = [one for one in children(name, "given") if one.get("qualifier") == "BR"] or children(name, "given")
    birth, sex = value(patient, "birthTime"), value(patient, "administrativeGenderCode", name="code")
    return Traits(text(born[0]) if born else "", text(first[0]) if first else "", birth[:8], sex)
