"""The http connector in the suite that every connector passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.fields import HostPort
from channels.ports import Destination, Source
from connectors.http import HttpDestination, HttpDestinationSettings, HttpSource, HttpSourceSettings
from connectors.shared.listener import Listener
from tests.connectors.conformance import DestinationCase, DestinationConformance, SourceCase, SourceConformance, hl7
from tests.connectors.intake import free_port, surroundings


class Posters(SourceCase):
    """A program that posts one message after the other, and those that post at once."""

    resends = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.port = directory, free_port()
        self.client = httpx.AsyncClient(timeout=20, trust_env=False)
        self.tasks: list[asyncio.Task[None]] = []

    def build(self) -> Source:
        settings = HttpSourceSettings.model_validate({"listen": f"127.0.0.1:{self.port}", "unanswered": self.limit})
        return HttpSource(settings, surroundings(self.directory))

    async def send(self, bodies: Iterable[bytes]) -> None:
        self.tasks.append(asyncio.create_task(self.post_all(list(bodies))))

    async def burst(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            await self.send([body])

    async def post_all(self, bodies: list[bytes]) -> None:
        for body in bodies:
            try:
                answer = await self.client.post(
                    f"http://127.0.0.1:{self.port}/", content=body, headers={"Content-Type": "application/hl7-v2"}
                )
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                assert b"\rMSA|AA|" in answer.content
                self.acknowledged.append(body)
            elif answer.status_code in (400, 422):
                self.rejected.append(body)

    async def close(self) -> None:
        await asyncio.gather(*self.tasks)
        await self.client.aclose()


class TestHttpSource(SourceConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[SourceCase]:
        made = Posters(tmp_path)
        yield made
        await made.close()


class Server(DestinationCase):
    """A server that takes messages."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.bodies: list[bytes] = []
        self.refusing = self.silent = False
        self.over = asyncio.Event()
        self.listener: Listener | None = None

    def build(self) -> Destination:
        settings = HttpDestinationSettings.model_validate(
            {"url": f"http://127.0.0.1:{self.port}/in", "timeout": "300ms" if self.silent else "20s"}
        )
        return HttpDestination(settings, surroundings(self.directory, "sgl"))

    async def take(self, request: Request) -> Response:
        body = await request.body()
        if self.silent:
            await self.over.wait()
        if self.refusing and body == hl7(1):
            return Response(body, 422)
        self.bodies.append(body)
        return Response(b"taken", 201, {"Location": "/in/1"})

    async def received(self) -> list[bytes]:
        return self.bodies

    async def up(self) -> None:
        route = Route("/in", self.take, methods=["POST"])
        self.listener = Listener([route], context=None, patience=20, connections=100)
        await self.listener.start(HostPort("127.0.0.1", self.port))

    async def down(self) -> None:
        self.over.set()
        if self.listener is not None:
            await self.listener.stop()

    async def refuse(self) -> None:
        self.refusing = True

    async def mute(self) -> None:
        self.silent = True


class TestHttpDestination(DestinationConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[DestinationCase]:
        made = Server(tmp_path)
        await made.up()
        yield made
        await made.down()
