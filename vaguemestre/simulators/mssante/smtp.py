"""The operator's SMTP server: STARTTLS with a client certificate, SIZE, DSN; slow, cut or refusing on request."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_ADDRESS = re.compile(r"(FROM|TO):\s*<([^<>\s]*)>(.*)", re.IGNORECASE)
_LINE = 2000


@dataclass(slots=True)
class Envelope:
    """One mail as its dialogue tells. options: parameters of MAIL and RCPT, names in upper case."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the server asks its owner.

    recipient: address -> code and text. accepted: takes a mail -> code and text, None cuts the connection.
    """

    recipient: Callable[[str], str]
    accepted: Callable[[Envelope], Awaitable[str | None]]
    size: Callable[[], int]
    reports: Callable[[], bool]


class SmtpServer:
    """Listens until stopped."""

    def __init__(self, context: ssl.SSLContext, rules: Rules) -> None:
        """context: a server's; it asks for the client's certificate."""
        self._context, self._rules = context, rules
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._accept, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close, connections too."""
        if self._server is not None:
            self._server.close()
        for one in self._tasks:
            one.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await _Session(reader, writer, self._context, self._rules).run()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()


class _Session:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, rules: Rules
    ) -> None:
        self._reader, self._writer, self._context, self._rules = reader, writer, context, rules
        self._safe = False
        self._mail: Envelope | None = None

    async def run(self) -> None:
        """Answer until QUIT or the end."""
        await self._say("220 mssante.test ESMTP")
        while True:
            line = (await self._reader.readline()).decode("utf-8", "replace")
            if not line:
                return
            verb, _, rest = line.strip().partition(" ")
            if len(line) > _LINE:
                await self._say("500 5.5.2 line too long")
            elif verb.upper() == "QUIT":
                await self._say("221 2.0.0 bye")
                return
            elif not await self._answer(verb.upper(), rest):
                return

    async def _answer(self, verb: str, rest: str) -> bool:
        """One command; False ends the connection."""
        if verb == "EHLO":
            await self._hello()
        elif verb == "STARTTLS" and not self._safe:
            await self._say("220 2.0.0 ready")
            await self._writer.start_tls(self._context)
            self._safe = True
        elif not self._safe:
            await self._say("530 5.7.0 STARTTLS first")
        elif verb == "MAIL":
            await self._from(rest)
        elif verb == "RCPT":
            await self._to(rest)
        elif verb == "DATA":
            return await self._data()
        elif verb in ("RSET", "NOOP"):
            self._mail = None if verb == "RSET" else self._mail
            await self._say("250 2.0.0 ok")
        else:
            await self._say("502 5.5.1 not known here")
        return True

    async def _hello(self) -> None:
        offers = ["mssante.test", f"SIZE {self._rules.size()}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        offers += [] if self._safe else ["STARTTLS"]
        offers += ["DSN"] if self._rules.reports() else []
        lines = [f"250{'-' if one is not offers[-1] else ' '}{one}" for one in offers]
        await self._say("\r\n".join(lines))

    async def _from(self, rest: str) -> None:
        found = _ADDRESS.fullmatch(rest)
        if found is None:
            await self._say("501 5.5.4 MAIL FROM:<address>")
            return
        options = _options(found[3])
        size = options.get("SIZE", "0")
        if size.isdecimal() and int(size) > self._rules.size():
            await self._say("552 5.3.4 too large")
            return
        self._mail = Envelope(found[2], options=options)
        await self._say("250 2.1.0 ok")

    async def _to(self, rest: str) -> None:
        found = _ADDRESS.fullmatch(rest)
        if found is None or self._mail is None:
            await self._say("503 5.5.1 MAIL first, then RCPT TO:<address>")
            return
        answer = self._rules.recipient(found[2].lower())
        if answer.startswith("250"):
            self._mail.recipients.append(found[2].lower())
            self._mail.options |= _options(found[3])
        await self._say(answer)

    async def _data(self) -> bool:
        mail, self._mail = self._mail, None
        if mail is None or not mail.recipients:
            await self._say("554 5.5.1 no valid recipients")
            return True
        await self._say("354 go on")
        lines = []
        while True:
            line = await self._line()
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        mail.content = b"".join(lines)
        answer = "552 5.3.4 too large"
        if len(mail.content) <= self._rules.size():
            decided = await self._rules.accepted(mail)
            if decided is None:
                return False
            answer = decided
        await self._say(answer)
        return True

    async def _line(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                return b"".join([*parts, await self._reader.readuntil(b"\n")])
            except asyncio.LimitOverrunError as error:
                parts.append(await self._reader.readexactly(error.consumed))

    async def _say(self, text: str) -> None:
        self._writer.write(f"{text}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()


def _options(text: str) -> dict[str, str]:
    pairs = (one.partition("=") for one in text.split())
    return {name.upper(): value for name, _, value in pairs}
