"""What the simulated DMP trusts: one authority, its list of revoked certificates, and the two uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Trust:
    """authority: its certificate; crl: file of its list, read at each use (it changes during a rehearsal)."""

    authority: x509.Certificate
    crl: Path | None
    now: Callable[[], datetime]

    def holds(self, certificate: x509.Certificate) -> bool:
        """Signed by the authority, in its time, not revoked."""
        try:
            certificate.verify_directly_issued_by(self.authority)
        except (ValueError, TypeError, InvalidSignature):
            return False
        if not certificate.not_valid_before_utc <= self.now() <= certificate.not_valid_after_utc:
            return False
        if self.crl is None:
            return True
        listed = x509.load_pem_x509_crl(self.crl.read_bytes())
        return listed.get_revoked_certificate_by_serial_number(certificate.serial_number) is None


def is_client(certificate: x509.Certificate) -> bool:
    """AUTH_CLI: extended use "client authentication".

    Source: IGC-Santé, certificates of organisations.
    """
    return ExtendedKeyUsageOID.CLIENT_AUTH in _purposes(certificate)


def is_seal(certificate: x509.Certificate) -> bool:
    """SIGN: made to sign, and not to authenticate a client or a server."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    tls = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    return (usage.digital_signature or usage.content_commitment) and not tls & set(_purposes(certificate))


def structure(certificate: x509.Certificate) -> str:
    """The OU: Struct_IdNat of the organisation; empty when there is not exactly one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def same_name(text: str, name: x509.Name, *, order: str = "rfc2253") -> bool:
    """Whether a text is that name. order: ``rfc2253`` (CN first), ``x500`` (C first) or ``any``."""
    try:
        read = x509.Name.from_rfc4514_string(text)
    except ValueError:
        return False
    forward, backward = list(name), list(reversed(list(name)))
    accepted = {"rfc2253": [forward], "x500": [backward], "any": [forward, backward]}[order]
    return list(read) in accepted


def _purposes(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []
