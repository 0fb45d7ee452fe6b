"""``loinc accept``: the row that a decision makes."""

from __future__ import annotations

from typing import NamedTuple

from channels.errors import ConfigError
from channels.registry import suggestion
from loinc.assistant.normalise import fold
from loinc.laboratory_units import fold_unit
from loinc.tabular import Table
from loinc.transcoding import Row, rows_of
from vaguemestre.commands.loinc_folder import Folder

__all__ = ["Wish", "decided"]


class Wish(NamedTuple):
    """What was typed."""

    loinc: str
    status: str
    specimen: str
    unit: str
    technique: str
    relationship: str
    ucum: str
    molar_mass: str
    decimals: str
    since: str
    until: str
    author: str
    evidence: str
    comment: str


def decided(folder: Folder, local_code: str, wish: Wish) -> Row:
    """The row of the decision. Raises ConfigError when there is nothing, or too much, to decide on."""
    known = {entry.local_code for entry in folder.catalogue} | {row.local_code for row in folder.transcoding}
    if local_code not in known:
        raise ConfigError(f"the catalogue has no local code {local_code!r}{suggestion(local_code, known)}")
    base = Row(local_code=local_code, specimen=wish.specimen, unit=wish.unit, technique=wish.technique)
    if wish.status != "without_loinc":
        base = _base(folder, local_code, wish)
    given = {name: text for name, text in wish._asdict().items() if text and name not in ("loinc", "specimen")}
    cells = base.cells() | given | {"date": folder.today.isoformat(), "status": wish.status}
    cells["evidence"] = wish.evidence or base.evidence
    if wish.status == "without_loinc":
        cells |= {"loinc": "", "loinc_name": ""}
    elif name := folder.name_of(cells["loinc"]):
        cells["loinc_name"] = name
    (row,) = rows_of(Table("--loinc", tuple(cells), ((1, cells),)))  # the same rules as for a file
    return row


def _base(folder: Folder, local_code: str, wish: Wish) -> Row:
    """The row to start from: the proposal that waits, a row with this code, or a new one."""
    rows = [row for row in folder.transcoding.with_code(local_code) if _meant(row, wish)]
    if wish.loinc:
        same = [row for row in rows if row.loinc == wish.loinc]
        new = Row(
            local_code=local_code,
            specimen=wish.specimen,
            unit=wish.unit,
            technique=wish.technique,
            loinc=wish.loinc,
        )
        return same[0] if len(same) == 1 else new
    waiting = [row for row in rows if row.status == "proposed"]
    if len(waiting) != 1:
        codes = ", ".join(row.loinc for row in waiting) or "none"
        raise ConfigError(f"{local_code!r} has not one proposal that waits ({codes}): name the code with --loinc")
    return waiting[0]


def _meant(row: Row, wish: Wish) -> bool:
    return (
        (not wish.specimen or fold(row.specimen) == fold(wish.specimen))
        and (not wish.unit or fold_unit(row.unit) == fold_unit(wish.unit))
        and (not wish.technique or fold(row.technique) == fold(wish.technique))
    )
