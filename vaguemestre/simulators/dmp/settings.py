"""What the simulator leaves open, because the official documents do: versions, algorithms, orders of names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vaguemestre.simulators.dmp import names


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DmpSettings:
    """Which of several readings of the rules is applied, and how the server is set up.

    vihf_versions: accepted VIHF_Version (3.0 in samples, 4.0 in a table of the guide).
    digests: accepted digests of signatures, by their short names.
    issuer_order: of the DN in the assertion's Issuer: rfc2253 (CN first), x500 (C first), any.
    actions: accepted actions of ITI-41.
    inline: documents as Base64 in the envelope are taken too, without MTOM.
    consultation: FindDocuments is answered, as with a card; refused otherwise.
    freshness: how old an assertion may be, and how far ahead a sender's clock.
    schemas: folder of the official schemas (``IHE/IHEXDSB.xsd``, ``ebRS30/lcm.xsd``, ``ebRS30/query.xsd``).
    clock: what time it is; a test of an old message gives the message's.
    hosts: names under which clients reach the server, besides this machine's own.
    keep_contents: documents keep their bytes; without, many large ones may come.
    """

    vihf_versions: frozenset[str] = frozenset({"3.0"})
    digests: frozenset[str] = frozenset({"sha1", "sha256"})
    issuer_order: str = "rfc2253"
    actions: frozenset[str] = frozenset({names.ITI_41})
    inline: bool = False
    consultation: bool = False
    freshness: timedelta = timedelta(minutes=5)
    schemas: Path | None = None
    clock: Callable[[], datetime] = now
    hosts: tuple[str, ...] = ()
    keep_contents: bool = True
