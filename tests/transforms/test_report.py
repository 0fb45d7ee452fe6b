"""The report as a value: what it says of itself."""

from dataclasses import FrozenInstanceError, replace

import pytest

from tests.transforms.laboratory import context, fixture
from transforms.oru import read_report
from transforms.report import Address, Person, Report, Unit


def report(name: str = "oru_multi") -> Report:
    return read_report(fixture(name), context())


def with_status(one: Report, status: str) -> Report:
    chapter, *others = one.chapters
    panel, *panels = chapter.panels
    first, *results = panel.results
    panel = replace(panel, results=(replace(first, status=status), *results))
    return replace(one, chapters=(replace(chapter, panels=(panel, *panels)), *others))


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        report().chapters = ()  # type: ignore[misc]  # what is tested


def test_two_readings_of_one_message_are_equal() -> None:
    assert report() == report()


@pytest.mark.parametrize(
    "status, complete", [("F", True), ("C", True), ("X", True), ("P", False), ("I", False), ("R", False)]
)
def test_a_report_is_complete_when_nothing_is_awaited(status: str, complete: bool) -> None:
    assert with_status(report(), status).complete is complete


def test_every_result_knows_its_place() -> None:
    assert [result.place for result in report().results()] == [f"OBX[{number}]" for number in range(1, 23)]


@pytest.mark.parametrize(
    "ucum, listed, dimensionless",
    [("1", False, True), ("{INR}", False, True), ("{ratio}", True, False), ("mg/L", True, False), ("", False, False)],
)
def test_a_unit_is_dimensionless_only_when_ucum_says_so(ucum: str, listed: bool, dimensionless: bool) -> None:
    assert Unit("x", ucum, listed).dimensionless is dimensionless


def test_people_and_addresses_are_shown_as_printed() -> None:
    assert Person("DURAND", "Anne", "MME", "DR").shown() == "Dr Anne DURAND"
    assert Person("DURAND", "", "MME").shown() == "Mme DURAND"
    assert Person("DURAND").shown() == "DURAND"
    address = Address((), "1 rue A", "Bât. B", "75001", "PARIS", "", "FRA")
    assert address.shown() == ("1 rue A", "Bât. B", "75001 PARIS", "FRA")
    assert Address(("x", "y")).shown() == ("x", "y")
