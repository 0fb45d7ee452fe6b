"""The VIHF: the SAML assertion that says who asks, for which structure, about which patient.

Source: ANS volet "Transmission de documents CDA en HL7 v2" 2.1 (VIHF of a PFI, indirect authentication); SAML 2.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from lxml import etree

from vaguemestre.simulators.dmp import identifiers, names, soap, trust, xmlsig
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.dmp.tables import value_set

_ORDER = ("Issuer", "Signature", "Subject", "Conditions", "AuthnStatement", "AttributeStatement")
_ISSUER_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
_CLASSES = {
    "urn:oasis:names:tc:SAML:2.0:ac:classes:" + name
    for name in ("Password", "SmartcardPKI", "unspecified", "TLSClient")
}
_RESOURCE_ID = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
_SUBJECT_ID = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
_ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"
_PURPOSE = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
_PROFESSIONS, _SPECIALTIES = "1.2.250.1.71.1.2.7", "1.2.250.1.71.4.2.5"
_DOCTOR, _PHARMACIST = "10", "21"
_AUTOMATES = "1.2.250.1.213.1.1.4.6"
_FACILITIES = "1.2.250.1.71.4.2.4"


@dataclass(frozen=True, slots=True)
class Vihf:
    """Who asks: structure and person; patient: INS and its authority; what signed it."""

    id: str
    structure: str
    subject: str
    patient: tuple[str, str] | None
    certificate: x509.Certificate | None


@dataclass(frozen=True, slots=True)
class _Reading:
    assertion: etree._Element
    judge: Judge
    settings: DmpSettings
    trust: trust.Trust

    def attribute(self, name: str) -> str:
        """Text of the only value of an attribute; empty without."""
        values = self.values(name)
        return "".join(values[0].itertext()).strip() if len(values) == 1 else ""

    def values(self, name: str) -> list[etree._Element]:
        """Values of an attribute that is there once."""
        found = [
            one
            for one in soap.find(self.assertion, "saml:AttributeStatement/saml:Attribute")
            if one.get("Name") == name
        ]
        return soap.find(found[0], "saml:AttributeValue") if len(found) == 1 else []


def read(assertion: etree._Element, judge: Judge, settings: DmpSettings, trusted: trust.Trust) -> Vihf:
    """Check an assertion and tell what it says; ``vihf.once`` is the caller's, who remembers."""
    reading = _Reading(assertion, judge, settings, trusted)
    _shape(reading)
    _moments(reading)
    certificate = _signature(reading)
    _who(reading)
    _roles(reading)
    patient = identifiers.ins(reading.attribute(_RESOURCE_ID))
    judge.check(patient, "vihf.patient", "resource-id")
    structure = reading.attribute("Identifiant_Structure")
    judge.check(identifiers.is_structure(structure), "vihf.structure", "Identifiant_Structure")
    if certificate is not None:
        judge.check(trust.structure(certificate) == structure, "vihf.certificate-structure")
    subject = soap.text(assertion, "saml:Subject/saml:NameID")
    return Vihf(assertion.get("ID", ""), structure, subject, patient, certificate)


def _shape(reading: _Reading) -> None:
    assertion, judge = reading.assertion, reading.judge
    order = [etree.QName(child).localname for child in assertion if isinstance(child.tag, str)]
    expected = [name for name in _ORDER if name != "Conditions" or name in order]
    judge.check(order == expected, "vihf.order", "Assertion")
    judge.check(assertion.get("Version") == "2.0", "vihf.saml", "Version")
    judge.check(re.fullmatch(r"[A-Za-z_][\w.-]*", assertion.get("ID", "")), "vihf.id", "ID")
    formats = [one.get("Format") for one in soap.find(assertion, "saml:Issuer")]
    judge.check(formats == [_ISSUER_FORMAT], "vihf.issuer-format", "Issuer")
    judge.check(not soap.find(assertion, "saml:Conditions//saml:AudienceRestriction"), "vihf.audience", "Conditions")


def _moments(reading: _Reading) -> None:
    assertion, judge, freshness = reading.assertion, reading.judge, reading.settings.freshness
    now = reading.settings.clock()
    issued = identifiers.instant(assertion.get("IssueInstant", ""))
    judge.check(issued is not None and abs(now - issued) <= freshness, "vihf.fresh", "IssueInstant")
    for condition in soap.find(assertion, "saml:Conditions"):
        for name, sign in (("NotBefore", 1), ("NotOnOrAfter", -1)):
            if name in condition.attrib:
                limit = identifiers.instant(str(condition.get(name)))
                kept = limit is not None and (limit - now) * sign <= freshness
                judge.check(kept, "vihf.conditions", name)
    statements = soap.find(assertion, "saml:AuthnStatement")
    logged = identifiers.instant(statements[0].get("AuthnInstant", "")) if statements else None
    judge.check(logged is not None and logged - now <= freshness, "vihf.authn-instant", "AuthnInstant")
    context = soap.text(assertion, "saml:AuthnStatement/saml:AuthnContext/saml:AuthnContextClassRef")
    judge.check(context in _CLASSES, "vihf.authn-class", "AuthnContextClassRef")


