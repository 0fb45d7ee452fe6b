"""VIHF: the SAML assertion that says, in each call, who asks, for which structure, about which patient."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from lxml import etree

from connectors.dmp.names import DnOrder, distinguished_name
from connectors.dmp.xades import Signer
from connectors.dmp.xml import (
    DIGESTS,
    DS,
    ENVELOPED,
    EXCLUSIVE_C14N,
    HL7,
    SIGNATURES,
    XSI,
    Digest,
    Element,
    add,
    canonical,
    digest,
    parse,
    sign,
)  # fmt: skip

_SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
_PREFIXES = "ds saml #default xsi"
"""Prefixes canonicalised as if inclusive: those of the assertion, so that both forms have the same bytes."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded value as VIHF writes it (HL7 v3 ``CE``)."""

    code: str
    system: str
    system_name: str
    label: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says.

    subject: PS_IdNat of who asks, or of the person responsible for an automatic flow; subject_name: names, or software
    and model. structure: Struct_IdNat. sector: ``SA01^1.2.250.1.71.4.2.4``. patient: INS as CX. authenticated: when
    the user logged in. context: SAML class of that login. confidentiality: of a secret connection, else ``""``.
    validity: seconds of NotBefore and NotOnOrAfter around now; 0: no Conditions.
    """

    id: str
    at: datetime
    subject: str
    subject_name: str
    structure: str
    sector: str
    patient: str
    authenticated: datetime
    context: str
    roles: Sequence[Coded]
    purpose: Coded
    product: str
    product_version: str
    approval: str
    installation: str = ""
    version: str = "3.0"
    mode: str = "INDIRECTE"
    resource: str = "urn:dmp"
    confidentiality: str = ""
    validity: float = 0.0


def assertion(
    signer: Signer,
    said: Assertion,
    *,
    algorithm: Digest = "sha256",
    order: DnOrder = "rfc2253",
    prefixes: bool = True,
) -> bytes:
    """The signed assertion, to be inserted byte for byte where no ``ds``, ``saml`` or ``xsi`` prefix is in scope.

    prefixes: write the InclusiveNamespaces list.

    Source: ANS, "Transmission de documents CDA en HL7v2" 2.1.3, VIHF; SAML 2.0 core; XML Signature, enveloped.
    """
    root = etree.Element(
        f"{{{_SAML}}}Assertion",
        {"ID": said.id, "IssueInstant": _instant(said.at), "Version": "2.0"},
        nsmap={None: _SAML, "xsi": XSI},
    )
    issuer = distinguished_name(signer.certificate.subject, order)
    add(root, f"{{{_SAML}}}Issuer", issuer, Format="urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName")
    add(add(root, f"{{{_SAML}}}Subject"), f"{{{_SAML}}}NameID", said.subject)
    if said.validity:
        around = timedelta(seconds=said.validity)
        add(
            root,
            f"{{{_SAML}}}Conditions",
            NotBefore=_instant(said.at - around),
            NotOnOrAfter=_instant(said.at + around),
        )
    login = add(root, f"{{{_SAML}}}AuthnStatement", AuthnInstant=_instant(said.authenticated))
    add(add(login, f"{{{_SAML}}}AuthnContext"), f"{{{_SAML}}}AuthnContextClassRef", said.context)
    _attributes(add(root, f"{{{_SAML}}}AttributeStatement"), said)
    root.insert(1, _signature(signer, root, said.id, algorithm, prefixes=prefixes))
    return etree.tostring(root)


def _attributes(statement: Element, said: Assertion) -> None:
    texts = {
        "VIHF_Version": said.version,
        "Authentification_Mode": said.mode,
        "Secteur_Activite": said.sector,
        "urn:oasis:names:tc:xacml:2.0:resource:resource-id": said.patient,
        "Ressource_URN": said.resource,
        "urn:oasis:names:tc:xspa:1.0:subject:subject-id": said.subject_name,
        "Identifiant_Structure": said.structure,
        "LPS_ID": said.installation,
        "LPS_Nom": said.product,
        "LPS_Version": said.product_version,
        "LPS_ID_HOMOLOGATION_DMP": said.approval,
        "urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code": said.confidentiality,
    }
    for name, text in texts.items():
        if text:
            add(add(statement, f"{{{_SAML}}}Attribute", Name=name), f"{{{_SAML}}}AttributeValue", text)
    _coded(statement, "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse", "PurposeOfUse", [said.purpose])
    if said.roles:
        _coded(statement, "urn:oasis:names:tc:xacml:2.0:subject:role", "Role", said.roles)


def _coded(statement: Element, name: str, tag: str, values: Sequence[Coded]) -> None:
    attribute = add(statement, f"{{{_SAML}}}Attribute", Name=name)
    for one in values:
        known = {
            "code": one.code,
            "codeSystem": one.system,
            "codeSystemName": one.system_name,
            "displayName": one.label,
        }
        written = {key: value for key, value in known.items() if value}
        parent = add(attribute, f"{{{_SAML}}}AttributeValue")
        etree.SubElement(parent, f"{{{HL7}}}{tag}", written, nsmap={None: HL7}).set(f"{{{XSI}}}type", "CE")


def _signature(signer: Signer, root: Element, name: str, algorithm: Digest, *, prefixes: bool) -> Element:
    """The enveloped signature of an assertion that has none yet."""
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = add(signature, f"{{{DS}}}SignedInfo")
    add(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=EXCLUSIVE_C14N)
    add(info, f"{{{DS}}}SignatureMethod", Algorithm=SIGNATURES[algorithm])
    reference = add(info, f"{{{DS}}}Reference", URI=f"#{name}")
    transforms = add(reference, f"{{{DS}}}Transforms")
    add(transforms, f"{{{DS}}}Transform", Algorithm=ENVELOPED)
    exclusive = add(transforms, f"{{{DS}}}Transform", Algorithm=EXCLUSIVE_C14N)
    if prefixes:
        tag = f"{{{EXCLUSIVE_C14N}}}InclusiveNamespaces"
        etree.SubElement(exclusive, tag, {"PrefixList": _PREFIXES}, nsmap={None: EXCLUSIVE_C14N})
    add(reference, f"{{{DS}}}DigestMethod", Algorithm=DIGESTS[algorithm])
    listed = _PREFIXES.split() if prefixes else None
    read = parse(etree.tostring(root))  # lxml passes over the prefixes of a list that it has not read from a text
    signed = etree.tostring(read, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=listed)
    add(reference, f"{{{DS}}}DigestValue", digest(algorithm, signed))
    value = sign(signer.key, algorithm, canonical(info, exclusive=True))
    add(signature, f"{{{DS}}}SignatureValue", value)
    x509_data = add(add(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    der = signer.certificate.public_bytes(serialization.Encoding.DER)
    add(x509_data, f"{{{DS}}}X509Certificate", base64.b64encode(der).decode("ascii"))
    return signature


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
