"""One field through one table."""

from typing import Any

import pytest
from pydantic import ValidationError

from channels.errors import MappingError, UnknownNameError
from channels.message import Message
from channels.testing import message, sample_context
from mappings import Table
from transforms.codes import Codes

MSH = b"MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A01|1|P|2.5\r"
TABLE = Table("uf", {"3120": "NEPH", "3210": "CARD", "a&b": "x^y", "SAME": "SAME"})


def _table(name: str) -> Table:
    if name != "uf":
        raise UnknownNameError(name)
    return TABLE


CONTEXT = sample_context(table=_table)


def _codes(field: str, body: bytes, **options: Any) -> bytes:
    step = Codes(Codes.settings.model_validate({"field": field, "table": "uf", **options}))
    return step(message(MSH + body), CONTEXT).body.removeprefix(MSH)


@pytest.mark.parametrize(
    "field,before,after",
    [
        ("PV1-3.1", b"PV1|1|I|3120^12^1\r", b"PV1|1|I|NEPH^12^1\r"),
        ("PV1-3", b"PV1|1|I|3120^12^1\r", b"PV1|1|I|NEPH^12^1\r"),
        ("PV1-2", b"PV1|1|3120|x\r", b"PV1|1|CARD|x\r".replace(b"CARD", b"NEPH")),
        ("ZBE-7.10", b"ZBE|1|2|3|4|5|6|N^^^^^^^^^3210\r", b"ZBE|1|2|3|4|5|6|N^^^^^^^^^CARD\r"),
        ("PV1-3", b'PV1|1|I|3120~3210^a~~""\r', b'PV1|1|I|NEPH~CARD^a~~""\r'),
        ("PV1-3[2]", b"PV1|1|I|3120~3210\r", b"PV1|1|I|3120~CARD\r"),
        ("PV1-3[3]", b"PV1|1|I|3120~3210\r", b"PV1|1|I|3120~3210\r"),
        ("OBX-3", b"OBX|1|NM|3120\rNTE|1\rOBX|2|NM|3210\r", b"OBX|1|NM|NEPH\rNTE|1\rOBX|2|NM|CARD\r"),
        ("OBX[2]-3", b"OBX|1|NM|3120\rOBX|2|NM|3210\r", b"OBX|1|NM|3120\rOBX|2|NM|CARD\r"),
        (
            "OBX[NA]-15",
            b"OBX|1|NM|K||||||||||||3120\rOBX|2|NM|NA||||||||||||3210\r",
            b"OBX|1|NM|K||||||||||||3120\rOBX|2|NM|NA||||||||||||CARD\r",
        ),
        ("PV1-3.1", b"PV1|1|I|a\\T\\b\r", b"PV1|1|I|x\\S\\y\r"),
        ("PV1-3.1", b"PV1|1|I\rPV2|3120\r", b"PV1|1|I\rPV2|3120\r"),
        ("PV1-3.1", b"PID|1\r", b"PID|1\r"),
    ],
)
def test_every_code_of_the_field_is_translated_and_nothing_else(field: str, before: bytes, after: bytes) -> None:
    assert _codes(field, before) == after


@pytest.mark.parametrize(
    "field,body,place",
    [
        ("PV1-3.1", b"PV1|1|I|999\r", "PV1-3.1"),
        ("PV1-3", b"PV1|1|I|3120~999\r", "PV1-3[2].1"),
        ("OBX-3", b"OBX|1|NM|3120\rOBX|2|NM|999\r", "OBX[2]-3.1"),
        ("PV1-3.4.2", b"PV1|1|I|^^^a&999\r", "PV1-3.4.2"),
    ],
)
def test_an_unknown_code_is_refused_with_its_place_and_without_the_code(field: str, body: bytes, place: str) -> None:
    with pytest.raises(MappingError) as raised:
        _codes(field, body)
    assert (raised.value.place, raised.value.condition) == (place, "103")
    assert "999" not in str(raised.value)


def test_an_unknown_code_is_kept_or_replaced_when_the_channel_says_so() -> None:
    body = b"PV1|1|I|999~3120\r"
    assert _codes("PV1-3", body, unknown="keep") == b"PV1|1|I|999~NEPH\r"
    assert _codes("PV1-3", body, unknown="default", default="DIV") == b"PV1|1|I|DIV~NEPH\r"
    assert _codes("PV1-3", body, unknown="default", default="") == b"PV1|1|I|~NEPH\r"


@pytest.mark.parametrize("options", [{"unknown": "default"}, {"default": "x"}, {"unknown": "drop"}])
def test_a_policy_and_its_default_go_together(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Codes.settings.model_validate({"field": "PV1-3", "table": "uf", **options})


def test_a_message_whose_codes_stay_the_same_is_itself() -> None:
    one = message(MSH + b"PV1|1|I|SAME\r")
    assert Codes(Codes.settings.model_validate({"field": "PV1-3", "table": "uf"}))(one, CONTEXT) is one
    assert isinstance(one, Message)
