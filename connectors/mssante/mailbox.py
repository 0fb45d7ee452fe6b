"""A mailbox over IMAP, for one thread: every method blocks.

Source: RFC 3501; RFC 2177 (IDLE); RFC 6851 (MOVE); RFC 4422 (EXTERNAL).
"""

from __future__ import annotations

import contextlib
import imaplib
import select
import socket
import ssl
from typing import Any

from imap_tools.errors import ImapToolsError
from imap_tools.mailbox import BaseMailBox, MailBox, MailBoxStartTls
from imap_tools.utils import encode_folder

from connectors.mssante.server import MssanteServer

ERRORS = (OSError, imaplib.IMAP4.error, ImapToolsError, ValueError)
"""What means that the connection is no longer good (``imaplib.IMAP4.abort`` too)."""


class Mailbox:
    """One connection, in one folder."""

    def __init__(self, options: MssanteServer, context: ssl.SSLContext, folder: str, others: tuple[str, ...]) -> None:
        """Connect, authenticate, make the folders that are missing, select one. Raises one of ERRORS."""
        host, port = options.connect
        kind = MailBox if options.tls == "implicit" else MailBoxStartTls
        self._box: BaseMailBox = kind(host, port, timeout=options.timeout, ssl_context=context)
        self._timeout = options.timeout
        try:
            if options.password is not None:
                self._client.login(options.user or "", options.password.get_secret_value())
            else:
                self._client.authenticate("EXTERNAL", lambda _: (options.user or "").encode())
            for one in others:
                if not self._box.folder.exists(one):
                    self._box.folder.create(one)
            self._box.folder.set(folder)
        except ERRORS:
            self.close()
            raise
        self.validity = self._number("UIDVALIDITY")
        kinds = {str(one).upper() for one in self._client.capabilities}
        _, fresh = self._client.capability()  # what is offered once we are known
        kinds |= {one.upper() for line in fresh if line for one in line.decode("ascii", "replace").split()}
        self.idles, self._moves = "IDLE" in kinds, "MOVE" in kinds

    @property
    def _client(self) -> Any:
        return self._box.client

    def _number(self, name: str) -> int:
        _, data = self._client.response(name)
        return int(data[0]) if data and data[0] else 0

    def numbers(self) -> list[str]:
        """UIDs of the mails in the folder, oldest first; those that are marked deleted are gone."""
        self._checked(self._client.noop()[0])  # the server looks
        self._client.response("EXISTS")  # known now; what comes later is news
        answer, data = self._client.uid("SEARCH", "UNDELETED")
        self._checked(answer)
        return data[0].decode("ascii").split() if data and data[0] else []

    def size(self, uid: str) -> int:
        """Bytes of a mail; 0 when it is gone."""
        answer, data = self._client.uid("FETCH", uid, "(RFC822.SIZE)")
        self._checked(answer)
        text = b" ".join(one if isinstance(one, bytes) else one[0] for one in data if one)
        _, found, rest = text.partition(b"RFC822.SIZE ")
        return int(rest.split(b")")[0].split()[0]) if found else 0

    def fetch(self, uid: str) -> bytes:
        """A mail, byte for byte; empty when it is gone. It stays unread."""
        answer, data = self._client.uid("FETCH", uid, "(BODY.PEEK[])")
        self._checked(answer)
        return next((one[1] for one in data if isinstance(one, tuple)), b"")

    def move(self, uid: str, folder: str) -> None:
        """Put a mail into another folder."""
        if self._moves:
            answer, _ = self._client.uid("MOVE", uid, encode_folder(folder))
            self._checked(answer)
            return
        answer, _ = self._client.uid("COPY", uid, encode_folder(folder))
        self._checked(answer)
        answer, _ = self._client.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
        self._checked(answer)
        self._client.expunge()

    def wait(self, seconds: float) -> None:
        """Until something happens in the folder (IDLE), ``seconds`` at most.

        What the server told beside its answers since ``numbers`` is news too: it does not say it again.
        """
        if self._client.response("EXISTS")[1] != [None]:
            return
        self._box.idle.start()  # type: ignore[no-untyped-call]  # imap-tools is half typed
        try:
            if not self._heard():
                watch = select.poll()
                watch.register(self._client.sock.fileno(), select.POLLIN)
                watch.poll(seconds * 1000)
        finally:
            self._box.idle.stop()  # type: ignore[no-untyped-call]  # the same

    def _heard(self) -> bool:
        """Whether a line came with the answer to IDLE: it is in a buffer that no poll sees."""
        self._client.sock.settimeout(0)
        try:
            self._client._get_line()  # noqa: SLF001  # imaplib has no IDLE before Python 3.14
        except (OSError, imaplib.IMAP4.abort):
            return False
        finally:
            self._client.sock.settimeout(self._timeout)
        return True

    def interrupt(self) -> None:
        """End whatever another thread waits for; the connection is gone."""
        with contextlib.suppress(OSError):
            self._client.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close without a word."""
        with contextlib.suppress(*ERRORS):
            self._client.shutdown()

    def _checked(self, answer: str) -> None:
        if answer != "OK":
            raise imaplib.IMAP4.error("the server says no")
