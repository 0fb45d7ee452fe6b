"""Stored queries (ITI-18): GetDocuments, and FindDocuments where consultation is allowed.

Source: IHE ITI TF-2 3.18; ebRS 3.0 (AdhocQuery); DMPi TD3.1a, TD3.1b.
"""

from __future__ import annotations

import re

from lxml import etree

from vaguemestre.simulators.dmp import identifiers, lot, names, soap, structure
from vaguemestre.simulators.dmp.registry import Registry, StoredDocument
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.dmp.vihf import Vihf

_QUOTED = re.compile(r"'((?:[^']|'')*)'")


def answer(request: etree._Element, vihf: Vihf, registry: Registry, settings: DmpSettings, judge: Judge) -> str:
    """The objects that answer a query, as ``rim:RegistryObjectList``.

    Raises:
        Broken: it is not a query that this service answers.
    """
    structure.check(request, judge, settings.schemas)
    options = soap.find(request, "query:ResponseOption")
    kind = options[0].get("returnType", "") if options else ""
    judge.check(kind in {"ObjectRef", "LeafClass"}, "query.return", "ResponseOption")
    query = soap.find(request, "rim:AdhocQuery")
    name = query[0].get("id", "") if query else ""
    judge.need(name in {names.GET_DOCUMENTS, names.FIND_DOCUMENTS}, "query.known", "AdhocQuery")
    values = {slot: _values(texts) for slot, texts in lot.slots(query[0]).items()}
    if name == names.GET_DOCUMENTS:
        found = _get(values, registry, judge)
    else:
        judge.need(settings.consultation, "query.forbidden")
        found = _find(values, vihf, registry, judge)
    patient = vihf.patient[0] if vihf.patient else ""
    own = [one for one in found if one.patient == patient and one.status != names.DELETED]
    now = settings.clock().timestamp()
    seen = [one for one in own if one.visible_at <= now and one.hidden_for <= 0]
    registry.asked_for([one.entry_uuid for one in own])
    shown = (_reference(one) if kind == "ObjectRef" else _entry(one) for one in seen)
    return f"<rim:RegistryObjectList>{''.join(shown)}</rim:RegistryObjectList>"


def _values(texts: list[str]) -> list[str]:
    return [one.replace("''", "'") for text in texts for one in _QUOTED.findall(text)]


def _get(values: dict[str, list[str]], registry: Registry, judge: Judge) -> list[StoredDocument]:
    unique, entry = values.get("$XDSDocumentEntryUniqueId", []), values.get("$XDSDocumentEntryEntryUUID", [])
    judge.need(unique or entry, "query.parameter")
    judge.need(not (unique and entry), "query.parameters")
    found = [one for name in unique for one in registry.documents(unique_id=name)]
    return found + [one for name in entry if (one := registry.by_entry(name)) is not None]


def _find(values: dict[str, list[str]], vihf: Vihf, registry: Registry, judge: Judge) -> list[StoredDocument]:
    patients = [identifiers.ins(one) for one in values.get("$XDSDocumentEntryPatientId", [])]
    statuses = values.get("$XDSDocumentEntryStatus", [])
    judge.need(len(patients) == 1 and statuses, "query.parameter")
    judge.need(
        patients[0] is not None and patients[0] == vihf.patient, "vihf.other-patient", "$XDSDocumentEntryPatientId"
    )
    return [one for status in statuses for one in registry.documents(status=status, is_signature=0)]


def _reference(document: StoredDocument) -> str:
    return f'<rim:ObjectRef id="{document.entry_uuid}"/>'


def _entry(document: StoredDocument) -> str:
    """The metadata as they came, with what the registry gave."""
    element = etree.fromstring(document.metadata)
    former = str(element.get("id"))
    for one in [element, *element]:
        for name in ("id", "classifiedObject", "registryObject"):
            if one.get(name) == former:
                one.set(name, document.entry_uuid)
    element.set("lid", document.logical_id)
    element.set("status", document.status)
    slot = etree.Element(f"{{{names.RIM}}}Slot", name="repositoryUniqueId")
    values = etree.SubElement(slot, f"{{{names.RIM}}}ValueList")
    etree.SubElement(values, f"{{{names.RIM}}}Value").text = names.DMP_REPOSITORY
    element.insert(0, slot)
    described = sum(len(soap.find(element, f"rim:{name}")) for name in ("Slot", "Name", "Description"))
    element.insert(described, etree.Element(f"{{{names.RIM}}}VersionInfo", versionName=str(document.version)))
    return etree.tostring(element, encoding="unicode")
