"""The simulated directory: listens, checks key and rate, answers page by page; misbehaves when told.

``POST /_behave`` with JSON: ``slow`` (seconds), ``http`` (a status), ``body`` (any text), ``cut``, ``times`` (how many
requests; all when absent). ``GET /_state`` tells the requests: resource, names of parameters, status; no value.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vaguemestre.simulators.annuaire.query import PARAMETERS, Unknown, search
from vaguemestre.simulators.annuaire.resources import Resource
from vaguemestre.simulators.serving import Server, cut

BASE = "/fhir/v2"
_MOST = 50
_FHIR = "application/fhir+json"


class Behaviour(BaseModel):
    """How requests are answered, instead of as they should."""

    model_config = ConfigDict(extra="forbid")

    slow: float = 0.0
    http: int = 0
    body: str = ""
    cut: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One request: names only."""

    resource: str
    parameters: list[str]
    status: int


@dataclass(slots=True)
class AnnuaireSimulator:
    """One directory. key: what ``ESANTE-API-KEY`` must be. rate: requests a second before 429."""

    resources: list[Resource]
    key: str = "simulateur"
    rate: int = 17
    behaviour: Behaviour = field(default_factory=Behaviour)
    requests: list[Told] = field(default_factory=list)
    _pages: dict[str, list[tuple[Resource, str]]] = field(default_factory=dict)
    _times: deque[float] = field(default_factory=deque)
    _server: Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Raises OSError."""
        routes = [
            Route(f"{BASE}/{{kind}}", self._answer, methods=["GET"]),
            Route(f"{BASE}/{{kind}}/_search", self._answer, methods=["POST"]),
            Route("/_state", self._state),
            Route("/_behave", self._behave, methods=["POST"]),
        ]
        self._server = Server(routes)
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
        """Base of the FHIR API."""
        return self.base + BASE

    async def _state(self, _request: Request) -> JSONResponse:
        told = [asdict(one) for one in self.requests]
        return JSONResponse({"resources": len(self.resources), "requests": told})

    async def _behave(self, request: Request) -> Response:
        try:
            self.behaviour = Behaviour.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse([str(one["loc"]) + " " + one["msg"] for one in error.errors()], 400)
        return Response(status_code=204)

    async def _answer(self, request: Request) -> Response:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        if request.method == "POST":
            pairs += parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        behaviour, kind = self._taken(), str(request.path_params["kind"])
        if behaviour.slow:
            await asyncio.sleep(behaviour.slow)
        if behaviour.cut:
            self.requests.append(Told(kind, sorted({name for name, _ in pairs}), 0))
            await cut(request)
            return Response()
        response = self._written(request, kind, pairs, behaviour)
        self.requests.append(Told(kind, sorted({name for name, _ in pairs}), response.status_code))
        return response

    def _taken(self) -> Behaviour:
        """The behaviour of one request."""
        current = self.behaviour
        if current.times is not None:
            left = current.times - 1
            self.behaviour = current.model_copy(update={"times": left}) if left > 0 else Behaviour()
        return current

    def _written(self, request: Request, kind: str, pairs: list[tuple[str, str]], behaviour: Behaviour) -> Response:
        if behaviour.http:
            return _outcome(behaviour.http, "transient", "panne simulée")
        if behaviour.body:
            return Response(behaviour.body, media_type=_FHIR)
        if not secrets.compare_digest(request.headers.get("esante-api-key", "").encode(), self.key.encode()):
            return _outcome(401, "login", "ESANTE-API-KEY")
        if not self._in_rate():
            return _outcome(429, "throttled", "trop d'appels", {"Retry-After": "1"})
        if kind not in PARAMETERS:
            return _outcome(404, "not-supported", "ressource")
        try:
            return self._page(f"{request.url.scheme}://{request.url.netloc}{BASE}/{kind}", kind, pairs)
        except Unknown as error:
            return _outcome(400, "not-supported", f"paramètre {error.name}")

    def _in_rate(self) -> bool:
        now = time.monotonic()
        while self._times and now - self._times[0] >= 1.0:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.rate

    def _page(self, here: str, kind: str, pairs: list[tuple[str, str]]) -> Response:
        """One page; what follows is behind a word that means nothing."""
        asked = dict(pairs)
        size = _size(asked.get("_count", str(_MOST)))
        if "_page" in asked:
            rest = self._pages.get(asked["_page"])
            if rest is None:
                raise Unknown("_page")
        else:
            rest = search(self.resources, kind, pairs)
        total = sum(mode == "match" for _, mode in rest)
        shown, rest = rest[:size], rest[size:]
        link = [{"relation": "self", "url": f"{here}?{urlencode(pairs)}"}]
        if rest:
            word = secrets.token_hex(8)
            self._pages[word] = rest
            more = urlencode({"_page": word, "_count": str(size)})
            link.append({"relation": "next", "url": f"{here}?{more}"})
        bundle: dict[str, Any] = {
            "resourceType": "Bundle", "type": "searchset", "total": total, "link": link,
            "entry": [{"resource": one, "search": {"mode": mode}} for one, mode in shown],
        }  # fmt: skip
        return JSONResponse(bundle, media_type=_FHIR)


def _size(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MOST:
        raise Unknown("_count")
    return int(text)


def _outcome(status: int, code: str, problem: str, headers: dict[str, str] | None = None) -> Response:
    issue = {"severity": "error", "code": code, "diagnostics": problem}
    return JSONResponse(
        {"resourceType": "OperationOutcome", "issue": [issue]}, status, headers=headers, media_type=_FHIR
    )
