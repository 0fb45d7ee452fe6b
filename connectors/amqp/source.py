"""Messages of a queue, acknowledged to the broker once the channel has them on disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import socket
import ssl
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import kombu
import structlog
from pydantic import Field

from channels.fields import Settings
from channels.ports import Intake, Outcome, Surroundings
from connectors.amqp.broker import ERRORS, AmqpBroker, Broker, said
from connectors.shared.arrivals import Arrival, Charset, Format, Line, arrive

log = structlog.get_logger()

_AT_ONCE = 64_000_000
"""Bytes unanswered at most (one message alone may be larger)."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds before the broker is tried again."""


class AmqpSourceSettings(AmqpBroker):
    """Takes the messages of a queue; each is acknowledged to the broker once the channel has it on disk."""

    queue: str = Field(min_length=1, description="The queue.")
    prefetch: int = Field(
        50, ge=1, le=1000, description="Messages that the broker hands over before the first is stored."
    )
    requeue: bool = Field(
        False,
        description="What becomes of a refused message: false, the broker drops it or dead-letters it, as the queue "
        "says; true, it comes again, without end unless the queue has a limit.",
    )
    format: Format = Field("hl7v2", description="What the messages are.")
    charset: Charset = Field("cp1252", description="Assumed when an HL7 v2 message says nothing and is not UTF-8.")


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A message as the broker handed it over: on which connection, under which tag."""

    connection: int
    tag: int
    arrival: Arrival


class AmqpSource:
    """See ``channels.ports.Source``."""

    settings: type[Settings] = AmqpSourceSettings

    def __init__(self, settings: AmqpSourceSettings, surroundings: Surroundings) -> None:
        self._options, self._broker = settings, Broker(settings, surroundings)
        self._log = log.bind(channel=surroundings.channel)
        self._thread: threading.Thread | None = None
        self._feeding: asyncio.Task[None] | None = None

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``. A broker that cannot be reached is tried again, with a warning."""
        self._broker.check()
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[_Delivery | None] = asyncio.Queue()
        self._line = Line(intake, self._options.prefetch, _AT_ONCE, lambda: self._arrived.put_nowait(None))
        self._decided: queue.SimpleQueue[tuple[int, int, bool]] = queue.SimpleQueue()
        self._ending, self._ended = threading.Event(), threading.Event()
        self._wakes, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._connections = 0
        self._thread = threading.Thread(target=self._run, name=f"amqp {self._options.queue}", daemon=True)
        self._thread.start()
        self._feeding = asyncio.create_task(self._feed())

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``. What the broker handed over and nobody stored goes back to its queue."""
        if self._thread is None or self._feeding is None:
            return
        thread, self._thread = self._thread, None
        self._ending.set()
        self._wake()
        self._line.stop()
        self._arrived.put_nowait(None)
        await self._feeding
        await self._line.empty()
        self._ended.set()
        self._wake()
        await asyncio.to_thread(thread.join)
        os.close(self._waker)
        os.close(self._wakes)

    # in the event loop

    async def _feed(self) -> None:
        while not self._line.stopping:
            delivery = await self._arrived.get()
            if delivery is None:
                await self._line.repeat_failed()
            elif delivery.connection == self._connections:  # else the broker hands it over again
                await self._line.hand_in(delivery.arrival, partial(self._settled, delivery))

    def _settled(self, delivery: _Delivery, outcome: Outcome) -> None:
        self._decided.put((delivery.connection, delivery.tag, outcome.error is None))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is awake
            os.write(self._waker, b"!")

    # in the thread

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._ended.is_set() and not self._ending.is_set():
            try:
                with self._broker.connected() as connection:
                    wait = _FIRST_WAIT
                    self._consume(connection)
            except ERRORS as error:
                self._log.warning("the broker is lost; connecting again", problem=said(error))
                self._ending.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _consume(self, connection: kombu.Connection) -> None:
        """Take messages until the source ends; then wait for what is under way."""
        self._connections += 1
        channel = connection.channel()
        self._broker.declare(channel, self._options.queue)
        channel.basic_qos(0, self._options.prefetch, False)  # not global: quorum queues refuse that
        deliver = partial(self._deliver, self._connections)
        consumer = kombu.Consumer(
            channel, [kombu.Queue(self._options.queue, no_declare=True)], on_message=deliver, auto_declare=False
        )
        consumer.consume()
        taking = True
        while not self._ended.is_set():
            if taking and self._ending.is_set():
                consumer.cancel()
                taking = False
            self._decide(channel)
            self._read(connection)
        self._decide(channel)

    def _read(self, connection: kombu.Connection) -> None:
        """What the broker sends, if anything; waits for it, for a decision, or for the next heartbeat."""
        wire = connection.connection.sock
        pending = isinstance(wire, ssl.SSLSocket) and wire.pending()
        ready = [wire] if pending else select.select([wire, self._wakes], [], [], self._tick)[0]
        if self._wakes in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakes, 4096)
        if wire in ready:
            with contextlib.suppress(socket.timeout):  # the rest of a frame comes later
                connection.drain_events(timeout=0.05)
        connection.heartbeat_check()

    @property
    def _tick(self) -> float:
        return min(max(self._options.heartbeat / 4, 0.05), 5.0)

    def _decide(self, channel: Any) -> None:
        """Acknowledge or reject what the channel has answered."""
        with contextlib.suppress(queue.Empty):
            while True:
                connection, tag, accepted = self._decided.get_nowait()
                if connection != self._connections:
                    continue  # of a connection that is gone: the broker hands it over again
                if accepted:
                    channel.basic_ack(tag)
                else:
                    channel.basic_reject(tag, requeue=self._options.requeue)

    def _deliver(self, connection: int, message: kombu.Message) -> None:
        properties, info = message.properties, message.delivery_info or {}
        known = {
            "exchange": info.get("exchange"),
            "routing_key": info.get("routing_key"),
            "message_id": properties.get("message_id"),
            "redelivered": "true" if info.get("redelivered") else "",
        }
        attributes = {name: str(value) for name, value in known.items() if value}
        options = self._options
        body = message.body if isinstance(message.body, bytes) else bytes(message.body)
        arrival = arrive(
            body,
            options.format,
            options.charset if options.format == "hl7v2" else "utf-8",
            attributes,
            control_id=attributes.get("message_id", ""),
            sender=str(properties.get("app_id") or ""),
        )
        delivery = _Delivery(connection, message.delivery_tag, arrival)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, delivery)
