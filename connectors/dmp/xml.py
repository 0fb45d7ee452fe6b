"""XML of the DMP's services: namespaces, a parser for what comes from outside, digests and RSA signatures."""

from __future__ import annotations

import base64
import hashlib
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
HL7 = "urn:hl7-org:v3"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
XDS = "urn:ihe:iti:xds-b:2007"
XOP = "http://www.w3.org/2004/08/xop/include"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"

Digest = Literal["sha1", "sha256"]
DIGESTS: dict[Digest, str] = {"sha1": f"{DS}sha1", "sha256": "http://www.w3.org/2001/04/xmlenc#sha256"}
SIGNATURES: dict[Digest, str] = {
    "sha1": f"{DS}rsa-sha1",
    "sha256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
}
_HASHES: dict[Digest, hashes.HashAlgorithm] = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  # the DMP asks for SHA-1

Element = etree._Element  # noqa: SLF001  # the only name that lxml gives its elements


def parse(data: bytes) -> Element:
    """The root of what came from outside: no DTD, no entities, no network. Raises etree.XMLSyntaxError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    return etree.fromstring(data, parser)


def canonical(element: Element, *, exclusive: bool) -> bytes:
    """The canonical bytes of an element that declares by itself every prefix in scope.

    Comments stay in the inclusive form and go in the exclusive one: each as its algorithm's name says.
    """
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=not exclusive)


def digest(algorithm: Digest, data: bytes) -> str:
    """The digest as XML signatures write it (Base64)."""
    return base64.b64encode(hashlib.new(algorithm, data, usedforsecurity=False).digest()).decode("ascii")


class Summed:
    """A file that keeps nothing of what is written, but its digest."""

    def __init__(self, algorithm: Digest) -> None:
        self._sum = hashlib.new(algorithm, usedforsecurity=False)

    def write(self, data: bytes) -> int:
        """Take more of it."""
        self._sum.update(data)
        return len(data)

    @property
    def value(self) -> str:
        """As ``digest``."""
        return base64.b64encode(self._sum.digest()).decode("ascii")


def sign(key: RSAPrivateKey, algorithm: Digest, data: bytes) -> str:
    """The RSA signature (PKCS #1 1.5), in Base64."""
    return base64.b64encode(key.sign(data, padding.PKCS1v15(), _HASHES[algorithm])).decode("ascii")


def add(parent: Element, tag: str, text: str | None = None, /, **attributes: str) -> Element:
    """A child, with its text."""
    child = etree.SubElement(parent, tag, attributes)
    child.text = text
    return child


def local(element: Element) -> str:
    """The name without its namespace."""
    return etree.QName(element).localname
