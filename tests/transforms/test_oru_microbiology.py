"""Cultures of an ORU: isolates and their susceptibility tests, linked and never guessed."""

from typing import Any

import pytest

from channels.errors import MessageError, ProfileError
from channels.message import Message
from channels.ports import Tables
from tests.transforms.laboratory import context, edited, fixture
from transforms import er7
from transforms.oru import read_report
from transforms.report import Isolate, Panel, Report

LINKED = "oru_ecbu"
FLAT = "oru_hemoculture"


def panels(message: Message, **settings: Any) -> list[Panel]:
    return list(read_report(message, context(**settings)).panels())


def isolates(message: Message, **settings: Any) -> list[Isolate]:
    return [isolate for panel in panels(message, **settings) for isolate in panel.isolates]


def shown(found: list[Isolate]) -> list[tuple[str, str, list[str]]]:
    """Number, germ and antibiotics of each isolate."""
    return [(one.number, one.germ.text, [r.code.text for p in one.panels for r in p.results]) for one in found]


def without(name: str, *starts: str) -> Message:
    lines = fixture(name).body.decode().rstrip("\r").split("\r")
    kept = [line for line in lines if not line.startswith(starts)]
    return er7.message(("\r".join(kept) + "\r").encode())


E_COLI = ["Amoxicilline", "Amoxicilline + acide clavulanique", "Gentamicine", "Fosfomycine"]


def test_each_susceptibility_test_goes_to_its_germ() -> None:
    (culture,) = panels(fixture(LINKED))
    assert [one.code.text for one in culture.results] == ["Aspect", "Leucocytes", "Coloration de Gram"]
    assert shown(list(culture.isolates)) == [
        ("1", "Escherichia coli", E_COLI),
        ("2", "Enterococcus faecalis", ["Amoxicilline", "Vancomycine"]),
    ]
    first = culture.isolates[0]
    assert first.germ.standard is not None
    assert first.germ.standard.code == "112283007"
    assert [one.code.text for one in first.results] == ["Germe identifié", "Numération"]
    assert first.results[0].notes[0].lines == ("Souche productrice de BLSE : isolement recommandé.",)
    assert first.panels[0].notes == ()
    assert first.panels[0].specimens == ()
    assert first.panels[0].results[3].notes[0].lines == ("Interprétation selon CA-SFM/EUCAST.",)


def test_an_interpretation_in_the_value_is_an_interpretation() -> None:
    first, second = isolates(fixture(LINKED))
    assert [[flag.code for flag in one.flags] for one in first.panels[0].results] == [["R"], ["S"], ["S"], ["R"]]
    assert [flag.label for flag in second.panels[0].results[1].flags] == ["Sensible"]


@pytest.mark.parametrize(
    "parent_result, parent_order",
    [
        ("630-4&x&LN^2^Enterococcus faecalis", "^LAB-900211&SGL"),
        ("630-4&x&LN^2", "DPI-77011&DPI"),
        ("GERME&Germe&L^2", "DPI-77011&DPI^LAB-900211&SGL"),
        ("^2", "^LAB-900211"),
        ("^^Enterococcus faecalis", "^LAB-900211"),
        ("630-4^9^ENTEROCOCCUS FAECALIS", ""),
        ("&Enterococcus faecalis", ""),
    ],
)
def test_the_germ_is_found_by_number_code_or_name(parent_result: str, parent_order: str) -> None:
    message = edited(LINKED, ("OBR[3]", 26, parent_result), ("OBR[3]", 29, parent_order))
    assert shown(isolates(message))[1] == ("2", "Enterococcus faecalis", ["Amoxicilline", "Vancomycine"])


def test_siblings_of_one_group_are_linked_by_the_sub_id() -> None:
    changes = [("ORC", 8, "G1"), ("ORC[3]", 8, "G1"), ("OBR[3]", 26, "^2"), ("OBR[3]", 29, "")]
    group = [("OBR", 29, "G1"), *changes]
    assert shown(isolates(edited(LINKED, *group)))[1][2] == ["Amoxicilline", "Vancomycine"]


def test_a_germ_that_only_the_link_names_is_shown_by_its_words() -> None:
    message = without(LINKED, "OBX|6|CWE", "OBX|7|NM")
    found = panels(message)
    assert shown([one for panel in found for one in panel.isolates])[1] == (
        "2",
        "Enterococcus faecalis",
        ["Amoxicilline", "Vancomycine"],
    )
    assert found[1].results == ()


