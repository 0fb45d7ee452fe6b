"""How a request to the DMP can end before or besides its answer: local reasons, and what is remembered meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from connectors.shared.submissions import Outcome

SYSTEM = "DMP_ERROR_CODE"
"""ERR-5.3 of codes about the DMP, the DMP's and ours."""
_VOLET = "applicationErrorCondition"
"""ERR-5.3 of the codes 900 to 906 of the ANS volet."""


class Denied(Exception):
    """The request ends with a no.

    code, label: ERR-5 of the acknowledgement to the requester. problem: for operators. answer: the DMP's bytes, if any.
    """

    def __init__(self, code: str, label: str, problem: str, answer: bytes = b"") -> None:
        self.code, self.label, self.problem, self.answer = code, label, problem, answer
        super().__init__(problem)

    @property
    def outcome(self) -> Outcome:
        """The acknowledgement."""
        system = _VOLET if self.code.isdecimal() else SYSTEM
        return Outcome("Z01", positive=False, code=self.code, label=self.label, system=system)


DONE = Outcome("Z01", positive=True)


def opposed() -> Denied:
    """ZFA-9 ``IO``."""
    return Denied("PatientOpposed", "Le patient s'oppose à l'alimentation de son DMP", "the patient opposes feeding")


def not_informed() -> Denied:
    """ZFA-9 ``NA`` or absent, and the site wants it collected."""
    return Denied(
        "PatientNotInformed",
        "L'information du patient sur l'alimentation du DMP n'est pas recueillie",
        "the patient's consent was not collected",
    )


def no_record(*, closed: bool) -> Denied:
    """ZFA-1, or the existence test."""
    if closed:
        return Denied("DMPClosed", "DMP fermé", "the patient's record is closed")
    return Denied("DMPNotExisting", "Le patient n'a pas de DMP", "the patient has no record")


def not_qualified() -> Denied:
    """No INS that may be used here."""
    return Denied("INSNotQualified", "INS absente, non qualifiée ou d'un autre domaine", "no qualified INS")


def confidential() -> Denied:
    """CDA confidentialityCode R or V."""
    return Denied(
        "ConfidentialityRaised",
        "Document à confidentialité renforcée, non partagé",
        "a document's confidentiality is raised (`confidentiality` lets it pass)",
    )


def too_large() -> Denied:
    """More bytes than ``max_size``."""
    return Denied("LotTooLarge", "Lot de documents trop volumineux", "the lot is larger than max_size")


def bad_identifier() -> Denied:
    """The DMP takes an OID of 64 characters at most, without extension."""
    return Denied("DocumentIdRefused", "L'identifiant du document n'est pas un OID seul", "a document's id is no OID")


def parent_missing() -> Denied:
    """The version to replace or to delete is not there, or not the current one."""
    return Denied(
        "900",
        "La version à remplacer ou à supprimer n'est pas la version courante du DMP",
        "the version before is not the current one in the DMP",
    )


def held(code: str, label: str, answer: bytes = b"") -> Denied:
    """A person has to look."""
    return Denied(code, label, f"{code}: a person must look at it", answer)


@dataclass(slots=True)
class Unknown:
    """A lot that left and was not answered. asked: look-ups made; -1: of an engine that ran before this one."""

    since: float = field(default_factory=time.monotonic)
    asked: int = 0

    def due(self, delays: tuple[float, ...]) -> bool:
        """True when the next look-up may be made."""
        return self.asked < 0 or time.monotonic() >= self.since + delays[self.asked]
