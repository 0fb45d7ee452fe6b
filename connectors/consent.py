"""The memory of consents: what the ADT flow says of each patient's DMP (ZFA), asked before a document is published.

Source: IHE PAM France 2.11, segment ZFA.
"""

from __future__ import annotations

from channels.errors import StoreError, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Receipt, Surroundings
from channels.site import Site
from connectors.shared.submissions import Consent, Submissions, open_submissions
from transforms.submission.consent import read_consent


class ConsentDestinationSettings(Settings):
    """Remembers the consents that messages carry; it has no settings. Messages without ZFA pass by."""


class ConsentDestination:
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = ConsentDestinationSettings

    def __init__(self, settings: ConsentDestinationSettings, surroundings: Surroundings) -> None:
        del settings
        self._surroundings = surroundings
        self._store: Submissions | None = None

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``."""
        self._store = open_submissions(self._surroundings)

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        site = self._surroundings.site
        facts = read_consent(message, _patient_oid(site), site.timezone)
        if facts is None:
            return Receipt("no ZFA")
        if self._store is None:
            raise Undelivered("the memory of consents is closed")
        consent = Consent(
            facts.dmp, facts.dmp_collected, facts.dmp_closed, facts.feeding, facts.feeding_date, facts.consultation,
            facts.consultation_date,
        )  # fmt: skip
        try:
            await self._store.remember(facts.identifiers, consent, facts.at)
        except StoreError as error:
            raise Undelivered(str(error)) from error
        return Receipt("remembered")

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``."""
        store, self._store = self._store, None
        if store is not None:
            await store.aclose()


def _patient_oid(site: Site) -> str:
    """OID of patient numbers whose authority the message does not give as one."""
    own = site.pfi.patient_oid if site.pfi else None
    return own or (site.laboratory.oids.patient if site.laboratory else None) or ""
