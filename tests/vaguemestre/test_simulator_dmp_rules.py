"""One rule broken at a time: the simulated DMP names that rule, and no other, and registers nothing."""

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.vaguemestre import dmp_ebrim as ebrim
from tests.vaguemestre.dmp_damage import (
    Bench,
    both,
    code,
    double,
    drop,
    edit,
    first,
    found,
    identifier,
    slot,
    swap,
    system,
    write,
)
from tests.vaguemestre.dmp_lots import Document, Element, Lot
from vaguemestre.simulators.dmp import names as n
from vaguemestre.simulators.dmp.rules import FAULTS, RULES
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.pki import Authority

SET, DOC, SIG = "SubmissionSet01", "Document01", "Signature01"
PRODUCTION = f"{ebrim.INS}^^^&1.2.250.1.213.1.4.8&ISO^NH"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def bench(authority: Authority, request: pytest.FixtureRequest) -> Bench:
    schemas = Path(__file__).resolve().parents[2].parent / "shared" / "ihe" / "xsd"
    return Bench(authority, DmpSettings(schemas=schemas if schemas.is_dir() else None))


def attribute(name: str) -> str:
    return f"//saml:Attribute[@Name='{name}']/saml:AttributeValue"


def author(owner: str, name: str, scheme: str = n.AUTHOR) -> str:
    return code(owner, scheme) + f"/rim:Slot[@name='{name}']/rim:ValueList/rim:Value"


def mime(old: bytes, new: bytes) -> Any:
    """Change the bytes on the wire."""

    def change(kind: str, body: bytes) -> tuple[str, bytes]:
        assert old in body
        return kind, body.replace(old, new)

    return change


def header(old: str, new: str) -> Any:
    def change(kind: str, body: bytes) -> tuple[str, bytes]:
        assert old in kind
        return kind.replace(old, new), body

    return change


def extra_part(kind: str, body: bytes) -> tuple[str, bytes]:
    part = b"--frontiere\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <more@test>\r\n\r\nmore\r\n--frontiere--"
    return kind, body.replace(b"--frontiere--", part)


def patient_everywhere(value: str) -> dict[str, Any]:
    """Another INS in the VIHF and in the metadata."""

    def metadata(tree: Element) -> None:
        for one in found(tree, "//rim:ExternalIdentifier[contains(@value, '^NH')]"):
            one.set("value", value)

    return {
        "assertion": write(attribute("urn:oasis:names:tc:xacml:2.0:resource:resource-id"), value),
        "metadata": metadata,
    }


ROLE = attribute("urn:oasis:names:tc:xacml:2.0:subject:role")
RESOURCE_ID = attribute("urn:oasis:names:tc:xacml:2.0:resource:resource-id")
SUBJECT_ID = attribute("urn:oasis:names:tc:xspa:1.0:subject:subject-id")
PURPOSE = attribute("urn:oasis:names:tc:xspa:1.0:subject:purposeofuse")
OTHER = "181016322075140^^^&1.2.250.1.213.1.4.10&ISO^NH"
ASSOCIATION = "//rim:Association[@associationType='{}']"
SIGNS, MEMBER = ASSOCIATION.format(n.SIGNS), ASSOCIATION.format(n.HAS_MEMBER)
MANIFEST = "//ds:Manifest/ds:Reference"
CERT = "//xad:SigningCertificate/xad:Cert"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

