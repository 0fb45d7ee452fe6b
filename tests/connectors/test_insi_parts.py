"""Parts of the ``insi`` lookup: names and traits, hostile answers, the signature of the assertion."""

import subprocess
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from channels.message import Message
from connectors.insi import requests
from connectors.insi.answers import Broken, Fault, body_of, fault_table, read_search, read_verification
from connectors.insi.assertion import Said, assertion, distinguished_name
from connectors.insi.settings import InsiOperation
from connectors.insi.traits import Traits, differences, from_pid, given_names, in_alphabet, tries
from tests.connectors.insi import OID, RUTH, adt
from tests.parts import require
from transforms import er7
from vaguemestre.simulators.insi.answers import envelope, fault, result, verified
from vaguemestre.simulators.insi.people import read_people
from vaguemestre.simulators.insi.signature import signer_of
from vaguemestre.simulators.pki import Authority

ALPHABET = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ '-")
TRAITS = Traits("FICTIVE", ("RUTH", "ISABELLE"), "F", "1979-03-28", "51215")
PERSON = read_people(None)[0]

# names


@pytest.mark.parametrize(
    "text, made",
    [
        ("Bélœil", "BELOEIL"),
        ("Lætitia", "LAETITIA"),
        ("D’Essai", "D'ESSAI"),
        ("  de   la  Tour ", "DE LA TOUR"),
        ("Ñandú‑Çelik", "NANDU-CELIK"),
        ("PARENT--AUTRE", "PARENT--AUTRE"),
        ("Weiß", "WEISS"),
        ("X Æ A-12", "X AE A-"),
        ("李", ""),
        ("O.K. (né)", "OK NE"),
    ],
)
def test_a_name_is_written_in_the_alphabet(text: str, made: str) -> None:
    assert in_alphabet(text) == made
    assert in_alphabet(unicodedata.normalize("NFD", text)) == made


@given(st.text())
def test_nothing_else_than_the_alphabet_is_left_and_twice_is_once(text: str) -> None:
    made = in_alphabet(text)
    assert set(made) <= ALPHABET
    assert in_alphabet(made) == made


@given(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=8), st.integers(1, 4))
def test_tries_begin_with_all_names_and_are_never_more_than_asked(names: list[str], most: int) -> None:
    made = list(tries(tuple(names), most))
    assert made[0] == tuple(names)
    assert len(made) <= most
    assert all(len(one) == 1 for one in made[1:])
    assert len(set(made[1:])) == len(made[1:])


def test_compound_names_are_one() -> None:
    assert given_names("Jean-Pierre, Anne Laure") == ("JEAN-PIERRE", "ANNE", "LAURE")


@pytest.mark.parametrize(
    "message, made",
    [
        (adt(), TRAITS),
        (adt(name="FICTIVE^RUTH^RUTH ISABELLE^^Mme^^^L"), TRAITS),
        (adt(name="FICTIVE^RUTH^RUTH ISABELLE"), TRAITS),
        (adt(name="FICTIVE^RUTH^RUTH ISABELLE^^^^M"), TRAITS),
        (adt(name="X^Y^^^^^M~FICTIVE^RUTH^RUTH ISABELLE^^^^L"), TRAITS),
        (adt(birth="197903281230"), TRAITS),
        (adt(place=f"1 RUE X^^Y^^^FRA^H~{'^' * 6}BDL^^51215"), TRAITS),
        (adt(place="^^^^^^BDL^^9935"), Traits("FICTIVE", ("RUTH", "ISABELLE"), "F", "1979-03-28", "")),
        (adt(name="FICTIVE^RUTH^^^^^L"), Traits("FICTIVE", ("RUTH",), "F", "1979-03-28", "51215", listed=False)),
    ],
)
def test_traits_are_read_where_senders_write_them(message: Message, made: Traits) -> None:
    (pid,) = er7.read(message).all("PID")
    assert from_pid(pid) == made
    assert "FICTIVE" not in repr(made)


def test_each_trait_that_differs_is_named() -> None:
    other = Traits("X", ("Y",), "M", "1980-01-01", "75056")
    assert differences(TRAITS, other, "list") == ["PID-5", "PID-7", "PID-8", "PID-11"]
    assert differences(TRAITS, TRAITS, "list") == []
    unlisted = Traits("FICTIVE", ("RUTH", "ISABELLE"), "F", "1979-03-28", "51215", listed=False)
    assert differences(unlisted, TRAITS, "list") == ["PID-5"]
    assert differences(unlisted, TRAITS, "first") == []


# requests


def test_what_is_written_is_escaped() -> None:
    contexts = requests.Contexts("<&>", '"', "4", "1", "i", "n", "01_02", "01_00")
    operation = InsiOperation(action="a&b", namespace="urn:x", element="E")
    body = requests.search(operation, TRAITS, ("RUTH",), "join")
    made = etree.fromstring(requests.envelope("a&b", "u", datetime.now(UTC), contexts, b"<a/>", body))
    assert made.findtext(".//{urn:siram:lps:ctxlps}IDAM") == '"'
    assert [one.text for one in made.iter("{urn:x}Prenom")] == ["RUTH"]


# answers


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_what_is_no_answer_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        body_of(data)


