"""Lots, deletions, queries and existence tests made by hand for the simulated DMP: right, or wrong in one place.

Nothing of the product's connector is used: another author's reading of the same rules.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from tests.vaguemestre import dmp_ebrim as ebrim
from tests.vaguemestre.dmp_ebrim import DS, INS, LEVEL_3, RIM, ROOT, STRUCTURE
from vaguemestre.simulators.pki import Authority, Issued

XAD = "http://uri.etsi.org/01903/v1.1.1#"
SOAP, WSA = "http://www.w3.org/2003/05/soap-envelope", "http://www.w3.org/2005/08/addressing"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_NUMBERS = count(1000)

Element = etree._Element
Hook = Callable[[Element], object]


def nothing(_: Element) -> None:
    """Changes nothing."""


def new_id(kind: int = 1) -> str:
    """An OID nobody used."""
    return f"{ROOT}.{kind}.{next(_NUMBERS)}"


@dataclass
class Document:
    """One CDA of a lot. replaces: entryUUIDs; parents: identifiers the CDA says it replaces."""

    unique_id: str = field(default_factory=new_id)
    format: str = LEVEL_3
    replaces: Sequence[str] = ()
    parents: Sequence[str] = ()
    text: str = "Créatinine 80 µmol/L"
    content: bytes = b""

    def bytes(self, ins: str) -> bytes:
        if self.content:
            return self.content
        parents = "".join(
            f'<relatedDocument typeCode="RPLC"><parentDocument><id root="{one}"/></parentDocument></relatedDocument>'
            for one in self.parents
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="{self.unique_id}"/>'
            f'<title>{self.text}</title><recordTarget><patientRole><id root="1.2.250.1.213.1.4.10" extension="{ins}"/>'
            f"</patientRole></recordTarget>{parents}</ClinicalDocument>"
        ).encode()


@dataclass
class Lot:
    """A submission to be made. Each hook changes one tree at one moment of the making."""

    documents: list[Document] = field(default_factory=lambda: [Document()])
    ins: str = INS
    unique_id: str = field(default_factory=lambda: new_id(3))
    signature_id: str = field(default_factory=lambda: new_id(4))
    metadata: Hook = nothing  # the whole request, once complete
    manifest: Hook = nothing  # the lot signature, before its digests
    signed_info: Hook = nothing  # ... before its value
    signature: Hook = nothing  # ... once signed
    assertion: Hook = nothing  # the VIHF, before it is signed
    signed_assertion: Hook = nothing
    envelope: Hook = nothing
    wire: Callable[[str, bytes], tuple[str, bytes]] = lambda kind, body: (kind, body)


@dataclass
class Sender:
    """A structure with its certificates: makes requests as ``(service, Content-Type, body)``."""

    authority: Authority
    structure: str = STRUCTURE
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sign: Issued = field(init=False)
    client: Issued = field(init=False)

    def __post_init__(self) -> None:
        self.sign = self.authority.keep(f"sign-{self.structure}", "sign", structure=self.structure)
        self.client = self.authority.keep(f"client-{self.structure}", "client", structure=self.structure)

    def moment(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def submission(self, lot: Lot) -> tuple[str, str, bytes]:
        contents = {f"Document{n:02}": one.bytes(lot.ins) for n, one in enumerate(lot.documents, 1)}
        contents["Signature01"] = self.xades(lot, contents)
        request = etree.fromstring(ebrim.submission(lot, contents))
        lot.metadata(request)
        envelope = self.wrap(request, "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", "repository", lot)
        return ("repository", *lot.wire(*multipart(etree.tostring(envelope), contents)))

    def deletion(self, entries: Sequence[str], lot: Lot | None = None) -> tuple[str, str, bytes]:
        lot = lot or Lot()
        request = etree.fromstring(ebrim.deletion(lot, entries))
        lot.metadata(request)
        return self._plain(request, "urn:ihe:iti:2010:UpdateDocumentSet", "registry", lot)

    def query(
        self, unique_id: str, kind: str = "ObjectRef", lot: Lot | None = None, slot: str = "$XDSDocumentEntryUniqueId"
    ) -> tuple[str, str, bytes]:
        lot = lot or Lot()
        request = etree.fromstring(
            f'<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:rim="{RIM}">'
            f'<query:ResponseOption returnComposedObjects="true" returnType="{kind}"/>'
            '<rim:AdhocQuery id="urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4">'
            + ebrim.slot(slot, f"('{unique_id}')")
            + "</rim:AdhocQuery></query:AdhocQueryRequest>"
        )
        lot.metadata(request)
        return self._plain(request, "urn:ihe:iti:2007:RegistryStoredQuery", "registry", lot)

    def existence(self, lot: Lot | None = None) -> tuple[str, str, bytes]:
        lot = lot or Lot()
        request = etree.fromstring(ebrim.existence(lot.ins))
        lot.metadata(request)
        return self._plain(request, "urn:hl7-org:v3:PRPA_IN201307UV02", "patients", lot)

    def _plain(self, request: Element, action: str, service: str, lot: Lot) -> tuple[str, str, bytes]:
        body = etree.tostring(self.wrap(request, action, service, lot))
        return (service, *lot.wire(f'application/soap+xml; charset=utf-8; action="{action}"', body))

    def wrap(self, request: Element, action: str, service: str, lot: Lot) -> Element:
        envelope = etree.fromstring(
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:wsa="{WSA}"><s:Header><wsa:Action s:mustUnderstand="true">{action}'
            f"</wsa:Action><wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID><wsa:To>https://dmp.test/{service}"
            f'</wsa:To><wsse:Security xmlns:wsse="{WSSE}"/></s:Header><s:Body/></s:Envelope>'
        )
        envelope[0][-1].append(self.vihf(lot))
        envelope[1].append(request)
        lot.envelope(envelope)
        return envelope

    def vihf(self, lot: Lot) -> Element:
        assertion = etree.fromstring(_vihf(self.sign.certificate, self.structure, lot.ins, self.moment()))
        lot.assertion(assertion)
        form = c14n(assertion, exclusive=True)
        signature = etree.fromstring(
            f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
            '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
            f'<ds:Reference URI="#{assertion.get("ID")}"><ds:Transforms>'
            f'<ds:Transform Algorithm="{DS}enveloped-signature"/>'
            f'<ds:Transform Algorithm="{EXCLUSIVE}"/></ds:Transforms>'
            '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
            f"<ds:DigestValue>{b64(hashlib.sha256(form).digest())}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
            f"<ds:SignatureValue/>{self._key_info()}</ds:Signature>"
        )
        value = self._key().sign(c14n(signature[0], exclusive=True), padding.PKCS1v15(), hashes.SHA256())
        signature[1].text = b64(value)
        assertion.insert(1, signature)
        lot.signed_assertion(assertion)
        return assertion

    def xades(self, lot: Lot, contents: dict[str, bytes]) -> bytes:
        certificate = self.sign.certificate
        root = etree.fromstring(_xades(lot, contents, certificate, self._key_info(), self.moment()))
        lot.manifest(root)
        for reference in root.iterfind(f"{{{DS}}}SignedInfo/{{{DS}}}Reference"):
            target = root.xpath("//*[@Id=$name]", name=str(reference.get("URI"))[1:])[0]
            reference[-1].text = b64(hashlib.sha1(c14n(target)).digest())
        lot.signed_info(root)
        value = self._key().sign(c14n(root[0]), padding.PKCS1v15(), hashes.SHA1())
        root[1].text = b64(value)
        lot.signature(root)
        return etree.tostring(root)

    def _key(self) -> rsa.RSAPrivateKey:
        return _load(self.sign.pem.read_bytes())

    def _key_info(self) -> str:
        shown = b64(self.sign.certificate.public_bytes(serialization.Encoding.DER))
        return f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{shown}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"


@cache
def _load(pem: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def c14n(element: Element, *, exclusive: bool = False) -> bytes:
    """The canonical form that libxml2 makes of an element in its document."""
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=not exclusive)


def multipart(envelope: bytes, contents: dict[str, bytes]) -> tuple[str, bytes]:
    """The MTOM message, written line by line."""
    kind = (
        'multipart/related; boundary="frontiere"; type="application/xop+xml"; start="<root@test>"; '
        'start-info="application/soap+xml"; action="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"'
    )
    parts = [
        b'--frontiere\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <root@test>\r\n\r\n" + envelope
    ]
    for name, content in contents.items():
        head = "--frontiere\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
        parts.append(f"{head}Content-ID: <{name}@test>\r\n\r\n".encode() + content)
    return kind, b"\r\n".join(parts) + b"\r\n--frontiere--\r\n"


def _vihf(certificate: x509.Certificate, structure: str, ins: str, moment: str) -> str:
    def attribute(name: str, *values: str) -> str:
        inner = "".join(f"<AttributeValue>{one}</AttributeValue>" for one in values)
        return f'<Attribute Name="{name}">{inner}</Attribute>'

    def coded(name: str, code: str, system: str, display: str) -> str:
        attributes = f'code="{code}" codeSystem="{system}" displayName="{display}"'
        return f'<{name} xmlns="urn:hl7-org:v3" xsi:type="CE" {attributes}/>'

    subject, xacml = "urn:oasis:names:tc:xspa:1.0:subject:", "urn:oasis:names:tc:xacml:2.0:"
    attributes = [
        attribute("VIHF_Version", "3.0"),
        attribute("Authentification_Mode", "INDIRECTE"),
        attribute("Secteur_Activite", "SA01^1.2.250.1.71.4.2.4"),
        attribute(xacml + "resource:resource-id", ebrim.cx(ins)),
        attribute("Ressource_URN", "urn:dmp"),
        attribute(subject + "subject-id", "Anne BIOLOGISTE"),
        attribute("Identifiant_Structure", structure),
        attribute("LPS_Nom", "VAGUEMESTRE"),
        attribute("LPS_Version", "1"),
        attribute("LPS_ID_HOMOLOGATION_DMP", "XXX-000000-0000"),
        attribute(subject + "purposeofuse", coded("PurposeOfUse", "normal", "1.2.250.1.213.1.1.4.248", "Accès normal")),
        attribute(
            xacml + "subject:role",
            coded("Role", "10", "1.2.250.1.71.1.2.7", "Médecin"),
            coded("Role", "SM03", "1.2.250.1.71.4.2.5", "Biologie médicale"),
        ),
    ]
    return (
        f'<Assertion xmlns="{SAML}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="_{uuid.uuid4()}" '
        f'IssueInstant="{moment}" Version="2.0">'
        '<Issuer Format="urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName">'
        f"{certificate.subject.rfc4514_string()}</Issuer><Subject><NameID>810123456781</NameID></Subject>"
        f'<AuthnStatement AuthnInstant="{moment}"><AuthnContext><AuthnContextClassRef>'
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</AuthnContextClassRef></AuthnContext></AuthnStatement>"
        f"<AttributeStatement>{''.join(attributes)}</AttributeStatement></Assertion>"
    )


def _xades(lot: Lot, contents: dict[str, bytes], certificate: x509.Certificate, key_info: str, moment: str) -> str:
    def reference(uri: str, kind: str = "", digest: str = "", *, transform: bool = True) -> str:
        transforms = f'<ds:Transforms><ds:Transform Algorithm="{C14N}"/></ds:Transforms>' if transform else ""
        return (
            f'<ds:Reference URI="{uri}"{kind}>{transforms}<ds:DigestMethod Algorithm="{DS}sha1"/>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        )

    manifest = reference(f"urn:oid:{lot.unique_id}", digest="AA==", transform=False)
    for document, content in zip(lot.documents, contents.values(), strict=False):
        form = (
            etree.tostring(etree.fromstring(content).getroottree(), method="c14n") if content[:1] == b"<" else content
        )
        manifest += reference(f"urn:oid:{document.unique_id}", digest=b64(hashlib.sha1(form).digest()))
    digest = b64(hashlib.sha1(certificate.public_bytes(serialization.Encoding.DER)).digest())
    return (
        f'<ds:Signature xmlns:ds="{DS}" Id="{lot.signature_id}"><ds:SignedInfo><ds:CanonicalizationMethod '
        f'Algorithm="{C14N}"/><ds:SignatureMethod Algorithm="{DS}rsa-sha1"/>'
        + reference("#IHEManifest", f' Type="{DS}Manifest"')
        + reference("#S0-SignedProperties", f' Type="{XAD}SignedProperties"')
        + f"</ds:SignedInfo><ds:SignatureValue/>{key_info}"
        "<ds:Object><ds:SignatureProperties>"
        f'<ds:SignatureProperty Id="purposeOfSignature" Target="#{lot.signature_id}">'
        "1.2.840.10065.1.12.1.14</ds:SignatureProperty></ds:SignatureProperties></ds:Object>"
        f'<ds:Object><ds:Manifest Id="IHEManifest">{manifest}</ds:Manifest></ds:Object><ds:Object>'
        f'<xad:QualifyingProperties xmlns:xad="{XAD}" Target="#{lot.signature_id}"><xad:SignedProperties '
        f'Id="S0-SignedProperties"><xad:SignedSignatureProperties><xad:SigningTime>{moment}</xad:SigningTime>'
        f'<xad:SigningCertificate><xad:Cert><xad:CertDigest><xad:DigestMethod Algorithm="{DS}sha1"/><xad:DigestValue>'
        f"{digest}</xad:DigestValue></xad:CertDigest><xad:IssuerSerial><ds:X509IssuerName>"
        f"{certificate.issuer.rfc4514_string()}</ds:X509IssuerName><ds:X509SerialNumber>{certificate.serial_number}"
        "</ds:X509SerialNumber></xad:IssuerSerial></xad:Cert></xad:SigningCertificate><xad:SignaturePolicyIdentifier>"
        "<xad:SignaturePolicyImplied/></xad:SignaturePolicyIdentifier></xad:SignedSignatureProperties>"
        "</xad:SignedProperties></xad:QualifyingProperties></ds:Object></ds:Signature>"
    )


def later(seconds: float) -> Callable[[], datetime]:
    """A clock that is off."""
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)
