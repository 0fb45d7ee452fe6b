"""The establishment's certificates (IGC-Santé), by their name in ``site.yaml``.

A file is PKCS#12 (``.p12``, ``.pfx``) or PEM; it is read again when it changes, so a renewal needs no restart. A new
file that cannot be read is said in the log, and the certificate that was there before goes on being used.

Source: RFC 7292 (PKCS#12); RFC 5280 (key usages).
"""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from channels.certificates import CertificateSettings
from channels.errors import ConfigError
from channels.ports import Surroundings
from channels.registry import suggestion

log = structlog.get_logger()

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, its private key, and the chain above it."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """stamp: of the files as they were last read, whether they could be used or not."""

    stamp: _Stamp
    own: Credentials


@dataclass(frozen=True, slots=True)
class _Context:
    """A context and what it was made of."""

    own: Credentials
    authorities: _Stamp
    made: ssl.SSLContext


_loaded: dict[Path, _Kept] = {}
_contexts: dict[tuple[Path, Path | None], _Context] = {}


def settings_of(name: str, surroundings: Surroundings) -> CertificateSettings:
    """The settings of this name. Raises ConfigError when ``site.yaml`` has no such one."""
    known = surroundings.site.certificates
    if name not in known:
        raise ConfigError(f"site.yaml has no certificate {name!r}{suggestion(name, known)}")
    return known[name]


def credentials(name: str, surroundings: Surroundings) -> Credentials:
    """The certificate of this name, as its file is now; cached until the file changes.

    Raises:
        ConfigError: no such name, the file cannot be read, or its password is wrong.
    """
    settings = settings_of(name, surroundings)
    path = surroundings.path(settings.file)
    known = _loaded.get(path)
    stamp = _stamp(path, surroundings.path(settings.key) if settings.key else None)
    if known is not None and known.stamp == stamp:
        return known.own
    try:
        made = load(settings, surroundings, name)
    except (OSError, ConfigError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if known is None:
            raise ConfigError(f"certificate {name!r}: {reason}") from None
        log.error("the new file of a certificate cannot be used; the old one goes on", certificate=name, problem=reason)
        _loaded[path] = _Kept(stamp, known.own)  # said once, and not read again until it changes
        return known.own
    if known is not None:
        log.info("a certificate was renewed", certificate=name, until=made.certificate.not_valid_after_utc.isoformat())
    _loaded[path] = _Kept(stamp, made)
    return made


def load(settings: CertificateSettings, surroundings: Surroundings, name: str) -> Credentials:
    """Read the files of a certificate. Raises ConfigError or OSError; no text quotes a password."""
    path = surroundings.path(settings.file)
    password = settings.password.get_secret_value().encode() if settings.password is not None else None
    data = path.read_bytes()
    if is_pkcs12(path):
        return read_pkcs12(data, password)
    key_data = surroundings.path(settings.key).read_bytes() if settings.key is not None else data
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigError(f"{path.name} holds no PEM certificate") from None
    try:
        key = serialization.load_pem_private_key(key_data, password)
    except TypeError:
        said = "a password that the key does not have" if password else "no password, and the key has one"
        raise ConfigError(f"the settings of {name!r} give {said}") from None
    except ValueError:
        raise ConfigError("no private key is there, or its password is not the one given") from None
    return _fitting(certificates[0], key, tuple(certificates[1:]))


def is_pkcs12(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in (".p12", ".pfx")


def read_pkcs12(data: bytes, password: bytes | None) -> Credentials:
    """The content of a file. Raises ConfigError; its text quotes no password."""
    try:
        key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    except ValueError:
        raise ConfigError("not a PKCS#12 file, or its password is not the one given") from None
    if key is None or certificate is None:
        raise ConfigError("the PKCS#12 file holds no certificate with its private key")
    return _fitting(certificate, key, tuple(more))


def _fitting(certificate: x509.Certificate, key: object, chain: tuple[x509.Certificate, ...]) -> Credentials:
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("the private key is neither RSA nor of an elliptic curve")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ConfigError("the private key is not that of the certificate")
    return Credentials(certificate, key, chain)


def client_tls(name: str, authorities: Path | None, surroundings: Surroundings) -> ssl.SSLContext:
    """TLS of a connection that shows the certificate of this name (mutual TLS); the same object until the file changes.

    authorities: PEM file of trusted authorities; the system's when None. Raises ConfigError as ``credentials``.
    """
    settings = settings_of(name, surroundings)
    own = credentials(name, surroundings)
    trusted = surroundings.path(authorities) if authorities is not None else None
    place, stamp = (surroundings.path(settings.file), trusted), _stamp(trusted)
    known = _contexts.get(place)
    if known is not None and known.own is own and known.authorities == stamp:
        return known.made
    try:
        context = _context(own, trusted)
    except ConfigError:
        if known is None or known.own is not own:
            raise
        log.error("the new file of authorities cannot be used; the old one goes on", certificate=name)
        context = known.made
    _contexts[place] = _Context(own, stamp, context)
    return context


def _context(own: Credentials, authorities: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if authorities is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"authorities: {authorities} holds no PEM certificate, or cannot be read") from None
    show(context, own)
    return context


def show(context: ssl.SSLContext, own: Credentials) -> None:
    """Let a context show this certificate.

    OpenSSL reads a key from a file only: one that nobody else can open, gone at once, under a new password.
    """
    phrase = os.urandom(24).hex()
    key = own.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(phrase.encode()),
    )  # fmt: skip
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (own.certificate, *own.chain))
    with tempfile.NamedTemporaryFile(prefix="vaguemestre-") as file:  # mode 0600
        file.write(chain + key)
        file.flush()
        context.load_cert_chain(file.name, password=phrase)


def _stamp(*paths: Path | None) -> _Stamp:
    """Of the files as they are; one that is not there has zeros."""
    return tuple(_looked_at(path) for path in paths if path is not None)


def _looked_at(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
