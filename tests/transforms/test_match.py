"""The conditions of filters."""

import pytest

from channels.errors import ConfigError, ParseError, UnsupportedError
from channels.message import Message
from channels.testing import message
from transforms.match import Match

HEADER = b"MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A01^ADT_A01|1|P|2.5|||||FRA|UNICODE UTF-8\r"
BODY = (
    HEADER + b"PID|1||700123^^^CH^PI~INS9^^^NIR^INS||MODELE^ALIX|||F||||||||||||||||||||||||VALI~X\r"
    b'PV1|1|I|3120^12|""||a\\T\\b\r'
    b"OBX|1|NM|GLU^Glucose^L||5\rOBX|2|CE|DESTDMP^x||Y^oui\rOBX|3|NM|NA||140\r"
)
ADT = message(BODY)


def _row(**row: list[str]) -> bool:
    return Match([{place.replace("_", "-"): values for place, values in row.items()}])(ADT)


@pytest.mark.parametrize(
    "place,values,passes",
    [
        ("message", ["ADT^A01"], True),
        ("message", ["ADT^A02", "ADT"], True),
        ("message", ["ADT^A02", "ORU"], False),
        ("PV1-2", ["E", "I"], True),
        ("PV1-2", ["E"], False),
        ("PV1-3", ["3120"], True),
        ("PV1-3.2", ["12"], True),
        ("PV1-3", ["3120^12"], False),
        ("PV1-6", ["a&b"], True),
        ("PID-3", ["INS9"], True),
        ("PID-3[1]", ["INS9"], False),
        ("PID-3[2]", ["INS9"], True),
        ("PID-3.5", ["INS"], True),
        ("PID-32", ["VALI"], True),
        ("PID-32", ["X"], True),
        ("OBX-3", ["NA"], True),
        ("OBX[1]-3", ["NA"], False),
        ("OBX[3]-3", ["NA"], True),
        ("OBX[DESTDMP]-5", ["Y"], True),
        ("OBX[NA]-5", ["Y"], False),
        ("MSH-3", ["GAP"], True),
        ("MSH-12", ["2.5"], True),
        ("PV1-2", ["*"], True),
        ("PV1-4", ["*"], True),
        ("PV1-4", ['""'], True),
        ("PV1-5", ["*"], False),
        ("PV1-5", [""], True),
        ("PV1-4", [""], False),
        ("PV1-5", ["", "X"], True),
        ("PV1-2", ["", "I"], True),
        ("PV1-2", ["", "E"], False),
        ("ZFP-1", ["*"], False),
        ("ZFP-1", [""], True),
        ("PID-3[3]", [""], True),
        ("PV1", ["*"], True),
        ("ZFP", ["*"], False),
        ("ZFP", [""], True),
        ("PV1", [""], False),
    ],
)
def test_a_field_matches_by_any_of_its_values(place: str, values: list[str], passes: bool) -> None:
    assert Match([{place: values}])(ADT) is passes


def test_every_field_of_a_row_and_any_row() -> None:
    yes, no = {"PV1-2": ["I"]}, {"PV1-2": ["E"]}
    assert Match([{**yes, "message": ["ADT"]}])(ADT)
    assert not Match([{**yes, "PID-8": ["M"]}])(ADT)
    assert Match([no, yes])(ADT)
    assert not Match([no, {"PID-8": ["M"]}])(ADT)
    assert not Match([])(ADT)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_other_delimiters_make_no_difference(end: bytes) -> None:
    rows = [{"PV1-2": ["I"], "PID-3": ["INS9"], "OBX[DESTDMP]-5": ["Y"], "PV1-3.2": ["12"]}]
    assert Match(rows)(message(BODY.replace(b"\r", end)))
    swapped = BODY.translate(bytes.maketrans(b"|^~&", b"^|&~"))
    assert Match(rows)(message(swapped))


def test_a_segment_written_in_lower_case_or_twice_is_found() -> None:
    assert Match([{"PV1-2": ["I"]}])(message(HEADER + b"pv1|1|I\r"))
    assert Match([{"PV1-2": ["I"]}])(message(HEADER + b"PV1|1|E\rPV1|2|I\r"))


@pytest.mark.parametrize(
    "place,value,problem",
    [
        ("message", "adt^a01", "'adt^a01' is not a message such as ADT^A01 or ADT; did you mean 'ADT^A01'?"),
        ("message", "A01 from GAP", "'A01 from GAP' is not a message such as ADT^A01 or ADT"),
        ("sender", "GAP", "'sender' is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1"),
        ("PID[X]-3", "1", "'PID[X]-3': only an OBX is chosen by its code (OBX-3.1); use a number for other segments"),
    ],
)
def test_what_is_neither_place_nor_message_is_a_fault_of_the_file(place: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Match([{place: [value]}])
    assert str(raised.value) == problem


def test_a_place_of_a_message_that_is_not_hl7v2_is_refused_and_its_kind_is_not() -> None:
    bundle = Message(b"{}", "fhir+json", kind="Bundle")
    assert not Match([{"message": ["ADT"], "PID-3": ["1"]}])(bundle)
    with pytest.raises(UnsupportedError) as raised:
        Match([{"PID-3": ["1"]}])(bundle)
    assert raised.value.place == "PID-3"


def test_a_message_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ParseError):
        Match([{"PID-3": ["1"]}])(Message(b"MSH"))
