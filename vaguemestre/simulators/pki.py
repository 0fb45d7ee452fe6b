"""Throw-away certificates for rehearsals and tests, in the form of the IGC-Santé's: an authority, what it signs, a CRL.

Subjects are ``CN=…,OU=<structure>,O=…,ST=…,C=FR``; uses are AUTH_CLI (``client``), SIGN (``sign``) and SSL_SERV
(``server``). Nothing here is trusted by anyone else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from channels.errors import ConfigError

Use = Literal["client", "sign", "server"]
PASSWORD = "rehearsal"  # noqa: S105  # of files that are worth nothing
_DIGITAL, _REPUDIATION, _ENCIPHER = "digital_signature", "content_commitment", "key_encipherment"
_USAGES = {"client": {_DIGITAL}, "sign": {_DIGITAL, _REPUDIATION}, "server": {_DIGITAL, _ENCIPHER}}
_PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True, slots=True)
class Issued:
    """The files of one certificate: PKCS#12 under ``PASSWORD``, and PEM with key and chain."""

    p12: Path
    pem: Path
    certificate: x509.Certificate


class Authority:
    """Signs certificates; ``file`` is its own in PEM, ``crl`` its list of revoked ones.

    A directory that holds an authority already gives that one again: a rehearsal goes on with the same certificates.
    """

    def __init__(self, directory: Path, name: str = "AC FICTIVE ELEMENTAIRE ORGANISATIONS") -> None:
        """directory: where files are written; made when it is not there."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.file = directory / "authority.pem"
        self.crl = directory / "authority.crl"
        self._key_file = directory / "authority.key"
        self._subject = _subject(name, "AUTORITE FICTIVE", "0002 000000000")
        self._revoked: list[int] = []
        if self._key_file.exists():
            self._reopen()
        else:
            self._found()

    def _reopen(self) -> None:
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigError(f"{self._key_file} is not the key of a rehearsal's authority")
        self._key = key
        self.certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
        self._subject = self.certificate.subject
        self._revoked = [one.serial_number for one in x509.load_pem_x509_crl(self.crl.read_bytes())]
        self._write_crl()

    def _found(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        usage = _usage("key_cert_sign", "crl_sign")
        builder = self._builder(self._subject, self._key, timedelta(days=3650))
        self.certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self._write_crl()
        _write(self._key_file, _pem(self._key))

    def issue(  # what a certificate says
        self,
        name: str,
        use: Use,
        *,
        structure: str = "1990000001",
        organization: str = "CENTRE HOSPITALIER DE TESTVILLE",
        common_name: str = "",
        days: float = 365,
        hosts: Sequence[str] = (),
    ) -> Issued:
        """A certificate and its key, in ``<name>.p12`` and ``<name>.pem``.

        days: until it ends; negative: it has. hosts: other names of a server than this machine's own.
        """
        key = rsa.generate_private_key(65537, 2048)
        subject = _subject(common_name or f"PFI {use.upper()}", organization, structure)
        builder = self._builder(subject, key, timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(*_USAGES[use]), critical=True)
        if use in _PURPOSES:
            builder = builder.add_extension(x509.ExtendedKeyUsage([_PURPOSES[use]]), critical=False)
        if use == "server":
            names = [_host(one) for one in ("localhost", "127.0.0.1", *hosts)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        files = Issued(self.directory / f"{name}.p12", self.directory / f"{name}.pem", certificate)
        protection = serialization.BestAvailableEncryption(PASSWORD.encode())
        _write(
            files.p12,
            pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, [self.certificate], protection),
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM) + self.file.read_bytes()
        _write(
            files.pem,
            pem + _pem(key),
        )
        return files

    def keep(
        self, name: str, use: Use, *, structure: str = "1990000001", common_name: str = "", hosts: Sequence[str] = ()
    ) -> Issued:
        """The certificate of that name when it is there, says the same and is good for a day more; else a new one."""
        files = Issued(self.directory / f"{name}.p12", self.directory / f"{name}.pem", self.certificate)
        if files.p12.exists() and files.pem.exists():
            found = x509.load_pem_x509_certificate(files.pem.read_bytes())
            lasts = found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)
            if lasts and _structure(found) == structure and {_host(one) for one in hosts} <= _hosts(found):
                return replace(files, certificate=found)
        return self.issue(name, use, structure=structure, common_name=common_name, hosts=hosts)

    def revoke(self, certificate: x509.Certificate) -> None:
        """Put it on the list."""
        self._revoked.append(certificate.serial_number)
        self._write_crl()

    def _builder(self, subject: x509.Name, key: rsa.RSAPrivateKey, length: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=max(1.0, 1 - length / timedelta(days=1))))
            .not_valid_after(now + length)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def _write_crl(self) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._subject)
            .last_update(now - timedelta(minutes=1))
            .next_update(now + timedelta(days=7))
        )
        for serial in self._revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(minutes=1))
            builder = builder.add_revoked_certificate(one.build())
        made = builder.sign(self._key, hashes.SHA256())
        self.crl.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _subject(common: str, organization: str, unit: str) -> x509.Name:
    parts = [
        (NameOID.COUNTRY_NAME, "FR"), (NameOID.STATE_OR_PROVINCE_NAME, "Departement fictif (99)"),
        (NameOID.ORGANIZATION_NAME, organization), (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common),
    ]  # fmt: skip
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def _structure(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _hosts(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
