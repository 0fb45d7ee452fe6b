"""A DMP that answers what a test says, over TLS with client certificates; it remembers what it was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any

from lxml import etree

RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
STATUS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
_RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


def soap(inside: str) -> bytes:
    return f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{inside}</s:Body></s:Envelope>'.encode()


def response(status: str = "Success", *codes: str, severity: str = "Error") -> bytes:
    errors = "".join(
        f'<RegistryError xmlns="{RS}" errorCode="{one}" codeContext="c" severity="urn:x:ErrorSeverityType:{severity}"/>'
        for one in codes
    )
    listed = f'<RegistryErrorList xmlns="{RS}">{errors}</RegistryErrorList>' if errors else ""
    return soap(f'<RegistryResponse xmlns="{RS}" status="{STATUS}{status}">{listed}</RegistryResponse>')


def fault(code: str = "Receiver", subcode: str = "") -> bytes:
    inner = f"<s:Subcode><s:Value>d:{subcode}</s:Value></s:Subcode>" if subcode else ""
    return soap(f'<s:Fault xmlns:d="urn:d"><s:Code><s:Value>s:{code}</s:Value>{inner}</s:Code><s:Reason/></s:Fault>')


@dataclass
class Entry:
    """A document that the registry has."""

    unique_id: str
    digest: str
    id: str
    status: str = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    envelope: etree._Element
    parts: dict[str, bytes] = field(default_factory=dict)


Answer = bytes | Callable[[], Awaitable[None]] | tuple[int, bytes]


class DmpServer:
    """Registers lots unless told otherwise. script: answers of the next calls to ``repository``, first first."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.requests: list[Request] = []
        self.entries: dict[str, Entry] = {}
        self.script: deque[Answer] = deque()
        self.queries: deque[Answer] = deque()
        self.record = "active"
        self.registers = True
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def lots(self) -> list[Request]:
        return [one for one in self.requests if one.path == "/repository"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                status, body = await self._answer(request)
                if body is None:
                    break
                head = (
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request) -> tuple[int, bytes | None]:
        script = self.script if request.path == "/repository" else self.queries
        said = script.popleft() if script else None
        if request.path == "/repository" and (said is None or self.registers):
            self._register(request)
        if isinstance(said, tuple):
            return said
        if isinstance(said, bytes):
            return 200, said
        if said is not None:
            await said()
            return 0, None
        if request.path == "/repository":
            return 200, response()
        if request.path == "/patients":
            return 200, self._existence()
        return 200, self._registry(request)

    def _register(self, request: Request) -> None:
        for one in request.envelope.iter(f"{{{_RIM}}}ExtrinsicObject"):
            digest = one.xpath("r:Slot[@name='hash']//r:Value/text()", namespaces={"r": _RIM})
            found = one.xpath(
                f"r:ExternalIdentifier[@identificationScheme='{_UNIQUE_ID}']/@value", namespaces={"r": _RIM}
            )
            unique_id = str(found[0])
            self.entries.setdefault(unique_id, Entry(unique_id, str(digest[0]), f"urn:uuid:{len(self.entries) + 1}"))

    def _registry(self, request: Request) -> bytes:
        if b"AdhocQueryRequest" not in request.body:
            for one in request.envelope.iter(f"{{{_RIM}}}Association"):
                for known in self.entries.values():
                    if known.id == one.get("targetObject"):
                        known.status = "urn:asip:ci-sis:2010:StatusType:Deleted"
            return response()
        asked = str(request.envelope.xpath("string(//r:Value)", namespaces={"r": _RIM})).strip("()'")
        entry = self.entries.get(asked)
        listed = ""
        if entry is not None:
            listed = (
                f'<r:ExtrinsicObject id="{entry.id}" status="{entry.status}"><r:Slot name="hash"><r:ValueList>'
                f"<r:Value>{entry.digest}</r:Value></r:ValueList></r:Slot><r:ExternalIdentifier "
                f'identificationScheme="{_UNIQUE_ID}" value="{entry.unique_id}"/></r:ExtrinsicObject>'
            )
        return soap(
            f'<q:AdhocQueryResponse xmlns:q="{_QUERY}" xmlns:r="{_RIM}" status="{STATUS}Success">'
            f"<r:RegistryObjectList>{listed}</r:RegistryObjectList></q:AdhocQueryResponse>"
        )

    def _existence(self) -> bytes:
        code = "NF" if self.record == "none" else "OK"
        return soap(
            '<PRPA_IN201308UV02 xmlns="urn:hl7-org:v3"><controlActProcess><subject><registrationEvent><subject1>'
            f'<patient><statusCode code="{self.record}"/></patient></subject1></registrationEvent></subject><queryAck>'
            f'<queryResponseCode code="{code}"/></queryAck></controlActProcess></PRPA_IN201308UV02>'
        )


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
    body = await reader.readexactly(int(headers["content-length"]))
    parts: dict[str, bytes] = {}
    envelope = body
    if headers["content-type"].startswith("multipart/"):
        mail: Any = message_from_bytes(b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
        root, *others = mail.get_payload()
        envelope = root.get_payload(decode=True)
        parts = {str(one["Content-ID"]): one.get_payload(decode=True) for one in others}
    return Request("/" + first.split(" ")[1].rpartition("/")[2], headers, body, etree.fromstring(envelope), parts)