@given(st.binary(max_size=20), st.integers(0, 900), st.integers(0, 30))
def test_a_damaged_answer_is_an_answer_or_broken(noise: bytes, at: int, length: int) -> None:
    whole = envelope(result("00", PERSON), "uuid:1")
    try:
        answer = read_search(body_of(whole[:at] + noise + whole[at + length :]), "test")
    except (Broken, Fault):
        return
    assert answer.code in ("00", "01", "02")


def test_children_are_read_by_name_whatever_their_order_and_history_is_passed_over() -> None:
    nessi = next(one for one in read_people(None) if one.former)
    body = result("00", nessi)
    assert body.index("INSHISTO") < body.index("INSACTIF")
    answer = read_search(body_of(envelope(body, "x")), "test")
    assert answer.individual is not None
    assert answer.individual.number == nessi.number
    assert nessi.number not in repr(answer)


def test_given_names_of_an_answer_may_stand_in_elements() -> None:
    body = result("00", PERSON).replace(
        "<ListePrenom>RUTH ISABELLE</ListePrenom>",
        "<ListePrenom><Prenom>RUTH</Prenom><Prenom>ISABELLE</Prenom></ListePrenom>",
    )
    answer = read_search(body_of(envelope(body, "x")), "test")
    assert answer.individual is not None
    assert answer.individual.traits == TRAITS


@pytest.mark.parametrize("domain, oid", [("production", OID), ("test", "1.2.250.1.213.1.4.8")])
def test_an_ins_of_the_other_domain_is_no_answer(domain: str, oid: str) -> None:
    body = result("00", PERSON).replace(OID, oid)
    with pytest.raises(Broken, match="another domain"):
        read_search(body_of(envelope(body, "x")), domain)


@pytest.mark.parametrize(
    "text", ["", "<a>true</a><b>false</b>", "<a>maybe</a>", "<CodeCR>99</CodeCR><a>true</a>", "<a>1</a>"]
)
def test_a_verification_that_says_neither_is_no_answer(text: str) -> None:
    with pytest.raises(Broken):
        read_verification(body_of(envelope(f"<r>{text}</r>", "x")))


@pytest.mark.parametrize("right", [True, False])
def test_a_verification_says_yes_or_no(right: bool) -> None:
    assert read_verification(body_of(envelope(verified(RUTH, OID, right=right), "x"))) is right


SOAP_1_1 = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Client</faultcode>'
    b"<faultstring>FICTIVE</faultstring></e:Fault></e:Body></e:Envelope>"
)


@pytest.mark.parametrize(
    "data, action, code",
    [
        (fault("insi_102", "x"), "retry", "insi_102"),
        (fault("insi_999", "x"), "retry", "siram_40"),
        (fault("insi_999", "x", sender=True, subcode="y"), "refuse", "insi_999"),
        (fault(RUTH, "x", sender=True, subcode=RUTH), "refuse", "Sender"),
        (fault(f"a_{RUTH}", "x", subcode="x"), "retry", "Receiver"),
        (SOAP_1_1, "refuse", "Sender"),
        (SOAP_1_1.replace(b"Client", b"Server"), "retry", "Receiver"),
    ],
)
def test_a_fault_is_sorted_by_its_code_else_by_whose_it_is(data: bytes, action: str, code: str) -> None:
    with pytest.raises(Fault) as raised:
        body_of(data)
    assert fault_table(None).decide(raised.value) == (action, code)


# the assertion


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[RSAPrivateKey, x509.Certificate, Authority]:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    pem = authority.keep("sign", "sign").pem.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)
    return key, x509.load_pem_x509_certificate(pem), authority


SAID = Said("_1", datetime(2026, 3, 10, 12, tzinfo=UTC), "CN=x", "1990000001", {"a": "é&", "b": ""}, "PSC", "urn:c")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_assertion_is_signed_whole(own: tuple[RSAPrivateKey, x509.Certificate, Authority], algorithm: str) -> None:
    key, certificate, _ = own
    made = assertion(key, certificate, SAID, algorithm)  # type: ignore[arg-type]  # one of the literals
    inside = etree.fromstring(b'<x xmlns="urn:y" xmlns:saml="urn:z">' + made + b"</x>")[0]
    assert signer_of(inside) == certificate
    assert signer_of(etree.fromstring(made.replace(b"1990000001", b"1990000002"))) is None
    assert [one.get("Name") for one in inside.iter("{*}Attribute")] == ["a"]


def test_another_implementation_verifies_the_signature(
    own: tuple[RSAPrivateKey, x509.Certificate, Authority], tmp_path: Path
) -> None:
    program = require("xmlsec1", "xmlsec1")
    key, certificate, authority = own
    file = tmp_path / "assertion.xml"
    file.write_bytes(assertion(key, certificate, SAID))
    command = [program, "--verify", "--trusted-pem", str(authority.file), "--id-attr:ID", "Assertion", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_issuer_is_written_in_both_orders(own: tuple[RSAPrivateKey, x509.Certificate, Authority]) -> None:
    subject = own[1].subject
    assert distinguished_name(subject, "rfc2253").startswith("CN=")
    assert distinguished_name(subject, "certificate").startswith("C=FR, ")
