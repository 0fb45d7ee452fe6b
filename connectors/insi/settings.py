"""Settings of the ``insi`` lookup: where, which certificates, and every value that the public texts leave open."""

from __future__ import annotations

from typing import Annotated, Literal

import httpx
from pydantic import AfterValidator, BeforeValidator, Field

from channels.certificates import ClientCertificate, SigningCertificate
from channels.fields import ExistingFile, Seconds, Settings, SizeBytes, one_or_more


def _url(value: str) -> str:
    parsed = httpx.URL(value)
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ValueError("an address such as https://host/path")
    return value


Url = Annotated[str, AfterValidator(_url)]


class InsiContext(Settings):
    """The contexts BAM and LPS of each call: who sends it, with which product."""

    idam: str = Field(min_length=1, description="Authorisation number that the CNDA gave to this version (`IDAM`).")
    idam_kind: str = Field("4", description="Attribute `R` of `IDAM`.")
    sender: str | None = Field(None, description="`Emetteur`. Absent: `pfi.organization.id`, else 1 and the FINESS.")
    instance: str | None = Field(
        None, description="`Instance`: UUID of this installation. Absent: one drawn from the name of the site."
    )
    name: str | None = Field(None, description="`Nom`. Absent: `pfi.product.name`.")
    version: str | None = Field(None, description="`Version`. Absent: `pfi.product.version`.")
    bam_version: str = Field("01_02", description="Version of the context BAM.")
    lps_version: str = Field("01_00", description="Version of the context LPS.")


class InsiAssertion(Settings):
    """The SAML assertion, signed by the establishment."""

    billing: str | None = Field(
        None, description="`identifiantFacturation`: geographic FINESS, else SIRET. Absent: the FINESS of `site.yaml`."
    )
    sector: str | None = Field(None, description="`secteurActivite`. Absent: `pfi.organization.sector`, else `SA01`.")
    specialty: str = Field("", description="`codeSpecialite`, asked of physicians; empty: not sent.")
    qualifier: str = Field("", description="`NameQualifier` of the NameID; empty: not sent.")
    digest: Literal["sha1", "sha256"] = Field("sha256", description="Digest and signature.")
    dn_order: Literal["rfc2253", "certificate"] = Field(
        "rfc2253", description="Issuer: `CN=…,…,C=FR`; `certificate`: `C=FR, …, CN=…`."
    )
    context: str = Field(
        "urn:oasis:names:tc:SAML:2.0:ac:classes:TLSClient", description="AuthnContextClassRef of the assertion."
    )
    validity: Seconds = Field(300.0, description="NotBefore and NotOnOrAfter, around now.")


class InsiOperation(Settings):
    """One operation: its SOAP action, and the element of its request."""

    action: str = Field(min_length=1, description="SOAP action.")
    namespace: str = Field(min_length=1, description="Namespace of the request.")
    element: str = Field(min_length=1, pattern=r"^[A-Za-z_][\w.-]*$", description="Name of the request's element.")


class InsiTimeouts(Settings):
    """How long a call may take."""

    connect: Seconds = Field(10.0, description="To connect.")
    read: Seconds = Field(20.0, description="Without a byte coming or leaving.")
    total: Seconds = Field(30.0, description="In all.")


class InsiServiceSettings(Settings):
    """Where INSi is, who we are there, and what its public texts leave open."""

    url: Url = Field(description="Address of the service, such as https://services-ps-tlsm.ameli.fr/lps.")
    tls: ClientCertificate = Field(
        None, description="Certificate that we show (AUTH_CLI), by its name in `site.yaml`. Needed with https."
    )
    sign: SigningCertificate = Field(
        description="Certificate that signs the assertion (SIGN), by its name in `site.yaml`; RSA."
    )
    authorities: ExistingFile | None = Field(
        None, description="PEM file of the authorities of INSi's server; the system's when absent."
    )
    server_name: str | None = Field(None, description="Name in the server's certificate, when not the host.")
    context: InsiContext
    assertion: InsiAssertion = InsiAssertion()
    search: InsiOperation = Field(
        InsiOperation(
            action="urn:ServiceIdentiteCertifiee:1.0.0:rechercherInsAvecTraitsIdentite",
            namespace="http://www.cnamts.fr/INSiRecSans",
            element="RECSANSVITALE",
        ),
        description="INS2, search by traits; as the service publishes it.",
    )
    verification: InsiOperation = Field(
        InsiOperation(
            action="urn:ServiceIdentiteCertifiee:1.0.0:verifierInsIdentite",
            namespace="http://www.cnamts.fr/INSiVerifUnitaire",
            element="VERIFUNITAIRE",
        ),
        description="INS3, verification; its names are not public, to be replaced from the WSDL.",
    )
    several_given: Literal["repeat", "join"] = Field(
        "repeat", description="All given names at once: one element each, or one with spaces between."
    )
    birth_place: bool = Field(True, description="Send the birth place (COG) in searches, when it is known.")
    rate: float = Field(5.0, gt=0, le=50, description="Calls a second at most.")
    timeouts: InsiTimeouts = InsiTimeouts()
    max_answer: SizeBytes = Field(1_000_000, description="Longer answers are not read.")
    faults: ExistingFile | None = Field(
        None, description="CSV of the site: code, action (`retry`, `refuse`, `message`); over the built-in table."
    )


class InsiSettings(InsiServiceSettings):
    """Asks INSi about the patient of a message; the answer is a word in an attribute, and the INS where policy says."""

    policy: Literal["qualify", "propose", "verify"] = Field(
        "propose",
        description="`qualify`: look for the INS of a validated identity that has none, and write it. `propose`: the "
        "same, told in an attribute only. `verify`: whether the INS that is there is that of these traits.",
    )
    when_down: Literal["wait", "pass"] = Field(
        "pass", description="INSi does not answer: try again later, or go on without (`unreachable`)."
    )
    pause: Seconds = Field(
        30.0, description="With `when_down: pass`, how long INSi is not asked after it did not answer."
    )
    when_refused: Literal["refuse", "pass"] = Field(
        "refuse", description="INSi refuses the call itself: refuse the message, or go on (`refused`)."
    )
    on_mismatch: Literal["refuse", "withhold", "mark"] = Field(
        "withhold",
        description="The INS is not, or no more, that of the traits: refuse the message, take the INS out of PID-3, or "
        "only say so. For a search whose answer has other traits: refuse, or only say so.",
    )
    given_names: Literal["list", "first"] = Field(
        "list", description="What must agree: all birth given names (PID-5.3), or the first one."
    )
    provisional: bool = Field(
        False, description="Ask about identities that are not validated too; their INS is never written."
    )
    excluded: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        ("ANOM", "CACH", "DESA", "DOUB", "INVA", "USUR"),
        description="Values of PID-32 besides DOUT and FICT that forbid a call.",
    )
    calls: int = Field(4, ge=1, le=4, description="Calls of one search at most.")
