"""What is sent to INSi: a SOAP 1.2 envelope with the contexts BAM and LPS, and one request.

Source: SOAP 1.2; WS-Addressing 1.0; INSi, service DESIR_ICIR_EXP 1.5.0 (contexts, search by traits, verification).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from connectors.insi.settings import InsiOperation
from connectors.insi.traits import Traits

SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"


@dataclass(frozen=True, slots=True)
class Contexts:
    """Who sends, with which product."""

    sender: str
    idam: str
    idam_kind: str
    version: str
    instance: str
    name: str
    bam_version: str
    lps_version: str


def envelope(action: str, number: str, at: datetime, contexts: Contexts, assertion: bytes, body: str) -> bytes:
    """A call. number: UUID of the message and of its contexts; assertion: inserted byte for byte."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    bam, lps = (
        f"<{one}:Id>{number}</{one}:Id><{one}:Temps>{moment}</{one}:Temps>"
        f"<{one}:Emetteur>{escape(contexts.sender)}</{one}:Emetteur>"
        for one in ("bam", "lps")
    )
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="http://www.w3.org/2005/08/addressing"><soap:Header>'
        f'<wsse:Security xmlns:wsse="{_WSSE}">'
    )
    tail = (
        "</wsse:Security>"
        f'<bam:ContexteBAM xmlns:bam="urn:siram:bam:ctxbam" Nature="CTXBAM" '
        f"Version={quoteattr(contexts.bam_version)}>{bam}<bam:COUVERTURE/></bam:ContexteBAM>"
        f'<lps:ContexteLPS xmlns:lps="urn:siram:lps:ctxlps" Nature="CTXLPS" '
        f"Version={quoteattr(contexts.lps_version)}>{lps}<lps:LPS>"
        f"<lps:IDAM R={quoteattr(contexts.idam_kind)}>{escape(contexts.idam)}</lps:IDAM>"
        f"<lps:Version>{escape(contexts.version)}</lps:Version>"
        f"<lps:Instance>{escape(contexts.instance)}</lps:Instance>"
        f"<lps:Nom>{escape(contexts.name)}</lps:Nom></lps:LPS></lps:ContexteLPS>"
        f"<wsa:Action>{escape(action)}</wsa:Action><wsa:MessageID>uuid:{number}</wsa:MessageID>"
        f"</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    )
    return b"".join((head.encode(), assertion, tail.encode()))


def search(operation: InsiOperation, traits: Traits, given: tuple[str, ...], form: Literal["repeat", "join"]) -> str:
    """INS2: the identity of these traits, with some of the given names."""
    names = given if form == "repeat" else (" ".join(given),)
    return _wrapped(operation, _traits(traits, names))


def verification(operation: InsiOperation, number: str, oid: str, traits: Traits) -> str:
    """INS3: whether this INS (15 characters) is that of these traits."""
    ins = (
        f"<i:INSFourni><i:IdIndividu><i:NumIdentifiant>{escape(number[:13])}</i:NumIdentifiant>"
        f"<i:Cle>{escape(number[13:])}</i:Cle></i:IdIndividu><i:OID>{escape(oid)}</i:OID></i:INSFourni>"
    )
    told = f"<i:TraitsIdentiteIndividu>{_traits(traits, traits.given)}</i:TraitsIdentiteIndividu>"
    return _wrapped(operation, ins + told)


def _traits(traits: Traits, given: tuple[str, ...]) -> str:
    names = "".join(f"<i:Prenom>{escape(one)}</i:Prenom>" for one in given)
    place = f"<i:LieuNaissance>{escape(traits.birth_place)}</i:LieuNaissance>" if traits.birth_place else ""
    return (
        f"<i:NomNaissance>{escape(traits.family)}</i:NomNaissance>{names}<i:Sexe>{traits.sex}</i:Sexe>"
        f"<i:DateNaissance>{traits.birth_date}</i:DateNaissance>{place}"
    )


def _wrapped(operation: InsiOperation, content: str) -> str:
    name = operation.element
    return f"<i:{name} xmlns:i={quoteattr(operation.namespace)}>{content}</i:{name}>"
