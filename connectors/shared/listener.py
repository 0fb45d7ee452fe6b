"""An HTTP listener in the engine's own event loop: uvicorn without signals, and with patience that ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from channels.fields import HostPort


class Listener:
    """Serves routes at one address until stopped."""

    def __init__(
        self, routes: list[Route], *, context: ssl.SSLContext | None, patience: float, connections: int
    ) -> None:
        """patience: seconds in which a client must send its request line and headers."""
        config = uvicorn.Config(
            Starlette(routes=routes),
            http=_protocol(patience),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections + 1,
            backlog=1024,
        )
        config.load()
        config.ssl = context
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self.address = HostPort("", 0)

    async def start(self, address: HostPort) -> None:
        """Listen. Raises OSError when it cannot."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.create_server((address.host, address.port), family=family, backlog=1024)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms between head and body of an answer
        name = bound.getsockname()
        self.address = HostPort(name[0], name[1])
        self._task = asyncio.create_task(self._server.serve([bound]), name=f"http {self.address}")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110  # uvicorn rings no bell
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Accept nothing more, answer what came, close. May be called twice."""
        self._server.should_exit = True
        if self._task is not None:
            task, self._task = self._task, None
            await task


class _Server(uvicorn.Server):
    """Leaves the signals to the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(patience: float) -> type[asyncio.Protocol]:
    """The protocol of uvicorn, which also closes a client whose request line and headers do not come."""

    class Patient(H11Protocol):
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
            super().connection_made(transport)
            self.wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            cycle: RequestResponseCycle | None = self.cycle
            if cycle is not None and not cycle.response_complete:
                self.wait_no_more()
            elif self.timer is None:
                self.wait()

        def on_response_complete(self) -> None:
            self.wait_no_more()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self.wait_no_more()
            super().connection_lost(exc)

        def wait(self) -> None:
            self.timer = self.loop.call_later(patience, self.timeout_keep_alive_handler)

        def wait_no_more(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

    return Patient