def _signature(reading: _Reading) -> x509.Certificate | None:
    assertion, judge = reading.assertion, reading.judge
    signatures = soap.find(assertion, "ds:Signature")
    if not judge.check(len(signatures) == 1, "vihf.signature", "Signature"):
        return None
    signature = signatures[0]
    shown = xmlsig.certificates(signature)
    if not judge.check(shown, "vihf.certificate", "KeyInfo"):
        return None
    certificate = shown[0]
    judge.check(reading.trust.holds(certificate), "vihf.certificate", "KeyInfo")
    judge.check(trust.is_seal(certificate), "vihf.certificate-use", "KeyInfo")
    issuer = soap.text(assertion, "saml:Issuer")
    same = trust.same_name(issuer, certificate.subject, order=reading.settings.issuer_order)
    judge.check(same, "vihf.issuer", "Issuer")
    references = soap.find(signature, "ds:SignedInfo/ds:Reference")
    covered = len(references) == 1 and _covers(references[0], assertion, signature)
    judge.check(covered and xmlsig.is_signed(signature, certificate), "vihf.signature", "Signature")
    used = {
        xmlsig.DIGESTS.get(xmlsig.algorithm(signature, "ds:SignedInfo/ds:Reference/ds:DigestMethod")),
        getattr(xmlsig.METHODS.get(xmlsig.algorithm(signature, "ds:SignedInfo/ds:SignatureMethod")), "name", None),
    }
    judge.check(used <= reading.settings.digests, "vihf.digest", "Signature")
    return certificate


def _covers(reference: etree._Element, assertion: etree._Element, signature: etree._Element) -> bool:
    transforms = soap.find(reference, "ds:Transforms/ds:Transform")
    algorithms = [one.get("Algorithm", "") for one in transforms]
    if reference.get("URI") != f"#{assertion.get('ID')}" or algorithms != [xmlsig.ENVELOPED, xmlsig.EXCLUSIVE]:
        return False
    prefixes = xmlsig.inclusive_prefixes(reference, "ds:Transforms/ds:Transform[2]")
    form = xmlsig.canonical(xmlsig.without(assertion, signature), xmlsig.EXCLUSIVE, prefixes)
    return xmlsig.digest(reference, form)


def _who(reading: _Reading) -> None:
    judge, attribute = reading.judge, reading.attribute
    subject = soap.text(reading.assertion, "saml:Subject/saml:NameID")
    judge.check(identifiers.is_professional(subject), "vihf.subject", "NameID")
    judge.check(attribute("VIHF_Version") in reading.settings.vihf_versions, "vihf.version", "VIHF_Version")
    judge.check(attribute("Authentification_Mode") == "INDIRECTE", "vihf.mode", "Authentification_Mode")
    code, _, system = attribute("Secteur_Activite").partition("^")
    known = system == _FACILITIES and (system, code) in value_set("J02")
    judge.check(known, "vihf.sector", "Secteur_Activite")
    judge.check(attribute("Ressource_URN") == "urn:dmp", "vihf.resource", "Ressource_URN")
    judge.check(attribute(_SUBJECT_ID), "vihf.subject-id", "subject-id")
    for name in ("LPS_Nom", "LPS_Version", "LPS_ID_HOMOLOGATION_DMP"):
        judge.check(attribute(name), "vihf.product", name)


def _roles(reading: _Reading) -> None:
    judge = reading.judge
    roles = [_coded(one, "Role") for one in reading.values(_ROLE)]
    first = roles[0] if roles else None
    plain = [one for one in roles if one is not None]
    known = first is not None and (first[0] == _PROFESSIONS or first == (_AUTOMATES, "AUTOMATE"))
    judge.check(known and len(plain) == len(roles), "vihf.role", "role")
    if first in {(_PROFESSIONS, _DOCTOR), (_PROFESSIONS, _PHARMACIST)}:
        second = plain[1] if len(plain) > 1 else ("", "")
        doctor = first == (_PROFESSIONS, _DOCTOR)
        fits = second[0] == _SPECIALTIES and second[1].startswith("SM") if doctor else bool(second[1])
        judge.check(fits, "vihf.role-specialty", "role")
    purposes = [_coded(one, "PurposeOfUse") for one in reading.values(_PURPOSE)]
    judge.check(purposes == [("1.2.250.1.213.1.1.4.248", "normal")], "vihf.purpose", "purposeofuse")


def _coded(value: etree._Element, name: str) -> tuple[str, str] | None:
    """``(system, code)`` of the only child, a CE of HL7 with its display."""
    children = [child for child in value if isinstance(child.tag, str)]
    if len(children) != 1 or children[0].tag != f"{{{names.HL7}}}{name}":
        return None
    child = children[0]
    if child.get(f"{{{names.XSI}}}type", "").rpartition(":")[2] != "CE" or not child.get("displayName"):
        return None
    return str(child.get("codeSystem", "")), str(child.get("code", ""))
