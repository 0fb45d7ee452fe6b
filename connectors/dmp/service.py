"""Calls to the DMP: one assertion, one envelope, one HTTPS exchange each."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.errors import ConfigError
from channels.ports import Surroundings
from connectors.certificates import credentials
from connectors.dmp.answers import Found, read_answer, read_found
from connectors.dmp.existence import Record, existence_request, read_existence
from connectors.dmp.identity import Identity
from connectors.dmp.mtom import Multipart, Part
from connectors.dmp.names import structures
from connectors.dmp.query import get_documents
from connectors.dmp.settings import DmpSettings
from connectors.dmp.soap import Broken, Fault, body_of, envelope
from connectors.dmp.vihf import assertion
from connectors.dmp.xades import Signer
from connectors.dmp.xml import Element
from connectors.shared.tls_client import TlsClient
from transforms.submission import Submission

log = structlog.get_logger()

_KEPT = 10_000
"""Patients whose record's state is remembered at most."""
Service = Literal["repository", "registry", "patients"]


class Failed(Exception):
    """A call that has no answer to read.

    problem: in words. left: the request may have reached the other side. answer: what came, if anything. status: of
    HTTP, when that is all there is; else 0.
    """

    def __init__(self, problem: str, *, left: bool, answer: bytes = b"", status: int = 0) -> None:
        self.problem, self.left, self.answer, self.status = problem, left, answer, status
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. body: pieces of XML, one after another. parts: documents beside the envelope."""

    service: Service
    url: str
    action: str
    body: Sequence[bytes]
    parts: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an answer, read and as it came."""

    element: Element
    data: bytes


