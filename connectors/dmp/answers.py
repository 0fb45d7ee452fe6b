"""Answers of the repository and the registry, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from connectors.dmp.soap import Broken
from connectors.dmp.xml import QUERY, RIM, RS, Element, local

Status = Literal["Success", "PartialSuccess", "Failure"]
_STATUS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DELETED = "urn:asip:ci-sis:2010:StatusType:Deleted"
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry or a repository says.

    errors, warnings: codes, in their order; texts and places of the other side are not taken over: they may quote.
    """

    status: Status
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A document that the registry has.

    id: entryUUID; it changes, so it is never kept. unique_id, status, digest: ``""`` when the answer does not say.
    version: of its metadata, 0 when it does not say.
    """

    id: str
    unique_id: str = ""
    status: str = ""
    digest: str = ""
    version: int = 0

    @property
    def current(self) -> bool:
        """It may be replaced or deleted."""
        return self.status in ("", APPROVED)


def read_answer(element: Element) -> Answer:
    """A ``RegistryResponse`` or an ``AdhocQueryResponse``. Raises Broken when it is neither.

    Source: ebRS 3.0, rs:RegistryResponseType.
    """
    if element.tag not in (f"{{{RS}}}RegistryResponse", f"{{{QUERY}}}AdhocQueryResponse"):
        raise Broken
    status = element.get("status", "").removeprefix(_STATUS)
    errors: list[str] = []
    warnings: list[str] = []
    for one in element.iterfind(f"{{{RS}}}RegistryErrorList/{{{RS}}}RegistryError"):
        kept = warnings if one.get("severity", "").endswith(":Warning") else errors
        kept.append(one.get("errorCode", ""))
    if status == "Success":
        return Answer("Success", tuple(errors), tuple(warnings))
    if status == "PartialSuccess":
        return Answer("PartialSuccess", tuple(errors), tuple(warnings))
    if status != "Failure":
        raise Broken
    return Answer("Failure", tuple(errors) or ("XDSRegistryError",), tuple(warnings))


def read_found(element: Element) -> list[Found]:
    """The documents of an ``AdhocQueryResponse``: references only, or whole entries."""
    found = []
    listed = element.find(f"{{{RIM}}}RegistryObjectList")
    for one in listed if listed is not None else ():
        if not isinstance(one.tag, str) or local(one) not in ("ObjectRef", "ExtrinsicObject"):
            continue
        found.append(Found(one.get("id", ""), _external(one), one.get("status", ""), _slot(one, "hash"), _version(one)))
    return [one for one in found if one.id]


def _external(entry: Element) -> str:
    for one in entry.iterfind(f"{{{RIM}}}ExternalIdentifier"):
        if one.get("identificationScheme") == _UNIQUE_ID:
            return one.get("value", "")
    return ""


def _slot(entry: Element, name: str) -> str:
    for one in entry.iterfind(f"{{{RIM}}}Slot"):
        if one.get("name") == name:
            return (one.findtext(f"{{{RIM}}}ValueList/{{{RIM}}}Value") or "").strip().lower()
    return ""


def _version(entry: Element) -> int:
    one = entry.find(f"{{{RIM}}}VersionInfo")
    name = one.get("versionName", "") if one is not None else ""
    return int(name) if name.isdecimal() else 0
