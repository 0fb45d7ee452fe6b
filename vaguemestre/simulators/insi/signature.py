"""The signature of an assertion, checked: exclusive canonical form, one reference, RSA.

Source: XML Signature 1.0; Exclusive XML Canonicalization 1.0.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

Element = etree._Element  # noqa: SLF001  # the only name that lxml gives its elements
_DS = {"ds": "http://www.w3.org/2000/09/xmldsig#"}
_DIGESTS = {"http://www.w3.org/2001/04/xmlenc#sha256": "sha256", "http://www.w3.org/2000/09/xmldsig#sha1": "sha1"}
_METHODS: dict[str, hashes.HashAlgorithm] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": hashes.SHA1(),  # noqa: S303  # samples have it
}


def signer_of(assertion: Element) -> x509.Certificate | None:
    """The certificate of the key that signed this assertion whole; None when nobody did."""
    signature = assertion.find("ds:Signature", _DS)
    info = signature.find("ds:SignedInfo", _DS) if signature is not None else None
    if signature is None or info is None:
        return None
    reference = info.findall("ds:Reference", _DS)
    if len(reference) != 1 or reference[0].get("URI") != f"#{assertion.get('ID')}":
        return None
    bare = copy.deepcopy(assertion)
    inner = bare.find("ds:Signature", _DS)
    assert inner is not None  # noqa: S101  # it is a copy of one that has it
    bare.remove(inner)
    name = _DIGESTS.get(_algorithm(reference[0], "ds:DigestMethod"))
    if name is None or _bytes(reference[0], "ds:DigestValue") != hashlib.new(name, _canonical(bare)).digest():
        return None
    method = _METHODS.get(_algorithm(info, "ds:SignatureMethod"))
    try:
        certificate = x509.load_der_x509_certificate(_bytes(signature, "ds:KeyInfo/ds:X509Data/ds:X509Certificate"))
    except ValueError:
        return None
    key = certificate.public_key()
    if method is None or not isinstance(key, rsa.RSAPublicKey):
        return None
    try:
        key.verify(_bytes(signature, "ds:SignatureValue"), _canonical(info), padding.PKCS1v15(), method)
    except InvalidSignature:
        return None
    return certificate


def _canonical(element: Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _algorithm(element: Element, path: str) -> str:
    found = element.find(path, _DS)
    return str(found.get("Algorithm")) if found is not None else ""


def _bytes(element: Element, path: str) -> bytes:
    try:
        return base64.b64decode("".join(element.findtext(path, "", _DS).split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
