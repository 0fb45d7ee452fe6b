"""The types of settings: units are in the type, secrets are references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


class Settings(BaseModel):
    """Settings read from a file: an unknown key is an error, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _seconds(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a duration is a number with a unit, such as 30s")
    if isinstance(value, int | float):
        if value == 0:
            return 0.0
        raise ValueError(f"a duration needs a unit; did you mean '{value}s'?")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", value)
    if not match or match[2] not in _UNITS:
        raise ValueError("a duration is a number with a unit among ms, s, m, h, d, such as 30s")
    return float(match[1]) * _UNITS[match[2]]


def _size(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a size is a number with a unit, such as 50MB")
    if isinstance(value, int):
        if value == 0:
            return 0
        raise ValueError(f"a size needs a unit; did you mean '{value}MB'?")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
    if not match or match[2] not in _SIZES:
        raise ValueError("a size is a number with a unit among B, kB, MB, GB, KiB, MiB, GiB, such as 50MB")
    return int(float(match[1]) * _SIZES[match[2]])


def _host_port(value: Any) -> Any:
    if isinstance(value, HostPort):
        return value
    if not isinstance(value, str):
        raise ValueError("an address is written host:port")  # pydantic reports ValueError
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError("an address is written host:port, with a port up to 65535")
    return HostPort(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104  # ":2575" listens everywhere, as written


class HostPort(tuple[str, int]):
    """``host:port``; IPv6 in brackets; an empty host listens on every IPv4 interface."""

    __slots__ = ()

    def __new__(cls, host: str, port: int) -> Self:
        """A pair that prints as it is written."""
        return super().__new__(cls, (host, port))

    @property
    def host(self) -> str:
        """The host name or address."""
        return self[0]

    @property
    def port(self) -> int:
        """The TCP port."""
        return self[1]

    def __str__(self) -> str:
        """As written in a file."""
        return f"[{self[0]}]:{self[1]}" if ":" in self[0] else f"{self[0]}:{self[1]}"


Seconds = Annotated[
    float, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|min|h|d)$"})
]
SizeBytes = Annotated[
    int, BeforeValidator(_size), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*[kKMG]?i?B$"})
]
Address = Annotated[
    HostPort, BeforeValidator(_host_port), WithJsonSchema({"type": "string", "pattern": r"^.*:\d{1,5}$"})
]
Secret = SecretStr
"""Written ``${NAME}`` in the file; never printed."""


def _existing(value: Path, info: ValidationInfo) -> Path:
    """An absolute path of a file that is there; as it is written when no site is being loaded."""
    if info.context is None:
        return value
    path: Path = info.context["directory"] / value
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _inside(value: Path, info: ValidationInfo) -> Path:
    if info.context is not None:
        directory: Path = info.context["directory"].resolve()
        if not (directory / value).resolve().is_relative_to(directory):
            raise ValueError("the file is outside the site")
    return _existing(value, info)


def _folder(value: Path, info: ValidationInfo) -> Path:
    if info.context is None:
        return value
    path: Path = info.context["directory"] / value
    if not path.is_dir():
        raise ValueError("there is no such folder")
    return path


Directory = Annotated[Path, AfterValidator(_folder)]
"""A folder of this machine that is there; relative to the site's folder, absolute once a site is loaded."""
ExistingFile = Annotated[Path, AfterValidator(_existing)]
"""A file of this machine, taken from the site's folder when the path is relative; absolute once a site is loaded."""
SiteFile = Annotated[Path, AfterValidator(_inside)]
"""The same, and it must be inside the site's folder (style sheets, code)."""


class TlsServer(Settings):
    """TLS of a listener: its certificate; with ``clients``, the peers must show one too (mutual TLS)."""

    certificate: ExistingFile = Field(description="PEM file: certificate and its chain; or PKCS#12 (`.p12`, `.pfx`).")
    key: ExistingFile | None = Field(None, description="PEM file of the private key, when it is not in `certificate`.")
    password: Secret | None = Field(None, description="Password of the private key.")
    clients: ExistingFile | None = Field(
        None, description="PEM file of authorities: clients must show a certificate of theirs."
    )


class TlsClient(Settings):
    """TLS of a connection: whom to trust; with ``certificate``, what to show (mutual TLS)."""

    authorities: ExistingFile | None = Field(
        None, description="PEM file of trusted authorities; the system's when absent."
    )
    certificate: ExistingFile | None = Field(
        None, description="PEM file: our certificate and its chain; or PKCS#12 (`.p12`, `.pfx`)."
    )
    key: ExistingFile | None = Field(None, description="PEM file of our private key, when it is not in `certificate`.")
    password: Secret | None = Field(None, description="Password of our private key.")
    server_name: str | None = Field(None, description="Name expected in the server's certificate, when not the host.")


def one_or_more(value: Any) -> Any:
    """A single value stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]
