"""The simulated DMP on a socket: mutual TLS for the services, a plain local address to steer it.

Source: DMPi (paths of the services); IHE ITI TF-2 3.41, 3.18, 3.57.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.errors import ConfigError
from vaguemestre.simulators.dmp import names, service, soap, structure, trust
from vaguemestre.simulators.dmp.behaviour import Behaviour, Behaviours
from vaguemestre.simulators.dmp.registry import Registry, StoredDocument, StoredLot
from vaguemestre.simulators.dmp.service import Answer, Case, Services
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.dmp.submissions import Hiding
from vaguemestre.simulators.pki import Authority
from vaguemestre.simulators.serving import Server, client_certificate, cut

BASE = "/si-dmp-server/v2/services"
_SERVICES = (names.REPOSITORY, names.REGISTRY, names.PATIENTS)


class DmpSimulator:
    """A DMP to talk to. ``requests`` are the last that came, as judged; ``lots``, ``documents`` what was accepted."""

    def __init__(
        self, *, port: int = 0, host: str = "127.0.0.1", authority: Authority | None = None,
        directory: Path | None = None, settings: DmpSettings | None = None, control_port: int = 0,
        behind_proxy: bool = False, default_patient: str = "active", on_request: Callable[[Case], None] | None = None,
    ) -> None:  # fmt: skip
        """What it is and where.

        authority: who signs the certificates of clients and the server's; made in a temporary folder without.
        directory: where the state is kept from one start to the next; in memory without.
        behind_proxy: plain HTTP, for nginx before it, which passes the client's certificate in headers
        ``X-Client-Verify``, ``X-Client-DN`` and ``X-Client-Certificate`` (escaped PEM).
        default_patient: state of the DMP of a patient who was not spoken of: active, closed, none or opposed.
        on_request: told of each request after its answer is ready.

        Raises:
            ConfigError: the folder of schemas does not hold them.
        """
        self.settings = settings or DmpSettings()
        structure.load(self.settings.schemas)
        self._temporary = tempfile.TemporaryDirectory() if authority is None else None
        self.authority = authority or Authority(Path(self._temporary.name if self._temporary else ""))
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        file = directory / "dmp.db" if directory is not None else None
        self._registry = Registry(file, default_patient, keep_contents=self.settings.keep_contents)
        trusted = trust.Trust(self.authority.certificate, self.authority.crl, self.settings.clock)
        self._services = Services(self._registry, self.settings, trusted)
        self._behaviours = Behaviours()
        self._behind_proxy, self._on_request = behind_proxy, on_request
        self.requests: deque[Case] = deque(maxlen=1000)
        self._wanted = (host, port, control_port)
        context = None if behind_proxy else self._context()
        self._server = Server([Route(f"{BASE}/{one}", self._serve, methods=["POST"]) for one in _SERVICES], context)
        self._control = Server(self._controls())

    async def start(self) -> None:
        """Listen. Raises OSError when it cannot."""
        host, port, control = self._wanted
        await self._server.start(host, port)
        await self._control.start("127.0.0.1", control)

    async def stop(self) -> None:
        """Close everything; the state stays readable when it is in a file."""
        await self._server.stop()
        await self._control.stop()
        self._registry.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def url(self) -> str:
        """Where the services are: ``…/repository``, ``…/registry``, ``…/patients`` follow."""
        return self._server.url + BASE

    @property
    def control_url(self) -> str:
        """Where ``/_behave``, ``/_state``, ``/_patient``, ``/_touch`` are, in plain HTTP, on this machine."""
        return self._control.url

    def behave(self, kind: str, **details: Any) -> None:
        """Misbehave for the next request, see ``behaviour.KINDS`` and ``Behaviour``. Raises ConfigError."""
        self._behaviours.add(Behaviour.of({"kind": kind, **details}))

    def behave_well(self) -> None:
        """Forget what was asked and not done."""
        self._behaviours.clear()

    def patient(self, ins: str, state: str) -> None:
        """Say what a patient's DMP is: active, closed, none, opposed."""
        self._registry.set_patient(ins, state)

    def touch(self, unique_id: str) -> str:
        """Change metadata of the current version, as a patient may: the entryUUID is another one, which is returned."""
        with self._registry.transaction():
            found = self._registry.documents(unique_id=unique_id, status=names.APPROVED)
            if not found:
                raise ConfigError("no current document has this uniqueId")
            return self._registry.change(found[0], names.APPROVED)

    @property
    def lots(self) -> list[StoredLot]:
        """Lots accepted, in their order."""
        return self._registry.lots()

    @property
    def documents(self) -> list[StoredDocument]:
        """Every version of every document, without the signatures."""
        return self._registry.documents(is_signature=0)

    def current(self) -> list[StoredDocument]:
        """Documents a professional would see now."""
        return [one for one in self.documents if one.is_current]

    @property
    def published(self) -> dict[str, int]:
        """How many times each document was published, by its uniqueId: more than once is a fault of the simulator's."""
        return dict(self._registry.published())

    def state(self) -> dict[str, Any]:
        """What can be counted: see ``Registry.state``."""
        return self._registry.state()

    def _context(self) -> ssl.SSLContext:
        files = self.authority.keep("dmp-server", "server", structure="1990000099", hosts=self.settings.hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(files.pem)
        context.load_verify_locations(self.authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _serve(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        asked = self._behaviours.take(name)
        case = Case(name, self.settings.clock(), misbehaviour=asked.kind if asked else "")
        if asked is not None and asked.kind == "cut-before":
            await cut(request)
            return Response()
        try:
            body = await request.body()
        except ClientDisconnect:  # cut while it was sent: there is nothing to judge, and nobody to tell
            return Response()
        answer = self._work(case, request, body, asked)
        if self._on_request is not None:
            self._on_request(case)
        self._note(case)
        if asked is not None and asked.kind == "slow":
            await asyncio.sleep(asked.seconds)
        if asked is not None and asked.kind == "cut":
            await cut(request)
        return _response(answer, asked)

    def _work(self, case: Case, request: Request, body: bytes, asked: Behaviour | None) -> Answer:
        kind = request.headers.get("content-type", "")
        client = self._client(request)
        if asked is not None and not asked.does_the_work:
            case.verdict = "not done"
            return _instead(case, asked)
        hidden = Hiding(asked.seconds, asked.queries) if asked is not None and asked.kind == "hide" else None
        warning = asked.code if asked is not None and asked.kind == "warn" else ""
        answer = self._services.handle(case, kind, body, client, hiding=hidden, warning=warning)
        if asked is None:
            return answer
        if asked.kind == "twice":
            again = Case(case.service, case.at, misbehaviour=asked.kind)
            answer = self._services.handle(again, kind, body, client, again=True)
            self._note(again)
        return _instead(case, asked) if asked.kind not in {"warn", "mtom", "twice", "hide", "slow"} else answer

    def _note(self, case: Case) -> None:
        if case.lot is not None:
            case.lot = replace(case.lot, contents={})  # the registry has them
        self.requests.append(case)

    def _client(self, request: Request) -> x509.Certificate | None:
        if not self._behind_proxy:
            return client_certificate(request)
        escaped = request.headers.get("x-client-certificate", "")
        if request.headers.get("x-client-verify") != "SUCCESS" or not escaped:
            return None
        try:
            found = x509.load_pem_x509_certificate(unquote(escaped).encode())
        except ValueError:
            return None
        return found if trust.same_name(request.headers.get("x-client-dn", ""), found.subject) else None

    def _controls(self) -> list[Route]:
        async def behave(request: Request) -> Response:
            if request.method == "DELETE":
                self._behaviours.clear()
                return JSONResponse({"asked": 0})
            wanted = await request.json()
            for one in wanted if isinstance(wanted, list) else [wanted]:
                self._behaviours.add(Behaviour.of(one))
            return JSONResponse({"asked": len(self._behaviours.asked)})

        async def state(_: Request) -> Response:
            return JSONResponse(self.state())

        async def patient(request: Request) -> Response:
            wanted = await request.json()
            self.patient(str(wanted["ins"]), str(wanted["state"]))
            return JSONResponse({"state": self._registry.patient(str(wanted["ins"]))})

        async def touch(request: Request) -> Response:
            return JSONResponse({"entry_uuid": self.touch(str((await request.json())["unique_id"]))})

        return [
            Route("/_behave", _told(behave), methods=["POST", "DELETE"]),
            Route("/_state", state),
            Route("/_patient", _told(patient), methods=["POST"]),
            Route("/_touch", _told(touch), methods=["POST"]),
        ]


def _told(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """The same endpoint, which says what is wrong with a request."""

    async def told(request: Request) -> Response:
        try:
            found = await endpoint(request)
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            return JSONResponse({"error": str(error) or type(error).__name__}, status_code=400)
        return found if isinstance(found, Response) else Response()

    return told


def _instead(case: Case, asked: Behaviour) -> Answer:
    """The answer that was asked in the place of the true one."""
    if asked.kind in {"refuse", "partial"}:
        return service.refusal(case, "Failure" if asked.kind == "refuse" else "PartialSuccess", asked.code)
    if asked.kind == "fault":
        return Answer(asked.status, soap.fault(asked.code, ["faute demandée au simulateur"]))
    if asked.kind == "garbage":
        return Answer(200, b"<not xml")
    page = b"<html><body><h1>Service indisponible</h1></body></html>"
    return Answer(asked.status, page if asked.kind == "http" else b"")


def _response(answer: Answer, asked: Behaviour | None) -> Response:
    kind, body = "application/soap+xml; charset=utf-8", answer.body
    if asked is not None and asked.kind == "http":
        kind = "text/html"
    elif asked is not None and asked.kind == "mtom":
        kind, body = soap.multipart(body)
    return Response(body, answer.status, headers={"content-type": kind})
