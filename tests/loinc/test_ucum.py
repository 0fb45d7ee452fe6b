"""UCUM codes: which are valid, and what they are."""

import csv
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loinc.ucum import BASE, UnitError, atoms, parse, prefixes, validate, version
from loinc.ucum.errors import UcumError

ROOT = Path(__file__).resolve().parents[2]

VALID = """
m /m 10*3/ul 10*-3/ul 10*+3/ul m[H2O] 10*23 rad2 m3.kg-1.s-2 4.[pi].10*-7.N/A2 rad2{a} {a}.rad2{b} 1{c} {e} %
dB[10.nV] [cup_us] [ft_i] 1/d 1/min a cm3 dl g/l meq mm[Hg] mo mU U/l umol wk deg /[HPF] /[LPF] [APL'U] [IU] [IU]/L
m[IU]/L u[IU]/mL 10*12/L Cel fL kU/L L/L nmol/h/mL pmol/h/mg umol/2.h [arb'U] dyn.s/(cm5.m2) [iU]/mL [bdsk'U]
dyn.s/cm5 K/W {bsa} cm[H2O] kg{body_wt} mmol/(8.h.kg) [drp] dB[SPL] [ka'U] REM g{creat} g.m/m2{hb} osm/kg pH pA
10*6/mm3 kg/mol 10.L/min a/m t Wb mL/min/{1.73_m2} /100{WBC} {copies}/mL {Log_copies}/mL k[IU]/L [ppth] [in_i'H2O]
10^9/L g/(24.h) m[IU]/mL [pH] B[kW] Np [m/s2/Hz^(1/2)] /(m/s) ((m)) 10* % {INR} g% mg% 100 kat ukat/L [GPL'U]/mL
[CFU]/mL mosm/kg U/g{Hb} {#}
""".split()  # noqa: SIM905  # a table

INVALID = """
m/ 10+3/ul rad2{錠} {a}rad2{b} {|}1 iU molv [BETH'U] [iIU] m[iIU]/L g/12h g/4h mmol/kg[H20] U/1h cm[H20] mL/10h (m)2
(m m) (m/s){x} kmin m..s m//s µmol/L g/L² 10⁹/L mmHg UI/L {a{b}} }m{ [IU [[IU]] mcg/L IU/L m^2 m**2 µ ° °C . / - +
2- m-
""".split()  # noqa: SIM905  # a table


@pytest.mark.parametrize("code", ["", *VALID])
def test_it_is_a_ucum_code(code: str) -> None:
    assert validate(code) == ""
    assert parse(code).code == code


@pytest.mark.parametrize(
    "code", [*INVALID, "m s", "{a b}", " m", "m ", "L/(min.m2) ", "(" * 60 + "m" + ")" * 60, "m" * 201, "9" * 19]
)
def test_it_is_not_a_ucum_code(code: str) -> None:
    assert validate(code).startswith("not a UCUM unit: ")
    with pytest.raises(UnitError) as caught:
        parse(code)
    assert 0 <= caught.value.position <= len(code)


def test_the_table_is_whole_and_every_atom_of_it_has_a_meaning() -> None:
    assert version() == "2.2"
    assert len(prefixes()) == 24
    assert len(atoms()) == 312
    for code in atoms():
        assert validate(code) == ""


def test_every_metric_atom_takes_every_prefix_and_no_other_atom_takes_one() -> None:
    for code, atom in atoms().items():
        for prefix, factor in prefixes().items():
            joined = f"{prefix}{code}"
            if joined in atoms():
                continue
            if atom.metric:
                unit, alone = parse(joined), parse(code)
                assert unit.dimension == alone.dimension
                assert unit.function or unit.arbitrary or unit.factor == factor * alone.factor, joined
            elif not any(
                joined == f"{other}{rest}" for other in prefixes() for rest in atoms() if atoms()[rest].metric
            ):
                assert validate(joined), joined


