"""What AMQP adds to the suite: queues, dead letters, confirmations, certificates, a broker that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
import pytest

from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.message import Message
from connectors.amqp import AmqpDestination, AmqpDestinationSettings, AmqpSource, AmqpSourceSettings
from tests.connectors.certificates import Certificates
from tests.connectors.conformance import eventually_sent, hl7, message, without_secret
from tests.connectors.intake import ListIntake, eventually, surroundings
from tests.connectors.rabbitmq import RabbitMQ
from tests.connectors.relay import AmqpWatcher, Relay

pytestmark = pytest.mark.timeout(120)  # the first test waits for the broker


class Bench:
    """A broker seen through a relay, a queue of this test alone, and what the test builds."""

    def __init__(self, site: Path, broker: RabbitMQ) -> None:
        self.site, self.broker, self.intake = site, broker, ListIntake()
        self.name = f"test-{uuid4().hex}"
        self.watcher = AmqpWatcher()
        self.relay = Relay(broker.port, self.watcher.taps)
        self.connection = kombu.Connection(broker.url)
        self.channel = self.connection.channel()
        self.queues: list[str] = []
        self.built: list[AmqpSource | AmqpDestination] = []

    def queue(self, suffix: str = "", **arguments: Any) -> str:
        name = f"{self.name}{suffix}"
        found = {"x-queue-type": "quorum"} | {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        self.channel.queue_declare(name, durable=True, auto_delete=False, arguments=found)
        self.queues.append(name)
        return name

    def publish(self, body: bytes, **properties: Any) -> None:
        producer = kombu.Producer(self.channel, routing_key=self.name, auto_declare=False)
        producer.publish(body, content_type="x/y", content_encoding="binary", **properties)

    def get(self, suffix: str = "") -> Any:
        return self.channel.basic_get(f"{self.name}{suffix}", no_ack=True)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.relay.port}//"

    def source(self, **options: Any) -> AmqpSource:
        settings = AmqpSourceSettings.model_validate({"url": self.url, "queue": self.name} | options)
        self.built.append(found := AmqpSource(settings, surroundings(self.site)))
        return found

    def destination(self, **options: Any) -> AmqpDestination:
        settings = AmqpDestinationSettings.model_validate({"url": self.url} | options)
        self.built.append(found := AmqpDestination(settings, surroundings(self.site, "sgl")))
        return found

    async def close(self) -> None:
        self.intake.release()
        for one in self.built:
            await (one.stop() if isinstance(one, AmqpSource) else one.aclose())
        await self.relay.down()
        for name in self.queues:
            self.channel.queue_delete(name)
        self.connection.close()


@pytest.fixture
async def bench(tmp_path: Path, rabbitmq: RabbitMQ) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, rabbitmq)
    await made.relay.up()
    yield made
    await made.close()


# the source


async def test_a_message_says_where_it_came_from(bench: Bench) -> None:
    bench.queue()
    bench.publish(b"\xff<xml/>", message_id="m7", app_id="SGL")
    bench.publish(b"<xml/>")
    await bench.source(format="xml").start(bench.intake)
    await bench.intake.until(lambda: len(bench.intake.messages) == 2)
    first, second = bench.intake.messages
    assert (first.format, first.body, first.control_id, first.sender) == ("xml", b"\xff<xml/>", "m7", "SGL")
    assert first.attributes == {"routing_key": bench.name, "message_id": "m7"}
    assert (second.control_id, second.sender) == ("", "")


async def test_a_refused_message_goes_to_the_dead_letters_of_its_queue(bench: Bench) -> None:
    bench.queue("-dead")
    bench.channel.exchange_declare(bench.name, "fanout", durable=True, auto_delete=False)
    bench.channel.queue_bind(f"{bench.name}-dead", bench.name)
    bench.queues.append(bench.name)
    bench.intake.refuse_with = lambda one: MessageError("no", "PID-3")
    await bench.source(declare="quorum", dead_letter_exchange=bench.name).start(bench.intake)
    await eventually(lambda: bench.relay.connections == 1)
    destination = bench.destination(queue=bench.name, declare="quorum", dead_letter_exchange=bench.name)
    await destination.start()
    await eventually_sent(destination, message(1))  # two that declare one queue at once may fail once
    await bench.intake.until(lambda: bool(bench.intake.refused))
    found = None
    while found is None:
        await asyncio.sleep(0.01)
        found = bench.get("-dead")
    assert found.body == hl7(1)
    bench.channel.exchange_delete(bench.name)


async def test_a_refused_message_may_be_put_back(bench: Bench) -> None:
    refusals = [MessageError("no")]
    bench.intake.refuse_with = lambda one: refusals.pop() if refusals else None
    bench.queue()
    bench.publish(hl7(1))
    await bench.source(requeue=True).start(bench.intake)
    await bench.intake.until(lambda: bench.intake.bodies == [hl7(1)])
    assert bench.watcher.requeued == [hl7(1)]
    assert bench.intake.messages[0].attributes["redelivered"] == "true"


async def test_a_queue_that_does_not_exist_yet_is_waited_for(bench: Bench) -> None:
    await bench.source().start(bench.intake)
    await eventually(lambda: bench.relay.connections > 0)
    bench.queue()
    bench.publish(hl7(1))
    await bench.intake.until(lambda: bool(bench.intake.messages))


async def test_a_queue_is_made_when_asked(bench: Bench) -> None:
    bench.queues.append(bench.name)
    await bench.source(declare="classic").start(bench.intake)
    destination = bench.destination(queue=bench.name, declare="classic")
    await destination.start()
    await destination.send(message(1))
    await bench.intake.until(lambda: bench.intake.bodies == [hl7(1)])


async def test_what_was_not_answered_when_the_connection_broke_comes_again(bench: Bench) -> None:
    bench.queue()
    bench.intake.held = True
    await bench.source().start(bench.intake)
    bench.publish(hl7(1))
    bench.publish(hl7(2))
    await bench.intake.until(lambda: len(bench.intake.waiting) == 2)
    bench.relay.cut()
    await bench.intake.until(lambda: len(bench.intake.waiting) == 4)
    bench.intake.release()
    await eventually(lambda: len(bench.watcher.acknowledged) == 2)
    assert bench.intake.bodies == [hl7(1), hl7(2), hl7(1), hl7(2)]
    assert sorted(bench.watcher.acknowledged) == [hl7(1), hl7(2)]
    assert bench.relay.connections == 2


async def test_what_broke_before_it_was_handed_in_is_handed_in_once(bench: Bench) -> None:
    bench.queue()
    bench.intake.held = True
    bodies = [hl7(number, b"NTE|1||" + b"x" * 9_000_000 + b"\r") for number in range(10, 20)]
    source = bench.source()
    await source.start(bench.intake)
    for body in bodies:
        bench.publish(body)
    await bench.intake.until(lambda: len(bench.intake.waiting) >= 7)  # 64 MB: the others wait in the line
    await eventually(lambda: source._arrived.qsize() > 0)
    bench.relay.cut()
    await eventually(lambda: bench.relay.connections == 2 and source._connections == 2)
    bench.intake.release()
    await eventually(lambda: len(bench.watcher.acknowledged) == len(bodies))
    assert set(bench.intake.bodies) == set(bodies)
    assert sorted(bench.watcher.acknowledged) == sorted(bodies)


async def test_a_queue_that_is_deleted_under_it_is_found_again(bench: Bench) -> None:
    bench.queue()
    await bench.source().start(bench.intake)
    bench.publish(hl7(1))
    await eventually(lambda: bench.watcher.acknowledged == [hl7(1)])
    bench.channel.queue_delete(bench.name)
    await eventually(lambda: bench.relay.connections > 1)
    bench.queue()
    bench.publish(hl7(2))
    await bench.intake.until(lambda: bench.intake.bodies == [hl7(1), hl7(2)])


async def test_it_stops_while_its_broker_is_away(bench: Bench) -> None:
    bench.queue()
    await bench.relay.down()
    source = bench.source(timeout="200ms")
    await source.start(bench.intake)
    await asyncio.sleep(0.05)
    await source.stop()
    assert bench.intake.seen == []


async def test_an_idle_connection_is_kept_alive_and_a_dead_one_is_noticed(bench: Bench) -> None:
    bench.queue()
    await bench.source(heartbeat="1s", timeout="1s").start(bench.intake)
    destination = bench.destination(queue=bench.name, heartbeat="1s", timeout="1s")
    await destination.start()
    await destination.send(message(1))
    await bench.intake.until(lambda: bench.intake.bodies == [hl7(1)])
    await asyncio.sleep(3.5)  # the broker would close a silent client after two seconds
    await destination.send(message(2))
    await bench.intake.until(lambda: bench.intake.bodies == [hl7(1), hl7(2)])
    assert bench.relay.connections == 2
    bench.relay.silent = True
    await eventually(lambda: bench.relay.connections == 3)
    bench.relay.silent = False
    bench.relay.cut()
    bench.publish(hl7(3))
    await bench.intake.until(lambda: hl7(3) in bench.intake.bodies)


# the destination


async def test_what_is_published_is_persistent_and_says_what_it_is(bench: Bench) -> None:
    bench.queue()
    destination = bench.destination(queue=bench.name)
    await destination.start()
    assert (await destination.send(message(7))).reference == "7"
    await destination.send(Message(b"%PDF", "pdf", id=8))
    first, second = bench.get(), bench.get()
    assert first.body == hl7(7)
    properties = first.properties
    assert (properties["message_id"], properties["delivery_mode"], properties["app_id"]) == ("7", 2, "vaguemestre")
    assert properties["content_type"] == "application/hl7-v2"
    expected = {"kind": "ADT^A01", "sender": "GAP|CHU", "format": "hl7v2", "id": "7"}
    assert expected.items() <= properties["application_headers"].items()
    assert (second.properties["message_id"], second.properties["content_type"]) == ("8", "application/pdf")


async def test_an_exchange_routes_and_what_no_queue_takes_is_sent_again(bench: Bench) -> None:
    bench.queue()
    destination = bench.destination(exchange="amq.topic", routing_key=f"adt.{bench.name}")
    await destination.start()
    with pytest.raises(Undelivered, match=r"^no queue takes it \(312\)$"):
        await destination.send(message(1))
    bench.channel.queue_bind(bench.name, "amq.topic", f"adt.{bench.name}")
    await destination.send(message(1))
    assert bench.get().body == hl7(1)
    assert bench.relay.connections == 1


@pytest.mark.parametrize("options", [{"queue": "absent"}, {"exchange": "absent"}])
async def test_a_queue_or_exchange_that_does_not_exist_is_waited_for(bench: Bench, options: dict[str, Any]) -> None:
    destination = bench.destination(**options)
    await destination.start()
    with pytest.raises(Undelivered, match=r"^NotFound \(404\)$"):
        await destination.send(message(1))


async def test_a_queue_with_other_properties_is_said(bench: Bench) -> None:
    bench.queue()
    destination = bench.destination(queue=bench.name, declare="classic")
    await destination.start()
    with pytest.raises(Undelivered, match=r"^PreconditionFailed \(406\)$"):
        await destination.send(message(1))


async def test_a_queue_that_is_full_means_not_now(bench: Bench) -> None:
    bench.queue(max_length=1, overflow="reject-publish")
    destination = bench.destination(queue=bench.name)
    await destination.start()
    sends = [destination.send(message(number)) for number in range(10)]  # a quorum queue notices late that it is full
    failed = [one for one in await asyncio.gather(*sends, return_exceptions=True) if isinstance(one, Undelivered)]
    assert {str(one) for one in failed} == {"the broker did not take it (nack)"}
    assert bench.get().body == hl7(0)


async def test_a_message_larger_than_the_broker_takes_is_refused(bench: Bench) -> None:
    bench.queue()
    destination = bench.destination(queue=bench.name)
    await destination.start()
    with pytest.raises(Refused, match=r"^PreconditionFailed \(406\)$") as raised:
        await destination.send(message(1, b"x" * 13_000_000))
    assert without_secret(raised.value)
    await destination.send(message(2))
    assert bench.get().body == hl7(2)


async def test_a_wrong_password_waits(bench: Bench) -> None:
    destination = bench.destination(url=bench.url.replace("guest:guest", "guest:DUPONT-SECRET"), queue=bench.name)
    await destination.start()
    with pytest.raises(Undelivered, match="AccessRefused") as raised:
        await destination.send(message(1))
    assert without_secret(raised.value)


async def test_a_closed_destination_sends_nothing_and_leaves_nobody_waiting(bench: Bench) -> None:
    bench.relay.silent = True
    destination = bench.destination(queue=bench.name, timeout="500ms")
    await destination.start()
    sends = [asyncio.create_task(destination.send(message(number))) for number in (1, 2)]
    await eventually(lambda: bench.relay.connections == 1)
    await destination.aclose()
    for failed in await asyncio.gather(*sends, return_exceptions=True):
        assert isinstance(failed, Undelivered)
    with pytest.raises(Undelivered, match="the destination is closed"):
        await destination.send(message(3))


# certificates and settings


async def test_both_sides_show_certificates(bench: Bench, rabbitmq: RabbitMQ, issued: Certificates) -> None:
    bench.queue()
    secure = {
        "url": f"amqps://guest:guest@127.0.0.1:{rabbitmq.tls_port}//",
        "tls": {
            "authorities": str(issued.authority),
            "certificate": str(issued.client_certificate),
            "key": str(issued.client_key),
        },
    }
    await bench.source(**secure).start(bench.intake)
    destination = bench.destination(queue=bench.name, **secure)
    await destination.start()
    bodies = [hl7(1), hl7(2, b"ZZZ|" + b"x" * 3_000_000), hl7(3)]
    for number, body in enumerate(bodies, 1):
        await destination.send(message(number, body[len(hl7(number)) :]))
    await bench.intake.until(lambda: len(bench.intake.messages) == 3)
    assert bench.intake.bodies == bodies
    for wrong in ({"authorities": str(issued.authority), "server_name": "other.example"}, None):
        other = bench.destination(url=secure["url"], queue=bench.name, **({"tls": wrong} if wrong else {}))
        await other.start()
        with pytest.raises(Undelivered, match="SSLCertVerificationError"):
            await other.send(message(4))


async def test_a_missing_certificate_is_an_error_at_start(bench: Bench) -> None:
    secure = {"url": "amqps://127.0.0.1:1//", "tls": {"authorities": "absent.pem"}}
    with pytest.raises(ConfigError, match=r"absent\.pem cannot be read"):
        await bench.source(**secure).start(bench.intake)
    with pytest.raises(ConfigError, match=r"absent\.pem cannot be read"):
        await bench.destination(queue="q", **secure).start()
    with pytest.raises(ConfigError, match="takes PEM files only"):
        await bench.destination(queue="q", **secure | {"tls": {"certificate": "ours.p12"}}).start()


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"url": "http://host/"}, "an address such as amqp://"),
        ({"url": "amqp:///vhost"}, "an address such as amqp://"),
        ({"tls": {}}, "begins with amqps://"),
        ({"url": "amqps://h/", "tls": {"password": "p"}}, "without password"),
        ({"dead_letter_exchange": "x"}, "a queue that is declared"),
        ({"exchange": "x"}, "`queue` or `exchange`, one of them"),
        ({"queue": None}, "`queue` or `exchange`, one of them"),
        ({"routing_key": "x"}, "`routing_key` belongs to `exchange`"),
    ],
)
def test_settings_that_are_wrong_are_said(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AmqpDestinationSettings.model_validate({"url": "amqp://u:hidden@host/", "queue": "q"} | options)
