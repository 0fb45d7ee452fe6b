"""Checks: each thing that is wrong is found, at its line, and what is right is left in peace."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loinc.catalogue import Catalogue, Entry
from loinc.checks import Fault, Laboratory, check
from loinc.learn import Seen, Traffic
from loinc.properties import agrees
from loinc.terms import Term, Terms, shipped
from loinc.transcoding import Row, Transcoding
from loinc.ucum import UcumError, parse
from transforms.measures import ucum_of

TODAY = date(2026, 11, 25)


def term(code: str, component: str, property_: str, system: str = "Ser/Plas", scale: str = "Qn", **more: Any) -> Term:
    base = Term(code, f"{component} [{property_}] {system}", component, property_, "Pt", system, scale, "")
    return base._replace(**more)


TERMS = Terms(
    [
        term("2951-2", "Sodium", "SCnc", units=("mmol/L",)),
        term("2955-3", "Sodium", "SCnc", "Urine"),
        term("2345-7", "Glucose", "MCnc", units=("mg/dL",)),
        term("14749-6", "Glucose", "SCnc", units=("mmol/L",)),
        term("718-7", "Hemoglobin", "MCnc", "Bld"),
        term("6690-2", "Leukocytes", "NCnc", "Bld", method="Automated count"),
        term("5196-1", "Hepatitis B virus surface Ag", "PrThr", scale="Ord", method="Immunoassay"),
        term("2889-4", "Protein", "MRat", "Urine", time="24H"),
        term("2888-6", "Protein", "MCnc", "Urine"),
        term("3016-3", "Thyrotropin", "ACnc", units=("m[IU]/L",)),
        term("1920-8", "Aspartate aminotransferase", "CCnc", units=("U/L",)),
        term("1988-5", "C reactive protein", "MCnc", status="DEPRECATED"),
        term("1925-7", "Base excess", "SCnc", status="DISCOURAGED"),
        term("24323-8", "Comprehensive metabolic panel", "-", order="Order", scale="-"),
        term("5130-0", "DNA double strand Ab", "Titr"),
    ]
)


def laboratory(entries: Sequence[Entry], rows: Sequence[Row], seen: Sequence[Seen] = (), **more: Any) -> Laboratory:
    """With the lines that the files would have."""
    traffic = Traffic()
    for one in seen:
        traffic.add(one)
    catalogue = Catalogue(replace(entry, line=at) for at, entry in enumerate(entries, 2))
    transcoding = Transcoding(replace(row, line=at) for at, row in enumerate(rows, 2))
    base: dict[str, Any] = {"whole": True, "spelled": ucum_of}
    return Laboratory(catalogue, transcoding, traffic, TERMS, **(base | more))


def found(entry: Entry, loinc: str, **more: str) -> list[tuple[str, str]]:
    """Level and rule of what is wrong with one decision."""
    row = replace(Row(local_code=entry.local_code, loinc=loinc, status="checked"), **more)  # type: ignore[arg-type]  # fields
    return [(fault.level, fault.rule) for fault in check(laboratory([entry], [row]), TODAY)]


def entry(unit: str = "", specimen: str = "", **more: str) -> Entry:
    return replace(Entry(local_code="X", unit=unit, specimen=specimen), **more)  # type: ignore[arg-type]  # its own fields


@pytest.mark.parametrize(
    "analysis,loinc",
    [
        (entry("mmol/L", "Sérum"), "2951-2"),
        (entry("mEq/L", "Plasma hépariné", value_type="numeric"), "2951-2"),
        (entry("g/L", "Sang total"), "718-7"),
        (entry("G/L", "Sang total", technique="Comptage automate"), "6690-2"),
        (entry("", "Sérum", value_type="coded", technique="CMIA"), "5196-1"),
        (entry("g/24h", "Urine des 24 heures"), "2889-4"),
        (entry("mUI/L", "Sérum", technique="ECLIA"), "3016-3"),
        (entry("UI/L", "Sérum"), "1920-8"),
        (entry("UA/mL", "Sérum"), "3016-3"),
        (entry("titre", "Sérum", value_type="titre"), "5130-0"),
        (entry("", ""), "2951-2"),
    ],
)
def test_a_right_decision_is_left_in_peace(analysis: Entry, loinc: str) -> None:
    assert found(analysis, loinc) == []


@pytest.mark.parametrize(
    "analysis,loinc,expected",
    [
        (entry("mmol/L"), "99999-9", ("fault", "code")),
        (entry("mg/L"), "1988-5", ("fault", "status")),
        (entry("mmol/L"), "1925-7", ("warning", "status")),
        (entry(), "24323-8", ("fault", "order")),
        (entry("g/L"), "2951-2", ("fault", "property")),
        (entry("mmol/L"), "2345-7", ("fault", "property")),
        (entry("G/L"), "718-7", ("fault", "property")),
        (entry("UI/L"), "2951-2", ("fault", "property")),
        (entry("%"), "718-7", ("fault", "property")),
        (entry(value_type="numeric"), "5196-1", ("fault", "scale")),
        (entry(value_type="coded"), "2951-2", ("fault", "scale")),
        (entry(value_type="text"), "2951-2", ("warning", "scale")),
        (entry(value_type="titre"), "2951-2", ("warning", "scale")),
        (entry(value_type="image"), "2951-2", ("warning", "scale")),
        (entry("mmol/L", "Urine"), "2951-2", ("fault", "system")),
        (entry("mmol/L", "LCR"), "2955-3", ("fault", "system")),
        (entry("g/L", "Urine", label="Protéinurie des 24h"), "2888-6", ("fault", "time")),
        (entry("mg/d", "Urine", label="Protéinurie"), "2889-4", None),
        (entry("", "Urine"), "2889-4", ("warning", "time")),
        (entry(technique="Comptage manuel"), "6690-2", ("fault", "method")),
        (entry(), "6690-2", ("warning", "method")),
    ],
)
def test_each_axis_is_checked(analysis: Entry, loinc: str, expected: tuple[str, str] | None) -> None:
    result = found(analysis, loinc)
    if expected is None:
        assert result == []
    else:
        assert expected in result


def test_the_molar_twin_is_named_when_the_unit_wants_it() -> None:
    lab = laboratory([entry("mmol/L", "Sérum")], [Row(local_code="X", loinc="2345-7", status="checked")])
    (fault,) = check(lab, TODAY)
    assert "14749-6 is the same with SCnc" in fault.problem


def test_a_deprecated_code_comes_with_what_loinc_gives_instead() -> None:
    row = Row(local_code="X", loinc="1988-5", status="checked")
    (fault,) = check(laboratory([entry()], [row], replacements={"1988-5": ("76485-2", "71426-1")}), TODAY)
    assert fault == Fault(
        "loinc/transcoding.csv",
        2,
        "fault",
        "status",
        "1988-5 is deprecated; LOINC gives 76485-2 or 71426-1 in its place",
    )


def test_a_code_outside_the_subset_that_ships_is_no_fault_before_the_release_is_there() -> None:
    lab = laboratory([entry()], [Row(local_code="X", loinc="99999-9", status="checked")], whole=False)
    assert [(fault.level, fault.rule) for fault in check(lab, TODAY)] == [("warning", "code")]


def test_only_what_was_checked_is_checked_and_an_unknown_local_code_is_told() -> None:
    rows = [
        Row(local_code="X", loinc="1988-5", status="refused"),
        Row(local_code="X", loinc="24323-8", status="proposed"),
        Row(local_code="X", status="without_loinc"),
        Row(local_code="Y", loinc="2951-2", status="checked"),
    ]
    assert [(fault.line, fault.rule) for fault in check(laboratory([entry()], rows), TODAY)] == [(5, "catalogue")]


@pytest.mark.parametrize(
    "more,rule",
    [
        ({"ucum": "mmol/L", "molar_mass": "Glucose", "decimals": "2"}, None),
        ({"ucum": "mmol/L", "molar_mass": "Glucose"}, "decimals"),
        ({"ucum": "mmol/L"}, "same dimension"),
        ({"ucum": "mmol/L", "molar_mass": "Gluc"}, "not in the table of molar masses"),
        ({"ucum": "mmol/litre"}, "not a UCUM unit"),
        ({"molar_mass": "Glucose"}, "without `ucum`"),
    ],
)
def test_a_conversion_is_checked_by_dimension_and_by_the_table_of_molar_masses(
    more: dict[str, str], rule: str | None
) -> None:
    row = replace(Row(local_code="X", loinc="14749-6", status="checked"), **more)  # type: ignore[arg-type]  # fields
    problems = [
        fault.problem for fault in check(laboratory([entry("g/L")], [row]), TODAY) if fault.rule == "conversion"
    ]
    assert len(problems) == (rule is not None)
    assert all(rule is not None and rule in problem for problem in problems)


def test_the_units_of_the_traffic_must_convert_too() -> None:
    seen = Seen("X", "", "", "parasanges", "", "", "NM", "", "", "2026-11-01")
    row = Row(local_code="X", loinc="718-7", status="checked", ucum="g/L")
    rules = [(fault.rule, fault.line) for fault in check(laboratory([entry("g/dL")], [row], [seen]), TODAY)]
    assert ("conversion", 2) in rules
    assert ("traffic", 2) in rules


def test_a_unit_of_the_traffic_that_the_catalogue_lacks_is_told_unless_it_is_another_spelling() -> None:
    seen = [Seen("X", "", "", unit, "", "", "NM", "", "", "2026-11-01") for unit in ("mg/l", "mg/L", "µg/mL", "")]
    faults = check(laboratory([entry("mg/L")], [], seen), TODAY)
    assert [(fault.file, fault.line, fault.rule) for fault in faults] == [("loinc/catalogue.csv", 2, "traffic")]
    assert "'µg/mL' (1 results)" in faults[0].problem


def test_a_unit_that_nobody_knows_is_told() -> None:
    assert [fault.rule for fault in check(laboratory([entry("parasanges")], []), TODAY)] == ["unit"]


def test_the_type_of_the_traffic_stands_in_for_that_of_the_catalogue() -> None:
    seen = [Seen("X", "", "", "", "", "", "NM", "", "", "2026-11-01")]
    row = Row(local_code="X", loinc="5196-1", status="checked")
    faults = check(laboratory([entry(technique="CMIA")], [row], seen), TODAY)
    assert [fault.rule for fault in faults] == ["scale"]


def test_one_local_code_on_several_codes_is_a_fault_when_both_may_hold() -> None:
    def rules(*rows: Row) -> list[tuple[int, str]]:
        return [
            (fault.line, fault.rule) for fault in check(laboratory([entry()], rows), TODAY) if fault.rule == "several"
        ]

    one = Row(local_code="X", loinc="2951-2", status="checked")
    assert rules(one, replace(one, loinc="2955-3")) == [(3, "several")]
    assert rules(replace(one, until="2025-12-31"), replace(one, loinc="2955-3", since="2026-01-01")) == []
    assert rules(replace(one, specimen="Sérum"), replace(one, loinc="2955-3", specimen="Urine")) == []
    assert rules(replace(one, specimen="Sérum"), replace(one, loinc="2955-3", unit="mmol/L")) == [(3, "several")]
    assert rules(one, replace(one, loinc="2955-3", specimen="Urine")) == []


def test_two_local_codes_on_one_code_are_told_unless_the_analysers_differ() -> None:
    rows = [Row(local_code=code, loinc="2951-2", status="checked") for code in ("A", "B")]

    def rules(*entries: Entry) -> list[str]:
        return [fault.rule for fault in check(laboratory(entries, rows), TODAY)]

    first, second = Entry(local_code="A"), Entry(local_code="B")
    assert rules(first, second) == ["shared"]
    assert rules(replace(first, analyser="cobas"), replace(second, analyser="Atellica")) == []


def test_the_example_units_of_the_table_that_ships_agree_with_the_property_of_their_term() -> None:
    """The table of properties, on its own: without the example units of the term itself."""
    wrong: dict[str, list[str]] = {}
    asked = 0
    for one in shipped():
        for code in one.units[:1]:
            try:
                unit = parse(code)
            except UcumError:
                continue
            asked += 1
            if agrees(one._replace(units=()), unit) is False:
                wrong.setdefault(one.property, []).append(f"{one.code} {code}")
    assert sum(map(len, wrong.values())) < asked * 0.005, {name: codes[:5] for name, codes in wrong.items()}
