"""A web server for simulators: in the caller's event loop, with the client's certificate at hand, rude on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]
_TRANSPORT = "vaguemestre.transport"


class Server:
    """Serves routes at one address, with TLS when it has a context, until stopped."""

    def __init__(self, routes: list[Route], context: ssl.SSLContext | None = None) -> None:
        """context: of a TLS server; what it asks of clients is asked."""
        config = uvicorn.Config(
            Starlette(routes=routes), http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        config.ssl = context
        self._scheme = "https" if context is not None else "http"
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None
        self.host, self.port = "", 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError when it cannot."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=256)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = bound.getsockname()[:2]
        self._task = asyncio.create_task(self._server.serve([bound]), name=f"simulator {host}:{self.port}")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110  # uvicorn rings no bell
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Close; requests under way have a second. May be called twice."""
        self._server.should_exit = True
        if self._task is not None:
            task, self._task = self._task, None
            await task

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104  # it says where, it does not listen
        return f"{self._scheme}://{host}:{self.port}"


def client_certificate(request: Request) -> x509.Certificate | None:
    """What the client showed, already verified by TLS; None on a plain connection."""
    found = request.scope[_TRANSPORT].get_extra_info("ssl_object")
    shown = found.getpeercert(binary_form=True) if found is not None else None
    return x509.load_der_x509_certificate(shown) if shown else None


async def cut(request: Request) -> None:
    """Close the connection at once, without an answer."""
    request.scope[_TRANSPORT].abort()
    while (await request.receive())["type"] != "http.disconnect":
        continue


class _Quiet(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """Gives each request the transport it came by."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Scope, receive: Any, send: Any) -> None:
            scope[_TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = with_transport
