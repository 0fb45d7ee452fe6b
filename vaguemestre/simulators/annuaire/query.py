"""Searches as the directory takes them: which parameters, what they find.

Source: FHIR R4, search; ANS, API Annuaire Santé v2 (parameters of each resource; no batch, no ``_type`` at the root).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vaguemestre.simulators.annuaire.resources import Resource

Match = Callable[[Resource, str], bool]
CONTROL = frozenset({"_count", "_page", "_revinclude", "_include"})


class Unknown(Exception):
    """A parameter or a form that the directory does not take; its name, never its value."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def _identifier(resource: Resource, value: str) -> bool:
    system, bar, number = value.rpartition("|")
    return any(
        one["value"] == number and (not bar or one["system"] == system) for one in resource.get("identifier", [])
    )


def _mailbox(resource: Resource, value: str) -> bool:
    return any(one["value"].lower() == value.lower() for one in resource.get("telecom", []))


def _reference(field: str, kind: str) -> Match:
    def match(resource: Resource, value: str) -> bool:
        said: bool = resource.get(field, {}).get("reference") == f"{kind}/{value.removeprefix(f'{kind}/')}"
        return said

    return match


def _role(resource: Resource, value: str) -> bool:
    return any(one["code"] == value.rpartition("|")[2] for kind in resource["code"] for one in kind["coding"])


def _active(resource: Resource, value: str) -> bool:
    return str(resource["active"]).lower() == value


def _updated(resource: Resource, value: str) -> bool:
    if not value.startswith("ge"):
        raise Unknown("_lastUpdated")
    moment: str = resource["meta"]["lastUpdated"]
    return moment >= value[2:]


_COMMON: dict[str, Match] = {
    "_id": lambda resource, value: bool(resource["id"] == value),
    "_lastUpdated": _updated,
    "active": _active,
    "identifier": _identifier,
    "mailbox-mss": _mailbox,
}
PARAMETERS: dict[str, dict[str, Match]] = {
    "Practitioner": _COMMON,
    "PractitionerRole": {
        **_COMMON,
        "organization": _reference("organization", "Organization"),
        "practitioner": _reference("practitioner", "Practitioner"),
        "role": _role,
    },
    "Organization": _COMMON,
}
_INCLUDES = {"PractitionerRole:practitioner": "practitioner", "PractitionerRole:organization": "organization"}


def search(resources: list[Resource], kind: str, parameters: Iterable[tuple[str, str]]) -> list[tuple[Resource, str]]:
    """What is found, each with its mode (``match``, ``include``). Raises Unknown."""
    known, asked = PARAMETERS[kind], list(parameters)
    found = [one for one in resources if one["resourceType"] == kind]
    for name, value in asked:
        if name in CONTROL:
            continue
        if name not in known:
            raise Unknown(name)
        choices = value.split(",")
        found = [one for one in found if any(known[name](one, choice) for choice in choices)]
    more: list[Resource] = []
    for name, value in asked:
        if name in ("_revinclude", "_include"):
            more += _included(resources, found, kind, name, value)
    return [(one, "match") for one in found] + [(one, "include") for one in more]


def _included(resources: list[Resource], found: list[Resource], kind: str, name: str, value: str) -> list[Resource]:
    field = _INCLUDES.get(value)
    target = {"practitioner": "Practitioner", "organization": "Organization"}.get(field or "", "")
    if field is None or (name == "_revinclude" and target != kind) or (name == "_include" and kind == target):
        raise Unknown(name)
    if name == "_include":
        wanted = {one.get(field, {}).get("reference") for one in found}
        return [one for one in resources if f"{one['resourceType']}/{one['id']}" in wanted]
    wanted = {f"{kind}/{one['id']}" for one in found}
    return [one for one in resources if one.get(field, {}).get("reference") in wanted]
