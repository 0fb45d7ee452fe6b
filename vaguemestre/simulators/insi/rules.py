"""What a call to INSi must be; each broken rule has its name and its place, never a value.

Source: section 4 of the project's reference on national services (envelope, contexts, order of elements, alphabet);
SOAP 1.2; SAML 2.0; XML Signature 1.0. Codes of faults that begin with ``sim_`` are the simulator's own: the official
list is not public.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree

from vaguemestre.simulators.insi.people import Asked
from vaguemestre.simulators.insi.signature import signer_of

Element = etree._Element  # noqa: SLF001  # the only name that lxml gives its elements
NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "bam": "urn:siram:bam:ctxbam",
    "lps": "urn:siram:lps:ctxlps",
}
SEARCH, VERIFICATION = "search", "verification"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NAME = re.compile(r"[A-Z'-](?:[A-Z '-]*[A-Z'-])?")
_ORDER = ("NomNaissance", "Prenom", "Sexe", "DateNaissance", "LieuNaissance")


@dataclass(frozen=True, slots=True)
class InsiRules:
    """What this INSi takes. actions: SOAP action -> (operation, namespace and name of the request).

    idam: authorisation numbers. freshness: how far an assertion's or a context's moment may be.
    authority: the certificates of clients and of signatures are its own; None: they are not looked at.
    """

    idam: frozenset[str] = frozenset({"SIMULATEUR"})
    freshness: timedelta = timedelta(minutes=10)
    authority: x509.Certificate | None = None
    actions: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {
            "urn:ServiceIdentiteCertifiee:1.0.0:rechercherInsAvecTraitsIdentite": (
                SEARCH,
                "{http://www.cnamts.fr/INSiRecSans}RECSANSVITALE",
            ),
            "urn:ServiceIdentiteCertifiee:1.0.0:verifierInsIdentite": (
                VERIFICATION,
                "{http://www.cnamts.fr/INSiVerifUnitaire}VERIFUNITAIRE",
            ),
        }
    )
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(slots=True)
class Call:
    """One request as it was read. broken: rules. ins: number and OID of a verification."""

    operation: str = ""
    asked: Asked | None = None
    ins: tuple[str, str] = ("", "")
    message_id: str = ""
    broken: list[str] = field(default_factory=list)

    def check(self, kept: object, rule: str) -> bool:
        """Note a rule that is not kept."""
        if not kept:
            self.broken.append(rule)
        return bool(kept)


def read(data: bytes, content_type: str, shown: x509.Certificate | None, rules: InsiRules) -> Call:
    """Read and check a request."""
    call = Call()
    call.check(content_type.split(";", maxsplit=1)[0].strip().lower() == "application/soap+xml", "http.media-type")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        call.broken.append("soap.readable")
        return call
    if not call.check(root.tag == f"{{{NS['s']}}}Envelope", "soap.version"):
        return call
    body = list(root.iterfind("s:Body/*", NS))
    action = root.findtext("s:Header/wsa:Action", "", NS)
    operation, tag = rules.actions.get(action, ("", ""))
    call.check(operation, "soap.action")
    call.message_id = root.findtext("s:Header/wsa:MessageID", "", NS)
    call.check(re.fullmatch(f"(?:urn:)?uuid:{_UUID}", call.message_id), "soap.message-id")
    _contexts(root, call, rules)
    _assertion(root, call, shown, rules)
    if call.check(len(body) == 1 and body[0].tag == tag, "body.element"):
        call.operation = operation
        _request(body[0], call)
    return call


def _contexts(root: Element, call: Call, rules: InsiRules) -> None:
    senders = set()
    for prefix, name, version in (("bam", "ContexteBAM", "01_02"), ("lps", "ContexteLPS", "01_00")):
        context = root.find(f"s:Header/{prefix}:{name}", NS)
        if not call.check(context is not None, f"{prefix}.present"):
            continue
        assert context is not None  # noqa: S101  # said to mypy
        call.check(context.get("Version") == version, f"{prefix}.version")
        call.check(re.fullmatch(_UUID, context.findtext(f"{prefix}:Id", "", NS)), f"{prefix}.id")
        call.check(_fresh(context.findtext(f"{prefix}:Temps", "", NS), rules), f"{prefix}.moment")
        senders.add(context.findtext(f"{prefix}:Emetteur", "", NS))
    call.check(len(senders) == 1 and "" not in senders, "context.sender")
    call.check(root.find("s:Header/bam:ContexteBAM/bam:COUVERTURE", NS) is not None, "bam.cover")
    product = root.find("s:Header/lps:ContexteLPS/lps:LPS", NS)
    names = [etree.QName(one).localname for one in product] if product is not None else []
    call.check(names == ["IDAM", "Version", "Instance", "Nom"], "lps.product")
    idam = root.find("s:Header/lps:ContexteLPS/lps:LPS/lps:IDAM", NS)
    known = idam is not None and idam.get("R") == "4" and idam.text in rules.idam
    call.check(known, "lps.idam")


def _assertion(root: Element, call: Call, shown: x509.Certificate | None, rules: InsiRules) -> None:
    found = root.findall("s:Header/wsse:Security/saml:Assertion", NS)
    if not call.check(len(found) == 1, "assertion.present"):
        return
    assertion = found[0]
    call.check(_fresh(assertion.get("IssueInstant", ""), rules), "assertion.moment")
    attributes = {
        one.get("Name", ""): one.findtext("saml:AttributeValue", "", NS)
        for one in assertion.iterfind("saml:AttributeStatement/saml:Attribute", NS)
    }
    for name in ("identifiantFacturation", "secteurActivite"):
        call.check(attributes.get(name), f"assertion.{name}")
    certificate = signer_of(assertion)
    if not call.check(certificate is not None, "assertion.signature") or rules.authority is None:
        return
    assert certificate is not None  # noqa: S101  # said to mypy
    call.check(_issued(certificate, rules) and not _is_client(certificate), "assertion.certificate")
    if call.check(shown is not None and _is_client(shown), "tls.certificate"):
        assert shown is not None  # noqa: S101  # said to mypy
        call.check(_structure(shown) == _structure(certificate) != "", "tls.structure")


def _request(request: Element, call: Call) -> None:
    traits: Element | None = request
    if call.operation == VERIFICATION:
        names = [etree.QName(one).localname for one in request]
        call.check(names == ["INSFourni", "TraitsIdentiteIndividu"], "body.order")
        number = _text(request, "INSFourni/IdIndividu/NumIdentifiant")
        key, oid = _text(request, "INSFourni/IdIndividu/Cle"), _text(request, "INSFourni/OID")
        call.check(len(number) == 13 and len(key) == 2 and oid, "body.ins")
        call.ins = (number + key, oid)
        traits = next((one for one in request if etree.QName(one).localname == "TraitsIdentiteIndividu"), None)
    if traits is None:
        call.broken.append("body.traits")
        return
    names = [etree.QName(one).localname for one in traits]
    once = [name for number, name in enumerate(names) if name != "Prenom" or names[number - 1] != "Prenom"]
    call.check(once in (list(_ORDER), list(_ORDER[:4])), "body.order")
    values = [(etree.QName(one).localname, one.text or "") for one in traits]
    said = dict(values)
    given = tuple(text for name, text in values if name == "Prenom")
    call.check(all(_NAME.fullmatch(one) for one in (said.get("NomNaissance", ""), *given)), "body.alphabet")
    call.check(said.get("Sexe") in ("M", "F"), "body.sex")
    call.check(re.fullmatch(r"\d{4}-\d{2}-\d{2}", said.get("DateNaissance", "")), "body.date")
    place = said.get("LieuNaissance", "")
    call.check("LieuNaissance" not in said or re.fullmatch(r"(\d{2}|2[AB])\d{3}", place), "body.place")
    call.asked = Asked(said.get("NomNaissance", ""), given, said.get("Sexe", ""), said.get("DateNaissance", ""), place)


def _text(element: Element, path: str) -> str:
    steps = "/".join(f"{{*}}{one}" for one in path.split("/"))
    return element.findtext(steps, "")


def _fresh(text: str, rules: InsiRules) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.tzinfo is not None and abs(rules.clock() - moment) <= rules.freshness


def _issued(certificate: x509.Certificate, rules: InsiRules) -> bool:
    assert rules.authority is not None  # noqa: S101  # the caller looked
    try:
        certificate.verify_directly_issued_by(rules.authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_before_utc <= rules.clock() <= certificate.not_valid_after_utc


def _is_client(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in found


def _structure(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(found[0].value) if len(found) == 1 else ""
