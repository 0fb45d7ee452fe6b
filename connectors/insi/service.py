"""Calls to INSi: one assertion, one envelope, one HTTPS exchange each.

Nothing of what INSi answers about a person is kept here, and no log has a trait or a number.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.ports import Surroundings
from connectors.certificates import Credentials, credentials
from connectors.insi.answers import (
    Answer,
    Broken,
    Fault,
    FaultTable,
    body_of,
    fault_table,
    read_search,
    read_verification,
)
from connectors.insi.assertion import Element, Said, assertion, distinguished_name
from connectors.insi.requests import Contexts, envelope, search, verification
from connectors.insi.settings import InsiOperation, InsiServiceSettings
from connectors.insi.traits import Traits
from connectors.shared.tls_client import TlsClient
from transforms.identifiers import finess, siret

log = structlog.get_logger()
T = TypeVar("T")
_FORBIDDEN = (401, 403)


class Insi:
    """The teleservice, as one lookup or one command sees it.

    Errors of its questions: Undelivered (no answer, or not now), Refused (the call itself is refused, or the answer
    cannot be), MessageError (these traits are refused).
    """

    def __init__(self, settings: InsiServiceSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        times = settings.timeouts
        self._client = TlsClient(
            settings.url, settings.tls, settings.authorities, surroundings, times.connect, times.read
        )
        self._table = FaultTable({})
        self._turn = asyncio.Lock()
        self._free = 0.0
        self._contexts = _contexts(settings, surroundings)

    def check(self) -> None:
        """Certificates and tables are there and fit. Raises ConfigError."""
        site = self._surroundings.site
        billing = self._options.assertion.billing or site.establishment.finess
        if site.ins_domain == "production" and not (finess(billing) or siret(billing)):
            raise ConfigError("assertion.billing: neither a FINESS nor a SIRET with its key")
        self._table = fault_table(self._options.faults)
        self._signer()
        self._client.check()

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        await self._client.aclose()

    async def search(self, traits: Traits, given: tuple[str, ...], control_id: str = "") -> Answer:
        """INS2, one call with some of the given names."""
        options = self._options
        asked = traits if options.birth_place else Traits(traits.family, traits.given, traits.sex, traits.birth_date)
        body = search(options.search, asked, given, options.several_given)
        element, number = await self._call("search", options.search, body, control_id)
        answer = self._checked(lambda: read_search(element, self._surroundings.site.ins_domain), number)
        log.info("insi answer", channel=self._surroundings.channel, message_id=number, code=answer.code)
        return answer

    async def verify(self, number: str, oid: str, traits: Traits, control_id: str = "") -> bool:
        """INS3: whether an INS is that of these traits."""
        operation = self._options.verification
        body = verification(operation, number, oid, traits)
        element, call = await self._call("verification", operation, body, control_id)
        said = self._checked(lambda: read_verification(element), call)
        log.info("insi answer", channel=self._surroundings.channel, message_id=call, code=str(said).lower())
        return said

    def _checked(self, read: Callable[[], T], number: str) -> T:
        try:
            return read()
        except Broken as error:
            log.error("insi answer", channel=self._surroundings.channel, message_id=number, problem=str(error))
            raise Refused(f"INSi: {error}") from None

    async def _call(self, name: str, operation: InsiOperation, body: str, control_id: str) -> tuple[Element, str]:
        await self._wait()
        number = str(uuid.uuid4())
        content = await asyncio.to_thread(self._written, operation.action, number, body)
        started, status, data, problem = time.monotonic(), 0, b"", ""
        try:
            status, data = await self._exchange(operation.action, content)
            return self._read(status, data), number
        except (Undelivered, Refused, MessageError) as error:
            problem = str(error)
            raise
        finally:
            log.info(
                "insi call",
                channel=self._surroundings.channel,
                control_id=control_id,
                operation=name,
                message_id=number,
                sender=self._contexts.sender,
                certificate=format(self._signer()[0].certificate.serial_number, "x"),
                status=status,
                seconds=round(time.monotonic() - started, 3),
                sent=len(content),
                received=len(data),
                problem=problem,
            )

    def _written(self, action: str, number: str, body: str) -> bytes:
        """In a thread: sign the assertion, write the envelope."""
        options, at = self._options.assertion, datetime.now(UTC)
        own, key = self._signer()
        site = self._surroundings.site
        sector = site.pfi.organization.sector if site.pfi is not None else "SA01"
        said = Said(
            f"_{uuid.uuid4()}",
            at,
            distinguished_name(own.certificate.subject, options.dn_order),
            self._contexts.sender,
            {
                "identifiantFacturation": options.billing or site.establishment.finess,
                "codeSpecialite": options.specialty,
                "secteurActivite": options.sector or sector,
            },
            options.qualifier,
            options.context,
            options.validity,
        )
        signed = assertion(key, own.certificate, said, options.digest)
        return envelope(action, number, at, self._contexts, signed, body)

    async def _exchange(self, action: str, content: bytes) -> tuple[int, bytes]:
        client, name = self._client.current(), self._options.server_name
        headers = {"Content-Type": f'application/soap+xml; charset=UTF-8; action="{action}"'}
        more: dict[str, Any] = {"sni_hostname": name} if name else {}
        request = client.build_request("POST", self._options.url, content=content, headers=headers, extensions=more)
        try:
            async with asyncio.timeout(self._options.timeouts.total):
                return await self._answered(client, request)
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout):
            raise Undelivered("INSi did not answer in time") from None
        except (httpx.HTTPError, OSError) as error:
            raise Undelivered(f"INSi does not answer ({type(error).__name__})") from None

    async def _answered(self, client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
        response = await client.send(request, stream=True)
        data = bytearray()
        try:
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > self._options.max_answer:
                    raise Undelivered("the answer of INSi is too long")
        finally:
            await response.aclose()
        return response.status_code, bytes(data)

    def _read(self, status: int, data: bytes) -> Element:
        """What the answer holds; a fault counts whatever the status, and a status without one by itself."""
        try:
            element = body_of(data)
        except Fault as fault:
            action, code = self._table.decide(fault)
            if action == "message":
                raise MessageError(f"INSi refuses the traits ({code})", "PID", "207") from None
            kind = Undelivered if action == "retry" else Refused
            raise kind(f"INSi answered a fault ({code})") from None
        except Broken as error:
            if status in _FORBIDDEN:
                raise Refused(f"INSi answered {status}") from None
            raise Undelivered(f"INSi answered {status}: {error}") from None
        if status != 200:
            raise Undelivered(f"INSi answered {status}")
        return element

    async def _wait(self) -> None:
        """Keep to the rate."""
        async with self._turn:
            now = time.monotonic()
            if self._free > now:
                await asyncio.sleep(self._free - now)
            self._free = max(now, self._free) + 1 / self._options.rate

    def _signer(self) -> tuple[Credentials, RSAPrivateKey]:
        """The certificate that signs, as its file is now. Raises ConfigError."""
        found = credentials(self._options.sign, self._surroundings)
        if not isinstance(found.key, RSAPrivateKey):
            raise ConfigError(f"sign: the key of the certificate {self._options.sign!r} is not an RSA key")
        return found, found.key


def _contexts(settings: InsiServiceSettings, surroundings: Surroundings) -> Contexts:
    """Who sends, from the settings, else from ``site.yaml``."""
    options, site = settings.context, surroundings.site
    pfi = site.pfi
    structure = pfi.organization.id if pfi is not None else f"1{site.establishment.finess}"
    return Contexts(
        sender=options.sender or structure,
        idam=options.idam,
        idam_kind=options.idam_kind,
        version=options.version or (pfi.product.version if pfi is not None else "1.0"),
        instance=options.instance or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{structure}/{site.site}")),
        name=options.name or (pfi.product.name if pfi is not None else "Vaguemestre"),
        bam_version=options.bam_version,
        lps_version=options.lps_version,
    )
