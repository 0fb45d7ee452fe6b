"""What came, in words for the person who rehearses: who sent, about whom, what, and what is wrong with it.

The patients of a rehearsal are test patients: their names and INS are shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape

from vaguemestre.simulators.dmp import names
from vaguemestre.simulators.dmp.lot import RegistryObject
from vaguemestre.simulators.dmp.service import Case

_ACTIONS = {
    "submission": "Lot de documents (TD2.1)",
    "replacement": "Remplacement (TD2.2)",
    "deletion": "Suppression (TD3.3c)",
    "query": "Recherche (TD3.1)",
    "existence": "Test d'existence (TD0.2)",
    "": "Demande illisible",
}
_VERDICTS = {
    "accepted": "[green]ACCEPTÉ[/] / accepted", "refused": "[red]REFUSÉ[/] / refused",
    "not done": "[yellow]NON TRAITÉ[/] / not carried out",
}  # fmt: skip
_MASKS = {
    "N": "normal",
    "R": "restreint",
    "V": "très restreint",
    "MASQUE_PS": "masqué aux professionnels",
    "INVISIBLE_PATIENT": "non visible par le patient",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "non visible par les représentants légaux",
}


def lines(case: Case) -> Iterator[str]:
    """The lines to show for a request, in the markup of rich."""
    asked = f"  [yellow](incident demandé : {escape(case.misbehaviour)})[/]" if case.misbehaviour else ""
    yield f"[bold]{case.at.astimezone():%H:%M:%S}  {_ACTIONS[case.action]}[/]  {_VERDICTS[case.verdict]}{asked}"
    if case.vihf is not None:
        yield f"  de / from     : structure {escape(case.vihf.structure)}, {escape(case.vihf.subject)}"
        yield f"  patient       : {escape(_patient(case))}"
    if case.lot is not None:
        for entry in case.lot.documents:
            yield f"  document      : {escape(_document(entry))}"
        for target in case.lot.targets(names.REPLACES):
            yield f"  remplace / replaces : {escape(target)}"
        for target in case.lot.targets(names.UPDATE_STATUS):
            yield f"  supprime / deletes  : {escape(target)}"
    for finding in case.findings:
        yield f"  [red]règle / rule[/]  : {escape(str(finding))}"


def _patient(case: Case) -> str:
    ins = case.vihf.patient[0] if case.vihf is not None and case.vihf.patient else "INS illisible / unreadable"
    traits = ""
    for entry in case.lot.documents[:1] if case.lot is not None else []:
        info = dict(one.split("|", 1) for one in entry.slots.get("sourcePatientInfo", []) if "|" in one)
        found = (" ".join(info.get("PID-5", "").split("^")[:2]), info.get("PID-7", ""), info.get("PID-8", ""))
        traits = ", ".join(filter(None, found))
    return f"{ins} ({traits})" if traits else ins


def _document(entry: RegistryObject) -> str:
    kinds = entry.coded(names.TYPE)
    kind = f"{kinds[0].code} {kinds[0].display}" if kinds else "sans type"
    masks = ", ".join(_MASKS.get(one.code, one.code) for one in entry.coded(names.CONFIDENTIALITY))
    level = "niveau 1 (PDF)" if entry.code(names.FORMAT)[1].endswith(":pdf:2008") else "structuré"
    return f"{entry.title} — {kind}, {level}, {masks}, {entry.slot('size')} octets, {entry.unique_id}"
