"""An INSi for tests: the simulator over mutual TLS, certificates of a structure, messages of invented patients."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.certificates import CertificateSettings
from channels.message import Message
from channels.ports import Surroundings
from connectors.insi.lookup import InsiLookup
from connectors.insi.settings import InsiSettings
from tests.connectors.intake import SITE
from transforms import er7
from vaguemestre.simulators.insi.people import read_people
from vaguemestre.simulators.insi.rules import InsiRules
from vaguemestre.simulators.insi.service import InsiSimulator
from vaguemestre.simulators.pki import PASSWORD, Authority, Use

RUTH = "279035121518989"
OID = "1.2.250.1.213.1.4.10"
NAME = "FICTIVE^RUTH^RUTH ISABELLE^^^^L"
PLACE = "^^REIMS^^^FRA^BDL^^51215"


def server_context(authority: Authority, *, name: str = "server") -> ssl.SSLContext:
    """TLS of a server that asks clients for a certificate of the authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(authority.keep(name, "server").pem)
    made.load_verify_locations(authority.file)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


@dataclass
class World:
    """The service and where lookups stand."""

    insi: InsiSimulator
    authority: Authority
    directory: Path
    surroundings: Surroundings

    def options(self, **changes: Any) -> dict[str, Any]:
        return {
            "url": self.insi.url, "tls": "auth", "sign": "sign", "authorities": str(self.authority.file),
            "context": {"idam": "SIMULATEUR"}, "policy": "qualify", "rate": 50, **changes,
        }  # fmt: skip

    def lookup(self, **changes: Any) -> InsiLookup:
        made = InsiLookup(InsiSettings.model_validate(self.options(**changes)), self.surroundings)
        made._insi.check()
        return made


@asynccontextmanager
async def world(authority: Authority, directory: Path) -> AsyncIterator[World]:
    """Start it; stop it."""
    uses: dict[str, Use] = {"auth": "client", "sign": "sign"}
    named = {
        name: CertificateSettings.model_validate(
            {"file": authority.keep(name, use).p12, "use": use, "password": PASSWORD}
        )
        for name, use in uses.items()
    }
    site = SITE.model_copy(update={"certificates": named})
    insi = InsiSimulator(read_people(None), InsiRules(authority=authority.certificate), server_context(authority))
    await insi.start()
    try:
        yield World(insi, authority, directory, Surroundings(site, directory, "adt", "transform"))
    finally:
        await insi.stop()


def adt(
    *, ids: str = "77^^^GAP&1.2.250.1.999999.1&ISO^PI", name: str = NAME, birth: str = "19790328", sex: str = "F",
    place: str = PLACE, status: str = "VALI", more: str = "",
) -> Message:  # fmt: skip
    """An ADT of a patient."""
    body = (
        "MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^A28^ADT_A05|G1|P|2.5|||||FRA|UNICODE UTF-8\r"
        f"PID|1||{ids}||{name}||{birth}|{sex}|||{place}{'|' * 21}{status}\r{more}"
    )
    return er7.message(body.encode(), 1_770_000_000.0)


def with_ins(number: str = RUTH, oid: str = OID) -> str:
    """PID-3 with an INS."""
    return f"77^^^GAP&1.2.250.1.999999.1&ISO^PI~{number}^^^ASIP-SANTE-INS-NIR&{oid}&ISO^INS"
