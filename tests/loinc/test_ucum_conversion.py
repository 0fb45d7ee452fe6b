"""Conversion between units: exact, or refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loinc.ucum import (
    ConversionError,
    UnitError,
    convert,
    decimal_of,
    factor,
    is_finite,
    molar_factor,
    molar_masses,
    parse,
)

LABORATORY = [
    "g/L",
    "mg/dL",
    "ug/mL",
    "ng/mL",
    "pg/mL",
    "kg/m3",
    "mg/L",
    "mmol/L",
    "umol/L",
    "nmol/dL",
    "10*9/L",
    "10*3/uL",
    "/mL",
    "%",
    "[ppth]",
    "U/L",
    "ukat/L",
    "m[IU]/L",
    "u[IU]/mL",
    "k[IU]/L",
    "mm[Hg]",
    "kPa",
    "fL",
    "um3",
    "s",
    "min",
    "h",
    "mg/(24.h)",
    "g/d",
    "mL/min",
    "mL/s",
    "Cel",
    "K",
    "[degF]",
    "mg/g",
    "ug/mg",
    "mosm/kg",
    "[arb'U]/mL",
    "[GPL'U]/mL",
]


@pytest.mark.parametrize(
    "value,source,target,expected",
    [
        ("6.3", "m", "m", "6.3"),
        ("6.3", "mm", "cm", "0.63"),
        ("6.3", "s.m-1", "s/m", "6.3"),
        ("6.3", "s.mm-2", "s.m-2", "6300000"),
        ("6.3", "s/m/g", "s.m-1.g-1", "6.3"),
        ("6.3", "s/m/mg", "s.m-1.g-1", "6300"),
        ("6.3", "s/m.mg", "s.m-1.g", "0.0063"),
        ("6.3", "4.s/m", "s/m", "25.2"),
        ("6.3", "s/4/m", "s/m", "1.575"),
        ("6.30", "[in_i]", "cm", "16.002"),
        ("6.3", "g.m.s-2.A-2", "g.m.C-2", "6.3"),
        ("1", "10*-7.s", "s", "0.0000001"),
        ("1", "m[Hg]", "g.s-2.m-1", "133322000"),
        ("1", "S", "g-1.m-2.C2.s", "0.001"),
        ("1", "[ly]", "cm", "946073047258080000"),
        ("5.50", "g/L", "mg/dL", "550"),
        ("12.5", "g/dL", "g/L", "125"),
        ("250", "10*9/L", "10*3/uL", "250"),
        ("0.45", "L/L", "%", "45"),
        ("60", "U/L", "ukat/L", "1"),
        ("4.2", "m[IU]/L", "u[IU]/mL", "4.2"),
        ("1", "[iU]/mL", "[IU]/mL", "1"),
        ("1.5", "g/(24.h)", "mg/d", "1500"),
        ("37", "Cel", "K", "310.15"),
        ("310.15", "K", "Cel", "37"),
        ("98.6", "[degF]", "Cel", "37"),
        ("-40", "Cel", "[degF]", "-40"),
        ("80", "[degRe]", "Cel", "100"),
        ("37000", "mCel", "Cel", "37"),
        ("20", "dB", "B", "2"),
        ("2", "B", "1", "100"),
        ("1000", "1", "B", "3"),
        ("3", "B[V]", "B[mV]", "9"),
        ("3", "B[kW]", "B[W]", "6"),
        ("2", "B[V]", "V", "10"),
        ("7", "[pH]", "nmol/L", "100"),
        ("100", "nmol/L", "[pH]", "7"),
        ("8", "bit_s", "1", "256"),
        ("3", "[m/s2/Hz^(1/2)]", "m2/s4/Hz", "9"),
        ("7.40", "[pH]", "[pH]", "7.4"),
        ("1", "Cel/min", "K/min", "1"),
        ("1", "cal/Cel", "cal/K", "1"),
    ],
)
def test_it_converts_exactly(value: str, source: str, target: str, expected: str) -> None:
    assert convert(value, source, target) == Fraction(expected)


@pytest.mark.parametrize(
    "source,target",
    [
        ("[IU]/L", "/L"),
        ("[IU]/L", "10*9/L"),
        ("[IU]/L", "U/L"),
        ("[arb'U]/mL", "[IU]/mL"),
        ("[GPL'U]/mL", "[MPL'U]/mL"),
        ("[CFU]/mL", "/mL"),
        ("[IU]/mL", "1"),
        ("g/L", "mmol/L"),
        ("mmol/L", "10*9/L"),
        ("mol/L", "/L"),
        ("g/L", "g/kg"),
        ("s", "m"),
        ("Cel", "m"),
        ("m", "[pH]"),
        ("B[V]", "B[W]"),
        ("%", "g/dL"),
        ("U/L", "[arb'U]/L"),
        ("mL/min", "mL"),
        ("[hp_X]", "1"),
    ],
)
def test_it_refuses_units_that_are_of_another_kind(source: str, target: str) -> None:
    with pytest.raises(ConversionError):
        convert("1", source, target)
    with pytest.raises(ConversionError):
        convert("1", target, source)


@pytest.mark.parametrize(
    "value,source,target",
    [
        ("7.4", "[pH]", "mol/L"),
        ("1", "Np", "B"),
        ("3", "dB", "1"),
        ("2", "1", "B"),
        ("0", "1", "B"),
        ("-1", "mol/L", "[pH]"),
        ("1", "[p'diop]", "rad"),
        ("1", "Np", "1"),
        ("2", "m2/s4/Hz", "[m/s2/Hz^(1/2)]"),
        ("99999", "B", "1"),
    ],
)
def test_it_refuses_a_result_that_is_not_rational_instead_of_rounding_it(value: str, source: str, target: str) -> None:
    with pytest.raises(ConversionError):
        convert(value, source, target)


@pytest.mark.parametrize("value", ["", "12,5", "<0.5", "NaN", "Infinity", "1/320", "traces", "0x10"])
def test_it_refuses_what_is_no_decimal_number(value: str) -> None:
    with pytest.raises(ConversionError):
        convert(value, "g/L", "mg/L")


def test_it_refuses_floats_and_what_is_not_ucum() -> None:
    with pytest.raises(ConversionError):
        convert(5.5, "g/L", "mg/L")  # type: ignore[arg-type]  # what must be refused
    with pytest.raises(UnitError):
        convert("1", "UI/L", "[IU]/L")
    with pytest.raises(ConversionError):
        factor("Cel", "K")


KINDS = [[two for two in LABORATORY if parse(one).commensurable(parse(two))] for one in LABORATORY]


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**6), max_value=10**6),
    st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.sampled_from(kind), st.sampled_from(kind))),
)
def test_there_and_back_gives_the_same_value(value: Decimal, units: tuple[str, str]) -> None:
    source, target = units
    there = convert(value, source, target)
    assert convert(there, target, source) == Fraction(value)


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(*[st.sampled_from(kind)] * 3)))
def test_a_way_round_gives_the_same_factor(units: tuple[str, str, str]) -> None:
    one, two, three = units
    assume(not any(parse(unit).function for unit in units))
    assert factor(one, two) * factor(two, three) == factor(one, three)


@given(st.sampled_from(LABORATORY), st.sampled_from(LABORATORY))
def test_units_convert_both_ways_or_not_at_all(one: str, two: str) -> None:
    assert parse(one).commensurable(parse(two)) == parse(two).commensurable(parse(one))


def test_a_mass_becomes_an_amount_by_the_table_of_molar_masses_only() -> None:
    assert decimal_of(molar_factor("g/L", "mmol/L", "Glucose"), 4) == Decimal("5.5507")
    assert molar_factor("g/L", "mmol/L", "glucose") * molar_factor("mmol/L", "g/L", "glucose") == 1
    assert decimal_of(molar_factor("mg/L", "umol/L", "Creatinine") * 10, 2) == Decimal("88.40")
    assert decimal_of(molar_factor("mg/(24.h)", "mmol/d", "Calcium"), 6) == Decimal("0.024951")
    assert len(molar_masses()) == 66
    for source, target, analyte in (
        ("g/L", "mmol/L", "Unobtainium"),
        ("g/L", "mg/L", "Glucose"),
        ("g/L", "mmol/kg", "Glucose"),
        ("[IU]/L", "mmol/L", "Glucose"),
    ):
        with pytest.raises(ConversionError):
            molar_factor(source, target, analyte)


def test_decimals_are_kept_or_rounded_with_a_half_away_from_zero() -> None:
    assert str(decimal_of(Fraction(11, 2))) == "5.5"
    assert str(decimal_of(Fraction(5))) == "5"
    assert str(decimal_of(Fraction(5), 2)) == "5.00"
    assert str(decimal_of(Fraction(1, 8), 2)) == "0.13"
    assert str(decimal_of(Fraction(-1, 8), 2)) == "-0.13"
    assert str(decimal_of(Fraction(10**12))) == "1000000000000"
    assert is_finite(Fraction(1, 40))
    assert not is_finite(Fraction(1, 3))
    with pytest.raises(ConversionError):
        decimal_of(Fraction(1, 3))
