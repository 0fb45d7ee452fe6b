"""HTTP: messages posted to us, messages that we post."""

from __future__ import annotations

import asyncio
import base64
import binascii
import codecs
import contextlib
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.errors import DeliveryError, MessageError, ParseError, Refused, Undelivered
from channels.fields import Address, HostPort, Seconds, Secret, Settings, SizeBytes, TlsClient, TlsServer, one_or_more
from channels.message import Message
from channels.ports import Intake, Outcome, Receipt, Surroundings
from connectors.shared.arrivals import Arrival, Charset, Format, Window, arrive
from connectors.shared.listener import Listener
from connectors.tls import client_context, server_context
from transforms import ack, er7

_FORMATS = {
    "application/hl7-v2": "hl7v2",
    "application/hl7-v2+er7": "hl7v2",
    "x-application/hl7-v2+er7": "hl7v2",
    "application/fhir+json": "fhir+json",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/pdf": "pdf",
    "application/octet-stream": "raw",
}
_TYPES = {
    "hl7v2": "application/hl7-v2",
    "fhir+json": "application/fhir+json",
    "cda": "application/xml",
    "xml": "application/xml",
    "pdf": "application/pdf",
}
_AT_ONCE = 64_000_000
"""Bytes unanswered at most (one message alone may be larger)."""
_LONGEST_ANSWER = 1_000_000
"""Bytes of an answer that are kept."""


def _path(value: str) -> str:
    if not value.startswith("/") or "{" in value:
        raise ValueError("a path begins with '/' and has no braces")
    return value


class HttpSourceSettings(Settings):
    """Listens for messages posted over HTTP.

    With `basic` or `bearer`, or both, a request needs one of them; with `tls.clients`, a certificate too.
    """

    listen: Address = Field(description="Address to listen on, `host:port`.")
    path: Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], BeforeValidator(one_or_more)] = Field(
        ("/",), description="Paths that take messages by POST; one or a list."
    )
    tls: TlsServer | None = Field(None, description="Certificate of this listener; with `clients`, mutual TLS.")
    basic: dict[str, Secret] = Field(default_factory=dict, description="Users that may post, each with its password.")
    bearer: Annotated[tuple[Secret, ...], BeforeValidator(one_or_more)] = Field(
        (), description="Tokens that may post; one or a list."
    )
    format: Format | None = Field(None, description="What every body is; when absent, its Content-Type says it.")
    charset: Charset = Field("cp1252", description="Assumed when an HL7 v2 message says nothing and is not UTF-8.")
    max_size: SizeBytes = Field(60_000_000, description="Larger bodies are refused (413).")
    unanswered: int = Field(100, ge=1, le=10_000, description="Requests whose message is not stored yet; others wait.")
    connections: int = Field(2000, ge=1, description="Open connections; one more is answered 503.")
    timeout: Seconds = Field(30.0, description="For a request to come whole; slower clients are closed.")


