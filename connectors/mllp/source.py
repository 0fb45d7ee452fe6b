"""The listener: frames in, answers out in the order of the frames."""

from __future__ import annotations

import asyncio
import contextlib
import time
from ipaddress import ip_address
from typing import Any

import structlog

from channels.fields import HostPort, Settings
from channels.ports import Intake, Surroundings
from connectors.mllp.frames import Scratch
from connectors.mllp.receiver import Receiver
from connectors.mllp.settings import MllpSourceSettings
from connectors.tls import server_context
from transforms.admission import Admission
from transforms.tolerance import Inspector

log = structlog.get_logger()

_BACKLOG = 4096
_LAST_ANSWERS, _LAST_BYTES = 20.0, 2.0
"""Seconds that a stop waits for answers to what was received, then for the other sides to read them."""


class MllpSource:
    """See ``channels.ports.Source``."""

    settings: type[Settings] = MllpSourceSettings

    def __init__(self, settings: MllpSourceSettings, surroundings: Surroundings) -> None:
        self.options, self._surroundings = settings, surroundings
        self.name = f"{surroundings.channel}/{surroundings.name}"
        self.zone = surroundings.site.timezone
        self.scratch = Scratch()
        self.admission = Admission(
            settings.messages,
            settings.versions,
            settings.processing,
            settings.senders,
            control_id=settings.empty_control_id == "refuse",
        )
        self.inspector = Inspector(settings.levels, settings.sender_levels, full=settings.inspect == "full")
        self.receivers: set[Receiver] = set()
        self.kept = 0
        """Bytes of memory for frames under way."""
        self.unanswered = 0
        """Bytes of messages that wait for their answer."""
        self.waiting: set[Receiver] = set()
        """Those that do not read until ``unanswered`` falls."""
        self.intake: Intake
        self._server: asyncio.Server | None = None
        self._address = settings.listen
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def address(self) -> HostPort:
        """Where it listens, once started (port 0 asks for any free one)."""
        return self._address

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``."""
        self.intake = intake
        tls = self.options.tls
        self._context = server_context(tls, self._surroundings) if tls is not None else None
        await self._listen()
        self._sweep()

    async def _listen(self) -> None:
        host, port = self._address
        more: dict[str, Any] = {"ssl": self._context} if self._context is not None else {}
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Receiver(self), host, port, backlog=_BACKLOG, **more)
        self._server = server
        self._address = HostPort(host, server.sockets[0].getsockname()[1])

    async def pause(self) -> None:
        """Accept no more connections; the open ones go on, and are answered what the channel says."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def resume(self) -> None:
        """Accept connections again, at the same address."""
        if self._server is None and self._sweeper is not None:
            await self._listen()

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``."""
        await self.pause()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        receivers = list(self.receivers)
        for receiver in receivers:
            receiver.finish()
        await _within(_LAST_ANSWERS, (receiver.answered.wait() for receiver in receivers))
        for receiver in receivers:
            receiver.close()
        await _within(_LAST_BYTES, (receiver.closed.wait() for receiver in receivers))
        for receiver in receivers:
            receiver.abort()

    def takes(self, transport: asyncio.BaseTransport) -> bool:
        """Whether this peer may connect, now."""
        if len(self.receivers) >= self.options.connections:
            log.warning("too many connections", source=self.name, connections=len(self.receivers))
            return False
        if not self.options.allow:
            return True
        peer = transport.get_extra_info("peername")
        with contextlib.suppress(ValueError, TypeError):
            address = ip_address(peer[0])
            address = getattr(address, "ipv4_mapped", None) or address
            if any(address in network for network in self.options.allow):
                return True
        log.warning("this peer may not connect", source=self.name, peer=peer[0] if peer else "")
        return False

    def answered(self, size: int) -> None:
        """Messages of ``size`` bytes have their answers."""
        self.unanswered -= size
        if self.waiting and self.unanswered < self.options.unanswered:
            waiting, self.waiting = self.waiting, set()
            for receiver in waiting:
                receiver.read_on()

    def _sweep(self) -> None:
        """Close the connections that are silent for too long."""
        now = time.monotonic()
        for receiver in list(self.receivers):
            receiver.check(now)
        options = self.options
        pause = min(1.0, options.frame_timeout / 2, options.idle / 2 if options.idle else 1.0)
        self._sweeper = asyncio.get_running_loop().call_later(pause, self._sweep)


async def _within(seconds: float, awaitables: Any) -> None:
    """Wait for all, or for ``seconds``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*awaitables)
