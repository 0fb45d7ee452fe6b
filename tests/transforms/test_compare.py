"""The comparer names each fact that two reports do not say alike, and only those."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from tests.transforms.laboratory import context, edited, fixture
from transforms.compare import compare, facts
from transforms.measures import number
from transforms.oru import read_report
from transforms.report import Flag, Note, Panel, Quantity, Report, Result, Unit

Change = Callable[[Result], Result]


def report(name: str = "oru_nfs") -> Report:
    return read_report(fixture(name), context())


def changed(one: Report, change: Change) -> Report:
    chapter = one.chapters[0]
    panel = chapter.panels[0]
    results = (change(panel.results[0]), *panel.results[1:])
    return replace(one, chapters=(replace(chapter, panels=(replace(panel, results=results), *chapter.panels[1:])),))


def quantity(text: str) -> Quantity:
    found = number(text, comma=True)
    assert found is not None
    return Quantity(found)


CHANGES: dict[str, Change] = {
    "value": lambda one: replace(one, values=(quantity("11.2"),)),
    "unit": lambda one: replace(one, unit=Unit("g/L", "g/L", listed=True)),
    "flags": lambda one: replace(one, flags=(Flag("L", "Anormalement bas"),)),
    "range": lambda one: replace(one, range=None),
    "status": lambda one: replace(one, status="P"),
    "code": lambda one: replace(one, code=replace(one.code, standard=None)),
    "note[1]": lambda one: replace(one, notes=(Note(("x",)),)),
    "time": lambda one: replace(one, time=None),
    "sub-id": lambda one: replace(one, sub_id="2"),
    "validations": lambda one: replace(one, validations=()),
    "devices": lambda one: replace(one, devices=()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_of_a_result_is_named(what: str) -> None:
    one = report()
    names = [each.name.removeprefix("chapter[1].panel[1].") for each in compare(one, changed(one, CHANGES[what]))]
    assert f"result[1].{what}" in names
    assert set(names) <= {f"result[1].{what}", "status"}


def test_spellings_are_not_facts() -> None:
    one = report()
    assert compare(one, changed(one, lambda each: replace(each, values=(quantity("11,20"),)))) == []
    assert compare(one, one) == []


def test_digits_are_facts_and_no_text_shows_a_value() -> None:
    one = report()
    (found,) = compare(one, changed(one, CHANGES["value"]))
    assert (found.one, found.other) == ("11.20", "11.2")
    assert str(found) == "chapter[1].panel[1].result[1].value: differs"


def test_what_one_does_not_say_is_named_too() -> None:
    one = report()
    shorter = replace(one, chapters=())
    assert {str(each).rpartition(": ")[2] for each in compare(one, shorter)} == {"only in the first"}
    assert {str(each).rpartition(": ")[2] for each in compare(shorter, one)} == {"only in the second"}


@pytest.mark.parametrize(
    "path, raw, name",
    [
        ("PID-5", "AUTRE^ALIX^ALIX LOU^^^^L", "patient.family"),
        ("PID-7", "19900616", "patient.birth date"),
        ("PID-8", "M", "patient.sex"),
        ("SPM-2", "^26031000999&SGL", "chapter[1].panel[1].specimen[1].id"),
        ("SPM-4", "PLAS^Plasma^HL70487", "chapter[1].panel[1].specimen[1].type"),
        ("OBX-17", "X^Autre^L", "chapter[1].panel[1].result[1].method"),
        ("OBX-15", "LABX", "chapter[1].panel[1].result[1].laboratory"),
    ],
)
def test_wrong_patient_specimen_method_and_laboratory_are_named(path: str, raw: str, name: str) -> None:
    place, _, field = path.partition("-")
    other = read_report(edited("oru_crp", (place, int(field), raw)), context())
    assert name in [each.name for each in compare(report("oru_crp"), other)]


def test_a_lost_isolate_and_swapped_germs_are_named() -> None:
    one = report("oru_ecbu")
    panel = one.chapters[0].panels[0]
    first, second = panel.isolates

    def having(*isolates: Any) -> Report:
        return replace(one, chapters=(replace(one.chapters[0], panels=(replace(panel, isolates=isolates),)),))

    lost = compare(one, having(first))
    assert all(each.name.startswith("chapter[1].panel[1].isolate[2]") for each in lost)
    swapped = having(replace(first, germ=second.germ), replace(second, germ=first.germ))
    assert {each.name.rpartition(".")[2] for each in compare(one, swapped)} == {"germ", "germ code"}


def test_every_part_of_a_report_has_facts() -> None:
    """A field that is added to a result or a panel must be compared, or be said here not to be a fact."""
    spellings = {"place", "placer"}
    for kind, name in ((Result, "oru_electrophorese"), (Panel, "oru_ecbu")):
        assert is_dataclass(kind)
        said = " ".join(fact for fact, _ in facts(report(name)))
        words = {
            "values": "value",
            "sub_id": "",
            "laboratory": "laboratory",
            "results": "result",
            "isolates": "isolate",
            "images": "",
            "notes": "note",
            "specimens": "specimen",
            "flags": "",
            "devices": "",
        }
        for each in fields(kind):
            if each.name not in spellings:
                assert words.get(each.name, each.name) in said, each.name