class Dmp:
    """The DMP's services, as one connector of a channel sees them."""

    def __init__(self, settings: DmpSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self.identity = Identity(settings, surroundings.site)
        times = settings.timeouts
        self._client = TlsClient(
            settings.registry, settings.tls, settings.authorities, surroundings, times.connect, times.read
        )
        self._seed = secrets.token_bytes(32)
        self._records: OrderedDict[bytes, tuple[Record, float]] = OrderedDict()

    @property
    def zone(self) -> ZoneInfo:
        """Local time of the establishment."""
        return self._surroundings.site.timezone

    def check(self) -> None:
        """Certificates are there and fit. Raises ConfigError."""
        signer = self.signer()
        self._client.check()
        expected = self.identity.structure
        if self._options.check_structure and expected not in structures(signer.certificate):
            raise ConfigError(
                f"sign: the OU of the certificate {self._options.sign!r} is not {expected}, the structure "
                "(`pfi.organization`); `check_structure: false` lets it pass"
            )

    def signer(self) -> Signer:
        """The key that signs, as its file is now. Raises ConfigError."""
        found = credentials(self._options.sign, self._surroundings)
        if not isinstance(found.key, RSAPrivateKey):
            raise ConfigError(f"sign: the key of the certificate {self._options.sign!r} is not an RSA key")
        return Signer(found.key, found.certificate, found.chain)

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def record(self, submission: Submission) -> Record | Literal["unknown"]:
        """State of the patient's record, asked or remembered; ``unknown`` when the DMP does not say it.

        Raises:
            Failed: no answer.
        """
        url, patient = self._options.patients, submission.patient
        if url is None:
            return "unknown"
        key = hashlib.blake2b(f"{patient.ins_oid} {patient.ins}".encode(), key=self._seed, digest_size=16).digest()
        known = self._records.get(key)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        question = self.identity.question(patient.ins, patient.ins_oid, self._options.existence_reason)
        body = existence_request(question, datetime.now(UTC))
        call = Call("patients", url, self._options.actions.existence, [body])
        try:
            state = read_existence((await self.call(call, submission)).element)
        except (Fault, Broken):
            return "unknown"
        lasts = self._options.active_for if state == "active" else self._options.absent_for
        self._records[key] = state, time.monotonic() + lasts
        self._records.move_to_end(key)
        if len(self._records) > _KEPT:
            self._records.popitem(last=False)
        return state

    async def find(self, unique_id: str, submission: Submission) -> Found | None:
        """The entry of a document: the current one when there are several.

        Raises:
            Failed: no answer.
            Fault, Broken: no answer to this question.
            QueryRefused: the registry says no.
        """
        body = get_documents(unique_id, self._options.query_returns)
        call = Call("registry", self._options.registry, self._options.actions.query, [body])
        reply = await self.call(call, submission)
        answer = read_answer(reply.element)
        if answer.status == "Failure":
            raise QueryRefused(answer.errors[0])
        found = [one for one in read_found(reply.element) if one.unique_id in ("", unique_id)]
        return max(found, key=lambda one: (one.current, one.version), default=None)

    async def call(self, call: Call, submission: Submission) -> Reply:
        """One call in the name of who asks.

        Raises:
            Failed: no answer, or one that is none.
            Fault, Broken: as ``soap.body_of``, with a status that says nothing else.
            MessageError: the request lacks what the assertion needs.
            ConfigError: a certificate cannot be read any more.
        """
        message_id = str(uuid.uuid4())
        said = self.identity.assertion(submission, f"_{message_id}", datetime.now(UTC))
        multipart, content = await asyncio.to_thread(self._written, call, said, message_id)
        started = time.monotonic()
        status, kind, data, problem = 0, "", b"", ""
        try:
            status, kind, data = await self._exchange(call, multipart, content)
            return self._read(status, kind, data)
        except (Failed, Fault, Broken) as error:
            problem = error.problem if isinstance(error, Failed) else type(error).__name__
            raise
        finally:
            log.info(
                "dmp call",
                channel=self._surroundings.channel,
                service=call.service,
                action=call.action,
                message_id=message_id,
                status=status,
                seconds=round(time.monotonic() - started, 3),
                sent=multipart.length if multipart else len(content),
                received=len(data),
                problem=problem,
            )

    def _written(self, call: Call, said: Any, message_id: str) -> tuple[Multipart | None, bytes]:
        """In a thread: sign the assertion, write the envelope."""
        vihf = self._options.vihf
        signed = assertion(self.signer(), said, algorithm=vihf.digest, order=vihf.dn_order, prefixes=vihf.prefixes)
        content = envelope(action=call.action, to=call.url, message_id=message_id, assertion=signed, body=call.body)
        return (Multipart(content, call.parts, action=call.action), b"") if call.parts else (None, content)

    async def _exchange(self, call: Call, multipart: Multipart | None, content: bytes) -> tuple[int, str, bytes]:
        client = self._client.current()
        headers = {"Content-Type": f'application/soap+xml; charset=UTF-8; action="{call.action}"'}
        sending: bytes | AsyncIterator[bytes] = content
        if multipart is not None:
            headers = {"Content-Type": multipart.content_type, "Content-Length": str(multipart.length)}
            sending = multipart.chunks()
        name = self._options.server_name
        more: dict[str, Any] = {"sni_hostname": name} if name else {}
        request = client.build_request("POST", call.url, content=sending, headers=headers, extensions=more)
        try:
            async with asyncio.timeout(self._options.timeouts.total):
                return await self._answered(client, request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Failed(f"no connection to {call.service}", left=False) from error
        except TimeoutError as error:
            raise Failed(f"{call.service} did not answer in time", left=True) from error
        except httpx.TimeoutException as error:
            raise Failed(f"{call.service} did not answer in time", left=True) from error
        except (httpx.HTTPError, OSError) as error:
            raise Failed(f"{call.service}: {type(error).__name__}", left=True) from error

    async def _answered(self, client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, str, bytes]:
        response = await client.send(request, stream=True)
        data = bytearray()
        try:
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > self._options.max_answer:
                    raise Failed("the answer is too long", left=True)
        finally:
            await response.aclose()
        return response.status_code, response.headers.get("content-type", ""), bytes(data)

    def _read(self, status: int, kind: str, data: bytes) -> Reply:
        """The answer; a fault counts whatever the status, and a status without one counts by itself."""
        try:
            return Reply(body_of(kind, data), data)
        except Broken:
            if status == 200:
                raise Failed("the answer is no SOAP envelope", left=True, answer=data) from None
            left = status not in (413, 429, 503)
            raise Failed(f"answered {status}", left=left, answer=data, status=status) from None


class QueryRefused(Exception):
    """The registry does not answer a question. code: its error code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__("the registry refused a query")
