"""The sender: one message at a time on each connection, as many connections as there are sends at once."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import structlog

from channels.errors import MessageError, ParseError, Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.mllp.frames import END, FrameProtocol, Scratch, framed
from connectors.mllp.settings import MllpDestinationSettings
from connectors.tls import client_context
from transforms.ack import Answer, read_ack
from transforms.er7 import header_of

log = structlog.get_logger()

_SMALL = 65536
"""Bytes up to which a message is copied into its frame, to leave in one packet train."""
_CHUNK = 262_144
_FRESH = 0.5
"""Seconds after which a connection is looked at before it is used: its peer may have closed it."""


class MllpDestination:
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = MllpDestinationSettings

    def __init__(self, settings: MllpDestinationSettings, surroundings: Surroundings) -> None:
        self.options, self._surroundings = settings, surroundings
        self.name = f"{surroundings.channel}/{surroundings.name}"
        self.scratch = Scratch(_SMALL)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._tls: dict[str, Any] = {}

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError when a certificate cannot be used."""
        self._loop = asyncio.get_running_loop()
        tls = self.options.tls
        if tls is not None:
            context = client_context(tls, self._surroundings)
            self._tls = {"ssl": context, "server_hostname": tls.server_name or self.options.connect.host}

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        body = message.body
        if b"\x1c" in body or b"\x0b" in body:
            raise MessageError("a byte VT or FS cannot travel over MLLP", "", "199")
        control_id = _control_id(message)
        deadline = self._loop.time() + self.options.timeout
        connection = await self._connection(deadline)
        try:
            answer, data = await connection.exchange(body, control_id, deadline)
        except BaseException:
            connection.abort()
            raise
        self._release(connection)
        return self._receipt(answer, data)

    def _receipt(self, answer: Answer, data: bytes) -> Receipt:
        if answer.accepted:
            return Receipt(answer.control_id, data)
        first = answer.errors[0] if answer.errors else None
        why = f" ({first.code}{' ' + first.place if first.place else ''})" if first else ""
        problem = f"answered {answer.code}{why}"
        if answer.code in self.options.resend_on:
            raise Undelivered(problem, data)
        raise Refused(problem, data)

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        connections = list(self._all)
        self._idle.clear()
        for connection in connections:
            connection.close()
        for connection in connections:
            await connection.closed.wait()

    async def _connection(self, deadline: float) -> Connection:
        """One that is open and free: the last one used, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            connection.in_use()
            if self._loop.time() - connection.used > _FRESH:
                await asyncio.sleep(0)  # what the other side did meanwhile is seen first
            if connection.usable:
                return connection
        host, port = self.options.connect
        connection = Connection(self)
        try:
            async with asyncio.timeout_at(deadline):
                await self._loop.create_connection(lambda: connection, host, port, **self._tls)
        except TimeoutError:
            raise Undelivered("no connection in time") from None
        except ssl.SSLError as error:
            raise Undelivered(f"no TLS connection: {error.reason or type(error).__name__}") from None
        except OSError as error:
            raise Undelivered(f"no connection: {error.strerror or type(error).__name__}") from None
        self._all.add(connection)
        return connection

    def _release(self, connection: Connection) -> None:
        if connection.usable:
            connection.not_in_use(self.options.idle)
            self._idle.append(connection)
        else:
            connection.close()

    def lost(self, connection: Connection) -> None:
        """A connection is no more."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _control_id(message: Message) -> str:
    if message.format != "hl7v2":
        return ""
    try:
        return message.view(header_of).control_id.strip()
    except ParseError:
        return ""


