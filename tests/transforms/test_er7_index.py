"""The keys that keep order, and the identifiers that messages are found by."""

from __future__ import annotations

import pytest

from channels.errors import ParseError
from channels.message import Message
from channels.registry import find
from transforms.hl7v2 import FORMAT

HEAD = "MSH|^~\\&|GAP|CH|PFI|CH|||{}|1|P|2.5||||||UNICODE UTF-8\r"


def message(kind: str, *lines: str, end: str = "\r") -> Message:
    text = HEAD.format(kind) + "\r".join([*lines, ""])
    return FORMAT.message(text.replace("\r", end).encode(), 1.0)


def test_the_core_finds_the_format_by_its_name() -> None:
    assert find("format", "hl7v2") is FORMAT


@pytest.mark.parametrize(
    "identifiers, keys",
    [
        ("700123^^^CH&99&M^PI~290^^^INS&1.2&ISO^INS", ("700123",)),
        ("290^^^INS&1.2&ISO^INS~700123^^^CH^PI", ("700123",)),
        ("290^^^INS&1.2&ISO^INS~700^^^CH^MR", ("290",)),
        ("700123", ("700123",)),
        ('""^^^INS^INS~700^^^CH^PI', ("700",)),
        ("~^^^CH^PI~8", ("8",)),
        ("7\\T\\8^^^CH^PI", ("7&8",)),
        (" 7 ^^^CH^PI", ("7",)),
        ("", ()),
        ('""', ()),
    ],
)
def test_the_patient_s_own_identifier_is_the_key(identifiers: str, keys: tuple[str, ...]) -> None:
    assert FORMAT.lanes(message("ADT^A01", f"PID|1||{identifiers}||X"), ("patient",)) == keys


def test_a_message_without_a_patient_has_no_key() -> None:
    assert FORMAT.index(message("MFN^M02", "MFI|x"), ("patient",)) == ((), [])


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_merge_has_the_keys_of_both_identities_in_every_group(end: str) -> None:
    made = message(
        "ADT^A40", "EVN|A40", "PID|1||7^^^CH^PI", "MRG|8^^^CH~9", "PID|2||10^^^CH^PI", "PD1|x", "MRG|11", end=end
    )
    keys, facets = FORMAT.index(made, ("patient",))
    assert sorted(keys) == ["10", "11", "7", "8", "9"]
    assert {value for kind, value in facets if kind == "patient"} == {"7", "8", "9", "10", "11"}


def test_a_link_of_two_patients_has_both_keys() -> None:
    made = message("ADT^A24", "EVN|A24", "PID|1||7^^^CH^PI", "PV1||I", "PID|2||8^^^CH^PI")
    assert FORMAT.lanes(made, ("patient",)) == ("7", "8")


def test_a_mistyped_merge_in_lower_case_is_a_merge() -> None:
    assert FORMAT.lanes(message("ADT^A40", "pid|1||7", "mrg|8"), ("patient",)) == ("7", "8")


def test_a_place_is_a_key_and_the_merged_value_of_it_too() -> None:
    moved = message("ADT^A44", "PID|1||7|||||||||||||||A1^^^CH", "MRG|8||A0^^^CH")
    assert FORMAT.lanes(moved, ("PID-18.1",)) == ("PID-18.1 A1", "PID-18.1 A0")
    assert FORMAT.lanes(moved, ("patient", "PID-18.1")) == ("7", "8", "PID-18.1 A1", "PID-18.1 A0")
    assert FORMAT.lanes(moved, ("channel",)) == ()
    assert FORMAT.lanes(moved, ("PV1-3",)) == ()


def test_the_identifiers_of_a_message_are_its_facets() -> None:
    made = message(
        "ORU^R01",
        "PID|1||7^^^CH^PI~290^^^I^INS|||||||||||||||A1^^^CH^AN",
        "PV1|1|I|||||||||||||||||V1^^^CH^VN",
        "ORC|RE|P1^DPI|F1^SGL",
        "OBR|1|P1^DPI|F1^SGL|x",
        "ORC|RE||F2",
        'OBR|2|""|F2',
    )
    assert FORMAT.facets(made) == [
        ("patient", "7"),
        ("patient", "290"),
        ("account", "A1"),
        ("visit", "V1"),
        ("order", "P1"),
        ("order", "F1"),
        ("order", "F2"),
    ]


def test_a_body_that_is_not_hl7_has_no_header() -> None:
    with pytest.raises(ParseError):
        FORMAT.message(b"hello", 1.0)
    with pytest.raises(ParseError):
        FORMAT.index(Message(b"hello"), ("patient",))


def test_only_the_first_visit_counts_and_every_patient_whatever_its_case() -> None:
    made = message("ADT^A01", "PID|1||7", "PV1|1", "PV1|1|||||||||||||||||||V2", "pid|2||8")
    assert FORMAT.index(made, ("patient",)) == (("7", "8"), [("patient", "7"), ("patient", "8")])


def test_a_document_is_indexed_like_any_message() -> None:
    lines = ("PID|1||7^^^CH^PI", "PV1|1|I|||||||||||||||||V1", "ORC|RE|P1|F1", "OBX|1|ED|||" + "QUJD" * 30_000)
    large = message("ORU^R01", *lines)
    small = message("ORU^R01", *lines[:3])
    assert FORMAT.index(large, ("patient",)) == FORMAT.index(small, ("patient",))
