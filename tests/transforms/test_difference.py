"""Where two messages differ."""

import pytest

from transforms.difference import differences

MSH = "MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A01|1|P|2.5"


def _body(*segments: str) -> bytes:
    return "\r".join([MSH, *segments, ""]).encode()


@pytest.mark.parametrize(
    "expected,got,lines",
    [
        (["PV1|1|I"], ["PV1|1|I"], []),
        (["PV1|1|I"], ["PV1|1|E"], ["PV1-2: expected 'I' got 'E'"]),
        (["PV1|1|I|a^b&c^d"], ["PV1|1|I|a^b&x"], ["PV1-3.2.2: expected 'c' got 'x'", "PV1-3.3: expected 'd' got ''"]),
        (["PID|1||a^1~b"], ["PID|1||a^2~b~c"], ["PID-3[1].2: expected '1' got '2'", "PID-3[3]: expected '' got 'c'"]),
        (["PID|1||a~b"], ["PID|1||a"], ["PID-3[2]: expected 'b' got ''"]),
        (["OBX|1", "OBX|2"], ["OBX|1", "OBX|3"], ["OBX[2]-1: expected '2' got '3'"]),
        (["PID|1", "ZFA|x"], ["PID|1"], ["ZFA: expected, and it is not there"]),
        (["PID|1"], ["PID|1", "ZFA|x"], ["ZFA: not expected: 'ZFA|x'"]),
        (["PID|1", "PV1|1"], ["PV1|1", "PID|1"], ["PV1: expected, and it is not there", "PV1: not expected: 'PV1|1'"]),
        (
            ["PV1|1|I|"],
            ["PV1|1|I"],
            ["the same fields, written in other bytes: line ends, trailing separators or charset"],
        ),
    ],
)
def test_each_place_that_differs_is_a_line(expected: list[str], got: list[str], lines: list[str]) -> None:
    assert sorted(differences(_body(*expected), _body(*got))) == sorted(lines)


def test_places_may_be_ignored() -> None:
    one, other = _body("PV1|1|I", "ZFP|1"), _body("PV1|1|E")
    assert differences(one, other, ["PV1-2", "ZFP"]) == []
    assert differences(one, other, ["PV1-2"]) == ["ZFP: expected, and it is not there"]


def test_other_line_ends_and_delimiters_are_told() -> None:
    one = _body("PV1|1|I")
    assert differences(one, one.replace(b"\r", b"\n")) == [
        "the same fields, written in other bytes: line ends, trailing separators or charset"
    ]
    assert differences(one, one.replace(b"^~", b"~^")) == ["MSH-2: other delimiters"]


def test_what_is_not_hl7v2_differs_by_line() -> None:
    assert differences(b"<a>\n<b/>\n</a>", b"<a>\n<c/>\n</a>") == ["line 2: expected '<b/>' got '<c/>'"]
    assert differences(b"<a>", b"<a>\nmore") == ["line 2: expected '' got 'more'"]
    (line,) = differences(b"x" * 200, b"y")
    assert line == f"line 1: expected '{'x' * 120}…' got 'y'"
