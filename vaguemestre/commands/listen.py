"""``listen``: an MLLP receiver with scripted answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from channels.errors import ConfigError, ParseError
from channels.fields import TlsServer
from connectors.tls import server_context
from transforms import er7
from vaguemestre.commands.files import here
from vaguemestre.simulators.systems import answer_to
from vaguemestre.simulators.wire import Listener

_CODES = ("AA", "AE", "AR", "CA", "CE", "CR")
CLOSE = "close"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class _Sink:
    """Answers, shows and keeps what comes."""

    def __init__(self, answers: list[str], save: Path | None, delay: float, count: int, *, as_json: bool) -> None:
        self._answers: Iterator[str] = itertools.chain(answers, itertools.repeat(answers[-1]))
        self._save, self._delay, self._count, self._as_json = save, delay, count, as_json
        self._console = Console(highlight=False, soft_wrap=True)
        self.received = 0
        self.enough = asyncio.Event()

    async def answer(self, body: bytes) -> bytes | None:
        """See ``wire.Answer``."""
        self.received += 1
        number, code = self.received, next(self._answers)
        try:
            header = er7.peek(body)
        except ParseError as error:
            header, code = None, CLOSE
            self._show(number, "?", "", "", len(body), f"unreadable ({error.place})")
        if header is not None:
            self._show(number, header.kind, header.control_id, header.sender, len(body), code)
        if self._save is not None:
            name = _UNSAFE.sub("_", header.control_id)[:60] if header else "unreadable"
            (self._save / f"{number:06}-{name}.hl7").write_bytes(body)
        await asyncio.sleep(self._delay)
        if number >= self._count > 0:
            asyncio.get_running_loop().call_later(0.1, self.enough.set)
        return None if header is None or code == CLOSE else answer_to(header, code)

    def _show(self, number: int, kind: str, control_id: str, sender: str, size: int, answer: str) -> None:
        now = time.strftime("%H:%M:%S")
        if self._as_json:
            row = {
                "number": number,
                "time": now,
                "kind": kind,
                "control_id": control_id,
                "sender": sender,
                "size": size,
            }
            typer.echo(json.dumps({**row, "answer": answer}, ensure_ascii=False))
            return
        colour = "green" if answer in ("AA", "CA") else "yellow"
        words = f"{escape(kind)}  {escape(control_id)}  {escape(sender)}  {size} B"
        self._console.print(f"[dim]{number:6} {now}[/]  {words}  [{colour}]{escape(answer)}[/]")


def listen(
    port: Annotated[int, typer.Argument(min=0, max=65535, help="TCP port; 0 takes a free one and tells it.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the network.")] = "127.0.0.1",
    answers: Annotated[
        str, typer.Option(help="Codes to answer, in order; the last one goes on. `close` cuts the connection.")
    ] = "AA",
    save: Annotated[Path | None, typer.Option(help="Folder to write the messages to, one file each.")] = None,
    delay: Annotated[float, typer.Option(min=0, help="Seconds before each answer.")] = 0.0,
    count: Annotated[int, typer.Option(min=0, help="Leave after this many messages; 0 is until Ctrl-C.")] = 0,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of certificate and key: TLS is then required.")
    ] = None,
    clients: Annotated[
        Path | None, typer.Option(help="PEM file of authorities: clients must show a certificate.")
    ] = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON line a message.")] = False,
) -> None:
    """Receive messages over MLLP, show each one's header, and answer as told.

    Examples: vaguemestre listen 2675

    vaguemestre listen 2675 --answers AR,AR,AA --delay 2 --save received
    """
    codes = [code.strip() for code in answers.split(",") if code.strip()]
    codes = [code if code == CLOSE else code.upper() for code in codes]
    unknown = [code for code in codes if code not in (*_CODES, CLOSE)]
    if unknown or not codes:
        raise ConfigError(f"--answers takes {', '.join(_CODES)} and {CLOSE}, with commas")
    if clients and not certificate:
        raise ConfigError("--clients needs --certificate")
    context = server_context(TlsServer(certificate=certificate, clients=clients), here()) if certificate else None
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)

    async def serve() -> int:
        sink = _Sink(codes, save, delay, count, as_json=json_)
        listener = Listener(sink.answer, host=host, port=port, tls=context)
        await listener.start()
        typer.echo(f"listening on {host}:{listener.port}", err=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in the loop
                asyncio.get_running_loop().add_signal_handler(number, sink.enough.set)
        await sink.enough.wait()
        await listener.stop()
        return sink.received

    typer.echo(f"{asyncio.run(serve())} messages received", err=True)
