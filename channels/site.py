"""``site.yaml``: the establishment and what all its channels share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema

from channels.certificates import CertificateSettings
from channels.fields import Address, Directory, Seconds, Secret, Settings, SizeBytes
from channels.laboratory import LaboratorySettings
from channels.numbers import NumberKind
from channels.pfi_settings import PfiSettings


class Establishment(Settings):
    """Who runs the engine."""

    name: str = Field(description="Name of the establishment, as printed on documents.")
    finess: Annotated[str, NumberKind("FINESS")] = Field(
        pattern=r"^[0-9AB]{9}$", description="Geographic FINESS number, 9 characters."
    )
    address: tuple[str, ...] = Field((), description="Postal address, line by line.")
    telecom: str | None = Field(None, description="Telephone, digits.")


class JournalSettings(Settings):
    """Where messages are kept, how long, and under which key."""

    directory: Path = Field(
        Path("var/journal"), description="Folder of the segment files, inside the site or absolute."
    )
    key_file: Path | None = Field(
        None, description="File that holds the master key (made by `init`). Bodies are encrypted when there is a key."
    )
    key: Secret | None = Field(None, description="The master key itself, as a reference such as ${VAGUEMESTRE_KEY}.")
    segment_size: SizeBytes = Field(1_000_000_000, description="A new segment file begins when one reaches this size.")
    segment_age: Seconds = Field(86400.0, description="... or this age.")
    retention: Seconds = Field(
        90 * 86400.0, description="Segments older than this are removed once nothing waits in them."
    )


class WebSettings(Settings):
    """HTTP listener of the operators: health, readiness, metrics."""

    listen: Address = Field(description="Address of /health, /ready and /metrics.")


def _zone(value: object) -> object:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; did you mean 'Europe/Paris'?") from None


Zone = Annotated[ZoneInfo, BeforeValidator(_zone), WithJsonSchema({"type": "string"})]


class Site(Settings):
    """The whole of ``site.yaml``."""

    site: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$", description="Short name of the site: lower case, digits, hyphens."
    )
    establishment: Establishment
    timezone: Zone = Field(ZoneInfo("Europe/Paris"), description="Local time of the establishment.")
    ins_domain: Literal["production", "test"] = Field(
        "test", description="Which INS identifiers are taken: `production` or `test` (OIDs .10 and .11)."
    )
    laboratory: LaboratorySettings | None = Field(
        None, description="The laboratory whose reports are written (CR-Bio)."
    )
    certificates: dict[str, CertificateSettings] = Field(
        default_factory=dict, description="Certificates of the establishment, by the name that connectors use."
    )
    pfi: PfiSettings | None = Field(
        None, description="The engine as intermediation platform: requests to the DMP and MSSanté."
    )
    rules: Directory | None = Field(
        None,
        description="Folder of the official CDA rules of ANS (testContenuCDA), for `validate`. Absent: documents are "
        "checked with our own rules only, and never called conformant.",
    )
    journal: JournalSettings = JournalSettings()
    web: WebSettings | None = Field(None, description="Absent: no HTTP listener.")
    control: Path = Field(Path("var/control.sock"), description="Socket by which the commands reach a running engine.")
    log: Literal["json", "console"] = Field("json", description="Form of the log lines.")
    workers: int = Field(1, ge=1, le=64, description="Processes for heavy transforms; started when first needed.")
    stop_within: Seconds = Field(20.0, description="How long a stop or a reload waits for deliveries under way.")
