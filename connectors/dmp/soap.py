"""SOAP 1.2 with WS-Addressing: envelopes written, answers read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree

from connectors.dmp.mtom import envelope_of
from connectors.dmp.xml import SOAP, Element, local, parse

_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
_SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"


class Broken(Exception):
    """The answer is not one: no SOAP envelope, nothing in it, or no XML at all."""


@dataclass(frozen=True, slots=True)
class Fault(Exception):  # SOAP's own word
    """The other side's SOAP fault.

    code: ``Sender``, ``Receiver``, ``MustUnderstand``... subcodes: local names of its subcodes and of the elements of
    its detail, outermost first: a functional code may stand there.
    """

    code: str
    subcodes: tuple[str, ...] = ()


def envelope(*, action: str, to: str, message_id: str, assertion: bytes, body: Sequence[bytes]) -> bytes:
    """A request. assertion, body: XML that declares its own prefixes, inserted byte for byte.

    message_id: a UUID. Source: SOAP 1.2; WS-Addressing 1.0; WS-Security (the header that holds the assertion).
    """
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="http://www.w3.org/2005/08/addressing"><soap:Header>'
        f'<wsa:Action soap:mustUnderstand="true">{escape(action)}</wsa:Action>'
        f"<wsa:MessageID>urn:uuid:{message_id}</wsa:MessageID>"
        f"<wsa:To>{escape(to)}</wsa:To>"
        f"<wsa:ReplyTo><wsa:Address>{_ANONYMOUS}</wsa:Address></wsa:ReplyTo>"
        f'<wsse:Security xmlns:wsse="{_WSSE}" soap:mustUnderstand="false">'
    )
    middle = b"</wsse:Security></soap:Header><soap:Body>"
    return b"".join((head.encode(), assertion, middle, *body, b"</soap:Body></soap:Envelope>"))


def body_of(content_type: str, data: bytes) -> Element:
    """What stands in the body of an answer.

    Raises:
        Fault: it is a fault, of SOAP 1.2 or 1.1.
        Broken: it is no answer.
    """
    try:
        root = parse(envelope_of(content_type, data))
    except (etree.XMLSyntaxError, ValueError, LookupError):
        raise Broken from None
    space = etree.QName(root).namespace
    if local(root) != "Envelope" or space not in (SOAP, _SOAP_1_1):
        raise Broken
    body = root.find(f"{{{space}}}Body")
    if body is None or not len(body):
        raise Broken
    first = body[0]
    if not isinstance(first.tag, str):
        raise Broken
    if etree.QName(first).namespace == space and local(first) == "Fault":
        raise _fault(first)
    return first


def _fault(element: Element) -> Fault:
    space = f"{{{etree.QName(element).namespace}}}"
    if space == f"{{{_SOAP_1_1}}}":
        code = {"Client": "Sender", "Server": "Receiver"}.get(_name(element.findtext("faultcode")), "Receiver")
        detail = element.find("detail")
        values: list[str] = []
    else:
        code = _name(element.findtext(f"{space}Code/{space}Value")) or "Receiver"
        values = [_name(one.text) for one in element.iterfind(f"{space}Code/{space}Subcode//{space}Value")]
        detail = element.find(f"{space}Detail")
    if detail is not None:
        for one in detail.iter(etree.Element):
            if one is not detail:
                values += [local(one), *([] if len(one) else [_name(one.text)])]
    return Fault(code, tuple(value for value in values if value))


def _name(text: str | None) -> str:
    """The local part of a qualified name."""
    return (text or "").strip().rpartition(":")[2]
