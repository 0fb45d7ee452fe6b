"""The assertion and the signature of a lot, checked by xmlsec1: software that is not ours."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import ParseError
from connectors.dmp.names import distinguished_name, structures
from connectors.dmp.soap import envelope
from connectors.dmp.vihf import Assertion, Coded, assertion
from connectors.dmp.xades import Signed, lot_signature
from connectors.dmp.xml import DS, Digest
from tests.connectors.dmp_certificates import STRUCTURE, Health
from tests.parts import require

AT = datetime(2026, 11, 25, 8, 15, 30, tzinfo=UTC)
SAID = Assertion(
    id="_7d9a0d5e",
    at=AT,
    subject="810000005479",
    subject_name="Anne DURAND & <Fils>",
    structure=STRUCTURE,
    sector="SA01^1.2.250.1.71.4.2.4",
    patient="279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH",
    authenticated=AT,
    context="urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified",
    roles=[Coded("10", "1.2.250.1.71.1.2.7", "professions", "Médecin"), Coded("SM03", "1.2.250.1.71.4.2.5", "", "")],
    purpose=Coded("normal", "1.2.250.1.213.1.1.4.248", "mode acces VIHF 1.0", "Accès normal"),
    product="Vaguemestre",
    product_version="1.0",
    approval="XXX-000000-0000",
    installation="1.2.250.1.999999.7",
)
SAML = {"s": "urn:oasis:names:tc:SAML:2.0:assertion", "ds": DS}
DOCUMENT = (
    b'<?xml version="1.0"?>\n<?xml-stylesheet href="a"?><!-- c --><a xmlns="urn:u"><b z="1" a="2"/>\r\n&#233;</a>\n'
)


def verify(file: Path, health: Health, *more: str) -> None:
    program = require("xmlsec1", "xmlsec1")
    command = [program, "--verify", "--trusted-pem", str(health.authority), *more, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def verify_assertion(file: Path, health: Health) -> None:
    verify(file, health, "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion")


def verify_lot_signature(file: Path, health: Health) -> None:
    identifiers = [f"{DS}:Manifest", "http://uri.etsi.org/01903/v1.1.1#:SignedProperties"]
    options = [text for one in identifiers for text in ("--id-attr:Id", one)]
    verify(file, health, "--ignore-manifests", *options)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
@pytest.mark.parametrize("prefixes", [True, False])
def test_xmlsec1_verifies_the_assertion_where_it_stands(
    health: Health, tmp_path: Path, algorithm: Digest, prefixes: bool
) -> None:
    signed = assertion(health.sign, SAID, algorithm=algorithm, prefixes=prefixes)
    body = [b'<a xmlns="urn:hl7-org:v3"/>']
    made = envelope(action="urn:a", to="https://dmp.example.test/", message_id="1", assertion=signed, body=body)
    (tmp_path / "envelope.xml").write_bytes(made)
    verify_assertion(tmp_path / "envelope.xml", health)


def test_an_altered_assertion_is_not_verified(health: Health, tmp_path: Path) -> None:
    altered = assertion(health.sign, SAID).replace(b"279035121518989", b"279035121518990")
    (tmp_path / "assertion.xml").write_bytes(altered)
    with pytest.raises(AssertionError):
        verify_assertion(tmp_path / "assertion.xml", health)


def test_the_assertion_says_what_the_volet_wants(health: Health) -> None:
    root = etree.fromstring(assertion(health.sign, SAID))
    order = ["Issuer", "Signature", "Subject", "AuthnStatement", "AttributeStatement"]
    assert [etree.QName(one).localname for one in root] == order
    issuer = root.find("s:Issuer", SAML)
    assert issuer is not None
    assert issuer.text == "CN=PFI SIGN,OU=1990000001,O=CH DE TESTVILLE,ST=Departement fictif (99),C=FR"
    assert issuer.get("Format") == "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
    texts = {
        one.get("Name"): [value.text for value in one.iterfind("s:AttributeValue", SAML)]
        for one in root.iterfind(".//s:Attribute", SAML)
    }
    assert texts["VIHF_Version"] == ["3.0"]
    assert texts["Authentification_Mode"] == ["INDIRECTE"]
    assert texts["Identifiant_Structure"] == [STRUCTURE]
    assert texts["urn:oasis:names:tc:xacml:2.0:resource:resource-id"] == [SAID.patient]
    assert texts["urn:oasis:names:tc:xspa:1.0:subject:subject-id"] == ["Anne DURAND & <Fils>"]
    assert "urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code" not in texts
    roles = root.findall(".//{urn:hl7-org:v3}Role")
    assert [one.get("code") for one in roles] == ["10", "SM03"]
    assert {one.get("{http://www.w3.org/2001/XMLSchema-instance}type") for one in roles} == {"CE"}


def test_names_may_be_in_the_order_of_the_certificate(health: Health) -> None:
    subject = health.sign.certificate.subject
    expected = "C=FR, ST=Departement fictif (99), O=CH DE TESTVILLE, OU=1990000001, CN=PFI SIGN"
    assert distinguished_name(subject, "certificate") == expected
    assert structures(health.sign.certificate) == (STRUCTURE,)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_xmlsec1_verifies_the_signature_of_a_lot(health: Health, tmp_path: Path, algorithm: Digest) -> None:
    documents = [Signed("1.2.250.1.999999.8.1", DOCUMENT), Signed("1.2.250.1.999999.8.2", b"<b/>")]
    made = lot_signature(
        health.sign, documents, lot="1.2.250.1.999999.3.1", unique_id="1.2.250.1.999999.4.1", at=AT, algorithm=algorithm
    )
    (tmp_path / "signature.xml").write_bytes(made)
    verify_lot_signature(tmp_path / "signature.xml", health)
    (tmp_path / "altered.xml").write_bytes(made.replace(b"999999.8.1", b"999999.8.9"))
    with pytest.raises(AssertionError):
        verify_lot_signature(tmp_path / "altered.xml", health)


def test_the_manifest_lists_the_lot_and_the_canonical_form_of_each_document(health: Health) -> None:
    made = lot_signature(health.sign, [Signed("1.2.3", DOCUMENT)], lot="1.2.9", unique_id="1.2.8", at=AT)
    root = etree.fromstring(made)
    assert root.get("Id") == "1.2.8"
    references = root.findall(f".//{{{DS}}}Manifest/{{{DS}}}Reference")
    assert [one.get("URI") for one in references] == ["urn:oid:1.2.9", "urn:oid:1.2.3"]
    canonical = b'<?xml-stylesheet href="a"?>\n<!-- c -->\n<a xmlns="urn:u"><b a="2" z="1"></b>\n\xc3\xa9</a>'
    expected = base64.b64encode(hashlib.sha1(canonical).digest()).decode()
    assert [one.findtext(f"{{{DS}}}DigestValue") for one in references] == ["AA==", expected]


def test_the_signature_has_the_shape_of_the_official_example(health: Health, shared: Path) -> None:
    ours = lot_signature(
        health.sign, [Signed("1.2.3", b"<a/>"), Signed("1.2.4", b"<b/>")], lot="1.2.9", unique_id="1.2.8", at=AT
    )
    example = (shared / "ihe" / "example-xades.xml").read_bytes()
    assert shape(etree.fromstring(ours)) == shape(etree.fromstring(example))


def shape(element: etree._Element) -> tuple[str, tuple[tuple[str, str], ...], tuple[object, ...]]:
    """Names, children, and the attributes whose values are algorithms, types or fixed names."""
    kept = {key: value for key, value in element.items() if "1.2." not in value and "urn:oid" not in value}
    return (
        str(element.tag),
        tuple(sorted((str(k), str(v)) for k, v in kept.items())),
        tuple(shape(one) for one in element),
    )


@pytest.mark.parametrize("content", [b"no markup", b'<a xmlns="relative"/>', b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;'])
def test_a_document_that_cannot_be_signed_is_said(health: Health, content: bytes) -> None:
    with pytest.raises(ParseError) as raised:
        lot_signature(health.sign, [Signed("1.2.3", content)], lot="1.2.9", unique_id="1.2.8", at=AT)
    assert content.decode() not in str(raised.value)
