"""Certificates as the IGC-Santé gives them, invented: an authority, AUTH_CLI and SIGN of a structure, a server's."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.dmp.xades import Signer

STRUCTURE = "1990000001"
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Health:
    """PEM files: ``authority.pem``; ``sign``, ``auth``, ``server`` each ``.pem`` with its key in the same file."""

    directory: Path
    sign: Signer

    @property
    def authority(self) -> Path:
        return self.directory / "authority.pem"


def _name(common: str, unit: str = STRUCTURE) -> x509.Name:
    parts = [
        (NameOID.COUNTRY_NAME, "FR"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Departement fictif (99)"),
        (NameOID.ORGANIZATION_NAME, "CH DE TESTVILLE"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common),
    ]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def make(directory: Path) -> Health:
    """Write them all."""
    keys = {name: rsa.generate_private_key(65537, 2048) for name in ("authority", "sign", "auth", "server")}
    issuer = _name("AC FICTIVE", "0002 000000000")
    now = datetime.now(UTC)

    def issue(name: str, subject: x509.Name, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[name].public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["authority"].public_key()), critical=False
            )
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(keys["authority"], hashes.SHA256())
        key = keys[name].private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        content = certificate.public_bytes(_PEM)
        (directory / f"{name}.pem").write_bytes(content if name == "authority" else content + key)
        return certificate

    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    issue("authority", issuer, usage)
    sign = issue("sign", _name("PFI SIGN"))
    issue("auth", _name("PFI AUTH"), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    issue("server", _name("DMP", "0001 DMP"), x509.SubjectAlternativeName(here), server_auth)
    return Health(directory, Signer(keys["sign"], sign))