class Connection(FrameProtocol):
    """One connection and the message under way on it."""

    def __init__(self, owner: MllpDestination) -> None:
        super().__init__(owner.scratch, owner.options.max_answer)
        self._owner, self._options = owner, owner.options
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[tuple[Answer, bytes]] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._control_id = self._committed = ""
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self.used = 0.0
        self.closed = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether a message may be sent on it."""
        return not self._dead and self._waiting is None and not self.transport.is_closing()

    def in_use(self) -> None:
        """It is taken out of the idle ones."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def not_in_use(self, idle: float | None) -> None:
        """It is free, and closed after ``idle`` seconds."""
        self.used = self._loop.time()
        if idle is not None:
            self._timer = self._loop.call_later(idle, self.close)

    async def exchange(self, body: bytes, control_id: str, deadline: float) -> tuple[Answer, bytes]:
        """Send a message and wait for its answer. Raises Undelivered."""
        self._control_id = control_id
        waiting: asyncio.Future[tuple[Answer, bytes]] = self._loop.create_future()
        self._waiting = waiting
        timer = self._loop.call_at(deadline, self._fail, "no answer in time")
        try:
            if len(body) <= _SMALL:
                self.transport.write(framed(body))
            else:
                await self._write_large(body)
            return await waiting
        finally:
            timer.cancel()
            self._waiting = None
            if not waiting.done():
                waiting.cancel()

    async def _write_large(self, body: bytes) -> None:
        """By pieces, as the other side takes them: the body is never copied whole."""
        view = memoryview(body)
        self.transport.write(b"\x0b")
        for start in range(0, len(body), _CHUNK):
            self.transport.write(view[start : start + _CHUNK])
            if self._paused:
                drained = self._drained = self._loop.create_future()
                await drained
            if self._waiting is None or self._waiting.done():  # an answer, or a failure, before the end
                self._dead = True
                return
        self.transport.write(END)

    # asyncio

    def pause_writing(self) -> None:
        """See asyncio."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio."""
        self._paused = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def eof_received(self) -> bool:
        """See asyncio."""
        self._dead = True
        self._fail("the connection was closed before the answer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.in_use()
        super().connection_lost(exc)
        self._fail("the connection was lost before the answer")
        self.closed.set()
        self._owner.lost(self)

    def close(self) -> None:
        """Close once what was written has left."""
        self._dead = True
        self.transport.close()

    def abort(self) -> None:
        """Close now: what comes yet would be taken for another message's answer."""
        self._dead = True
        if not self.closed.is_set():
            self.transport.abort()

    def _fail(self, problem: str) -> None:
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(Undelivered(problem))
        self.resume_writing()

    # answers

    def frame(self, body: bytes) -> None:
        """See ``FrameProtocol``."""
        waiting = self._waiting
        try:
            answer = read_ack(body)
        except ParseError as error:
            self._fail(f"the answer cannot be read: {error.problem}")
            self.abort()
            return
        if waiting is None or waiting.done():
            if not self._is_late_application(answer):
                log.warning("an answer to no message", destination=self._owner.name, code=answer.code)
                self.abort()
            return
        if answer.control_id != self._control_id and answer.control_id and self._options.match == "control_id":
            if not self._is_late_application(answer):
                self._fail("the answer is to another message")
                self.abort()
            return
        if answer.commit:
            self._committed = answer.control_id
            if answer.accepted and self._options.wait_for == "application":
                return
        waiting.set_result((answer, body))

    def _is_late_application(self, answer: Answer) -> bool:
        """The application answer to a message that was committed already: noted, and nothing else."""
        if answer.commit or not answer.control_id or answer.control_id != self._committed:
            return False
        if not answer.accepted:
            log.warning("refused after it was committed", destination=self._owner.name, code=answer.code)
        return True

    def cut(self, beginning: bytes) -> None:
        """See ``FrameProtocol``: the rest of an answer that will not come."""
        log.warning("an answer was cut", destination=self._owner.name, size=len(beginning))

    def too_large(self, beginning: bytes) -> None:  # noqa: ARG002  # its bytes are of no use
        """See ``FrameProtocol``."""
        self._fail("the answer is larger than max_answer")
        self.abort()
