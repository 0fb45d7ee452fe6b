"""What SMTP and IMAP have in common: where the operator is, and how both sides know each other."""

from __future__ import annotations

import ssl
from typing import Literal

from pydantic import Field

from channels.certificates import ClientCertificate
from channels.fields import Address, ExistingFile, Seconds, Secret, Settings, TlsClient
from channels.ports import Surroundings
from connectors.certificates import client_tls
from connectors.tls import client_context


class MssanteServer(Settings):
    """The operator's server. A connection without TLS does not exist; its certificate is always checked."""

    connect: Address = Field(description="The operator's server, `host:port`.")
    tls: Literal["starttls", "implicit"] = Field(
        "starttls", description="`starttls` (ports 587, 143), which the server must offer, or `implicit` (465, 993)."
    )
    certificate: ClientCertificate = Field(
        None, description="Name of our certificate in `certificates` of `site.yaml` (organisation, AUTH_CLI)."
    )
    authorities: ExistingFile | None = Field(
        None, description="PEM file of the authorities of the server's certificate; the system's when absent."
    )
    user: str | None = Field(None, description="User name, when the operator wants one beside the certificate.")
    password: Secret | None = Field(None, description="Its password.")
    timeout: Seconds = Field(60.0, description="For one operation of the protocol.")


def tls_context(options: MssanteServer, surroundings: Surroundings) -> ssl.SSLContext:
    """TLS of a connection, as the files of certificates are now. Raises ConfigError."""
    if options.certificate is not None:
        return client_tls(options.certificate, options.authorities, surroundings)
    return client_context(TlsClient(authorities=options.authorities), surroundings)