class HttpSource:
    """See ``channels.ports.Source``."""

    settings: type[Settings] = HttpSourceSettings

    def __init__(self, settings: HttpSourceSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._window = Window(settings.unanswered, _AT_ONCE)
        self._listener: Listener | None = None
        secrets = {f"{user}:{password.get_secret_value()}": user for user, password in settings.basic.items()}
        self._keys = [(b"basic", one.encode(), user) for one, user in secrets.items()]
        self._keys += [(b"bearer", one.get_secret_value().encode(), "") for one in settings.bearer]

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``."""
        self._intake = intake
        options = self._options
        self._listener = Listener(
            [Route(path, self._take, methods=["POST"]) for path in options.path],
            context=server_context(options.tls, self._surroundings) if options.tls is not None else None,
            patience=options.timeout,
            connections=options.connections,
        )
        await self._listener.start(options.listen)

    @property
    def address(self) -> HostPort:
        """Where it listens, once started (port 0 asks for any free one)."""
        return self._listener.address if self._listener is not None else self._options.listen

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``."""
        if self._listener is not None:
            await self._listener.stop()

    async def _take(self, request: Request) -> Response:
        """One request: who it is, what it is, what became of it."""
        user = self._user(request.headers.get("authorization", ""))
        if user is None:
            scheme = "Basic" if self._options.basic else "Bearer"
            return _problem(401, "who you are is not known here", {"WWW-Authenticate": scheme})
        kind, charset = _content_type(request.headers.get("content-type", ""))
        form = self._options.format or _FORMATS.get(kind, "")
        if not form:
            return _problem(415, "Content-Type is not one that is taken here")
        size = _length(request.headers.get("content-length", ""), self._options.max_size)
        if size > self._options.max_size:
            return _problem(413, "the body is larger than max_size")
        await self._window.enter(size)
        try:
            body = await self._read(request)
            if isinstance(body, Response):
                return body
            outcome, arrival = await self._hand_in(request, body, form, charset, user)
        finally:
            self._window.leave(size)
        wants_json = request.headers.get("accept", "").startswith("application/json")
        return self._answer(arrival, outcome, wants_json=wants_json)

    async def _read(self, request: Request) -> bytes | Response:
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._options.timeout):
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > self._options.max_size:
                        return _problem(413, "the body is larger than max_size")
        except TimeoutError:
            return _problem(408, "the request came too slowly", {"Connection": "close"})
        except ClientDisconnect:
            return _problem(400, "the request did not come whole")
        return b"".join(parts)

    async def _hand_in(
        self, request: Request, body: bytes, form: str, charset: str, user: str
    ) -> tuple[Outcome, Arrival]:
        key = request.headers.get("idempotency-key", "")
        known = {
            "path": request.url.path,
            "peer": request.client.host if request.client else "",
            "user": user,
            "content_type": request.headers.get("content-type", ""),
            "idempotency_key": key,
        }
        attributes = {name: value for name, value in known.items() if value}
        default = charset or (self._options.charset if form == "hl7v2" else "utf-8")
        arrival = arrive(body, form, default, attributes, control_id=key, sender=user)
        return await arrival.outcome(self._intake), arrival

    def _user(self, header: str) -> str | None:
        """The user of a request, ``""`` when it needs no name; None when it may not post. In constant time."""
        if not self._keys:
            return ""
        scheme, _, rest = header.partition(" ")
        shown, kind = rest.strip().encode(), scheme.lower().encode()
        if kind == b"basic":
            try:
                shown = base64.b64decode(shown, validate=True)
            except binascii.Error:
                return None
        found = None
        for wanted, secret, user in self._keys:
            same = hmac.compare_digest(hashlib.sha256(secret).digest(), hashlib.sha256(shown).digest())
            if same and kind == wanted:
                found = user
        return found

    def _answer(self, arrival: Arrival, outcome: Outcome, *, wants_json: bool) -> Response:
        """200 or 202; 400 and 422: never again as it is; 503: later. HL7 v2 is answered with its acknowledgement."""
        error = outcome.error
        status, headers = 202, {}
        if error is not None and error.retry:
            status, headers = 503, {"Retry-After": "5"}
        elif error is not None:
            status = 400 if isinstance(error, ParseError) else 422
        message = arrival.message
        if message.format == "hl7v2" and arrival.error is None and not wants_json:
            header = er7.peek(message.body, self._options.charset)
            answer = ack.acknowledge(header, outcome, zone=self._surroundings.site.timezone)
            kind = f"{_TYPES['hl7v2']}; charset={header.charset}"
            return Response(answer, 200 if error is None else status, headers, media_type=kind)
        passed = outcome.answer or (error.answer if isinstance(error, DeliveryError) else b"")
        if passed:
            return Response(passed, 200 if error is None else status, headers, media_type=_guess(passed))
        if error is None:
            findings = [{"place": one.place, "code": one.code, "problem": one.problem} for one in outcome.findings]
            known = {"id": outcome.id, "duplicate": outcome.duplicate, "findings": findings}
            return JSONResponse(known, status)
        if isinstance(error, MessageError):
            return JSONResponse({"place": error.place, "code": error.condition, "problem": error.problem}, status)
        return JSONResponse({"place": "", "code": "207", "problem": str(error)}, status, headers)


def _content_type(header: str) -> tuple[str, str]:
    """The media type, and its charset when Python knows it."""
    kind, _, parameters = header.partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            with contextlib.suppress(LookupError):
                return kind.strip().lower(), codecs.lookup(value.strip().strip('"')).name
    return kind.strip().lower(), ""


def _length(header: str, most: int) -> int:
    return int(header) if header.isdecimal() else most


def _problem(status: int, problem: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"place": "", "code": "207", "problem": problem}, status, headers)


def _guess(body: bytes) -> str:
    begin = body[:20].lstrip()
    if begin.startswith(b"MSH"):
        return _TYPES["hl7v2"]
    if begin.startswith(b"{"):
        return "application/json"
    return "application/xml" if begin.startswith(b"<") else "application/octet-stream"


class Basic(Settings):
    """Basic authentication."""

    user: str = Field(description="User name.")
    password: Secret = Field(description="Password.")


def _url(value: str) -> str:
    parsed = httpx.URL(value)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("an address such as https://host/path")
    if parsed.userinfo:
        raise ValueError("a password does not stand in the address; use `basic`")
    return value


