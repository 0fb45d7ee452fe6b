"""Distinguished names, as XML writes them."""

from __future__ import annotations

from typing import Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

DnOrder = Literal["rfc2253", "certificate"]


def distinguished_name(name: x509.Name, order: DnOrder = "rfc2253") -> str:
    """``CN=...,OU=...,C=FR`` (rfc2253), or ``C=FR, ..., CN=...`` in the order of the certificate."""
    if order == "rfc2253":
        return name.rfc4514_string()
    return ", ".join(one.rfc4514_string() for one in name.rdns)


def structures(certificate: x509.Certificate) -> tuple[str, ...]:
    """What the certificate says of its structure: every OU, such as ``1750000001``."""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return tuple(str(one.value) for one in units)
