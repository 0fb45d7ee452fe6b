"""The INS travels only with a validated identity and a right key; everything else keeps its bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.message import Message
from tests.transforms.laboratory import context
from transforms import er7
from transforms.ins import ins_key_is_right, ins_kind, withhold_unverified

INS = "290067505600227"
IPP = "700123^^^CH-TEST&990000001&M^PI"
AUTHORITY = "ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO"


def adt(identifiers: str, status: str, event: str = "A28") -> Message:
    lines = [
        f"MSH|^~\\&|GAP|CH|PFI|CH|20260310083015||ADT^{event}|1|P|2.5|||||FRA|UNICODE UTF-8",
        "EVN||20260310083015",
        f"PID|1||{identifiers}||MODELE^ALIX^^^^^L||19900615|F||||||||||||||||||||||||{status}",
        "PV1|1|N",
        "ZZZ|à garder tel quel|||",
    ]
    return er7.message(("\r".join(lines) + "\r").encode())


def withheld(message: Message) -> Message:
    return withhold_unverified(message, context())


@pytest.mark.parametrize(
    "number, right",
    [
        ("279035121518989", True),
        (INS, True),
        ("290067505600228", False),
        ("255082A12345646", True),  # Corse-du-Sud: 2A is 19
        ("255082B12345673", True),  # Haute-Corse: 2B is 18
        ("255082C12345646", False),
        ("2900675056002", False),
        ("2900675056002 27", False),
        ("", False),
        ("٢90067505600227", False),
    ],
)
def test_the_key_is_97_minus_the_number_modulo_97(number: str, right: bool) -> None:
    assert ins_key_is_right(number) is right


@given(st.integers(min_value=0, max_value=10**13 - 1))
def test_exactly_one_key_is_right(number: int) -> None:
    digits = f"{number:013d}"
    assert [key for key in range(100) if ins_key_is_right(f"{digits}{key:02d}")] == [97 - number % 97]


@given(st.integers(min_value=0, max_value=10**13 - 1), st.integers(0, 12), st.integers(1, 9))
def test_a_digit_typed_wrong_is_found(number: int, position: int, shift: int) -> None:
    digits = f"{number:013d}"
    key = f"{97 - number % 97:02d}"
    other = digits[:position] + str((int(digits[position]) + shift) % 10) + digits[position + 1 :]
    assert not ins_key_is_right(other + key)


def test_the_domain_of_an_oid_is_known() -> None:
    assert ins_kind("1.2.250.1.213.1.4.8", "production") == "NIR"
    assert ins_kind("1.2.250.1.213.1.4.9", "production") == "NIA"
    assert ins_kind("1.2.250.1.213.1.4.10", "production") == ""
    assert ins_kind("1.2.250.1.213.1.4.8", "test") == ""


@pytest.mark.parametrize("status", ["VALI", "HOMA~VALI", "vali"])
def test_a_validated_identity_keeps_its_ins(status: str) -> None:
    message = adt(f"{IPP}~{INS}^^^{AUTHORITY}^INS", status)
    assert withheld(message) is message


@pytest.mark.parametrize("status", ["", "PROV", "VIDE", "PROV~DOUT", "QUAL"])
def test_without_validation_the_ins_alone_goes(status: str) -> None:
    message = adt(f"{IPP}~{INS}^^^{AUTHORITY}^INS~X^^^CNOP&1.2.250.1.176.1.2&ISO^NDP", status)
    expected = message.body.replace(f"~{INS}^^^{AUTHORITY}^INS".encode(), b"")
    assert withheld(message).body == expected


def test_a_wrong_key_goes_even_from_a_validated_identity() -> None:
    message = adt(f"{IPP}~290067505600228^^^{AUTHORITY}^INS", "VALI")
    assert withheld(message).body == message.body.replace(f"~290067505600228^^^{AUTHORITY}^INS".encode(), b"")


def test_an_ins_without_its_type_is_known_by_its_authority() -> None:
    message = adt(f"{INS}^^^{AUTHORITY}~{IPP}", "PROV")
    assert INS.encode() not in withheld(message).body


def test_the_billing_number_is_not_an_ins_though_it_has_the_same_oid() -> None:
    message = adt(f"{IPP}~{INS}^^^ASIP-SANTE-NIR&1.2.250.1.213.1.4.8&ISO^NH", "PROV")
    assert withheld(message).body == message.body


def test_the_order_to_delete_an_ins_passes() -> None:
    message = adt(f'{IPP}~""^^^{AUTHORITY}^INS', "PROV", "A47")
    assert withheld(message).body == message.body


def test_a_message_without_patient_is_returned_as_it_is() -> None:
    message = er7.message(b"MSH|^~\\&|A|B|C|D|20260310||SIU^S12|1|P|2.5\rSCH|INS|1.2.250.1.213.1.4.10\r")
    assert withheld(message) is message


def test_every_pid_is_looked_at() -> None:
    one = adt(f"{IPP}~{INS}^^^{AUTHORITY}^INS", "VALI").body
    second = f"PID|2||{INS}^^^{AUTHORITY}^INS||AUTRE^JO^^^^^L".encode()
    found = withheld(er7.message(one + second + b"\r")).body
    assert found == one + b"PID|2||||AUTRE^JO^^^^^L\r"


@given(st.data())
def test_applying_it_twice_changes_nothing_more(data: Any) -> None:
    identifier = st.sampled_from([IPP, f"{INS}^^^{AUTHORITY}^INS", "1^^^X^INS", "", '""^^^X^INS', "N^^^A^NH"])
    identifiers = "~".join(data.draw(st.lists(identifier, max_size=5)))
    message = adt(identifiers, data.draw(st.sampled_from(["", "VALI", "PROV"])))
    once = withheld(message)
    assert withheld(once).body == once.body
