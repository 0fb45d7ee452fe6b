"""The store of submissions."""

from __future__ import annotations

from channels.ports import Surroundings
from connectors.shared.submissions.records import Consent, Due, KnownDocument, Outcome, Sent, State, Target
from transforms.submission import Patient, Submission


def open_submissions(surroundings: Surroundings) -> Submissions:
    """The store of this engine: the same object for every connector of a process; close it with ``aclose``."""
    raise NotImplementedError


class Submissions:
    """See the package. Every method may raise StoreError when the disk does not take it."""

    async def aclose(self) -> None:
        """Let go of it; the file closes with the last user."""
        raise NotImplementedError

    async def register(self, submission: Submission, *, known_parents_only: bool) -> None:
        """Remember a request, its documents and its targets; the same one again changes nothing.

        known_parents_only: a replacement or a deletion of a document that this engine never had is refused.

        Raises:
            MessageError: condition 900 (not the latest version, or unknown) or 901 (another structure's document).
        """
        raise NotImplementedError

    async def target(self, key: str, name: str) -> Target | None:
        """One target of a request (``dmp``, ``mail 1``...), None when the request has no such one."""
        raise NotImplementedError

    async def note(
        self, key: str, name: str, state: State, *, reference: str = "", outcome: Outcome | None = None
    ) -> bool:
        """Change the state of a target; its business acknowledgement, when wanted, is due in the same transaction.

        reference: kept when ``""``. Returns False when nothing changed: the same state and outcome were noted before.
        A negative outcome is due even when the request wants no acknowledgement, if the site says so.
        """
        raise NotImplementedError

    async def published(self, unique_ids: tuple[str, ...], lot: str) -> None:
        """The DMP has these documents, in this lot."""
        raise NotImplementedError

    async def document(self, unique_id: str) -> KnownDocument | None:
        """A document by its identifier."""
        raise NotImplementedError

    async def mail(self, reference: str, address: str = "") -> Sent | None:
        """The mail with this Message-ID (ENVID is the same text without brackets), to this address when several."""
        raise NotImplementedError

    async def due(self, limit: int = 100) -> list[Due]:
        """Business acknowledgements to send, oldest first."""
        raise NotImplementedError

    async def sent(self, number: int) -> None:
        """An acknowledgement is in the journal: due no more."""
        raise NotImplementedError

    async def more_due(self) -> None:
        """Wait until something is due, a few seconds at most."""
        raise NotImplementedError

    async def remember(self, patients: tuple[tuple[str, str], ...], consent: Consent, at: float) -> None:
        """Consent of a patient, known by these identifiers ``(OID or authority, number)``; empty fields erase nothing.

        at: time of the message; an older one changes nothing that a later one said.
        """
        raise NotImplementedError

    async def consent(self, patient: Patient) -> Consent:
        """What is known of this patient, by INS, else by local number; empty when nothing is."""
        raise NotImplementedError
