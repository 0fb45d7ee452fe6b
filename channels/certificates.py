"""``certificates:`` in ``site.yaml``: the establishment's certificates, by a name that connectors use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from channels.fields import ExistingFile, Secret, Settings
from channels.yaml_places import Place

Use = Literal["client", "sign", "server"]


@dataclass(frozen=True, slots=True)
class Names:
    """Metadata of a setting that holds the name of a certificate. use: what it is needed for."""

    use: Use


ClientCertificate = Annotated[str | None, Names("client")]
"""Name of a certificate that a connection shows."""
SigningCertificate = Annotated[str, Names("sign")]
"""Name of a certificate that signs."""


class CertificateSettings(Settings):
    """One certificate with its private key: PKCS#12 (`.p12`, `.pfx`) or PEM."""

    file: ExistingFile = Field(description="PKCS#12 file, or PEM file with the certificate and its chain.")
    key: ExistingFile | None = Field(None, description="PEM file of the private key, when it is not in `file`.")
    password: Secret | None = Field(None, description="Password of the file or of the key; a reference.")
    use: Use = Field(description="`client` (IGC-Santé AUTH_CLI), `sign` (cachet), `server` (SSL_SERV).")
    authorities: ExistingFile | None = Field(
        None, description="PEM file of the authorities above it, for `vaguemestre certificates`."
    )
    revoked: ExistingFile | None = Field(
        None, description="Revocation list (CRL, DER or PEM) of its authority, for `vaguemestre certificates`."
    )


def named(model: Any, place: Place = ()) -> Iterator[tuple[Place, str, Use]]:
    """Place, name and use of each certificate that a model of settings names."""
    if not isinstance(model, BaseModel):
        return
    for key, field in type(model).model_fields.items():
        value, here = getattr(model, key), (*place, field.alias or key)
        for mark in field.metadata:
            if isinstance(mark, Names) and isinstance(value, str):
                yield here, value, mark.use
        yield from named(value, here)
