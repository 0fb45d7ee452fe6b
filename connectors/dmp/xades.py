"""The signature of a lot: XAdES 1.1.1, detached, over a manifest of its documents."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

from channels.errors import ParseError
from connectors.dmp.names import distinguished_name
from connectors.dmp.xml import (
    C14N,
    DIGESTS,
    DS,
    SIGNATURES,
    Digest,
    Element,
    Summed,
    add,
    canonical,
    digest,
    parse,
    sign,
)  # fmt: skip

_XADES = "http://uri.etsi.org/01903/v1.1.1#"
_PURPOSE = "1.2.840.10065.1.12.1.14"
"""ASTM E1762: purpose of the signature, source."""
_NOTHING = "AA=="
"""Digest of the lot itself in the manifest: one zero byte."""
_MANIFEST, _PROPERTIES = "IHEManifest", "S0-SignedProperties"


@dataclass(frozen=True, slots=True)
class Signed:
    """One document that the manifest lists."""

    unique_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs. chain: certificates above, listed too when there are some."""

    key: RSAPrivateKey
    certificate: x509.Certificate
    chain: Sequence[x509.Certificate] = ()


def lot_signature(
    signer: Signer, documents: Sequence[Signed], *, lot: str, unique_id: str, at: datetime, algorithm: Digest = "sha1"
) -> bytes:
    """The signature document of a lot.

    documents: XML; each is digested in its canonical form, and sent as it is.
    lot, unique_id: identifiers (OID) of the lot and of this signature.

    Raises:
        ParseError: a document is not XML.

    Source: IHE DSG (detached signature); example of ``national-services``, 2.8; ETSI TS 101 903 1.1.1.
    """
    root = etree.Element(f"{{{DS}}}Signature", {"Id": unique_id}, nsmap={"ds": DS})
    manifest = _manifest(documents, lot, algorithm)
    properties = _properties(signer, at, algorithm)
    info = _signed_info(
        [(_MANIFEST, f"{DS}Manifest", manifest), (_PROPERTIES, f"{_XADES}SignedProperties", properties)], algorithm
    )
    root.append(info)
    add(root, f"{{{DS}}}SignatureValue", sign(signer.key, algorithm, canonical(info, exclusive=False)))
    x509_data = add(add(root, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    add(x509_data, f"{{{DS}}}X509Certificate", base64.b64encode(_der(signer.certificate)).decode("ascii"))
    purposes = add(add(root, f"{{{DS}}}Object"), f"{{{DS}}}SignatureProperties")
    target = f"#{unique_id}"
    add(purposes, f"{{{DS}}}SignatureProperty", _PURPOSE, Id="purposeOfSignature", Target=target)
    add(root, f"{{{DS}}}Object").append(manifest)
    holder = etree.SubElement(
        add(root, f"{{{DS}}}Object"), f"{{{_XADES}}}QualifyingProperties", {"Target": target}, nsmap={"xad": _XADES}
    )
    holder.append(properties)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _manifest(documents: Sequence[Signed], lot: str, algorithm: Digest) -> Element:
    manifest = etree.Element(f"{{{DS}}}Manifest", {"Id": _MANIFEST}, nsmap={"ds": DS})
    _reference(manifest, f"urn:oid:{lot}", _NOTHING, algorithm)
    for document in documents:
        try:
            tree = parse(document.content).getroottree()
            summed = Summed(algorithm)
            tree.write_c14n(summed, with_comments=True)
        except (etree.XMLSyntaxError, etree.C14NError):
            raise ParseError("a document is not XML that can be signed") from None
        _reference(manifest, f"urn:oid:{document.unique_id}", summed.value, algorithm, transform=True)
    return manifest


def _properties(signer: Signer, at: datetime, algorithm: Digest) -> Element:
    """Declares ``ds`` and ``xad``: where it will stand, both are in scope."""
    properties = etree.Element(f"{{{_XADES}}}SignedProperties", {"Id": _PROPERTIES}, nsmap={"xad": _XADES, "ds": DS})
    inner = add(properties, f"{{{_XADES}}}SignedSignatureProperties")
    add(inner, f"{{{_XADES}}}SigningTime", at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    listed = add(inner, f"{{{_XADES}}}SigningCertificate")
    for certificate in (signer.certificate, *signer.chain):
        one = add(listed, f"{{{_XADES}}}Cert")
        value = add(one, f"{{{_XADES}}}CertDigest")
        # XAdES 1.1.1 has these two in its own namespace; later versions take those of XML-DSig
        add(value, f"{{{_XADES}}}DigestMethod", Algorithm=DIGESTS[algorithm])
        add(value, f"{{{_XADES}}}DigestValue", digest(algorithm, _der(certificate)))
        issuer = add(one, f"{{{_XADES}}}IssuerSerial")
        add(issuer, f"{{{DS}}}X509IssuerName", distinguished_name(certificate.issuer))
        add(issuer, f"{{{DS}}}X509SerialNumber", str(certificate.serial_number))
    add(add(inner, f"{{{_XADES}}}SignaturePolicyIdentifier"), f"{{{_XADES}}}SignaturePolicyImplied")
    return properties


def _signed_info(parts: Sequence[tuple[str, str, Element]], algorithm: Digest) -> Element:
    info = etree.Element(f"{{{DS}}}SignedInfo", nsmap={"ds": DS})
    add(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=C14N)
    add(info, f"{{{DS}}}SignatureMethod", Algorithm=SIGNATURES[algorithm])
    for name, kind, part in parts:
        value = digest(algorithm, canonical(part, exclusive=False))
        _reference(info, f"#{name}", value, algorithm, transform=True).set("Type", kind)
    return info


def _reference(parent: Element, uri: str, value: str, algorithm: Digest, *, transform: bool = False) -> Element:
    reference = add(parent, f"{{{DS}}}Reference", URI=uri)
    if transform:
        add(add(reference, f"{{{DS}}}Transforms"), f"{{{DS}}}Transform", Algorithm=C14N)
    add(reference, f"{{{DS}}}DigestMethod", Algorithm=DIGESTS[algorithm])
    add(reference, f"{{{DS}}}DigestValue", value)
    return reference


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