@pytest.mark.parametrize(
    "changes, place",
    [
        ([("OBR[3]", 26, "630-4&x&LN^3")], "OBR[3]-26"),
        ([("OBX[6]", 11, "D")], "OBR[3]-26"),
        ([("OBX[6]", 11, "W")], "OBR[3]-26"),
        ([("OBR[3]", 26, "630-4&x&LN")], "OBR[3]-26"),
    ],
)
def test_a_link_to_nothing_to_two_germs_or_to_a_withdrawn_one_is_refused(
    changes: list[tuple[str, int, str]], place: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        panels(edited(LINKED, *changes))
    assert caught.value.place == place


def test_without_links_the_sub_id_tells_the_isolates_apart() -> None:
    (culture,) = panels(fixture(FLAT))
    assert shown(list(culture.isolates)) == [
        ("1.1", "Staphylococcus aureus", ["Oxacilline", "Vancomycine"]),
        ("2.1", "Candida albicans", ["Fluconazole"]),
    ]
    assert [one.code.text for one in culture.results] == ["Délai de positivité"]
    assert [one.status for one in culture.isolates] == ["F", "P"]
    assert not culture.complete


def test_isolates_without_dots_are_told_apart_too() -> None:
    changes = [("OBX[2]", 4, "1"), ("OBX[3]", 4, "1"), ("OBX[4]", 4, "1"), ("OBX[5]", 4, "2"), ("OBX[6]", 4, "2")]
    assert [one[2] for one in shown(isolates(edited(FLAT, *changes)))] == [
        ["Oxacilline", "Vancomycine"],
        ["Fluconazole"],
    ]


def test_no_growth_is_an_ordinary_result() -> None:
    sterile = edited(
        FLAT,
        ("OBX[2]", 5, "264868006^Absence de culture^SCT"),
        *((f"OBX[{number}]", 0, "") for number in (6, 5, 4, 3)),
    )
    (culture,) = panels(sterile)
    assert culture.isolates == ()
    assert [one.code.text for one in culture.results] == ["Délai de positivité", "Germe"]


def test_a_germ_in_words_without_anything_of_its_own_stays_a_result() -> None:
    alone = edited(FLAT, ("OBX[2]", 5, "^Staphylococcus"), *((f"OBX[{n}]", 0, "") for n in (6, 5, 4, 3)))
    assert isolates(alone) == []


class Codes:
    def translate(self, value: str) -> str | None:
        return {"EFA": "78065002", "VAN": "524-9", "XGERM": "3092008"}.get(value)


def test_germs_and_antibiotics_get_their_codes_from_the_sites_tables() -> None:
    tables: dict[str, Tables] = {"codes": Codes()}
    report = read_report(fixture(LINKED), context(tables=tables, microorganisms="codes", antibiotics="codes"))
    second = next(report.panels()).isolates[1]
    assert second.germ.standard is not None
    assert (second.germ.standard.code, second.germ.standard.label) == ("78065002", "Enterococcus faecalis")
    vancomycin = second.panels[0].results[1].code
    assert vancomycin.standard is not None
    assert (vancomycin.standard.code, vancomycin.standard.system) == ("524-9", "2.16.840.1.113883.6.1")


def test_a_sites_own_code_of_germs() -> None:
    changes = [(f"OBX[{n}]", 3, "XG^Germe isolé^L") for n in (2, 5)]
    assert isolates(edited(FLAT, *changes)) == []
    assert len(isolates(edited(FLAT, *changes), germ_codes=["XG"])) == 2


def names(report: Report) -> list[list[str]]:
    return [[panel.code.text for panel in chapter.panels] for chapter in report.chapters]


def test_a_panel_of_a_panel_follows_it() -> None:
    message = edited("oru_multi", ("OBR[3]", 29, "^LAB-900104&SGL"))
    assert names(read_report(message, context())) == [["Hémogramme", "Protéine C réactive"], ["Ionogramme sanguin"]]


def test_a_reflex_test_of_a_number_is_no_isolate() -> None:
    message = edited("oru_multi", ("OBR[3]", 26, "6690-2&Leucocytes&LN"), ("OBR[3]", 29, "^LAB-900104&SGL"))
    assert names(read_report(message, context()))[0] == ["Hémogramme", "Protéine C réactive"]
    assert isolates(message) == []


def test_panels_that_name_each_other_are_kept() -> None:
    message = edited("oru_multi", ("OBR[3]", 29, "^LAB-900104"), ("OBR[1]", 29, "^LAB-900106"))
    assert sum(len(one) for one in names(read_report(message, context()))) == 3


@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("raw", ["^^", "&&&^^", "~", "x", "\\T\\^1", "630-4&&LN^1^^", "^1.1"])
def test_any_link_gives_a_report_or_a_refusal_with_its_place(number: int, raw: str) -> None:
    message = edited(LINKED, (f"OBR[{number}]", 26, raw))
    found, place = None, "OBR"
    try:
        found = read_report(message, context())
    except MessageError as error:
        place = error.place
    assert place.startswith("OBR")
    assert found is None or len(list(found.results())) == 13
