"""XML signatures, checked by hand: canonical forms by libxml2, keys by OpenSSL, the steps between them here.

Source: XML-DSig (W3C, RFC 3275); Canonical XML 1.0; Exclusive XML Canonicalization 1.0.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from vaguemestre.simulators.dmp import names, soap

INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = names.DS + "enveloped-signature"
DIGESTS = {names.DS + "sha1": "sha1", "http://www.w3.org/2001/04/xmlenc#sha256": "sha256"}
METHODS: dict[str, hashes.HashAlgorithm] = {
    names.DS + "rsa-sha1": hashes.SHA1(),  # noqa: S303  # what the DMP takes; SHA-256 too
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
}
_COMMENTS = "#WithComments"


def canonical(element: etree._Element, method: str, prefixes: Sequence[str] = ()) -> bytes:
    """The canonical form of a subtree where it stands: with the namespaces that reach it from above.

    method: INCLUSIVE or EXCLUSIVE, with or without comments. prefixes: InclusiveNamespaces of the exclusive form.
    """
    apex = _apart(element, inherit=method.startswith(INCLUSIVE))
    comments = method.endswith("WithComments")
    if method.startswith(EXCLUSIVE):
        return etree.tostring(
            apex, method="c14n", exclusive=True, with_comments=comments, inclusive_ns_prefixes=list(prefixes)
        )
    return etree.tostring(apex, method="c14n", with_comments=comments)


def canonical_document(root: etree._Element) -> bytes:
    """The canonical form of a whole document, comments and instructions beside the root too."""
    return etree.tostring(root.getroottree(), method="c14n", with_comments=True)


def _apart(element: etree._Element, *, inherit: bool) -> etree._Element:
    """A copy of the subtree that declares what was in scope. inherit: attributes ``xml:…`` of ancestors too."""
    apex = etree.Element(element.tag, nsmap=element.nsmap)
    if inherit:
        for ancestor in reversed(list(element.iterancestors())):
            for name, value in ancestor.attrib.items():
                if str(name).startswith(f"{{{names.XML}}}"):
                    apex.set(name, value)
    for name, value in element.attrib.items():
        apex.set(name, value)
    apex.text = element.text
    for child in element:
        apex.append(copy.deepcopy(child))
    return apex


def without(element: etree._Element, child: etree._Element) -> etree._Element:
    """A copy of an element in its place, less one child (enveloped signature); text after the child stays."""
    place = element.index(child)
    copied = _apart(element, inherit=False)
    gone = copied[place]
    if gone.tail:
        before = copied[place - 1] if place else None
        if before is None:
            copied.text = (copied.text or "") + gone.tail
        else:
            before.tail = (before.tail or "") + gone.tail
    copied.remove(gone)
    return copied


def algorithm(element: etree._Element, path: str) -> str:
    """``@Algorithm`` of the first element of a path."""
    found = soap.find(element, path)
    return str(found[0].get("Algorithm", "")) if found else ""


def digest(reference: etree._Element, data: bytes) -> bool:
    """Whether a reference's DigestValue is that of ``data``, by the method it names."""
    name = DIGESTS.get(algorithm(reference, "ds:DigestMethod"))
    value = decode(soap.text(reference, "ds:DigestValue"))
    return name is not None and value == hashlib.new(name, data).digest()


def decode(text: str) -> bytes:
    """Base64 with line ends; empty when it is not Base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def certificates(signature: etree._Element) -> list[x509.Certificate]:
    """Certificates of KeyInfo, in their order; none when one is not readable to its end."""
    found = []
    for one in soap.find(signature, "ds:KeyInfo/ds:X509Data/ds:X509Certificate"):
        try:
            certificate = x509.load_der_x509_certificate(decode(one.text or ""))
            _ = certificate.public_key(), certificate.extensions, certificate.subject, certificate.issuer
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
            return []
        found.append(certificate)
    return found


def is_signed(signature: etree._Element, certificate: x509.Certificate) -> bool:
    """Whether SignatureValue is that of SignedInfo, made with the certificate's key."""
    info = soap.find(signature, "ds:SignedInfo")
    method = METHODS.get(algorithm(signature, "ds:SignedInfo/ds:SignatureMethod"))
    key = certificate.public_key()
    if len(info) != 1 or method is None or not isinstance(key, rsa.RSAPublicKey):
        return False
    prefixes = inclusive_prefixes(info[0], "ds:CanonicalizationMethod")
    form = canonical(info[0], algorithm(info[0], "ds:CanonicalizationMethod"), prefixes)
    try:
        key.verify(decode(soap.text(signature, "ds:SignatureValue")), form, padding.PKCS1v15(), method)
    except InvalidSignature:
        return False
    return True


def inclusive_prefixes(element: etree._Element, path: str) -> list[str]:
    """PrefixList of the exclusive form that a path names."""
    found = element.xpath(
        f"string({path}/exc:InclusiveNamespaces/@PrefixList)", namespaces=names.NAMESPACES | {"exc": EXCLUSIVE}
    )
    return str(found).split()
