"""Targets of the laboratory's tables: codes that can be, and codes that cannot."""

import pytest

from transforms.laboratory_tables import is_concept, problem
from transforms.tables import table

CONCEPTS = ["112283007", "3092008", "260385009", "278149003", "368208006", "77851000146104"]


@pytest.mark.parametrize("code", CONCEPTS)
def test_a_concept_of_snomed_ct_has_its_check_digit(code: str) -> None:
    assert is_concept(code)
    for digit in set("0123456789") - {code[-1]}:
        assert not is_concept(code[:-1] + digit)
    swapped = code[1] + code[0] + code[2:]
    assert swapped == code or not is_concept(swapped)


@pytest.mark.parametrize("code", ["", "12345", "0112283007", "11228300A", "1" * 19, "112283017"])
def test_what_is_no_concept(code: str) -> None:
    assert not is_concept(code)


def test_the_tables_of_the_product_are_right() -> None:
    for name in ("units", "chapters"):
        assert [target for target in table(name).values() if problem(name, target)] == []


def test_a_setting_without_rule_takes_anything() -> None:
    assert problem("methods", "ECL") == ""
