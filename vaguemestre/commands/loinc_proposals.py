"""``loinc worklist --propose``: the assistant's candidates as rows that wait for somebody."""

from __future__ import annotations

from collections.abc import Mapping

from loinc.assistant.evidence import Analysis
from loinc.assistant.lexicon import lexicon
from loinc.assistant.normalise import fold
from loinc.assistant.suggest import Assistant, Suggestion, assistant
from loinc.catalogue import Entry, Key
from loinc.laboratory_units import fold_unit
from loinc.transcoding import Row
from loinc.worklist import Item, items, open_items
from vaguemestre.commands.loinc_folder import Folder

__all__ = ["proposals"]


def proposals(folder: Folder, section: str, top: int) -> list[Row]:
    """Rows for the open analyses that have no proposal yet: one where the assistant is sure, else ``top``.

    A code that was turned down for an analysis is not proposed again.
    """
    found = items(folder.catalogue, folder.transcoding, folder.traffic, folder.today)
    waiting = [item for item in open_items(found, section) if not item.proposals]
    helper = Assistant(folder.terms, lexicon()) if folder.own_terms else assistant()
    analyses = [_analysis(item.entry) for item in waiting]
    rows: list[Row] = []
    for item, suggested in zip(waiting, helper.suggest(analyses, top + len(_most_refused(waiting))), strict=True):
        rows += _rows(folder, item, suggested, top)
    return rows


def _most_refused(waiting: list[Item]) -> frozenset[str]:
    return max((item.refused for item in waiting), key=len, default=frozenset())


def _analysis(entry: Entry) -> Analysis:
    label = entry.label or entry.short_label or entry.local_code
    return Analysis(entry.local_code, label, entry.specimen, entry.unit, entry.technique)


def _rows(folder: Folder, item: Item, suggested: Suggestion, top: int) -> list[Row]:
    candidates = [one for one in suggested.candidates if one.loinc not in item.refused]
    sure = suggested.decision == "propose" and bool(candidates) and candidates[0] is suggested.candidates[0]
    key = _conditions(folder, item.entry)
    made = []
    for candidate in candidates[: 1 if sure else top]:
        score = f"{suggested.confidence if sure else candidate.score:.2f}"
        made.append(
            Row(
                **key._asdict(),
                loinc=candidate.loinc,
                loinc_name=folder.name_of(candidate.loinc),
                author="assistant",
                date=folder.today.isoformat(),
                evidence=" ; ".join([f"{'confiance' if sure else 'à voir, part'} {score}", *_why(candidate.reasons)]),
            )
        )
    return made


def _why(reasons: Mapping[str, str]) -> list[str]:
    """The reasons of each axis; what is only usual is left out."""
    found = []
    for axis, reason in reasons.items():
        verdict, _, detail = reason.partition(": ")
        if verdict != "usual":
            found.append(f"{axis} {detail}" if verdict == "matched" else f"{axis} {reason}")
    return found


def _conditions(folder: Folder, entry: Entry) -> Key:
    """The parts of the key that tell the analysis from others with its local code."""
    others = [one for one in folder.catalogue.of(entry.local_code) if one.key != entry.key]
    return Key(
        entry.local_code,
        entry.specimen if any(fold(one.specimen) != fold(entry.specimen) for one in others) else "",
        entry.unit if any(fold_unit(one.unit) != fold_unit(entry.unit) for one in others) else "",
        entry.technique if any(fold(one.technique) != fold(entry.technique) for one in others) else "",
    )
