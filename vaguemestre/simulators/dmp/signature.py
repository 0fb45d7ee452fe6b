"""The signature of a lot: XAdES 1.1.1 over a manifest of what was received, and the bytes received themselves.

Source: IHE ITI TF-3 5.5 (Document Digital Signature); ETSI TS 101 903 1.1.1; DMPi (signature of the lot).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from vaguemestre.simulators.dmp import identifiers, names, soap, trust, xmlsig
from vaguemestre.simulators.dmp.lot import Lot, RegistryObject
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.settings import DmpSettings

_C14N = xmlsig.INCLUSIVE + "#WithComments"
_PROPERTIES_TYPE = names.XAD + "SignedProperties"
_LOT_DIGEST = "AA=="
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Reading:
    root: etree._Element
    entry: RegistryObject
    lot: Lot
    judge: Judge
    settings: DmpSettings

    def check(self, kept: object, name: str) -> bool:
        """Note a broken rule of this document."""
        return self.judge.check(kept, f"signature.{name}", self.entry.id)


def check(lot: Lot, structure: str, judge: Judge, settings: DmpSettings, trusted: trust.Trust) -> None:
    """Check each signature of a lot. structure: of who sends it."""
    for entry in lot.entries:
        if not entry.is_signature or entry.id not in lot.contents:
            continue
        root = soap.parse(lot.contents[entry.id])
        if root is None or root.tag != f"{{{names.DS}}}Signature":
            judge.check(kept=False, name="signature.readable", place=entry.id)
            continue
        reading = _Reading(root, entry, lot, judge, settings)
        reading.check(root.get("Id") == entry.unique_id, "id")
        _signed_info(reading)
        certificate = _certificate(reading, structure, trusted)
        reading.check(certificate is not None and xmlsig.is_signed(root, certificate), "value")
        _properties(reading, certificate)
        _manifest(reading)


def _signed_info(reading: _Reading) -> None:
    root = reading.root
    method = xmlsig.METHODS.get(xmlsig.algorithm(root, "ds:SignedInfo/ds:SignatureMethod"))
    kept = xmlsig.algorithm(root, "ds:SignedInfo/ds:CanonicalizationMethod") == _C14N
    reading.check(kept and method is not None and method.name in reading.settings.digests, "algorithms")
    references = soap.find(root, "ds:SignedInfo/ds:Reference")
    found = [(one.get("URI"), one.get("Type")) for one in references]
    wanted = [("#IHEManifest", names.DS + "Manifest"), ("#S0-SignedProperties", _PROPERTIES_TYPE)]
    reading.check(found == wanted, "references")
    reading.check(all(_is_of(one, root) for one in references), "digests")


def _is_of(reference: etree._Element, root: etree._Element) -> bool:
    """Whether a reference's digest is that of the only element it names."""
    name = str(reference.get("URI", ""))[1:]
    targets = [one for one in root.iter("*") if name and one.get("Id") == name]
    transforms = [one.get("Algorithm") for one in soap.find(reference, "ds:Transforms/ds:Transform")]
    return len(targets) == 1 and transforms == [_C14N] and xmlsig.digest(reference, xmlsig.canonical(targets[0], _C14N))


def _certificate(reading: _Reading, structure: str, trusted: trust.Trust) -> x509.Certificate | None:
    shown = xmlsig.certificates(reading.root)
    if not shown:
        reading.check(kept=False, name="certificate")
        return None
    reading.check(trusted.holds(shown[0]) and trust.is_seal(shown[0]), "certificate")
    reading.check(trust.structure(shown[0]) == structure, "structure")
    return shown[0]


def _properties(reading: _Reading, certificate: x509.Certificate | None) -> None:
    root, target = reading.root, f"#{reading.root.get('Id')}"
    path = "ds:Object/xad:QualifyingProperties/xad:SignedProperties/xad:SignedSignatureProperties/"
    cert = soap.find(root, path + "xad:SigningCertificate/xad:Cert")
    kept = bool(cert) and certificate is not None and _names(cert[0], certificate)
    reading.check(kept, "properties")
    reading.check(soap.find(root, path + "xad:SignaturePolicyIdentifier/xad:SignaturePolicyImplied"), "policy")
    at = identifiers.instant(soap.text(root, path + "xad:SigningTime"))
    now = reading.settings.clock()
    reading.check(at is not None and -reading.settings.freshness <= now - at <= _DAY, "time")
    properties = soap.find(root, "ds:Object/ds:SignatureProperties/ds:SignatureProperty")
    purposes = [(one.get("Id"), one.get("Target"), (one.text or "").strip()) for one in properties]
    reading.check(("purposeOfSignature", target, names.PURPOSE_SOURCE) in purposes, "purpose")


def _names(cert: etree._Element, certificate: x509.Certificate) -> bool:
    """Whether ``xad:Cert`` is that certificate: digest, issuer, serial number."""
    digests = soap.find(cert, "xad:CertDigest")
    name = xmlsig.DIGESTS.get(_algorithm_of(digests[0]) if digests else "")
    value = xmlsig.decode("".join(soap.text(cert, f"xad:CertDigest/{prefix}:DigestValue") for prefix in ("xad", "ds")))
    issuer = soap.text(cert, "xad:IssuerSerial/ds:X509IssuerName")
    return (
        name is not None
        and value == hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
        and trust.same_name(issuer, certificate.issuer, order="any")
        and soap.text(cert, "xad:IssuerSerial/ds:X509SerialNumber") == str(certificate.serial_number)
    )


def _algorithm_of(digest: etree._Element) -> str:
    return xmlsig.algorithm(digest, "xad:DigestMethod") or xmlsig.algorithm(digest, "ds:DigestMethod")


def _manifest(reading: _Reading) -> None:
    lot = reading.lot
    references = soap.find(reading.root, "ds:Object/ds:Manifest[@Id='IHEManifest']/ds:Reference")
    first = references[0] if references else reading.root
    kept = (
        first.get("URI") == f"urn:oid:{lot.unique_id}"
        and soap.text(first, "ds:DigestValue") == _LOT_DIGEST
        and not soap.find(first, "ds:Transforms")
    )
    reading.check(kept, "manifest-lot")
    named = [str(one.get("URI", "")) for one in references[1:]]
    wanted = {f"urn:oid:{entry.unique_id}": entry for entry in lot.documents}
    reading.check(sorted(named) == sorted(wanted), "manifest")
    for reference in references[1:]:
        entry = wanted.get(str(reference.get("URI", "")))
        content = lot.contents.get(entry.id) if entry is not None else None
        if entry is not None and content is not None:
            _document(reading, reference, entry, content)


def _document(reading: _Reading, reference: etree._Element, entry: RegistryObject, content: bytes) -> None:
    transforms = [one.get("Algorithm") for one in soap.find(reference, "ds:Transforms/ds:Transform")]
    is_xml = entry.element.get("mimeType") in {"text/xml", "application/xslt+xml"}
    reading.check(transforms == ([_C14N] if is_xml else []), "transforms")
    root = soap.parse(content) if is_xml else None
    form = content if root is None else xmlsig.canonical_document(root)
    reading.check(xmlsig.digest(reference, form), "content")
