"""TLS contexts of listeners and connections, from the files that a channel names.

TLS 1.2 or later; the peer's certificate is always checked by a client, and by a server when it has ``clients``. Files
are read at start: a missing or mismatched one is a ConfigError that says which.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from channels.errors import ConfigError
from channels.fields import Secret, TlsClient, TlsServer
from channels.ports import Surroundings
from connectors.certificates import is_pkcs12, read_pkcs12, show


def server_context(settings: TlsServer, surroundings: Surroundings) -> ssl.SSLContext:
    """The context of a listener; mutual TLS when ``settings.clients`` is given.

    Raises:
        ConfigError: a file is missing, is not what it should be, or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate = _existing(settings.certificate, "tls.certificate", surroundings)
    _load_chain(context, certificate, settings.key, settings.password, surroundings)
    if settings.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, settings.clients, "tls.clients", surroundings)
    return context


def client_context(settings: TlsClient, surroundings: Surroundings) -> ssl.SSLContext:
    """The context of a connection; mutual TLS when ``settings.certificate`` is given.

    Raises:
        ConfigError: a file is missing, is not what it should be, or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, settings.authorities, "tls.authorities", surroundings)
    if settings.certificate is not None:
        certificate = _existing(settings.certificate, "tls.certificate", surroundings)
        _load_chain(context, certificate, settings.key, settings.password, surroundings)
    elif settings.key is not None:
        raise ConfigError("tls.key: a key without `certificate` shows nothing")
    return context


def _existing(relative: Path, setting: str, surroundings: Surroundings) -> Path:
    path = surroundings.path(relative)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}") from None


def _load_authorities(context: ssl.SSLContext, relative: Path, setting: str, surroundings: Surroundings) -> None:
    path = _existing(relative, setting, surroundings)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"{setting}: {path} holds no PEM certificate") from None


def _load_chain(
    context: ssl.SSLContext, certificate: Path, key: Path | None, password: Secret | None, surroundings: Surroundings
) -> None:
    if is_pkcs12(certificate):
        if key is not None:
            raise ConfigError("tls.key: a PKCS#12 file holds its key")
        try:
            show(
                context,
                read_pkcs12(certificate.read_bytes(), password.get_secret_value().encode() if password else None),
            )
        except ConfigError as error:
            raise ConfigError(f"tls.certificate: {certificate}: {error}") from None
        return
    key_file = certificate if key is None else _existing(key, "tls.key", surroundings)
    asked = []

    def phrase() -> str:  # without a function OpenSSL asks at the terminal
        asked.append(True)
        return password.get_secret_value() if password is not None else ""

    try:
        context.load_cert_chain(certificate, key_file, phrase)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(_reason(error, certificate, key_file, asked=bool(asked), password=password)) from None


def _reason(error: Exception, certificate: Path, key: Path, *, asked: bool, password: Secret | None) -> str:
    reason = getattr(error, "reason", "") or ""
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return f"tls.key: {key} is not the key of {certificate}"
    if asked:
        problem = "is encrypted, and `password` is not given" if password is None else "does not open with `password`"
        return f"tls.key: {key} {problem}"
    if "BEGIN CERTIFICATE" not in certificate.read_text("latin-1"):
        return f"tls.certificate: {certificate} holds no PEM certificate"
    if "PRIVATE KEY" not in key.read_text("latin-1"):
        return f"tls.key: {key} holds no PEM private key"
    return f"tls.certificate: {certificate} and its key cannot be used ({reason or type(error).__name__})"
