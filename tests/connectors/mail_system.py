"""A hospital's and its correspondents' mailboxes: real Postfix and Dovecot, and connectors that reach them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from channels.certificates import CertificateSettings
from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.ports import Surroundings
from connectors.mssante import (
    MssanteDestination,
    MssanteDestinationSettings,
    MssanteSource,
    MssanteSourceSettings,
)
from connectors.shared.submissions import Submissions, open_submissions
from tests.connectors.certificates import Certificates
from tests.connectors.dovecot import Dovecot
from tests.connectors.postfix import Postfix
from tests.transforms.mails import DOCTOR, PATIENT, SENDER, SITE, UNIT

USERS = [SENDER, DOCTOR, UNIT, PATIENT, "dpi@chu.mssante.fr"]


@dataclass(frozen=True)
class MailSystem:
    """One for many tests; each empties the mailboxes it uses."""

    certificates: Certificates
    dovecot: Dovecot
    postfix: Postfix

    def clear(self) -> None:
        for one in (self.dovecot.folder / "mail").rglob("*"):
            if one.is_file() and one.parent.name in ("new", "cur"):
                one.unlink()

    def smtp(self, **changes: Any) -> dict[str, Any]:
        return {"connect": f"127.0.0.1:{self.postfix.port}", "timeout": "10s", **self._known, **changes}

    def imap(self, user: str = SENDER, **changes: Any) -> dict[str, Any]:
        known = {"connect": f"127.0.0.1:{self.dovecot.port}", "timeout": "10s", "user": user}
        return {**known, "password": self.dovecot.password, **self._known, **changes}

    @property
    def _known(self) -> dict[str, Any]:
        return {"certificate": "mssante", "authorities": str(self.certificates.authority)}


def started(folder: Path, certificates: Certificates) -> Iterator[MailSystem]:
    """Start both, stop both. folder: where other users may go too (pytest closes its own folders to them)."""
    for name in ("dovecot", "postfix"):
        (folder / name).mkdir()
    dovecot = Dovecot(folder / "dovecot", certificates, USERS)
    dovecot.start()
    try:
        postfix = Postfix(folder / "postfix", certificates, dovecot, USERS)
        postfix.start()
        try:
            yield MailSystem(certificates, dovecot, postfix)
        finally:
            postfix.stop()
    finally:
        dovecot.stop()


@dataclass
class Office:
    """An engine's store and certificates, around connectors under test."""

    surroundings: Surroundings
    store: Submissions

    def destination(self, settings: dict[str, Any]) -> MssanteDestination:
        return MssanteDestination(MssanteDestinationSettings.model_validate(settings), self.surroundings)

    def source(self, settings: dict[str, Any]) -> MssanteSource:
        return MssanteSource(MssanteSourceSettings.model_validate(settings), self.surroundings)


@asynccontextmanager
async def office(directory: Path, certificates: Certificates) -> AsyncIterator[Office]:
    """A new store in a folder."""
    catalog = Catalog(directory, MasterKeys.read(MasterKeys.new_line("test")), write=True)
    known = {
        name: CertificateSettings(
            file=certificates.directory / f"{file}.pem", key=certificates.directory / f"{file}.key", use="client"
        )
        for name, file in (("mssante", "client"), ("server", "server"), ("stranger", "stranger"))
    }
    site = SITE.model_copy(update={"certificates": known})
    around = Surroundings(site, directory, "pfi", "mssante", journal_directory=directory)
    around = replace(around, hasher=catalog.hasher, sealer=catalog.sealer("pfi"))
    store = open_submissions(around)
    try:
        yield Office(around, store)
    finally:
        await store.aclose()
        catalog.close()
