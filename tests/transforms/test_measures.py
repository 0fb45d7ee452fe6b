"""Numbers, comparisons, ranges and units keep the digits that the laboratory wrote."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.measures import listed, measure, number, structured, ucum_of, unit, usual_range
from transforms.report import Interval, Quantity, Ratio, Text
from transforms.tables import table, value_set


@pytest.mark.parametrize(
    "text, digits",
    [
        ("1.950", "1.950"),
        ("12,5", "12.5"),
        ("0,512", "0.512"),
        ("-0,50", "-0.50"),
        ("+4.5", "+4.5"),
        ("007", "007"),
        (".5", ".5"),
    ],
)
def test_a_number_keeps_its_digits(text: str, digits: str) -> None:
    found = number(text, comma=False)
    assert found is not None
    assert (found.source, found.digits, found.value) == (text, digits, Decimal(digits))


@pytest.mark.parametrize(
    "text", ["", "abc", "1 250", "1e5", "1.2.3", "--1", "1,234", "1,234,567", "12-", "٣", "5.", "NaN"]
)
def test_what_is_not_surely_a_number_is_not_one(text: str) -> None:
    assert number(text, comma=False) is None


def test_a_site_says_that_commas_are_decimal() -> None:
    found = number("1,025", comma=True)
    assert found is not None
    assert found.digits == "1.025"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6))
def test_no_digit_is_lost(value: Decimal) -> None:
    found = number(str(value), comma=False)
    assert found is not None
    assert found.digits == str(value)


@pytest.mark.parametrize(
    "text, low, high, inclusive",
    [
        ("<0,5", "", "0.5", False),
        ("< 0,5", "", "0.5", False),
        ("<= 5", "", "5", True),
        ("≤5", "", "5", True),
        (">1000", "1000", "", False),
        (">= 60", "60", "", True),
        ("≥ 60", "60", "", True),
    ],
)
def test_a_comparison_is_an_interval_with_one_bound(text: str, low: str, high: str, inclusive: bool) -> None:
    found = measure(text, "OBX-5", comma=False)
    assert isinstance(found, Interval)
    assert found.source == text
    assert (found.low.digits if found.low else "", found.high.digits if found.high else "") == (low, high)
    assert (found.low_inclusive if low else found.high_inclusive) is inclusive


@pytest.mark.parametrize(
    "parts, kind, shown",
    [
        (["", "12.0"], Quantity, "12.0"),
        (["=", "5"], Quantity, "5"),
        (["<", "0.5"], Interval, "<0.5"),
        (["", "10", "-", "20"], Interval, "10-20"),
        (["", "1", ":", "160"], Ratio, "1:160"),
        (["", "1", "/", "320"], Ratio, "1/320"),
        (["", "3", "+"], Text, "3+"),
        (["<>", "5"], Text, "<>5"),
        (["", "20", "-", "10"], Text, "20-10"),
        ([">", "1", ":", "160"], Text, ">1:160"),
        (["", "abc"], Text, "abc"),
    ],
)
def test_structured_numbers_are_read_or_kept_as_words(parts: list[str], kind: type, shown: str) -> None:
    found = structured(parts, "OBX-5", comma=False)
    assert isinstance(found, kind)
    assert found.source == shown


@pytest.mark.parametrize(
    "text, low, high",
    [
        ("4.5-6.2", "4.5", "6.2"),
        ("4.50 - 6.20", "4.50", "6.20"),
        ("4,5 à 6,2", "4.5", "6.2"),
        ("-2.5 - 2.5", "-2.5", "2.5"),
        ("-5--1", "-5", "-1"),
        ("<5", "", "5"),
        (">= 60", "60", ""),
    ],
)
def test_a_range_without_doubt_has_bounds(text: str, low: str, high: str) -> None:
    found = usual_range(text, "OBX-7", comma=False)
    assert found.source == text
    assert found.bounds is not None
    bounds = found.bounds
    assert (bounds.low.digits if bounds.low else "", bounds.high.digits if bounds.high else "") == (low, high)


@pytest.mark.parametrize(
    "text", ["inférieur à 5", "6.2-4.5", "H: 4-5, F: 3-4", "4.5-6.2 g/L", "négatif", "1,000-2,000", "5"]
)
def test_a_range_with_a_doubt_is_only_words(text: str) -> None:
    found = usual_range(text, "OBX-7", comma=False)
    assert (found.source, found.bounds) == (text, None)


@pytest.mark.parametrize(
    "text, ucum",
    [
        ("G/L", "10*9/L"),
        ("10^9/L", "10*9/L"),
        ("10⁹/L", "10*9/L"),
        ("10E9/l", "10*9/L"),
        ("T/L", "10*12/L"),
        ("µmol/L", "umol/L"),
        ("μmol/l", "umol/L"),
        ("g/dl", "g/dL"),
        ("g / dL", "g/dL"),
        ("mmol/L", "mmol/L"),
        ("UFC/mL", "[CFU]/mL"),
        ("/mm³", "/uL"),
        ("mL/min/1,73 m²", "mL/min/{1.73_m2}"),
        ("bouteilles/L", ""),
        ("M", ""),
    ],
)
def test_french_spellings_have_a_ucum_code(text: str, ucum: str) -> None:
    assert ucum_of(text) == ucum


def test_every_ucum_code_is_taken_as_it_is() -> None:
    codes = value_set("ucum", "code")
    assert [code for code in codes if ucum_of(code) != code or not listed(code)] == []


def test_normalising_never_gives_two_units_one_spelling() -> None:
    known = table("units")
    assert [local for local in known if ucum_of(local) not in (known[local], local)] == []


def test_the_ucum_triplet_wins_over_the_words() -> None:
    found = unit(["mg par L", "mg par L", "L", "mg/L", "", "UCUM"], "OBX-6", lambda _: None)
    assert found is not None
    assert (found.source, found.ucum, found.listed) == ("mg par L", "mg/L", True)


def test_the_table_of_the_site_is_asked_first() -> None:
    found = unit(["UI/L"], "OBX-6", {"UI/L": "U/L"}.get)
    assert found is not None
    assert found.ucum == "U/L"


def test_a_unit_that_may_not_stand_in_a_report_is_marked() -> None:
    found = unit(["mL/min/1,73m²"], "OBX-6", lambda _: None)
    assert found is not None
    assert (found.ucum, found.listed, found.dimensionless) == ("mL/min/{1.73_m2}", False, False)


@pytest.mark.parametrize("text", ["INR", "sans unité"])
def test_a_pure_number_needs_no_unit(text: str) -> None:
    found = unit([text], "OBX-6", lambda _: None)
    assert found is not None
    assert found.dimensionless
