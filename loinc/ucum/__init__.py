"""Units of measure: UCUM codes parsed, validated and converted exactly.

    validate("mmol/L")                      ""
    parse("g/L").commensurable(parse("mg/dL"))
    convert("5.50", "g/L", "mg/dL")         Fraction(550, 1)
    molar_factor("g/L", "mmol/L", "Glucose")

Source: The Unified Code for Units of Measure 2.2; see ``NOTICE.txt``.
"""

from loinc.ucum.conversion import convert, decimal_of, factor, is_finite, molar_factor, molar_masses
from loinc.ucum.errors import ConversionError, UcumError, UnitError
from loinc.ucum.essence import BASE, atoms, prefixes, version
from loinc.ucum.units import Unit, parse, validate

__all__ = [
    "BASE",
    "ConversionError",
    "UcumError",
    "Unit",
    "UnitError",
    "atoms",
    "convert",
    "decimal_of",
    "factor",
    "is_finite",
    "molar_factor",
    "molar_masses",
    "parse",
    "prefixes",
    "validate",
    "version",
]
