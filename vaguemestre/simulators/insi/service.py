"""The simulated INSi: listens, checks, answers; misbehaves when told.

``POST /_behave`` with JSON sets how the next calls are answered: ``slow`` (seconds), ``code`` (``00``, ``01``, ``02``
or any), ``fault`` (a code of ``siram:Erreur``) with ``sender``, ``http`` (a status without a body), ``cut`` (true: the
connection is closed), ``body`` (any text instead of an answer), ``answer`` (fields of the person that is answered),
``times`` (how many calls; all when absent). ``GET /_state`` tells the calls, without traits or numbers.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptography import x509
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vaguemestre.simulators.insi.answers import envelope, fault, result, verified
from vaguemestre.simulators.insi.people import Person, matching
from vaguemestre.simulators.insi.rules import SEARCH, Call, InsiRules, read
from vaguemestre.simulators.serving import Server, client_certificate, cut

PATH = "/lps"
_SOAP = "application/soap+xml; charset=UTF-8"
_UNKNOWN_PRODUCT = "Numéro d'autorisation du logiciel inconnu"


class Behaviour(BaseModel):
    """How calls are answered, instead of as they should."""

    model_config = ConfigDict(extra="forbid")

    slow: float = 0.0
    code: str = ""
    fault: str = ""
    sender: bool = False
    http: int = 0
    cut: bool = False
    body: str = ""
    answer: dict[str, str] = {}
    times: int | None = None


@dataclass(slots=True)
class Told:
    """One call, as ``/_state`` tells it: no trait, no number. client: OU of the certificate that was shown."""

    operation: str
    given: int
    broken: list[str]
    answered: str
    client: str = ""


@dataclass(slots=True)
class InsiSimulator:
    """One INSi. ``start`` it, then ask it at ``url``."""

    people: list[Person]
    rules: InsiRules = field(default_factory=InsiRules)
    context: ssl.SSLContext | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    calls: list[Told] = field(default_factory=list)
    _server: Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Raises OSError."""
        routes = [
            Route(PATH, self._answer, methods=["POST"]),
            Route("/_state", self._state),
            Route("/_behave", self._behave, methods=["POST"]),
        ]
        self._server = Server(routes, self.context)
        await self._server.start(host, port)

    async def stop(self) -> None:
        """Close."""
        if self._server is not None:
            await self._server.stop()

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        assert self._server is not None  # noqa: S101  # after ``start``
        return self._server.url

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self.base + PATH

    async def _state(self, _request: Request) -> JSONResponse:
        told = [asdict(one) for one in self.calls]
        return JSONResponse({"people": len(self.people), "calls": told, "behaviour": self.behaviour.model_dump()})

    async def _behave(self, request: Request) -> Response:
        try:
            self.behaviour = Behaviour.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse([str(one["loc"]) + " " + one["msg"] for one in error.errors()], 400)
        return Response(status_code=204)

    async def _answer(self, request: Request) -> Response:
        shown = client_certificate(request)
        call = read(await request.body(), request.headers.get("content-type", ""), shown, self.rules)
        behaviour = self._taken()
        told = Told(call.operation, len(call.asked.given) if call.asked else 0, call.broken, "", _unit(shown))
        self.calls.append(told)
        if behaviour.slow:
            await asyncio.sleep(behaviour.slow)
        if behaviour.cut:
            told.answered = "cut"
            await cut(request)
            return Response()
        told.answered, response = self._written(call, behaviour)
        return response

    def _taken(self) -> Behaviour:
        """The behaviour of one call."""
        current = self.behaviour
        if current.times is not None:
            left = current.times - 1
            self.behaviour = current.model_copy(update={"times": left}) if left > 0 else Behaviour()
        return current

    def _written(self, call: Call, behaviour: Behaviour) -> tuple[str, Response]:
        if behaviour.http:
            return str(behaviour.http), Response(status_code=behaviour.http)
        if behaviour.body:
            return "body", Response(behaviour.body, media_type=_SOAP)
        if behaviour.fault:
            outer = {"subcode": behaviour.fault} if behaviour.sender else {}
            content = fault(behaviour.fault, "Panne simulée", call.message_id, sender=behaviour.sender, **outer)
            return behaviour.fault, Response(content, 500, media_type=_SOAP)
        if call.broken or call.asked is None:
            return self._refused(call)
        if call.operation == SEARCH:
            return self._found(call, behaviour)
        found = [one for one in matching(self.people, call.asked) if (one.number, one.oid) == call.ins]
        body = verified(*call.ins, right=bool(found))
        return str(bool(found)).lower(), Response(envelope(body, call.message_id), media_type=_SOAP)

    def _refused(self, call: Call) -> tuple[str, Response]:
        """What is wrong, by the names of the rules; an unknown product is told as the service tells it."""
        code = "sim_idam" if "lps.idam" in call.broken else "sim_form"
        reason = _UNKNOWN_PRODUCT if code == "sim_idam" else " ".join(call.broken)
        content = fault(code, reason, call.message_id, sender=True, subcode=code)
        return code, Response(content, 500, media_type=_SOAP)

    def _found(self, call: Call, behaviour: Behaviour) -> tuple[str, Response]:
        assert call.asked is not None  # noqa: S101  # the caller looked
        found = matching(self.people, call.asked)
        code = behaviour.code or {0: "01", 1: "00"}.get(len(found), "02")
        person = found[0] if code == "00" and found else None
        if person is not None and behaviour.answer:
            changes: dict[str, Any] = behaviour.answer
            person = replace(person, **changes)
        return code, Response(envelope(result(code, person), call.message_id), media_type=_SOAP)


def _unit(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return ""
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(found[0].value) if found else ""
