"""Settings of the ``dmp`` connector: where, which certificates, and every value that the public texts leave open."""

from __future__ import annotations

from typing import Annotated, Literal

import httpx
from pydantic import AfterValidator, Field

from channels.certificates import ClientCertificate, SigningCertificate
from channels.fields import ExistingFile, Seconds, Settings, SizeBytes
from channels.laboratory import Oid
from connectors.dmp.names import DnOrder
from connectors.dmp.query import Returns
from connectors.dmp.xml import Digest
from transforms.xds import XdsSettings


def _url(value: str) -> str:
    parsed = httpx.URL(value)
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ValueError("an address such as https://host/path")
    return value


Url = Annotated[str, AfterValidator(_url)]


class Actions(Settings):
    """SOAP actions of the calls."""

    submit: str = Field("urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", description="TD2.1, TD2.2.")
    query: str = Field("urn:ihe:iti:2007:RegistryStoredQuery", description="TD3.1b.")
    delete: str = Field("urn:ihe:iti:2010:UpdateDocumentSet", description="TD3.3c.")
    existence: str = Field("urn:hl7-org:v3:PRPA_IN201307UV02", description="TD0.2.")


class Role(Settings):
    """A role in the assertion (JDV_J65)."""

    code: str = Field(min_length=1, description="Code.")
    system: Oid = Field(description="OID of its code system.")
    system_name: str = Field("", description="Name of its code system.")
    label: str = Field("", description="Label.")


class Vihf(Settings):
    """The assertion (VIHF) of each call."""

    version: Literal["3.0", "4.0"] = Field("3.0", description="`VIHF_Version`.")
    digest: Digest = Field("sha256", description="Digests and signature: `sha256`, or `sha1`.")
    prefixes: bool = Field(True, description="List prefixes in the signature (InclusiveNamespaces).")
    dn_order: DnOrder = Field("rfc2253", description="Issuer: `CN=…,…,C=FR`; `certificate`: `C=FR, …, CN=…`.")
    context: str = Field(
        "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified",
        description="AuthnContextClassRef: how users log in to the software that asks.",
    )
    mode: Literal["INDIRECTE", "INDIRECTE_RENFORCEE"] = Field("INDIRECTE", description="`Authentification_Mode`.")
    sector_system: Oid = Field("1.2.250.1.71.4.2.4", description="OID that follows the sector of `pfi.organization`.")
    roles: tuple[Role, ...] = Field(
        (), description="Roles, first the profession. Absent: `pfi.responsible`'s; `AUTOMATE` for a device."
    )
    validity: Seconds = Field(0.0, description="NotBefore and NotOnOrAfter, around now; 0: none.")
    secret: str | None = Field(
        None,
        description="confidentiality-code of a secret connection. Absent: requests with CONNEXION_SECRETE are refused.",
    )
    installation: bool = Field(True, description="Send `LPS_ID`: `pfi.source_oid`.")


class Signature(Settings):
    """The signature of each lot (XAdES)."""

    digest: Digest = Field("sha1", description="Digests and signature: `sha1`, or `sha256`.")
    chain: bool = Field(False, description="List the certificates above ours in SigningCertificate.")


class Timeouts(Settings):
    """How long a call may take."""

    connect: Seconds = Field(10.0, description="To connect.")
    read: Seconds = Field(60.0, description="Without a byte coming or leaving.")
    total: Seconds = Field(120.0, description="In all.")


class DmpSettings(Settings):
    """Where the DMP is, who we are there, and what its public texts leave open."""

    registry: Url = Field(description="Address of the service `registry` (query, deletion).")
    patients: Url | None = Field(None, description="Address of the service `patients`. Absent: no existence test.")
    tls: ClientCertificate = Field(
        None, description="Certificate that we show (AUTH_CLI), by its name in `site.yaml`. Needed with https."
    )
    sign: SigningCertificate = Field(
        description="Certificate that signs (SIGN), by its name in `site.yaml`; an RSA key."
    )
    authorities: ExistingFile | None = Field(
        None, description="PEM file of the authorities of the DMP's server; the system's when absent."
    )
    server_name: str | None = Field(None, description="Name in the server's certificate, when not the host.")
    check_structure: bool = Field(
        True, description="The OU of the signing certificate is the structure of every call; false: not checked."
    )
    actions: Actions = Actions()
    vihf: Vihf = Vihf()
    query_returns: Returns = Field(
        "LeafClass",
        description="What queries ask for. `ObjectRef` tells neither hash nor status: who is found counts as the same "
        "and current.",
    )
    existence_reason: str = Field("TEST_EXST", description="Reason of the existence test.")
    active_for: Seconds = Field(86400.0, description="How long an active record is believed, without asking again.")
    absent_for: Seconds = Field(3600.0, description="How long a closed or absent record is.")
    timeouts: Timeouts = Timeouts()
    max_answer: SizeBytes = Field(10_000_000, description="Longer answers are not read.")
    errors: ExistingFile | None = Field(
        None, description="CSV of the site: code, action, label; over the built-in table of error codes."
    )
    tries: int = Field(3, ge=1, le=20, description="Times that an error of the kind `tries` is sent again.")


class DmpDestinationSettings(DmpSettings):
    """Publishes, replaces and deletes documents in the DMP, as a platform (indirect authentication)."""

    repository: Url = Field(description="Address of the service `repository`.")
    signature: Signature = Signature()
    xds: XdsSettings = XdsSettings()
    mtom: bool = Field(True, description="Documents beside the envelope (MTOM); false: Base64 inside it.")
    max_size: SizeBytes = Field(50_000_000, description="Larger lots are refused before they are sent.")
    not_informed: Literal["feed", "refuse"] = Field(
        "feed", description="When the patient's consent (ZFA-9) was not collected. An opposition always refuses."
    )
    confidentiality: tuple[Literal["R", "V"], ...] = Field(
        (), description="Raised confidentiality of documents that are published all the same."
    )
    lookups: tuple[Seconds, ...] = Field(
        (10.0, 60.0, 300.0),
        min_length=1,
        description="After a lot whose outcome is unknown: when the DMP is asked whether it has it. After the last, "
        "the lot is sent again.",
    )


class DmpLookupSettings(DmpSettings):
    """Asks the DMP about the patient's record and about our documents; the answer is in attributes of the message."""

    documents: bool = Field(True, description="Ask for each document of the request.")
    without_record: Literal["mark", "refuse"] = Field(
        "mark", description="No record, or a closed one: mark the message, or refuse it."
    )
