"""The control socket: how the commands speak to a running engine.

One JSON object a line, each way: ``{"do": "hold", "route": "adt-fanout/dpi", "who": …}`` is answered ``{"result": …}``
or ``{"error": "…"}``. The socket file belongs to the engine's user and to nobody else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import structlog

from channels.delivery import Route
from channels.errors import ConfigError, VaguemestreError
from channels.supervisor import Supervisor, master_keys

log = structlog.get_logger()

_LINE = 100_000_000
"""Bytes of the longest request: a large message to replay."""


class Replay(NamedTuple):
    """One message to send again.

    destinations: names in its channel. body: base64 of what to send in its place, ``""`` for what came.
    """

    channel: str
    message: int
    destinations: tuple[str, ...]
    body: str = ""

    @property
    def bytes(self) -> bytes | None:
        """The body, when it is another one."""
        return base64.b64decode(self.body) if self.body else None


class ControlServer:
    """Answers the commands of operators on this machine."""

    def __init__(self, supervisor: Supervisor, path: Path) -> None:
        """path: of the socket file; a stale one is replaced."""
        self._supervisor, self._path = supervisor, path
        self._server: asyncio.Server | None = None
        self._commands: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "state": self._state,
            "hold": self._hold,
            "release": self._release,
            "skip": self._skip,
            "replay": self._replay,
            "reload": self._reload,
            "rotate": self._rotate,
        }

    async def start(self) -> None:
        """Listen. Raises ConfigError when the path cannot be used."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_LINE)
        except OSError as error:
            raise ConfigError(f"the control socket {self._path} cannot be made: {error.strerror or error}") from error
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command = self._commands[request["do"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "not a command"}
        try:
            return {"result": await command(request)}
        except VaguemestreError as error:
            return {"error": str(error)}
        except apsw.Error as error:
            return {"error": f"the journal cannot be written: {type(error).__name__}"}
        except KeyError as error:
            return {"error": f"missing or unknown: {error.args[0]}"}

    def _audit(self, request: dict[str, Any], thing: str, detail: str = "") -> None:
        self._supervisor.journal.catalog.audit(str(request.get("who", "?")), request["do"], thing, detail)

    async def _state(self, _request: dict[str, Any]) -> Any:
        return self._supervisor.state()

    def _route(self, route: str) -> Route:
        channel, _, name = route.partition("/")
        try:
            return self._supervisor.channels[channel].routes[name]
        except KeyError:
            raise ConfigError(f"no destination is called {route}") from None

    async def _hold(self, request: dict[str, Any]) -> Any:
        lanes = self._route(request["route"]).lanes
        self._supervisor.journal.catalog.hold(
            request["route"], str(request.get("who", "?")), str(request.get("why", ""))
        )
        self._audit(request, request["route"], str(request.get("why", "")))
        lanes.held = True
        return lanes.state()

    async def _release(self, request: dict[str, Any]) -> Any:
        lanes = self._route(request["route"]).lanes
        self._supervisor.journal.catalog.release(request["route"])
        self._audit(request, request["route"])
        lanes.release()
        return lanes.state()

    async def _skip(self, request: dict[str, Any]) -> Any:
        number = int(request["message"])
        skipped = self._route(request["route"]).skip(number, str(request.get("why", "skipped by an operator")))
        if not skipped:
            raise ConfigError(f"message {number} does not wait for {request['route']}, or is being sent right now")
        self._audit(request, request["route"], f"message {number}")
        return True

    async def _replay(self, request: dict[str, Any]) -> Any:
        """Replay messages, one after the other, at most ``rate`` a second; answers the new numbers."""
        channels, pause = self._supervisor.channels, 1.0 / float(request["rate"])
        made: list[int] = []
        try:
            for values in request["messages"]:
                one = Replay(*values)
                if one.channel not in channels:
                    raise ConfigError(f"message {one.message} cannot be replayed: {one.channel} does not run")
                made.append(await channels[one.channel].replay(one.message, tuple(one.destinations), one.bytes))
                await asyncio.sleep(pause)
        except VaguemestreError as error:
            raise ConfigError(f"{error}; {len(made)} messages had been sent") from error
        finally:
            self._audit(request, f"{len(made)} messages")
        return made

    async def _reload(self, request: dict[str, Any]) -> Any:
        words = await self._supervisor.reload(str(request.get("who", "?")), str(request.get("why", "")))
        self._audit(request, self._supervisor.loaded.site.site, f"{len(words)} changes")
        return words

    async def _rotate(self, request: dict[str, Any]) -> Any:
        """Read the key file again and wrap every key under its newest line; answers how many."""
        loaded, catalog = self._supervisor.loaded, self._supervisor.journal.catalog
        keys = master_keys(loaded.site.journal, loaded.directory)
        if keys is None:
            raise ConfigError("the journal is not encrypted")
        count = catalog.rotate(keys)
        self._audit(request, "master key", f"{count} keys")
        return count


def ask(path: Path, request: dict[str, Any], timeout: float = 30.0) -> Any:
    """One request to a running engine. Raises ConfigError when none answers or it says no.

    timeout: seconds to wait for the answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise NotRunning(f"no engine answers at {path}") from error
    if "error" in answer:
        raise ConfigError(answer["error"])
    if "result" not in answer:
        raise ConfigError(f"the engine at {path} closed the connection without an answer")
    return answer["result"]


class NotRunning(ConfigError):
    """No engine listens on the control socket."""
