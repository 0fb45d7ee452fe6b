"""The site's certificates looked at: who uses which, whether name and usages fit, how long they last.

Source: RFC 5280 (validity, key usage, CRL); IGC-Santé, certificates of organisations (OU: the structure's number).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from channels.certificates import CertificateSettings, named
from channels.errors import ConfigError
from channels.loader import LoadedSite
from channels.model import Channel
from channels.ports import Surroundings
from connectors.certificates import Credentials, load

WARN_AT = (60, 30, 7)
"""Days before the end at which operators are told, louder each time."""
_LONGEST_CHAIN = 8
_PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True, slots=True)
class Report:
    """One certificate. days: left, negative once it has ended; None when it cannot be read.

    services: who uses it (``publication/dmp: sign``). problems: what does not fit; warnings: what soon will not.
    """

    name: str
    use: str
    services: tuple[str, ...]
    subject: str = ""
    structure: str = ""
    issuer: str = ""
    until: str = ""
    days: int | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ending(self) -> tuple[str, ...]:
        """The warning that it ends soon, when it does."""
        soon = self.days is not None and 0 <= self.days <= WARN_AT[0]
        return (f"it ends in {self.days} days",) if soon else ()


def inspect(loaded: LoadedSite, now: datetime | None = None) -> list[Report]:
    """Every certificate of a site, in the order of ``site.yaml``."""
    used: dict[str, list[str]] = {}
    for service, name in _uses(loaded):
        used.setdefault(name, []).append(service)
    return [
        _report(loaded, name, settings, tuple(used.get(name, ())), now or datetime.now(UTC))
        for name, settings in loaded.site.certificates.items()
    ]


def _report(
    loaded: LoadedSite, name: str, settings: CertificateSettings, services: tuple[str, ...], now: datetime
) -> Report:
    surroundings = Surroundings(loaded.site, loaded.directory, "-", name)
    try:
        own = load(settings, surroundings, name)
    except (ConfigError, OSError) as error:
        reason = (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
        return Report(name, settings.use, services, problems=(reason,))
    certificate = own.certificate
    made = Report(
        name,
        settings.use,
        services,
        _name(certificate.subject, NameOID.COMMON_NAME),
        _name(certificate.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
        _name(certificate.issuer, NameOID.COMMON_NAME),
        certificate.not_valid_after_utc.date().isoformat(),
        (certificate.not_valid_after_utc - now).days,
        tuple(_problems(loaded, settings, own, now)),
    )
    return replace(made, warnings=made.ending if services else (*made.ending, "no service uses it"))


def _problems(loaded: LoadedSite, settings: CertificateSettings, own: Credentials, now: datetime) -> Iterator[str]:
    certificate = own.certificate
    if now > certificate.not_valid_after_utc:
        yield "it has ended"
    if now < certificate.not_valid_before_utc:
        yield "it does not begin before " + certificate.not_valid_before_utc.date().isoformat()
    if not _fits(certificate, settings.use):
        yield f"its usages are not those of `use: {settings.use}`"
    structure = _structure(loaded)
    if (
        structure
        and settings.use != "server"
        and _name(certificate.subject, NameOID.ORGANIZATIONAL_UNIT_NAME) != structure
    ):
        yield "its OU is not the number of the structure (`pfi.organization.id`, else 1 and the FINESS)"
    surroundings = Surroundings(loaded.site, loaded.directory, "-", "certificate")
    if settings.authorities is not None:
        yield from _chain(own, surroundings.path(settings.authorities))
    if settings.revoked is not None:
        yield from _revoked(certificate, surroundings.path(settings.revoked), now)


def _fits(certificate: x509.Certificate, use: str) -> bool:
    """Key usage and extended key usage, where the certificate has them."""
    purpose = _PURPOSES.get(use)
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if purpose is not None and purpose not in purposes:
            return False
        if purpose is None and ExtendedKeyUsageOID.CLIENT_AUTH in purposes:
            return False
    except x509.ExtensionNotFound:
        if purpose is not None:
            return False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or (use == "sign" and usage.content_commitment)


def _chain(own: Credentials, authorities: Path) -> Iterator[str]:
    """From the certificate up to one of the authorities, through its own chain."""
    try:
        trusted = x509.load_pem_x509_certificates(authorities.read_bytes())
    except (OSError, ValueError):
        yield "`authorities` holds no PEM certificate"
        return
    current = own.certificate
    for _ in range(_LONGEST_CHAIN):
        above = [one for one in (*trusted, *own.chain) if one.subject == current.issuer and _signed_by(current, one)]
        if any(one in trusted for one in above):
            return
        if not above:
            break
        current = above[0]
    yield "no authority of `authorities` signed it"


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _revoked(certificate: x509.Certificate, path: Path, now: datetime) -> Iterator[str]:
    try:
        data = path.read_bytes()
        pem = data.lstrip().startswith(b"-----")
        crl = x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)
    except (OSError, ValueError):
        yield "`revoked` holds no revocation list"
        return
    if crl.issuer != certificate.issuer:
        yield "the revocation list is another authority's"
    elif crl.next_update_utc is not None and crl.next_update_utc < now:
        yield "the revocation list is out of date"
    if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
        yield "it is revoked"


def _structure(loaded: LoadedSite) -> str:
    pfi = loaded.site.pfi
    return pfi.organization.id if pfi is not None else f"1{loaded.site.establishment.finess}"


def _name(name: x509.Name, kind: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(kind)
    return str(found[0].value) if found else ""


def _uses(loaded: LoadedSite) -> Iterator[tuple[str, str]]:
    """Service with its setting, and name, of every setting that names a certificate of the site."""
    for channel in loaded.channels.values():
        for where, model in _settings(channel):
            for place, name, _ in named(model):
                yield f"{where}: {'.'.join(map(str, place))}", name


def _settings(channel: Channel) -> Iterator[tuple[str, Any]]:
    name = channel.channel
    yield f"{name}/source", channel.source.settings
    for step in channel.transform:
        yield f"{name}/{step.name}", step.options
    for one in channel.destinations:
        yield f"{name}/{one.name}", one.settings
        for step in one.transform:
            yield f"{name}/{one.name}/{step.name}", step.options


__all__ = ["WARN_AT", "Report", "inspect"]
