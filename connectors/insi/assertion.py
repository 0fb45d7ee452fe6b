"""The SAML assertion of a call, signed with the key of the establishment.

Source: SAML 2.0 core; XML Signature 1.0 (enveloped), Exclusive XML Canonicalization 1.0; INSi, attributes of the
assertion.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

Element = etree._Element  # noqa: SLF001  # the only name that lxml gives its elements
Digest = Literal["sha1", "sha256"]

DS = "http://www.w3.org/2000/09/xmldsig#"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_DIGESTS: dict[Digest, str] = {"sha1": f"{DS}sha1", "sha256": "http://www.w3.org/2001/04/xmlenc#sha256"}
_SIGNATURES: dict[Digest, str] = {
    "sha1": f"{DS}rsa-sha1",
    "sha256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
}
_HASHES: dict[Digest, hashes.HashAlgorithm] = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  # a setting


@dataclass(frozen=True, slots=True)
class Said:
    """What an assertion says. subject: number of the structure; attributes: name -> value, empty ones are not sent."""

    id: str
    at: datetime
    issuer: str
    subject: str
    attributes: dict[str, str]
    qualifier: str = ""
    context: str = ""
    validity: float = 300.0


def distinguished_name(name: x509.Name, order: Literal["rfc2253", "certificate"]) -> str:
    """``CN=...,OU=...,C=FR``, or ``C=FR, ..., CN=...`` in the order of the certificate."""
    if order == "rfc2253":
        return name.rfc4514_string()
    return ", ".join(one.rfc4514_string() for one in name.rdns)


def assertion(key: RSAPrivateKey, certificate: x509.Certificate, said: Said, algorithm: Digest = "sha256") -> bytes:
    """The signed assertion; it declares every prefix that it uses."""
    root = etree.Element(
        f"{{{SAML}}}Assertion",
        {"ID": said.id, "IssueInstant": _instant(said.at), "Version": "2.0"},
        nsmap={"saml": SAML},
    )
    _add(root, "Issuer", said.issuer).set("Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName")
    name = _add(_add(root, "Subject"), "NameID", said.subject)
    if said.qualifier:
        name.set("NameQualifier", said.qualifier)
    around = timedelta(seconds=said.validity)
    conditions = _add(root, "Conditions")
    conditions.set("NotBefore", _instant(said.at - around))
    conditions.set("NotOnOrAfter", _instant(said.at + around))
    login = _add(root, "AuthnStatement")
    login.set("AuthnInstant", _instant(said.at))
    _add(_add(login, "AuthnContext"), "AuthnContextClassRef", said.context)
    statement = _add(root, "AttributeStatement")
    for key_, value in said.attributes.items():
        if value:
            attribute = _add(statement, "Attribute")
            attribute.set("Name", key_)
            _add(attribute, "AttributeValue", value)
    root.insert(1, _signature(key, certificate, root, algorithm))
    return etree.tostring(root)


def _signature(key: RSAPrivateKey, certificate: x509.Certificate, root: Element, algorithm: Digest) -> Element:
    """The enveloped signature of an assertion that has none yet."""
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = _ds(signature, "SignedInfo")
    _ds(info, "CanonicalizationMethod").set("Algorithm", _EXCLUSIVE)
    _ds(info, "SignatureMethod").set("Algorithm", _SIGNATURES[algorithm])
    reference = _ds(info, "Reference")
    reference.set("URI", f"#{root.get('ID')}")
    transforms = _ds(reference, "Transforms")
    _ds(transforms, "Transform").set("Algorithm", f"{DS}enveloped-signature")
    _ds(transforms, "Transform").set("Algorithm", _EXCLUSIVE)
    _ds(reference, "DigestMethod").set("Algorithm", _DIGESTS[algorithm])
    digest = hashlib.new(algorithm, _canonical(root), usedforsecurity=False).digest()
    _ds(reference, "DigestValue", base64.b64encode(digest).decode("ascii"))
    value = key.sign(_canonical(info), padding.PKCS1v15(), _HASHES[algorithm])
    _ds(signature, "SignatureValue", base64.b64encode(value).decode("ascii"))
    der = certificate.public_bytes(serialization.Encoding.DER)
    holder = _ds(_ds(signature, "KeyInfo"), "X509Data")
    _ds(holder, "X509Certificate", base64.b64encode(der).decode("ascii"))
    return signature


def _canonical(element: Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _add(parent: Element, name: str, text: str | None = None) -> Element:
    child = etree.SubElement(parent, f"{{{SAML}}}{name}")
    child.text = text
    return child


def _ds(parent: Element, name: str, text: str | None = None) -> Element:
    child = etree.SubElement(parent, f"{{{DS}}}{name}")
    child.text = text
    return child


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
