"""Which units a LOINC PROPERTY is measured in, by their dimension.

Source: LOINC Users' Guide, kinds of property; example units of the table.
"""

from __future__ import annotations

from functools import cache

from loinc.terms import Term
from loinc.ucum import UcumError, Unit, parse

__all__ = ["agrees", "shape"]

_UNITS = {
    "MCnc MCncDiff": "g/L g/m3",
    "SCnc SCncDiff": "mol/L eq/L",
    "MSCnc": "g/L mol/L",
    "CCnc": "U/L [IU]/L",
    "ACnc": "[IU]/L [IU] U/L 1",
    "NCnc": "/L [CFU]/L",
    "LnCnc LaCnc": "/L [IU]/L 1",
    "Naric": "1 /m2",
    "Num": "1 /L",
    "MRat": "g/d g/kg/d",
    "SRat": "mol/d mol/kg/d",
    "CRat": "U/d",
    "ARat": "[IU]/d",
    "NRat": "/d",
    "VRat": "L/d",
    "ArVRat": "L/d L/d/m2",
    "Vel": "m/s",
    "MFr NFr VFr SFr CFr AFr NRto MRto SRto CRto TRto RelTime RelACnc RelMCnc RelSCnc RelCCnc RelRto": "1",
    "Ratio": "1 g/mol mol/g",
    "MCnt": "1 mol/g [IU]/g",
    "SCnt": "mol/g 1",
    "CCnt": "U/g [IU]/g",
    "ACnt": "[IU]/g U/g",
    "NCnt": "/g",
    "CSub": "U/mol",
    "Titr MoM ZScore Score Prctl Likelihood Index Threshold ThreshNum Quintile": "1",
    "Time RelTm": "s",
    "EntVol Vol": "L",
    "EntMass Mass": "g",
    "EntSub Sub": "mol",
    "EntLen Len": "m",
    "EntCat": "U",
    "Arb": "[IU] 1",
    "PPres Pres": "Pa",
    "Temp": "K",
    "Osmol": "mol/kg mol/L",
    "LsCnc": "[pH] 1 mol/L",
    "Rden": "1 g/L",
    "Visc": "Pa.s 1",
    "Susc": "g/L 1 m [IU]/L",
}
Shape = tuple[tuple[int, ...], bool]


def shape(unit: Unit) -> Shape:
    """The dimension of a unit, and whether it is arbitrary."""
    return unit.dimension, bool(unit.arbitrary)


@cache
def _shapes() -> dict[str, frozenset[Shape]]:
    return {
        name: frozenset(shape(parse(code)) for code in codes.split())
        for names, codes in _UNITS.items()
        for name in names.split()
    }


def agrees(term: Term, unit: Unit) -> bool | None:
    """Whether results of a term may have this unit; None for a property that is not measured in units, or not known."""
    mine = shape(unit)
    for code in term.units:
        try:
            if shape(parse(code)) == mine:
                return True
        except UcumError:
            continue
    known = _shapes().get(term.property)
    return mine in known if known else None
