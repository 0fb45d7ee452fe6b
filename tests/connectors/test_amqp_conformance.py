"""The amqp connector in the suite that every connector passes, against RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
import pytest

from channels.ports import Destination, Source
from connectors.amqp import AmqpDestination, AmqpDestinationSettings, AmqpSource, AmqpSourceSettings
from tests.connectors.conformance import DestinationCase, DestinationConformance, SourceCase, SourceConformance
from tests.connectors.intake import surroundings
from tests.connectors.rabbitmq import RabbitMQ
from tests.connectors.relay import AmqpWatcher, Relay

pytestmark = pytest.mark.timeout(120)  # the first test waits for the broker


class Publisher(SourceCase):
    """A program that publishes to a queue; a relay on the way sees what is acknowledged."""

    def __init__(self, directory: Path, broker: RabbitMQ) -> None:
        super().__init__()
        self.directory, self.queue = directory, f"in-{uuid4().hex}"
        self.watcher = AmqpWatcher()
        self.acknowledged, self.rejected = self.watcher.acknowledged, self.watcher.rejected
        self.relay = Relay(broker.port, self.watcher.taps)
        self.connection = kombu.Connection(broker.url)
        self.channel = self.connection.channel()
        self.channel.queue_declare(self.queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        self.producer = kombu.Producer(self.channel, routing_key=self.queue, auto_declare=False)

    def build(self) -> Source:
        settings = AmqpSourceSettings.model_validate(
            {"url": f"amqp://guest:guest@127.0.0.1:{self.relay.port}//", "queue": self.queue, "prefetch": self.limit}
        )
        return AmqpSource(settings, surroundings(self.directory))

    async def send(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self.producer.publish(body, content_type="application/hl7-v2", content_encoding="binary")

    async def close(self) -> None:
        await self.relay.down()
        self.channel.queue_delete(self.queue)
        self.connection.close()


class TestAmqpSource(SourceConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path, rabbitmq: RabbitMQ) -> AsyncIterator[SourceCase]:
        made = Publisher(tmp_path, rabbitmq)
        await made.relay.up()
        yield made
        await made.close()


class Consumer(DestinationCase):
    """A queue that others empty."""

    def __init__(self, directory: Path, broker: RabbitMQ) -> None:
        self.directory, self.queue, self.timeout = directory, f"out-{uuid4().hex}", "20s"
        self.relay = Relay(broker.port)
        self.connection = kombu.Connection(broker.url)
        self.channel = self.connection.channel()
        self.found: list[Any] = []

    def build(self) -> Destination:
        settings = AmqpDestinationSettings.model_validate(
            {
                "url": f"amqp://guest:guest@127.0.0.1:{self.relay.port}//",
                "queue": self.queue,
                "declare": "quorum",
                "timeout": self.timeout,
            }
        )
        return AmqpDestination(settings, surroundings(self.directory, "sgl"))

    async def received(self) -> list[bytes]:
        while (message := self.channel.basic_get(self.queue, no_ack=True)) is not None:
            self.found.append(message)
        return [message.body for message in self.found]

    async def up(self) -> None:
        await self.relay.up()

    async def down(self) -> None:
        await self.relay.down()

    async def refuse(self) -> None:
        pytest.skip("a queue takes every message that is not too large for its broker")

    async def mute(self) -> None:
        self.timeout = "300ms"
        self.relay.silent = True

    async def close(self) -> None:
        await self.relay.down()
        self.channel.queue_delete(self.queue)
        self.connection.close()


class TestAmqpDestination(DestinationConformance):
    @pytest.fixture
    async def case(self, tmp_path: Path, rabbitmq: RabbitMQ) -> AsyncIterator[DestinationCase]:
        made = Consumer(tmp_path, rabbitmq)
        await made.up()
        yield made
        await made.close()
