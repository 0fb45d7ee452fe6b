"""An HTTPS client that shows a certificate of the establishment, and changes with it without a restart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from channels.errors import ConfigError
from channels.ports import Surroundings
from connectors.certificates import client_tls


@dataclass(slots=True)
class TlsClient:
    """Gives the client for the certificate as its file is now.

    url: the service; without a certificate it must not be ``https``. certificate: name in ``site.yaml``. authorities:
    PEM file; the system's when None. connect, read: seconds.
    """

    url: str
    certificate: str | None
    authorities: Path | None
    surroundings: Surroundings
    connect: float
    read: float
    _client: httpx.AsyncClient | None = None
    _context: ssl.SSLContext | None = None
    _retired: list[httpx.AsyncClient] = field(default_factory=list)

    def check(self) -> ssl.SSLContext | None:
        """TLS to the service; None for plain HTTP. Raises ConfigError."""
        if self.certificate is None:
            if self.url.startswith("https:"):
                raise ConfigError("tls: an address with https needs a certificate")
            return None
        return client_tls(self.certificate, self.authorities, self.surroundings)

    def current(self) -> httpx.AsyncClient:
        """The client; a new one when the certificate was renewed. Raises ConfigError."""
        context = self.check()
        if self._client is None or context is not self._context:
            self._retire()  # calls under way end on it
            timeout = httpx.Timeout(self.read, connect=self.connect, pool=self.connect)
            self._client = httpx.AsyncClient(
                verify=context if context is not None else False, timeout=timeout, trust_env=False
            )
            self._context = context
        return self._client

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        self._retire()
        while self._retired:
            await self._retired.pop().aclose()

    def _retire(self) -> None:
        if self._client is not None:
            self._retired.append(self._client)
            self._client = None
