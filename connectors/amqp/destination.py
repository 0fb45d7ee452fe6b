"""Messages published to a broker, which confirms each."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Any

import amqp
import kombu
from pydantic import Field, model_validator

from channels.errors import Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.amqp.broker import ERRORS, AmqpBroker, Broker, said

_CONTENT_TYPES = {
    "hl7v2": "application/hl7-v2",
    "fhir+json": "application/fhir+json",
    "cda": "application/xml",
    "xml": "application/xml",
    "pdf": "application/pdf",
}


class AmqpDestinationSettings(AmqpBroker):
    """Publishes each message, persistent, and waits until the broker confirms that it is in a queue."""

    queue: str | None = Field(None, min_length=1, description="The queue, through the default exchange.")
    exchange: str = Field("", description="The exchange, instead of `queue`; it must exist.")
    routing_key: str = Field("", description="Routing key, with `exchange`.")

    @model_validator(mode="after")
    def _one_target(self) -> AmqpDestinationSettings:
        if (self.queue is None) == (not self.exchange):
            raise ValueError("where to publish: `queue` or `exchange`, one of them")
        if self.queue is not None and self.routing_key:
            raise ValueError("`routing_key` belongs to `exchange`")
        return self


class AmqpDestination:
    """See ``channels.ports.Destination``. One message at a time waits for its confirmation."""

    settings: type[Settings] = AmqpDestinationSettings

    def __init__(self, settings: AmqpDestinationSettings, surroundings: Surroundings) -> None:
        self._options, self._broker = settings, Broker(settings, surroundings)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open = False
        self._returned = 0

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError for a certificate that cannot be used."""
        self._broker.check()
        self._open = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="amqp publish", daemon=True)
            self._thread.start()

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        if not self._open:
            raise Undelivered("the destination is closed")
        job = _Job(message)
        self._jobs.put(job)
        try:
            async with asyncio.timeout(self._options.timeout):
                return await asyncio.wrap_future(job.future)
        except TimeoutError as error:
            raise Undelivered("no confirmation in time") from error

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        self._open = False
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    # in the thread

    def _run(self) -> None:
        """Publish each job over one connection, which is made when the first comes and again after a failure."""
        job: _Job | None = None
        while self._open:
            job = job or self._jobs.get()
            if job is None:
                break
            try:
                with self._broker.connected() as connection:
                    producer = self._producer(connection)
                    while job is not None:
                        self._publish(producer, job)
                        job = None
                        job = self._next(connection)
                break
            except ERRORS as error:
                if job is not None:
                    job.fail(Undelivered(said(error)))
                job = None
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job.fail(Undelivered("the destination is closed"))

    def _next(self, connection: kombu.Connection) -> _Job | None:
        """The next job; meanwhile the connection is kept alive. None at the end. Raises when the broker is lost."""
        tick = min(max(self._options.heartbeat / 4, 0.05), 5.0)
        while True:
            try:
                return self._jobs.get(timeout=tick)
            except queue.Empty:
                with contextlib.suppress(socket.timeout):
                    connection.drain_events(timeout=0.01)
                connection.heartbeat_check()

    def _producer(self, connection: kombu.Connection) -> kombu.Producer:
        channel = connection.channel()
        options = self._options
        if options.queue is not None:
            self._broker.declare(channel, options.queue)
        else:
            channel.exchange_declare(options.exchange, "direct", passive=True)
        return kombu.Producer(
            channel,
            kombu.Exchange(options.exchange, no_declare=True),
            routing_key=options.queue or options.routing_key,
            auto_declare=False,
            on_return=self._note_return,
        )

    def _note_return(self, error: Any, *_: object) -> None:
        self._returned = error.reply_code

    def _publish(self, producer: kombu.Producer, job: _Job) -> None:
        """Publish and wait for the confirmation; what ends the connection is raised, the rest is the job's."""
        if not job.future.set_running_or_notify_cancel():
            return
        message = job.message
        self._returned = 0
        try:
            producer.publish(
                message.body,
                delivery_mode=2,
                mandatory=True,
                content_type=_CONTENT_TYPES.get(message.format, "application/octet-stream"),
                content_encoding="binary",
                headers={
                    "kind": message.kind,
                    "sender": message.sender,
                    "format": message.format,
                    "id": str(message.id),
                },
                message_id=message.control_id or str(message.id),
                app_id="vaguemestre",
                confirm_timeout=self._options.timeout,
            )
        except amqp.exceptions.MessageNacked:
            job.fail(Undelivered("the broker did not take it (nack)"))
        except amqp.exceptions.PreconditionFailed as error:  # larger than the broker allows
            job.fail(Refused(said(error)))
            raise
        else:
            if self._returned:
                job.fail(Undelivered(f"no queue takes it ({self._returned})"))
            else:
                job.future.set_result(Receipt(message.control_id))


class _Job:
    """A message to publish, and who waits for it."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.future: Future[Receipt] = Future()

    def fail(self, error: Undelivered | Refused) -> None:
        """Tell, unless nobody waits or it is told already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)
