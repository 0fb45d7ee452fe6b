"""``certificates:`` in ``site.yaml``: the establishment's certificates, by a name that connectors use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from channels.fields import ExistingFile, Secret, Settings


class CertificateSettings(Settings):
    """One certificate with its private key: PKCS#12 (`.p12`, `.pfx`) or PEM."""

    file: ExistingFile = Field(description="PKCS#12 file, or PEM file with the certificate and its chain.")
    key: ExistingFile | None = Field(None, description="PEM file of the private key, when it is not in `file`.")
    password: Secret | None = Field(None, description="Password of the file or of the key; a reference.")
    use: Literal["client", "sign", "server"] = Field(
        description="`client` (IGC-Santé AUTH_CLI), `sign` (cachet), `server` (SSL_SERV)."
    )
    authorities: ExistingFile | None = Field(
        None, description="PEM file of the authorities above it, for `vaguemestre certificates`."
    )
    revoked: ExistingFile | None = Field(
        None, description="Revocation list (CRL, DER or PEM) of its authority, for `vaguemestre certificates`."
    )
