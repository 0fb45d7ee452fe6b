"""Which broker, how to reach it, how its queues are declared."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import amqp
import kombu
import kombu.exceptions
from pydantic import AfterValidator, Field, model_validator

from channels.errors import ConfigError
from channels.fields import Seconds, Secret, Settings, TlsClient
from channels.ports import Surroundings
from connectors.certificates import is_pkcs12
from connectors.tls import client_context

ERRORS = (amqp.AMQPError, OSError, kombu.exceptions.KombuError)
"""All that a connection may raise; OSError covers sockets, TLS and time-outs."""


def _url(value: Secret) -> Secret:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
        raise ValueError("an address such as amqp://user:password@host:5672/vhost")
    return value


class AmqpBroker(Settings):
    """Which broker, and how to reach it."""

    url: Annotated[Secret, AfterValidator(_url)] = Field(
        description="Address, `amqp://user:password@host:5672/vhost`, or `amqps://` with TLS; best a reference."
    )
    tls: TlsClient | None = Field(None, description="With `amqps`: whom to trust, and the certificate to show.")
    heartbeat: Seconds = Field(30.0, description="Both sides notice a dead connection within twice this time.")
    timeout: Seconds = Field(30.0, description="For connecting, and for the broker's confirmation of one message.")
    declare: Literal["passive", "quorum", "classic"] = Field(
        "passive",
        description="`passive`: the queue must exist. `quorum` or `classic`: it is made, durable, if it does not. A "
        "classic queue confirms a message before it is on the broker's disk.",
    )
    dead_letter_exchange: str | None = Field(
        None, description="With `declare: quorum` or `classic`: where the broker puts rejected messages."
    )

    @model_validator(mode="after")
    def _tls_fits(self) -> AmqpBroker:
        if self.tls is not None and not self.secure:
            raise ValueError("`tls` needs an address that begins with amqps://")
        if self.tls is not None and self.tls.password is not None:
            raise ValueError("amqp takes a private key without password")
        if self.dead_letter_exchange is not None and self.declare == "passive":
            raise ValueError("`dead_letter_exchange` belongs to a queue that is declared")
        return self

    @property
    def secure(self) -> bool:
        """True with TLS."""
        return self.url.get_secret_value().startswith("amqps:")


class Broker:
    """Makes connections as the settings say; used in one thread."""

    def __init__(self, settings: AmqpBroker, surroundings: Surroundings) -> None:
        self.settings, self._surroundings = settings, surroundings

    def check(self) -> None:
        """Read the certificates. Raises ConfigError when they cannot be used."""
        if self.settings.secure:
            tls = self.settings.tls or TlsClient()
            if tls.certificate is not None and is_pkcs12(tls.certificate):
                raise ConfigError("tls.certificate: this connector takes PEM files only")
            client_context(tls, self._surroundings)

    def _tls(self) -> dict[str, Any] | None:
        if not self.settings.secure:
            return None
        tls, path = self.settings.tls or TlsClient(), self._surroundings.path
        options: dict[str, Any] = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
            "server_hostname": tls.server_name or urlsplit(self.settings.url.get_secret_value()).hostname,
        }
        if tls.authorities is not None:
            options["ca_certs"] = str(path(tls.authorities))
        if tls.certificate is not None:
            options["certfile"] = str(path(tls.certificate))
            options["keyfile"] = str(path(tls.key)) if tls.key is not None else None
        return options

    @contextlib.contextmanager
    def connected(self) -> Iterator[kombu.Connection]:
        """A connection that is open inside the block."""
        settings = self.settings
        connection = kombu.Connection(
            settings.url.get_secret_value(),
            ssl=self._tls(),
            heartbeat=settings.heartbeat,
            connect_timeout=settings.timeout,
            transport_options={
                "confirm_publish": True,
                "read_timeout": settings.timeout,
                "write_timeout": settings.timeout,
            },
        )
        try:
            connection.connect()
            yield connection
        finally:
            with contextlib.suppress(*ERRORS):
                connection.close()
            connection.collect()

    def declare(self, channel: Any, name: str) -> None:
        """Make the queue, or check that it exists."""
        settings = self.settings
        if settings.declare == "passive":
            channel.queue_declare(name, passive=True)
            return
        arguments: dict[str, Any] = {"x-queue-type": settings.declare}
        if settings.declare == "quorum":
            arguments["x-delivery-limit"] = -1  # RabbitMQ 4 drops a message after 20 returns otherwise
        if settings.dead_letter_exchange is not None:
            arguments["x-dead-letter-exchange"] = settings.dead_letter_exchange
            if settings.declare == "quorum":
                arguments |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)


def said(error: BaseException) -> str:
    """The kind of an error and the broker's code; its text may quote anything."""
    code = getattr(error, "reply_code", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
