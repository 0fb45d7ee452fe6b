"""Settings of the ``mllp`` source and destination."""

from __future__ import annotations

import codecs
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from channels.errors import Level
from channels.fields import Address, Seconds, Settings, SizeBytes, TlsClient, TlsServer, one_or_more
from channels.registry import suggestion
from transforms.tolerance import rule_names


def _network(value: Any) -> Any:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value), strict=False)
    except ValueError:
        raise ValueError("a peer is an address or a network, such as 10.1.2.3 or 10.1.0.0/16") from None


def _codec(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError("not a character set; did you mean 'utf-8', 'iso8859-15' or 'cp1252'?") from None


def _levels(value: dict[str, Level]) -> dict[str, Level]:
    known = rule_names()
    for name in value:
        if name not in known:
            raise ValueError(f"no rule is called {name!r}{suggestion(name, known)}")
    return value


Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_network),
    WithJsonSchema({"type": "string", "examples": ["10.1.0.0/16"]}),
]
Codec = Annotated[str, AfterValidator(_codec)]
Levels = Annotated[dict[str, Level], AfterValidator(_levels)]
Names = Annotated[tuple[str, ...], BeforeValidator(one_or_more)]


class MllpSourceSettings(Settings):
    """Listens for HL7 v2 messages over MLLP."""

    listen: Address = Field(description="Address to listen on, `host:port`.")
    tls: TlsServer | None = Field(None, description="Certificate of this listener; with `clients`, mutual TLS.")
    allow: Annotated[tuple[Network, ...], BeforeValidator(one_or_more)] = Field(
        (), description="Peers that may connect, addresses or networks; empty: all."
    )
    senders: Names = Field(
        (), description="`MSH-3|MSH-4`, or MSH-3 alone, that may send; others are answered AE. Empty: all."
    )
    messages: Names = Field(
        (), description="`ADT` or `ADT^A01` taken here; others are answered AR (200, 201). Empty: all."
    )
    versions: Names = Field((), description="Versions (MSH-12.1) taken here; others are answered AR (203). Empty: all.")
    processing: Names = Field(("P", "T", "D"), description="MSH-11.1 taken here; others are answered AR (202).")
    empty_control_id: Literal["warn", "refuse"] = Field("warn", description="A message without MSH-10.")
    charset: Codec = Field("cp1252", description="Assumed when MSH-18 says nothing and the bytes are not UTF-8.")
    answer: Literal["auto", "original", "enhanced"] = Field(
        "auto", description="`auto`: what MSH-15 and MSH-16 ask; `original`: always AA, AE, AR; `enhanced`: CA, CE, CR."
    )
    application_answer: bool = Field(
        False, description="Send AA, AE or AR after CA, CE or CR to those whose MSH-15 and MSH-16 ask for both."
    )
    unsupported: Literal["AR", "AE"] = Field("AR", description="Answer to a type, event, mode or version not taken.")
    warnings: bool = Field(False, description="Return warnings with the answer (ERR-4 `W`).")
    answer_charset: Codec | None = Field(None, description="Of the answers; absent: the one of the message.")
    batch_answer: Literal["all", "errors", "none"] = Field(
        "all", description="What the answer to a batch (FHS, BHS) holds."
    )
    inspect: Literal["wire", "full"] = Field(
        "wire",
        description="`wire`: header and syntax are looked at; `full`: contents too (25 to 70 µs, more with documents).",
    )
    levels: Levels = Field(default_factory=dict, description="Rule -> `reject`, `warn` or `ignore`, for all senders.")
    sender_levels: dict[str, Levels] = Field(
        default_factory=dict, description="`MSH-3|MSH-4` -> rule -> level, for one sender."
    )
    max_size: SizeBytes = Field(50_000_000, description="Larger messages are refused and the connection closed.")
    pipeline: int = Field(64, ge=1, le=10_000, description="Messages of one connection that may wait for an answer.")
    connections: int = Field(4096, ge=1, description="Open connections; more are closed at once.")
    memory: SizeBytes = Field(
        256_000_000, description="For frames that did not come whole, over all connections; beyond, one is closed."
    )
    unanswered: SizeBytes = Field(
        128_000_000, description="Messages that wait for an answer, over all connections; beyond, reading waits."
    )
    frame_timeout: Seconds = Field(30.0, description="Silence inside a frame after which the connection is closed.")
    idle: Seconds | None = Field(None, description="Silence between frames that closes the connection; absent: never.")


class MllpDestinationSettings(Settings):
    """Sends HL7 v2 messages over MLLP: one at a time on each connection, each answered before the next."""

    connect: Address = Field(description="Address of the receiver, `host:port`.")
    tls: TlsClient | None = Field(None, description="TLS; with `certificate`, mutual TLS.")
    timeout: Seconds = Field(30.0, description="For one message: to connect, to send it, to get its answer.")
    resend_on: Annotated[tuple[Literal["AE", "AR", "CE", "CR"], ...], BeforeValidator(one_or_more)] = Field(
        (), description="Answers that mean `not now`: the message is sent again instead of being a dead letter."
    )
    wait_for: Literal["commit", "application"] = Field(
        "commit", description="`application`: after CA, wait for AA, AE or AR too (MSH-16 of the message asks for it)."
    )
    match: Literal["control_id", "order"] = Field(
        "control_id",
        description="`order`: this receiver's MSA-2 is not that of the message; take answers as they come.",
    )
    idle: Seconds | None = Field(None, description="Close a connection not used for this long; absent: keep it open.")
    max_answer: SizeBytes = Field(1_000_000, description="The largest answer that is read.")
