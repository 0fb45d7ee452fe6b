"""``send``: an MLLP client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ConfigDict, TypeAdapter, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from channels.errors import ConfigError, ParseError
from channels.fields import Address, HostPort, TlsClient
from connectors.tls import client_context
from transforms import batch, er7
from transforms.ack import Answer, read_ack
from vaguemestre.commands.files import here, read_bytes
from vaguemestre.simulators.wire import Client

_SHOWN = 50
"""Acknowledgements that are shown one by one; the summary counts all."""


@dataclass(slots=True)
class _Sending:
    """What was sent and what came back."""

    console: Console
    as_json: bool
    codes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    shown: int = 0

    def note(self, body: bytes, answer: Answer | None, problem: str, seconds: float) -> None:
        """One message and its answer."""
        code = answer.code if answer else "none"
        self.codes[code] += 1
        if answer:
            self.latencies.append(seconds)
        row = _row(body, answer, problem, seconds)
        if self.as_json:
            typer.echo(json.dumps(row, ensure_ascii=False))
        elif self.shown < _SHOWN or code not in ("AA", "CA"):
            self.shown += 1
            colour = "green" if code in ("AA", "CA") else "red"
            places = "; ".join(f"{one['place'] or 'message'}: {one['code']} {one['problem']}" for one in row["errors"])
            told = f"[{colour}]{code}[/]  {escape(row['kind'])} {escape(row['control_id'])}  {seconds * 1000:.1f} ms"
            self.console.print(f"{told}  {escape(problem or places)}")

    def summary(self, seconds: float) -> dict[str, Any]:
        """Counts and latencies in milliseconds."""
        count = sum(self.codes.values())
        ordered = sorted(self.latencies)
        return {
            "sent": count,
            "answers": dict(self.codes),
            "seconds": round(seconds, 3),
            "per_second": round(count / seconds, 1) if seconds else 0.0,
            "latency_ms": {f"p{part}": _percentile(ordered, part) for part in (50, 90, 99, 100)} if ordered else {},
        }


def _row(body: bytes, answer: Answer | None, problem: str, seconds: float) -> dict[str, Any]:
    try:
        header = er7.peek(body)
        kind, control_id = header.kind, header.control_id
    except ParseError:
        kind = control_id = ""
    errors = [{"place": one.place, "code": one.code, "problem": one.problem} for one in answer.errors] if answer else []
    return {
        "kind": kind, "control_id": control_id, "code": answer.code if answer else "", "errors": errors,
        "problem": problem, "ms": round(seconds * 1000, 2),
    }  # fmt: skip


def _percentile(ordered: list[float], part: int) -> float:
    return round(ordered[min(len(ordered) - 1, len(ordered) * part // 100)] * 1000, 2)


def send(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the receiver.")],
    files: Annotated[list[str], typer.Argument(help="Files of one or many messages; - is standard input.")],
    rate: Annotated[
        float, typer.Option(help="Messages a second, over all connections; 0 is as fast as answers come.")
    ] = 0.0,
    connections: Annotated[
        int, typer.Option(min=1, max=1000, help="Connections; with several, order is not kept.")
    ] = 1,
    repeat: Annotated[int, typer.Option(min=0, help="How many times everything is sent; 0 is until Ctrl-C.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 30.0,
    *,
    tls: Annotated[bool, typer.Option("--tls", help="Connect with TLS, trusting the system's authorities.")] = False,
    authorities: Annotated[Path | None, typer.Option(help="PEM file of trusted authorities (implies --tls).")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of our certificate and key, for mutual TLS.")
    ] = None,
    server_name: Annotated[str | None, typer.Option(help="Name expected in the receiver's certificate.")] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON line a message, then one of the summary.")
    ] = False,
) -> None:
    """Send messages over MLLP and show what is answered: code, condition and place, then times.

    Examples: vaguemestre send 127.0.0.1:2575 adt.hl7

    vaguemestre send dpi.chu.example:2575 journee.hl7 --rate 20 --connections 4

    Exit code 1 when a message was not accepted, 2 when nobody answers at the address.
    """
    target = _address(address)
    context = None
    if tls or authorities or certificate or server_name:
        settings = TlsClient(authorities=authorities, certificate=certificate, server_name=server_name)
        context = client_context(settings, here())
    bodies = [body for file in files for body in batch.split(read_bytes(file))]
    sending = _Sending(Console(highlight=False, soft_wrap=True), json_)
    began = time.perf_counter()
    clients = [
        Client(*target, tls=context, server_name=server_name, timeout=timeout)
        for _ in range(min(connections, len(bodies)))
    ]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_send_all(clients, _repeated(bodies, repeat), rate, sending))
    summary = sending.summary(time.perf_counter() - began)
    if json_:
        typer.echo(json.dumps(summary))
    else:
        _show(sending.console, summary)
    if sending.codes["none"] == sum(sending.codes.values()):
        raise typer.Exit(2)
    if set(sending.codes) - {"AA", "CA"}:
        raise typer.Exit(1)


def _address(text: str) -> HostPort:
    try:
        made: HostPort = TypeAdapter(Address, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{text}: an address is written host:port") from None
    return made


def _repeated(bodies: list[bytes], times: int) -> Iterator[bytes]:
    rounds = itertools.repeat(bodies, times) if times else itertools.repeat(bodies)
    return itertools.chain.from_iterable(rounds)


async def _send_all(clients: list[Client], bodies: Iterator[bytes], rate: float, sending: _Sending) -> None:
    loop = asyncio.get_running_loop()
    start, numbers = loop.time(), itertools.count()

    async def one_connection(client: Client) -> None:
        for body in bodies:
            if rate:
                await asyncio.sleep(max(0.0, start + next(numbers) / rate - loop.time()))
            await _exchange(client, body, sending)
        await client.aclose()

    await asyncio.gather(*(one_connection(client) for client in clients))


async def _exchange(client: Client, body: bytes, sending: _Sending) -> None:
    began = time.perf_counter()
    answer, problem = None, ""
    try:
        answer = read_ack(await client.exchange(body))
    except TimeoutError:
        problem = "no answer in time"
    except ssl.SSLError as error:
        problem = f"TLS: {error.reason or error}"
    except OSError as error:
        problem = error.strerror or str(error)
    except ParseError as error:
        problem = f"the answer is no acknowledgement: {error}"
    sending.note(body, answer, problem, time.perf_counter() - began)


def _show(console: Console, summary: dict[str, Any]) -> None:
    table = Table(title=f"{summary['sent']} messages in {summary['seconds']} s, {summary['per_second']} a second")
    for name in (*summary["answers"], *summary["latency_ms"]):
        table.add_column(name, justify="right")
    table.add_row(
        *(str(count) for count in summary["answers"].values()),
        *(f"{value} ms" for value in summary["latency_ms"].values()),
    )
    console.print(table)