class HttpDestinationSettings(Settings):
    """Posts each message; 2xx is a yes, other answers say whether to send it again."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="Address; redirections are not followed.")
    method: Literal["POST", "PUT"] = Field("POST", description="Method.")
    headers: dict[str, Secret] = Field(default_factory=dict, description="More headers; values may be references.")
    content_type: str | None = Field(None, description="Content-Type; when absent, that of the message's format.")
    basic: Basic | None = Field(None, description="Basic authentication: `{user: …, password: …}`.")
    bearer: Secret | None = Field(None, description="Bearer token.")
    tls: TlsClient | None = Field(None, description="Whom to trust with https, and the certificate to show.")
    timeout: Seconds = Field(30.0, description="For one message, from connecting to the end of the answer.")
    resend_on: frozenset[int] = Field(
        frozenset({408, 425, 429, 500, 502, 503, 504}),
        description='Status codes that mean "not now". Other 4xx are a refusal; anything else is sent again.',
    )

    @model_validator(mode="after")
    def _one_authorization(self) -> HttpDestinationSettings:
        if self.basic is not None and self.bearer is not None:
            raise ValueError("`basic` and `bearer` exclude each other")
        return self


class HttpDestination:
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = HttpDestinationSettings

    def __init__(self, settings: HttpDestinationSettings, surroundings: Surroundings) -> None:
        self._options, self._surroundings = settings, surroundings
        self._client: httpx.AsyncClient | None = None
        self._name = f"{surroundings.site.site}-{surroundings.channel}-{surroundings.name}"

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError for a certificate that cannot be used."""
        options = self._options
        verify: ssl.SSLContext | bool = False
        if options.url.startswith("https:"):
            verify = client_context(options.tls or TlsClient(), self._surroundings)
        headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        if options.bearer is not None:
            headers["Authorization"] = f"Bearer {options.bearer.get_secret_value()}"
        auth = (options.basic.user, options.basic.password.get_secret_value()) if options.basic else None
        self._client = httpx.AsyncClient(
            auth=auth, headers=headers, verify=verify, timeout=options.timeout, trust_env=False
        )

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        if self._client is None:
            raise Undelivered("the destination is closed")
        try:
            async with asyncio.timeout(self._options.timeout):
                response, answer = await self._exchange(self._client, message)
        except TimeoutError as error:
            raise Undelivered("no answer in time") from error
        except (httpx.HTTPError, OSError) as error:
            raise Undelivered(type(error).__name__) from error
        return self._judge(response, answer)

    async def _exchange(self, client: httpx.AsyncClient, message: Message) -> tuple[httpx.Response, bytes]:
        options = self._options
        kind = _TYPES.get(message.format, "application/octet-stream")
        if message.format == "hl7v2":
            kind = f"{kind}; charset={message.charset}"
        headers = {"Content-Type": options.content_type or kind, "Idempotency-Key": self._key(message)}
        tls = options.tls
        more: dict[str, Any] = {"sni_hostname": tls.server_name} if tls and tls.server_name else {}
        request = client.build_request(
            options.method, options.url, content=message.body, headers=headers, extensions=more
        )
        response = await client.send(request, stream=True)
        answer = bytearray()
        try:
            async for part in response.aiter_bytes():
                answer += part[: _LONGEST_ANSWER - len(answer)]
                if len(answer) >= _LONGEST_ANSWER:
                    break
        finally:
            await response.aclose()
        return response, bytes(answer)

    def _key(self, message: Message) -> str:
        """The same for a resend; another for each message that a transform makes of one."""
        digest = hashlib.sha256(message.body).hexdigest()[:16]
        return f"{self._name}-{message.id}-{digest}"

    def _judge(self, response: httpx.Response, answer: bytes) -> Receipt:
        status = response.status_code
        if 200 <= status < 300:
            kind, _ = _content_type(response.headers.get("content-type", ""))
            if _FORMATS.get(kind) == "hl7v2":
                self._judge_ack(answer)
            reference = response.headers.get("location") or response.headers.get("etag") or str(status)
            return Receipt(reference, answer)
        if status in self._options.resend_on or not 400 <= status < 500:
            raise Undelivered(f"answered {status}", answer)
        raise Refused(f"answered {status}", answer)

    def _judge_ack(self, answer: bytes) -> None:
        """An HL7 acknowledgement counts more than the status that it came with."""
        try:
            read = ack.read_ack(answer)
        except ParseError:
            return
        if not read.accepted:
            raise Refused(f"answered {read.code}", answer)

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()
