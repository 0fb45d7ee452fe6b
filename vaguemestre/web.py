"""The operators' HTTP listener: ``/health``, ``/ready`` and ``/metrics``, in the engine's own event loop."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.errors import ConfigError
from channels.fields import HostPort
from channels.supervisor import Supervisor
from connectors.shared.listener import Listener
from vaguemestre.metrics import Metrics


class Web:
    """Starts and stops the listener."""

    def __init__(self, supervisor: Supervisor, listen: HostPort) -> None:
        """listen: address; nothing that it serves tells about a patient."""
        self._supervisor, self._listen = supervisor, listen
        self._metrics = Metrics(supervisor)
        routes = [Route("/health", self._health), Route("/ready", self._ready), Route("/metrics", self._scrape)]
        self._listener = Listener(routes, context=None, patience=10.0, connections=50)

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address is taken."""
        try:
            await self._listener.start(self._listen)
        except OSError as error:
            raise ConfigError(f"web.listen: {self._listen} cannot be listened on ({error.strerror})") from error

    async def stop(self) -> None:
        """Close."""
        await self._listener.stop()

    async def _health(self, _request: Request) -> Response:
        """200 while the process turns."""
        return JSONResponse({"status": "ok"})

    async def _ready(self, _request: Request) -> Response:
        """200 when every enabled channel receives and the journal can be written, else 503 and why."""
        supervisor = self._supervisor
        body = {"ready": supervisor.ready, "journal": supervisor.journal.healthy, "broken": sorted(supervisor.broken)}
        return JSONResponse(body, status_code=200 if supervisor.ready else 503)

    async def _scrape(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
