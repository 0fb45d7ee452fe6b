"""The declarative steps, on bytes: what they do not name does not change."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.errors import MessageError, UnsupportedError
from channels.message import Message
from channels.testing import message, sample_context
from transforms.steps import Charset, Copy, Delete, Set

MSH = "MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A01|1|P|2.5|||||FRA|UNICODE UTF-8"
PID = 'PID|1||700123^^^CH&1.2&ISO^PI~9^^^NIR^INS||MODELE^ÉLOÏSE|""||F|||1 rue^^VILLE||'
PV1 = "PV1|1|I|3120^12^1"
OBX = "OBX|1|NM|GLU||5||||||P"
CONTEXT = sample_context()


def _body(*segments: str, end: str = "\r") -> bytes:
    return end.join([MSH, *segments, ""]).encode()


def _do(step: Any, options: Any, body: bytes) -> bytes:
    made = step(step.settings.model_validate(options))(message(body), CONTEXT)
    assert isinstance(made, Message)
    assert step(step.settings.model_validate(options))(made, CONTEXT).body == made.body, "a second run changes nothing"
    return made.body


@pytest.mark.parametrize(
    "options,before,after",
    [
        ({"PV1-2": "E"}, [PID, PV1], [PID, "PV1|1|E|3120^12^1"]),
        ({"PV1-3.1": "NEPH"}, [PID, PV1], [PID, "PV1|1|I|NEPH^12^1"]),
        ({"PV1-3.4.2": "x"}, [PV1], ["PV1|1|I|3120^12^1^&x"]),
        ({"PV1-5": 7}, [PV1], ["PV1|1|I|3120^12^1||7"]),
        ({"PV1-5": True}, [PV1], ["PV1|1|I|3120^12^1||true"]),
        ({"PID-3[2].1": "8"}, [PID, PV1], [PID.replace("~9^", "~8^"), PV1]),
        ({"PV1-2": "a|b&c"}, [PV1], ["PV1|1|a\\F\\b\\T\\c|3120^12^1"]),
        ({"PV1-3": "NEPH^1"}, [PV1], ["PV1|1|I|NEPH^1"]),
        ({"OBX-11": "F"}, [OBX, OBX, PV1], [OBX[:-1] + "F", OBX[:-1] + "F", PV1]),
        ({"OBX[2]-11": "F"}, [OBX, OBX, PV1], [OBX, OBX[:-1] + "F", PV1]),
        ({"OBX[GLU]-5": "6"}, [OBX, OBX.replace("GLU", "NA")], [OBX.replace("||5|", "||6|"), OBX.replace("GLU", "NA")]),
        ({"PV1-2": "E", "PV1-3": ""}, [PV1], ["PV1|1|E|"]),
    ],
)
def test_set_writes_where_it_is_told(options: dict[str, Any], before: list[str], after: list[str]) -> None:
    assert _do(Set, options, _body(*before)) == _body(*after)


def test_set_refuses_a_message_without_the_segment() -> None:
    with pytest.raises(MessageError) as raised:
        _do(Set, {"PV2-3": "x"}, _body(PID))
    assert (raised.value.place, raised.value.condition) == ("PV2-3", "100")


@pytest.mark.parametrize(
    "source,to,before,after",
    [
        ("PV1-3.1", "PV1-10", [PV1], [PV1 + "|||||||3120"]),
        ("PV1-3", "PV1-6", [PV1], [PV1 + "|||3120^12^1"]),
        ("PID-3[2].1", "PV1-2", [PID, PV1], [PID, "PV1|1|9|3120^12^1"]),
        ("PV1-44", "PV1-2", [PV1], [PV1]),
        ("ZZZ-1", "PV1-2", [PV1], [PV1]),
        ("PV1-3.1", "OBX-15", [PV1, OBX, OBX], [PV1, OBX + "||||3120", OBX + "||||3120"]),
    ],
)
def test_copy_takes_the_first_value(source: str, to: str, before: list[str], after: list[str]) -> None:
    assert _do(Copy, {"from": source, "to": to}, _body(*before)) == _body(*after)


@pytest.mark.parametrize(
    "options,before,after",
    [
        ("ZFP", [PID, "ZFP|1", PV1, "ZFP|2"], [PID, PV1]),
        (["ZFP", "PID-6"], [PID, "ZFP|1"], [PID.replace('""', "")]),
        ("PID-3[2]", [PID], [PID.replace("~9^^^NIR^INS", "")]),
        ("PV1-3.2", [PV1], ["PV1|1|I|3120^^1"]),
        ("PV1-3", [PV1], ["PV1|1|I|"]),
        ("OBX[2]", [OBX, OBX.replace("5", "6")], [OBX]),
        (["ZZZ", "PV1-99"], [PID, PV1], [PID, PV1]),
        ("MSH-8", [PV1], [PV1]),
    ],
)
def test_delete_removes_what_is_there(options: Any, before: list[str], after: list[str]) -> None:
    assert _do(Delete, options, _body(*before)) == _body(*after)


@given(
    st.sampled_from(["\r", "\n", "\r\n"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20),
)
def test_segments_that_a_step_does_not_name_stay_byte_for_byte(end: str, text: str) -> None:
    strange = f"ZZZ|{text}|||"
    body = _body(strange, PV1, strange, end=end)
    assert _do(Set, {"PV1-2": "E"}, body) == body.replace(b"PV1|1|I|", b"PV1|1|E|")


def test_a_message_that_nothing_changes_is_itself() -> None:
    one = message(_body(PV1))
    for step, options in ((Set, {}), (Delete, ["ZFP"]), (Copy, {"from": "ZZZ-1", "to": "PV1-2"})):
        assert step(step.settings.model_validate(options))(one, CONTEXT) is one  # type: ignore[arg-type]  # any step


@pytest.mark.parametrize(
    "step,options",
    [
        (Set, {"PV1": "x"}),
        (Set, {"MSH-1": "x"}),
        (Set, {"PV1-2": ["x"]}),
        (Delete, ["MSH"]),
        (Delete, ["MSH-2"]),
        (Delete, ["PV1.2"]),
        (Copy, {"from": "PV1-2"}),
        (Charset, {"to": "EBCDIC"}),
    ],
)
def test_options_that_mean_nothing_are_refused_when_they_are_read(step: Any, options: Any) -> None:
    with pytest.raises(ValidationError):
        step.settings.model_validate(options)


@pytest.mark.parametrize("step,options", [(Set, {"PV1-2": "E"}), (Delete, ["ZFP"]), (Charset, {"to": "8859/15"})])
def test_a_step_of_hl7v2_refuses_another_format(step: Any, options: Any) -> None:
    with pytest.raises(UnsupportedError):
        step(step.settings.model_validate(options))(Message(b"<a/>", "xml"), CONTEXT)


# charset


def _charset(to: str, body: bytes, unknown: str = "substitute") -> Message:
    return Charset(Charset.settings.model_validate({"to": to, "unknown": unknown}))(message(body), CONTEXT)


def test_charset_writes_the_bytes_and_says_so_in_msh_18() -> None:
    made = _charset("8859/15", _body(PID, "NTE|1||œuvre à 5 €"))
    expected = _body(PID, "NTE|1||œuvre à 5 €").decode().replace("UNICODE UTF-8", "8859/15").encode("iso8859-15")
    assert (made.body, made.charset) == (expected, "iso8859-15")
    back = _charset("UNICODE UTF-8", made.body)
    assert back.body == _body(PID, "NTE|1||œuvre à 5 €")


@pytest.mark.parametrize(
    "to,text,written",
    [
        ("8859/15", "l\u2019œil \u2013 \u2265 3", "l'œil - >= 3"),
        ("8859/1", "5 € d\u2019œufs", "5 EUR d'oeufs"),
        ("ASCII", "É\u00a0à", "E a"),
        ("8859/15", "\u4e2d", "?"),
        ("8859/15", "\u0144", "n"),
        ("8859/15", "\u03bcmol", "µmol"),
        ("ASCII", "µ", "u"),
    ],
)
def test_a_character_that_the_set_lacks_is_written_as_the_nearest_one(to: str, text: str, written: str) -> None:
    made = _charset(to, _body(f"NTE|1||{text}"))
    assert made.body.decode(made.charset).split("NTE|1||")[1] == written + "\r"


def test_what_is_written_for_a_character_is_escaped_when_it_is_a_delimiter() -> None:
    body = _body("NTE|1||l\u2019eau").decode().replace("^~\\&", "^'\\&").encode()
    assert _charset("8859/15", body).body.endswith(b"l\\R\\eau\r")


def test_charset_refuses_when_it_is_told_or_when_a_delimiter_would_be_lost() -> None:
    with pytest.raises(MessageError) as raised:
        _charset("8859/15", _body("NTE|1||\u2019"), "refuse")
    assert raised.value.condition == "102"
    with pytest.raises(MessageError):
        _charset("8859/15", _body(PV1).decode().replace("&", "\u2020").encode())


def test_charset_refuses_bytes_that_the_message_cannot_mean() -> None:
    one = Message(_body(PV1) + b"NTE|1||\xe9\r", charset="utf-8")
    with pytest.raises(MessageError) as raised:
        Charset(Charset.settings.model_validate({"to": "8859/15"}))(one, CONTEXT)
    assert (raised.value.place, raised.value.condition) == ("MSH-18", "102")


def test_charset_needs_a_header_and_leaves_what_is_right_as_it_is() -> None:
    batch = Message(b"FHS|^~\\&|A\rFTS|1\r")
    with pytest.raises(MessageError):
        Charset(Charset.settings.model_validate({"to": "8859/15"}))(batch, CONTEXT)
    one = message(_body(PID))
    assert Charset(Charset.settings.model_validate({"to": "UNICODE UTF-8"}))(one, CONTEXT) is one


def test_charset_drops_a_byte_order_mark() -> None:
    assert _charset("8859/15", b"\xef\xbb\xbf" + _body(PV1)).body.startswith(b"MSH|")
