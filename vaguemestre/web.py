"""The operators' HTTP listener: ``/health``, ``/ready`` and ``/metrics``, in the engine's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.errors import ConfigError
from channels.fields import HostPort
from channels.supervisor import Supervisor
from vaguemestre.metrics import Metrics


class _Server(uvicorn.Server):
    """Leaves the signals to the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Web:
    """Starts and stops the listener."""

    def __init__(self, supervisor: Supervisor, listen: HostPort) -> None:
        """listen: address; nothing that it serves tells about a patient."""
        self._supervisor, self._listen = supervisor, listen
        self._metrics = Metrics(supervisor)
        routes = [Route("/health", self._health), Route("/ready", self._ready), Route("/metrics", self._scrape)]
        self._server = _Server(
            uvicorn.Config(
                Starlette(routes=routes), host=listen.host, port=listen.port, log_level="warning", lifespan="off"
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address is taken."""
        try:
            socket = self._server.config.bind_socket()
        except SystemExit:  # uvicorn's way to say that it cannot bind
            raise ConfigError(f"web.listen: {self._listen} cannot be listened on; is it in use?") from None
        self._task = asyncio.create_task(self._server.serve(sockets=[socket]), name="web")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110  # uvicorn sets a flag
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

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
