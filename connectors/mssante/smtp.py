"""Connections to the operator's SMTP server: a few, kept open between mails.

Source: RFC 5321; RFC 3207 (STARTTLS); RFC 1870 (SIZE); RFC 3461 (DSN).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiosmtplib

from channels.errors import Undelivered
from connectors.mssante.server import MssanteServer

_IDLE = 20.0
"""Seconds after which an unused connection is closed rather than used: servers close them too."""
_CODES_OF_OURS = frozenset({421, 454, 530, 534, 535, 538})
"""Answers that speak of the connection or of our authentication, not of the mail."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail on its way. identity: ENVID; empty: no report is asked for. success: of a delivery too."""

    sender: str
    recipient: str
    content: bytes
    identity: str = ""
    success: bool = False


class Answered(Exception):  # what happened
    """The server's lasting no to this mail. code: SMTP; status: enhanced, such as ``5.1.1``, else empty."""

    def __init__(self, code: int, status: str = "") -> None:
        self.code, self.status = code, status
        super().__init__(f"{code} {status}".strip())


@dataclass(slots=True)
class _Open:
    client: aiosmtplib.SMTP
    used: float


class Smtp:
    """Sends mails over at most so many connections."""

    def __init__(self, options: MssanteServer, context: Callable[[], ssl.SSLContext], count: int, hello: str) -> None:
        """context: TLS, asked for each new connection. count: connections. hello: our name in EHLO."""
        self._options, self._context, self._hello = options, context, hello
        self._room = asyncio.Semaphore(count)
        self._idle: list[_Open] = []

    async def send(self, mail: Envelope, max_size: int) -> bool:
        """Send one mail; True when the server will report its delivery (DSN).

        max_size: bytes, when the server announces none.

        Raises:
            Answered: the server will never take it (552: it is larger than the server takes).
            Undelivered: not now, or not known whether it was taken.
        """
        async with self._room:
            try:
                client = await self._connection()
                try:
                    reported = await self._dialogue(client, mail, max_size)
                except aiosmtplib.SMTPResponseException:
                    await self._reset(client)
                    raise
                except (Answered, Undelivered):
                    raise
                except BaseException:
                    client.close()
                    raise
            except aiosmtplib.SMTPResponseException as error:
                raise _of(error) from None
            except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
                raise Undelivered(f"the mail server: {type(error).__name__}") from None
            self._idle.append(_Open(client, time.monotonic()))
            return reported

    async def close(self) -> None:
        """Close every unused connection."""
        idle, self._idle = self._idle, []
        for one in idle:
            one.client.close()

    async def _connection(self) -> aiosmtplib.SMTP:
        while self._idle:
            known = self._idle.pop()
            if known.client.is_connected and time.monotonic() - known.used < _IDLE:
                return known.client
            known.client.close()
        options = self._options
        client = aiosmtplib.SMTP(
            hostname=options.connect.host,
            port=options.connect.port,
            local_hostname=self._hello or None,
            timeout=options.timeout,
            use_tls=options.tls == "implicit",
            start_tls=options.tls == "starttls",
            tls_context=self._context(),
            username=options.user if options.password is not None else None,
            password=options.password.get_secret_value() if options.password is not None else None,
        )
        try:
            await client.connect()
            await client.ehlo()
        except aiosmtplib.SMTPNotSupported:
            client.close()
            raise Undelivered("the mail server offers no STARTTLS") from None
        except aiosmtplib.SMTPResponseException as error:
            client.close()
            raise Undelivered(f"the mail server does not let us in ({error.code})") from None
        except BaseException:
            client.close()
            raise
        return client

    async def _dialogue(self, client: aiosmtplib.SMTP, mail: Envelope, max_size: int) -> bool:
        announced = client.esmtp_extensions.get("size", "").split()
        limit = int(announced[0]) if announced and announced[0].isdecimal() and int(announced[0]) else max_size
        if len(mail.content) > limit:
            self._idle.append(_Open(client, time.monotonic()))
            raise Answered(552, "5.3.4")
        options = [f"SIZE={len(mail.content)}"] if client.supports_extension("size") else []
        if not mail.content.isascii():
            options += ["BODY=8BITMIME"] if client.supports_extension("8bitmime") else []
        reported = bool(mail.identity) and client.supports_extension("dsn")
        wanted: list[str] = []
        if reported:
            options += ["RET=HDRS", f"ENVID={xtext(mail.identity)}"]
            wanted = [
                f"NOTIFY={'SUCCESS,' if mail.success else ''}FAILURE,DELAY",
                f"ORCPT=rfc822;{xtext(mail.recipient)}",
            ]
        try:
            await client.mail(mail.sender, options=options)
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code in (523, 552):
                raise
            await self._reset(client)
            raise Undelivered(f"the mail server does not take our address ({error.code})") from None
        await client.rcpt(mail.recipient, options=wanted)
        await client.data(mail.content)
        return reported

    async def _reset(self, client: aiosmtplib.SMTP) -> None:
        """The connection is good for the next mail, or closed."""
        try:
            await client.rset()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            client.close()
        else:
            self._idle.append(_Open(client, time.monotonic()))


def _of(error: aiosmtplib.SMTPResponseException) -> Answered | Undelivered:
    if error.code < 500 or error.code in _CODES_OF_OURS:
        return Undelivered(f"the mail server: not now ({error.code})")
    status = error.message.split(" ", 1)[0]
    return Answered(error.code, status if status.replace(".", "").isdecimal() and status.count(".") == 2 else "")


def xtext(text: str) -> str:
    """Text of a DSN parameter. Source: RFC 3461, 4."""
    return "".join(sign if "!" <= sign <= "~" and sign not in "+=" else f"+{ord(sign):02X}" for sign in text)
