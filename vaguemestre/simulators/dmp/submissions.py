"""Submissions (ITI-41), replacements and deletions (ITI-57): checked against what is known, then registered.

Source: IHE ITI TF-2 3.41, 3.42, 3.57; DMPi TD2.1, TD2.2, TD3.3c.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from vaguemestre.simulators.dmp import cda, identifiers, metadata, names, signature, structure, trust
from vaguemestre.simulators.dmp.lot import Association, Lot, RegistryObject
from vaguemestre.simulators.dmp.registry import Registry, StoredDocument, StoredLot, new_uuid
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.dmp.vihf import Vihf


@dataclass(frozen=True, slots=True)
class Hiding:
    """How long a registered document is not seen by queries: seconds, and number of queries."""

    seconds: float = 0.0
    queries: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """What checks and registers need."""

    registry: Registry
    settings: DmpSettings
    trust: trust.Trust

    def submit(self, request: etree._Element, lot: Lot, vihf: Vihf, judge: Judge, hiding: Hiding) -> None:
        """Check a submission, and register it when nothing is broken.

        Raises:
            Broken: it cannot be read to its end.
        """
        structure.check(request, judge, self.settings.schemas)
        metadata.submission_set(lot, judge)
        metadata.entries(lot, judge)
        metadata.associations(lot, judge)
        self._patient(lot, vihf, judge)
        signature.check(lot, vihf.structure, judge, self.settings, self.trust)
        cda.check(lot, judge)
        self.registry.seen([entry.unique_id for entry in lot.documents])
        judge.check(not self.registry.has_lot(lot.unique_id), "set.reused", "uniqueId")
        for entry in lot.entries:
            self._is_new(entry, judge)
        replaced = self._replaced(lot, vihf, judge)
        if not judge.findings:
            self._register(lot, vihf, replaced, hiding)

    def delete(self, request: etree._Element, lot: Lot, vihf: Vihf, judge: Judge) -> None:
        """Check a deletion, and carry it out when nothing is broken. Raises as ``submit``."""
        structure.check(request, judge, self.settings.schemas)
        metadata.submission_set(lot, judge)
        self._patient(lot, vihf, judge)
        judge.check(not self.registry.has_lot(lot.unique_id), "set.reused", "uniqueId")
        judge.check(not lot.entries and not lot.contents, "delete.set")
        found = [self._deleted(one, lot, vihf, judge) for one in lot.associations]
        judge.check(found, "delete.association")
        gone = [one for one in found if one is not None]
        named = {one.unique_id for one in gone}
        for one in gone:
            judge.check(all(other.unique_id in named for other in self.registry.siblings(one)), "delete.levels")
        if not judge.findings:
            self._keep_lot(lot, vihf, "deletion")
            for one in gone:
                self.registry.change(one, names.DELETED)

    def _patient(self, lot: Lot, vihf: Vihf, judge: Judge) -> None:
        found = identifiers.ins(lot.patient)
        judge.check(found is not None and found == vihf.patient, "vihf.other-patient", "resource-id")
        if found is not None:
            patient_state(self.registry.patient(found[0]), judge)

    def _is_new(self, entry: RegistryObject, judge: Judge) -> None:
        for one in self.registry.documents(unique_id=entry.unique_id)[:1]:
            same = one.hash == entry.slot("hash").lower()
            judge.check(not same, "registry.duplicate", entry.id)
            judge.check(same, "registry.altered", entry.id)

    def _replaced(self, lot: Lot, vihf: Vihf, judge: Judge) -> dict[str, StoredDocument]:
        """Documents to replace, by the id of the new entry; the first where there are several."""
        documents = {entry.id: entry for entry in lot.documents}
        replaced: dict[str, StoredDocument] = {}
        targets: list[StoredDocument] = []
        for one in lot.associations:
            if one.kind != names.REPLACES:
                continue
            judge.check(one.source in documents, "replace.source", one.source)
            target = self._target(one.target, lot, judge, "replace")
            if target is None:
                continue
            judge.check(target.structure == vihf.structure, "replace.structure", one.source)
            stated = cda.parents(lot.contents.get(one.source, b""))
            judge.check(stated is None or target.unique_id in stated, "cda.parent", one.source)
            replaced.setdefault(one.source, target)
            targets.append(target)
        named = {one.unique_id for one in targets}
        for target in targets:
            judge.check(all(other.unique_id in named for other in self.registry.siblings(target)), "replace.levels")
        return replaced

    def _deleted(self, one: Association, lot: Lot, vihf: Vihf, judge: Judge) -> StoredDocument | None:
        judge.check(one.kind == names.UPDATE_STATUS and one.source == lot.set.id, "delete.association")
        statuses = one.slots.get("OriginalStatus"), one.slots.get("NewStatus")
        judge.check(statuses == ([names.APPROVED], [names.DELETED]), "delete.statuses")
        target = self._target(one.target, lot, judge, "delete")
        if target is not None:
            judge.check(target.structure == vihf.structure, "delete.structure")
        return target

    def _target(self, entry_uuid: str, lot: Lot, judge: Judge, family: str) -> StoredDocument | None:
        """The current document of an entryUUID; one that changed since is told from one never known."""
        found = self.registry.by_entry(entry_uuid)
        former = self.registry.by_former_entry(entry_uuid) if found is None else found
        if former is not None and not former.is_current:
            judge.check(kept=False, name=f"{family}.current")
            return None
        patient = identifiers.ins(lot.patient)
        known = found is not None and patient is not None and found.patient == patient[0]
        return found if judge.check(known, f"{family}.target") else None

    def _register(self, lot: Lot, vihf: Vihf, replaced: dict[str, StoredDocument], hiding: Hiding) -> None:
        self._keep_lot(lot, vihf, "submission")
        for target in set(lot.targets(names.REPLACES)):
            old = self.registry.by_entry(target)
            if old is not None:
                self.registry.change(old, names.DEPRECATED)
        visible = self.settings.clock().timestamp() + hiding.seconds
        for entry in lot.entries:
            parent = replaced.get(entry.id)
            self.registry.add(stored(entry, lot, vihf, parent, visible, hiding.queries))

    def _keep_lot(self, lot: Lot, vihf: Vihf, kind: str) -> None:
        patient = vihf.patient[0] if vihf.patient else ""
        at = self.settings.clock().isoformat(timespec="seconds")
        self.registry.add_lot(StoredLot(lot.unique_id, kind, vihf.structure, patient, at))


def patient_state(state: str, judge: Judge) -> None:
    """Whether documents may be fed to a patient's DMP in this state."""
    for refused, rule in (("none", "unknown"), ("closed", "closed"), ("opposed", "opposed")):
        judge.check(state != refused, f"patient.{rule}")


def stored(
    entry: RegistryObject, lot: Lot, vihf: Vihf, parent: StoredDocument | None, visible_at: float, hidden_for: int
) -> StoredDocument:
    """An entry as it is kept."""
    content = lot.contents[entry.id]
    return StoredDocument(
        entry_uuid=new_uuid(),
        logical_id=parent.logical_id if parent is not None else new_uuid(),
        version=parent.version + 1 if parent is not None else 1,
        unique_id=entry.unique_id,
        lot=lot.unique_id,
        patient=vihf.patient[0] if vihf.patient else "",
        structure=vihf.structure,
        status=names.APPROVED,
        hash=entry.slot("hash").lower(),
        size=len(content),
        type=entry.code(names.TYPE)[1],
        class_=entry.code(names.CLASS)[1],
        format=entry.code(names.FORMAT)[1],
        title=entry.title,
        visibility=" ".join(one.code for one in entry.coded(names.CONFIDENTIALITY)),
        is_signature=entry.is_signature,
        visible_at=visible_at,
        hidden_for=hidden_for,
        metadata=etree.tostring(entry.element),
        content=content,
    )