@pytest.mark.parametrize(
    "table,column,wrong",
    [
        ("loinc/data/terms.csv", "units", {"10*6{viral equivalents}/mL"}),
        ("mappings/valuesets/ucum.csv", "code", {"g/kg ", "L/(min.m2) ", "Torr"}),
        ("mappings/tables/units.csv", "target", set()),
    ],
)
def test_the_tables_of_the_product_hold_ucum_codes_but_for_known_slips(
    table: str, column: str, wrong: set[str]
) -> None:
    text = (ROOT / table).read_text("utf-8")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    codes = {code for row in csv.DictReader(text.splitlines(), delimiter=delimiter) for code in row[column].split("|")}
    assert {code for code in codes if validate(code)} == wrong


@pytest.mark.parametrize(
    "code,factor,powers",
    [
        ("m", Fraction(1), {"m": 1}),
        ("cm3", Fraction(1, 10**6), {"m": 3}),
        ("L", Fraction(1, 1000), {"m": 3}),
        ("g/dL", Fraction(10**4), {"g": 1, "m": -3}),
        ("mmol/L", Fraction(1), {"mol": 1, "m": -3}),
        ("U/L", Fraction(1, 60000), {"mol": 1, "m": -3, "s": -1}),
        ("mm[Hg]", Fraction(133322), {"g": 1, "m": -1, "s": -2}),
        ("N", Fraction(1000), {"g": 1, "m": 1, "s": -2}),
        ("10*-3", Fraction(1, 1000), {}),
        ("/100{WBC}", Fraction(1, 100), {}),
        ("s/m.mg", Fraction(1, 1000), {"s": 1, "m": -1, "g": 1}),
        ("s/(m.mg)", Fraction(1000), {"s": 1, "m": -1, "g": -1}),
        ("/(m/s)", Fraction(1), {"m": -1, "s": 1}),
        ("cd", Fraction(1), {"cd": 1}),
        ("min", Fraction(60), {"s": 1}),
        ("dam", Fraction(10), {"m": 1}),
    ],
)
def test_a_unit_is_an_exact_factor_and_a_dimension(code: str, factor: Fraction, powers: dict[str, int]) -> None:
    unit = parse(code)
    assert unit.factor == factor
    assert dict(zip(BASE, unit.dimension, strict=True)) == dict.fromkeys(BASE, 0) | powers


def test_annotations_are_kept_and_mean_nothing() -> None:
    unit = parse("ug{FEU}/L{x}")
    assert unit.annotations == ("FEU", "x")
    assert (unit.factor, unit.dimension) == (parse("ug/L").factor, parse("ug/L").dimension)


def test_arbitrary_units_stand_for_themselves() -> None:
    assert parse("m[IU]/mL").arbitrary == (("[IU]", 1),)
    assert parse("[IU]/[IU]").arbitrary == ()
    assert parse("/[HPF]").arbitrary == ()
    assert parse("[arb'U]/mL").arbitrary == (("[arb'U]", 1),)


def test_the_dimension_of_amount_is_its_own() -> None:
    assert not parse("mol/L").commensurable(parse("10*9/L"))
    assert parse("meq/L").commensurable(parse("mmol/L"))
    assert parse("mosm/kg").commensurable(parse("mmol/kg"))


@given(st.text(max_size=30))
def test_any_text_is_a_unit_or_an_error_and_never_anything_else(text: str) -> None:
    try:
        parse(text)
    except UcumError:
        assert validate(text)
    else:
        assert validate(text) == ""


@given(
    st.lists(
        st.sampled_from(["m", ".", "/", "(", ")", "{a}", "10*", "2", "-3", "[IU]", "mol", "L", "d", "k"]), max_size=12
    )
)
def test_any_row_of_symbols_is_a_unit_or_an_error(parts: list[str]) -> None:
    code = "".join(parts)
    try:
        unit = parse(code)
    except UnitError:
        return
    assert parse(f"({code})" if code else code).factor == unit.factor