# rule, how the lot is damaged, other rules that the same damage breaks
WIRE: list[tuple[str, dict[str, Any], set[str]]] = [
    ("http.media-type", {"wire": header("multipart/related", "multipart/mixed")}, set()),
    ("http.action", {"wire": header("ProvideAndRegisterDocumentSet-b", "RetrieveDocumentSet")}, set()),
    ("mtom.parameters", {"wire": header('; start-info="application/soap+xml"', "")}, set()),
    ("mtom.parameters", {"wire": header('type="application/xop+xml"', 'type="text/xml"')}, set()),
    ("mtom.parameters", {"wire": header("boundary=", "border=")}, set()),
    ("mtom.boundary", {"wire": mime(b"\r\n--frontiere--", b"")}, set()),
    ("mtom.boundary", {"wire": header("frontiere", "barriere")}, set()),
    ("mtom.line-ends", {"wire": mime(b"\r\n", b"\n")}, set()),
    ("mtom.line-ends", {"wire": mime(b"octet-stream\r\n", b"octet-stream\n")}, {"mtom.encoding"}),
    ("mtom.start", {"wire": header("<root@test>", "<Document01@test>")}, {"soap.version", "mtom.root-type"}),
    ("mtom.root-type", {"wire": mime(b"application/xop+xml; charset", b"text/xml; charset")}, set()),
    ("mtom.content-id", {"wire": mime(b"<Document01@test>", b"Document01@test")}, {"mtom.include", "mtom.unused", "lot.document"}),
    ("mtom.encoding", {"wire": mime(b"stream\r\nContent-Transfer-Encoding: binary", b"stream\r\nContent-Transfer-Encoding: base64")}, set()),
    ("mtom.include", {"metadata": edit("//xds:Document[1]/xop:Include", href="cid:nowhere@test")}, {"mtom.unused", "lot.document"}),
    ("mtom.include", {"metadata": both(drop("//xds:Document[1]/xop:Include"), write("//xds:Document[1]", "QUJD"))}, {"mtom.unused", "lot.document"}),
    ("mtom.unused", {"wire": extra_part}, set()),
    ("soap.readable", {"wire": mime(b"</s:Envelope>", b"</s:Envelop>")}, set()),
    ("soap.readable", {"wire": mime(b"<s:Envelope ", b'<!DOCTYPE s:Envelope [<!ENTITY a "b">]><s:Envelope ')}, set()),
    ("soap.version", {"wire": mime(b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/")}, set()),
    ("soap.action", {"envelope": write("//wsa:Action", "urn:ihe:iti:2007:RegistryStoredQuery")}, {"http.action"}),
    ("soap.must-understand", {"envelope": edit("//wsa:Action", **{f"{{{n.SOAP}}}mustUnderstand": "false"})}, set()),
    ("soap.message-id", {"envelope": write("//wsa:MessageID", "42")}, set()),
    ("soap.to", {"envelope": drop("//wsa:To")}, set()),
    ("soap.body", {"envelope": double("//xds:ProvideAndRegisterDocumentSetRequest")}, set()),
]  # fmt: skip

VIHF: list[tuple[str, dict[str, Any], set[str]]] = [
    ("vihf.present", {"envelope": drop("//saml:Assertion")}, set()),
    ("vihf.order", {"assertion": first("//saml:AttributeStatement")}, set()),
    ("vihf.saml", {"assertion": edit(".", Version="1.1")}, set()),
    ("vihf.id", {"assertion": edit(".", ID="1abc")}, set()),
    ("vihf.fresh", {"assertion": edit(".", IssueInstant="2020-01-01T00:00:00Z")}, set()),
    ("vihf.fresh", {"assertion": edit(".", IssueInstant="not a date")}, set()),
    ("vihf.conditions", {"assertion": lambda tree: tree.insert(2, conditions(NotOnOrAfter="2020-01-01T00:00:00Z"))}, set()),
    ("vihf.conditions", {"assertion": lambda tree: tree.insert(2, conditions(NotBefore="2099-01-01T00:00:00Z"))}, set()),
    ("vihf.audience", {"assertion": lambda tree: tree.insert(2, conditions("<AudienceRestriction/>"))}, set()),
    ("vihf.issuer-format", {"assertion": edit("//saml:Issuer", Format="urn:oasis:names:tc:SAML:1.1:nameidformat:X509SubjectName")}, set()),
    ("vihf.issuer", {"assertion": write("//saml:Issuer", "CN=ANOTHER,C=FR")}, set()),
    ("vihf.signature", {"signed_assertion": edit(".", IssueInstant="x")}, {"vihf.fresh"}),
    ("vihf.signature", {"signed_assertion": write("//ds:SignatureValue", "AAAA")}, set()),
    ("vihf.signature", {"signed_assertion": edit("//ds:Reference", URI="#other")}, set()),
    ("vihf.signature", {"signed_assertion": drop("//ds:Transform[2]")}, set()),
    ("vihf.certificate", {"signed_assertion": drop("//ds:KeyInfo")}, set()),
    ("vihf.subject", {"assertion": write("//saml:NameID", "DUPONT")}, set()),
    ("vihf.authn-instant", {"assertion": edit("//saml:AuthnStatement", AuthnInstant="2099-01-01T00:00:00Z")}, set()),
    ("vihf.authn-class", {"assertion": write("//saml:AuthnContextClassRef", "urn:other")}, set()),
    ("vihf.version", {"assertion": write(attribute("VIHF_Version"), "2.0")}, set()),
    ("vihf.mode", {"assertion": write(attribute("Authentification_Mode"), "DIRECTE")}, set()),
    ("vihf.structure", {"assertion": write(attribute("Identifiant_Structure"), "990000001")}, {"vihf.certificate-structure", "tls.structure", "signature.structure"}),
    ("vihf.sector", {"assertion": write(attribute("Secteur_Activite"), "SA99^1.2.250.1.71.4.2.4")}, set()),
    ("vihf.patient", {"assertion": write(RESOURCE_ID, ebrim.INS)}, {"vihf.other-patient"}),
    ("vihf.resource", {"assertion": write(attribute("Ressource_URN"), "urn:autre")}, set()),
    ("vihf.subject-id", {"assertion": write(SUBJECT_ID, "")}, set()),
    ("vihf.role", {"assertion": edit(ROLE + "/hl7:Role", codeSystem="1.2.3")}, set()),
    ("vihf.role", {"assertion": drop(ROLE)}, set()),
    ("vihf.role-specialty", {"assertion": drop(ROLE + "[2]")}, set()),
    ("vihf.purpose", {"assertion": edit(PURPOSE + "/hl7:PurposeOfUse", code="urgence")}, set()),
    ("vihf.product", {"assertion": drop("//saml:Attribute[@Name='LPS_ID_HOMOLOGATION_DMP']")}, set()),
    ("vihf.other-patient", {"assertion": write(RESOURCE_ID, OTHER)}, set()),
    ("ins.production", patient_everywhere(PRODUCTION), {"cda.patient"}),
    ("ins.key", patient_everywhere(PRODUCTION.replace("89^", "88^").replace("4.8&", "4.10&")), {"cda.patient"}),
]  # fmt: skip

SETS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("xml.structure", {"metadata": first(f"//*[@id='{DOC}']/rim:Name")}, {"xml.schema"}),
    ("xml.schema", {"metadata": edit(f"//*[@id='{DOC}']", extra="x")}, {"xml.structure"}),
    ("xml.unique-id", {"metadata": edit(f"//*[@id='{DOC}']/rim:ExternalIdentifier", id=SET)}, set()),
    ("xml.value-length", {"metadata": write(slot(DOC, "sourcePatientInfo"), "PID-5|A^" + "B" * 260)}, {"xml.schema"}),
    ("xml.references", {"metadata": edit(f"//*[@id='{DOC}']/rim:ExternalIdentifier", registryObject=SET)}, set()),
    ("set.one", {"metadata": drop("//rim:Classification[@classificationNode]")}, set()),
    ("set.time", {"metadata": write(slot(SET, "submissionTime"), "20260115")}, set()),
    ("set.time", {"metadata": write(slot(SET, "submissionTime"), "20261315101530")}, set()),
    ("set.author", {"metadata": drop(code(SET, n.SET_AUTHOR))}, set()),
    ("set.content-type", {"metadata": write(system(SET, n.SET_CONTENT_TYPE), "1.2.3")}, set()),
    ("set.patient", {"metadata": edit(identifier(SET, n.SET_PATIENT), value="123")}, {"entry.patient", "vihf.other-patient"}),
    ("set.source", {"metadata": edit(identifier(SET, n.SET_SOURCE), value="laboratoire")}, set()),
    ("set.unique", {"metadata": edit(identifier(SET, n.SET_UNIQUE), value="1.2." + "3" * 70)}, {"signature.manifest-lot"}),
]  # fmt: skip

ENTRIES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("entry.object-type", {"metadata": edit(f"//*[@id='{DOC}']", objectType="urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248")}, set()),
    ("entry.mime-type", {"metadata": edit(f"//*[@id='{DOC}']", mimeType="application/pdf")}, {"signature.transforms", "signature.content"}),
    ("entry.author", {"metadata": drop(code(DOC, n.AUTHOR))}, set()),
    ("entry.author-node", {"metadata": edit(code(DOC, n.AUTHOR), nodeRepresentation="x")}, set()),
    ("entry.class", {"metadata": write(system(DOC, n.CLASS), "1.2.3")}, set()),
    ("entry.class-of-type", {"metadata": edit(code(DOC, n.CLASS), nodeRepresentation="52")}, set()),
    ("entry.type", {"metadata": edit(code(DOC, n.TYPE), nodeRepresentation="99999-9")}, set()),
    ("entry.format", {"metadata": edit(code(DOC, n.FORMAT), nodeRepresentation="urn:ans:ci-sis:bio-cr-bio:2024")}, set()),
    ("entry.format", {"metadata": write(system(DOC, n.FORMAT), "1.2.3")}, set()),
    ("entry.confidentiality", {"metadata": edit(code(DOC, n.CONFIDENTIALITY), nodeRepresentation="X")}, {"entry.visibility"}),
    ("entry.confidentiality", {"metadata": double(code(DOC, n.CONFIDENTIALITY), id="more", nodeRepresentation="R")}, set()),
    ("entry.visibility", {"metadata": double(code(DOC, n.CONFIDENTIALITY), id="more", nodeRepresentation="INVISIBLE_REP_LEGAUX")}, set()),
    ("entry.facility", {"metadata": edit(code(DOC, n.FACILITY), nodeRepresentation="SA99")}, set()),
    ("entry.practice", {"metadata": write(system(DOC, n.PRACTICE), "21.2.250.1.213.1.1.4.9")}, set()),
    ("entry.coding-scheme", {"metadata": drop(code(DOC, n.TYPE) + "/rim:Name")}, set()),
    ("entry.creation-time", {"metadata": write(slot(DOC, "creationTime"), "20260115101530+0100")}, set()),
    ("entry.service-times", {"metadata": write(slot(DOC, "serviceStartTime"), "hier")}, set()),
    ("entry.language", {"metadata": write(slot(DOC, "languageCode"), "fr")}, set()),
    ("entry.legal-authenticator", {"metadata": write(slot(DOC, "legalAuthenticator"), "DUPONT")}, set()),
    ("entry.source-patient", {"metadata": write(slot(DOC, "sourcePatientId"), "0456789")}, set()),
    ("entry.source-patient-info", {"metadata": write(slot(DOC, "sourcePatientInfo") + "[2]", "PID-7|28/03/1979")}, set()),
    ("entry.hash", {"metadata": write(slot(DOC, "hash"), "0" * 40)}, set()),
    ("entry.size", {"metadata": write(slot(DOC, "size"), "1")}, set()),
    ("entry.title", {"metadata": edit(f"//*[@id='{DOC}']/rim:Name/rim:LocalizedString", value="T" * 129)}, set()),
    ("entry.patient", {"metadata": edit(identifier(DOC, n.ENTRY_PATIENT), value=OTHER)}, {"cda.patient"}),
    ("entry.unique", {"metadata": edit(identifier(DOC, n.ENTRY_UNIQUE), value="1.2.3^4")}, {"signature.manifest", "cda.identifier"}),
    ("entry.assigned", {"metadata": edit(f"//*[@id='{DOC}']", status=n.APPROVED)}, set()),
    ("entry.references", {"metadata": lambda tree: found(tree, f"//*[@id='{DOC}']")[0].insert(0, reference("123^^^&1.2.3&ISO^order"))}, set()),
    ("author.person", {"metadata": write(author(DOC, "authorPerson"), "810123456781^BIOLOGISTE")}, set()),
    ("author.person", {"metadata": write(author(DOC, "authorPerson"), "810123456781^B^A^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^EI")}, set()),
    ("author.institution", {"metadata": write(author(DOC, "authorInstitution"), "HOPITAL^^^^^&1.2.3&ISO^IDNST^^^1990000001")}, set()),
    ("author.specialty", {"metadata": write(author(DOC, "authorSpecialty"), "G99^Inconnu^1.2.250.1.213.1.1.4.5")}, set()),
    ("lot.has-member", {"metadata": drop(MEMBER + f"[@targetObject='{DOC}']")}, set()),
    ("lot.has-member", {"metadata": write(MEMBER + "/rim:Slot/rim:ValueList/rim:Value", "Reference")}, set()),
    ("lot.document", {"metadata": edit("//xds:Document[1]", id="Autre")}, {"lot.metadata"}),
    ("lot.metadata", {"metadata": edit("//xds:Document[1]", id="Autre")}, {"lot.document"}),
    ("lot.association", {"metadata": edit(MEMBER, associationType="urn:ihe:iti:2010:AssociationType:RPLC")}, {"lot.has-member"}),
]  # fmt: skip

SIGNATURES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("signature.one", {"metadata": both(edit(code(SIG, n.TYPE), nodeRepresentation="11502-2"), drop(SIGNS))}, {
        "entry.type", "entry.class", "entry.format", "entry.language"}),
    ("signature.entry", {"metadata": edit(f"//*[@id='{SIG}']/rim:Name/rim:LocalizedString", value="Signature")}, set()),
    ("signature.entry", {"metadata": drop(code(SIG, n.CONFIDENTIALITY) + "[@nodeRepresentation='MASQUE_PS']")}, set()),
    ("signature.signs", {"metadata": drop(SIGNS)}, set()),
    ("signature.signs", {"metadata": edit(SIGNS, targetObject=DOC)}, set()),
    ("signature.patient", {"metadata": write(slot(SIG, "sourcePatientId"), "1^^^&1.2.3&ISO^PI")}, set()),
    ("signature.readable", {"signature": lambda tree: setattr(tree, "tag", "other")}, set()),
    ("signature.id", {"manifest": edit(".", Id="other")}, {"signature.purpose"}),
    ("signature.algorithms", {"signed_info": edit("//ds:CanonicalizationMethod", Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315")}, set()),
    ("signature.references", {"manifest": edit("//ds:SignedInfo/ds:Reference", Type="")}, set()),
    ("signature.references", {"manifest": swap("//ds:SignedInfo/ds:Reference")}, set()),
    ("signature.digests", {"signed_info": write("//ds:SignedInfo/ds:Reference/ds:DigestValue", "AAAA")}, set()),
    ("signature.digests", {"signature": write("//xad:SigningTime", "2020-01-01T00:00:00Z")}, {"signature.time"}),
    ("signature.value", {"signature": write("//ds:SignatureValue", "AAAA")}, set()),
    ("signature.certificate", {"signature": drop("//ds:KeyInfo")}, {"signature.value", "signature.properties"}),
    ("signature.properties", {"manifest": write(CERT + "/xad:IssuerSerial/ds:X509SerialNumber", "1")}, set()),
    ("signature.properties", {"manifest": write(CERT + "/xad:CertDigest/xad:DigestValue", "AAAA")}, set()),
    ("signature.policy", {"manifest": drop("//xad:SignaturePolicyIdentifier")}, set()),
    ("signature.time", {"manifest": write("//xad:SigningTime", "2020-01-01T00:00:00Z")}, set()),
    ("signature.purpose", {"manifest": write("//ds:SignatureProperty", "1.2.840.10065.1.12.1.1")}, set()),
    ("signature.manifest-lot", {"manifest": write(MANIFEST + "[1]/ds:DigestValue", "AAAA")}, set()),
    ("signature.manifest-lot", {"manifest": edit(MANIFEST + "[1]", URI="urn:oid:1.2.3")}, set()),
    ("signature.manifest", {"manifest": drop(MANIFEST + "[2]")}, set()),
    ("signature.manifest", {"manifest": double(MANIFEST + "[2]", URI="urn:oid:1.2.3")}, set()),
    ("signature.transforms", {"manifest": drop(MANIFEST + "[2]/ds:Transforms")}, set()),
    ("signature.content", {"manifest": write(MANIFEST + "[2]/ds:DigestValue", "AAAA")}, set()),
]  # fmt: skip


def conditions(inner: str = "", **attributes: str) -> Element:
    made = etree.fromstring(f'<Conditions xmlns="{n.SAML}">{inner}</Conditions>')
    for name, value in attributes.items():
        made.set(name, value)
    return made


def reference(value: str) -> Element:
    text = ebrim.slot(n.REFERENCE_IDS, value.replace("&", "&amp;"))
    return etree.fromstring(text.replace("<rim:Slot ", f'<rim:Slot xmlns:rim="{n.RIM}" ', 1))


def test_a_right_lot_is_accepted(bench: Bench) -> None:
    case = bench.submit(Lot([Document(), Document()]))
    assert case.broken == []
    assert case.accepted
    assert sum(one.is_signature for one in bench.registry.documents()) == 1
    assert b"ResponseStatusType:Success" in bench.answer.body


CASES = WIRE + VIHF + SETS + ENTRIES + SIGNATURES


@pytest.mark.parametrize("rule, damage, others", CASES, ids=[one[0] for one in CASES])
def test_a_broken_rule_is_named_and_nothing_is_registered(
    bench: Bench, rule: str, damage: dict[str, Any], others: set[str]
) -> None:
    case = bench.submit(Lot(**damage))
    if bench.settings.schemas is None:
        others, case.findings = others - {"xml.schema"}, [one for one in case.findings if one.rule.name != "xml.schema"]
        if rule == "xml.schema":
            pytest.skip("no official schemas beside the checkout")
    assert set(case.broken) == {rule} | others
    assert bench.registry.documents() == []
    text = bench.answer.body.decode()
    assert rule in text
    answered = {RULES[name].code for name in case.broken}
    assert ("Fault>" in text) == bool(answered & FAULTS)
