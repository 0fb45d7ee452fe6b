"""SOAP 1.2 envelopes: read with their addressing, assertion and body; answers written.

Source: SOAP 1.2 part 1 (W3C); WS-Addressing 1.0; WS-Security; IHE ITI TF-2 Appendix V.3.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from vaguemestre.simulators.dmp import names
from vaguemestre.simulators.dmp.rules import Judge

_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse(data: bytes) -> etree._Element | None:
    """The root of an XML document; None when it is not well formed or has a DTD. Nothing outside is read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    return None if root.getroottree().docinfo.doctype else root


def find(element: etree._Element, path: str) -> list[etree._Element]:
    """Elements of an ElementPath with our prefixes."""
    return element.findall(path, names.NAMESPACES)


def text(element: etree._Element, path: str) -> str:
    """Text of the first element of a path; empty when there is none."""
    found = find(element, path)
    return "".join(str(part) for part in found[0].itertext()).strip() if found else ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request: its assertion (None without), the only element of its body, its message id."""

    root: etree._Element
    assertion: etree._Element | None
    request: etree._Element
    message_id: str
    action: str


def read(data: bytes, requests: Mapping[str, frozenset[str]], http_action: str | None, judge: Judge) -> Envelope:
    """Read an envelope. requests: what the service takes, as ``{element: actions}``.

    Raises:
        Broken: it is not an envelope with one of these elements.
    """
    root = judge.given(parse(data), "soap.readable")
    judge.need(root.tag == f"{{{names.SOAP}}}Envelope", "soap.version")
    body = find(root, "soap:Body/*")
    judge.need(len(body) == 1 and str(body[0].tag) in requests, "soap.body")
    action, message_id = text(root, "soap:Header/wsa:Action"), text(root, "soap:Header/wsa:MessageID")
    actions = requests[str(body[0].tag)]
    judge.check(action in actions, "soap.action", "wsa:Action")
    judge.check(http_action is None or http_action == action, "http.action", "Content-Type")
    understood = root.xpath("string(soap:Header/wsa:Action/@soap:mustUnderstand)", namespaces=names.NAMESPACES)
    judge.check(understood in {"true", "1"}, "soap.must-understand", "wsa:Action")
    judge.check(_UUID.fullmatch(message_id), "soap.message-id", "wsa:MessageID")
    judge.check(text(root, "soap:Header/wsa:To"), "soap.to", "wsa:To")
    assertions = find(root, "soap:Header/wsse:Security/saml:Assertion")
    judge.check(len(assertions) == 1, "vihf.present", "wsse:Security")
    return Envelope(root, assertions[0] if assertions else None, body[0], message_id, action)


def envelope(body: str, *, action: str, relates_to: str) -> bytes:
    """An answer around ``body``."""
    relates = f"<wsa:RelatesTo>{escape(relates_to)}</wsa:RelatesTo>" if relates_to else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope xmlns:env="{names.SOAP}" xmlns:wsa="{names.WSA}">'
        f'<env:Header><wsa:Action env:mustUnderstand="true">{escape(action)}</wsa:Action>'
        f"<wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID>{relates}</env:Header>"
        f"<env:Body>{body}</env:Body></env:Envelope>"
    ).encode()


def fault(code: str, reasons: list[str], *, relates_to: str = "") -> bytes:
    """A SOAP fault. code: ``Sender``, ``Receiver``, ``VersionMismatch``, else a subcode of WS-Security of Sender."""
    generic = code in {"Sender", "Receiver", "VersionMismatch", "MustUnderstand"}
    subcode = "" if generic else f"<env:Subcode><env:Value>wsse:{escape(code)}</env:Value></env:Subcode>"
    said = "\n".join(reasons)
    body = (
        f'<env:Fault xmlns:wsse="{names.WSSE}"><env:Code><env:Value>env:{code if generic else "Sender"}</env:Value>'
        f'{subcode}</env:Code><env:Reason><env:Text xml:lang="fr">{escape(said)}</env:Text></env:Reason></env:Fault>'
    )
    return envelope(body, action=f"{names.WSA}/fault", relates_to=relates_to)


@dataclass(frozen=True, slots=True)
class Error:
    """A ``rs:RegistryError``."""

    code: str
    context: str
    location: str = ""
    severity: str = "Error"

    def __str__(self) -> str:
        location = f" location={quoteattr(self.location)}" if self.location else ""
        return (
            f"<rs:RegistryError errorCode={quoteattr(self.code)} codeContext={quoteattr(self.context)}"
            f"{location} severity={quoteattr(names.SEVERITY + self.severity)}/>"
        )


def registry_answer(status: str, errors: list[Error], *, element: str = "rs:RegistryResponse", inside: str = "") -> str:
    """The body of a registry's answer. status: Success, PartialSuccess, Failure; inside: what follows the errors."""
    worst = "Error" if any(one.severity == "Error" for one in errors) else "Warning"
    listed = "".join(map(str, errors))
    told = f'<rs:RegistryErrorList highestSeverity="{names.SEVERITY}{worst}">{listed}</rs:RegistryErrorList>'
    return (
        f'<{element} xmlns:rs="{names.RS}" xmlns:query="{names.QUERY}" xmlns:rim="{names.RIM}" '
        f'status="{names.ANSWER}{status}">{told if errors else ""}{inside}</{element}>'
    )


def multipart(data: bytes) -> tuple[str, bytes]:
    """The same answer as the only part of an MTOM message: its Content-Type, its body."""
    boundary = f"uuid:{uuid.uuid4()}"
    root = f"root.{uuid.uuid4()}@dmp.simulator"
    head = (
        f'--{boundary}\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <{root}>\r\n\r\n"
    )
    kind = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<{root}>"; '
        'start-info="application/soap+xml"'
    )
    return kind, head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
