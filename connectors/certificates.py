"""The establishment's certificates (IGC-Santé), by their name in ``site.yaml``.

A file is PKCS#12 (``.p12``, ``.pfx``) or PEM; it is read again when it changes, so a renewal needs no restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from channels.ports import Surroundings

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, its private key, and the chain above it."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()


def credentials(name: str, surroundings: Surroundings) -> Credentials:
    """The certificate of this name, as its file is now; cached until the file changes.

    Raises:
        ConfigError: no such name, the file cannot be read, or its password is wrong.
    """
    raise NotImplementedError


def client_tls(name: str, authorities: Path | None, surroundings: Surroundings) -> ssl.SSLContext:
    """TLS of a connection that shows the certificate of this name (mutual TLS); the same object until the file changes.

    authorities: PEM file of trusted authorities; the system's when None. Raises ConfigError as ``credentials``.
    """
    raise NotImplementedError
