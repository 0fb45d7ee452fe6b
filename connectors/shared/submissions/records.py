"""The rows of the store, as its users see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "sending", "sent", "done", "refused"]
"""Of a target. ``waiting``: nothing left yet. ``sending``: it may have left (a crash or a cut may hide the answer).
``sent``: it left, the final answer is to come (DSN). ``done``: received. ``refused``: never as it is."""
Kind = Literal["Z01", "Z02", "Z03"]
"""ZAM: DMP reception, MSSanté reception, MSSanté reading."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A business answer about one target: the ZAM to come.

    code, label, system: ERR-5 of a negative one, such as ``DMPClosed``, its label, ``DMP_ERROR_CODE``.
    address: the mailbox (Z02, Z03). reader: identifier of the person who read, if the report says.
    """

    kind: Kind
    positive: bool
    code: str = ""
    label: str = ""
    system: str = ""
    address: str = ""
    reader: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One target of one request: ``dmp``, or ``mail 1``, ``mail 2``... in the order of the request's recipients.

    reference: what was written before sending: uniqueId of the DMP lot, Message-ID of the mail.
    """

    key: str
    name: str
    state: State
    reference: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """A document that a request brought.

    institution, author: of the request's sender. replaced_by: unique id of the version after. deleted: asked for.
    published: the DMP has it. lot: uniqueId of the lot that holds it. digest: SHA-1 of its bytes, hexadecimal.
    """

    unique_id: str
    key: str
    institution: str
    author: str
    replaces: str
    replaced_by: str
    digest: str
    lot: str
    published: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that left, found again from a report about it."""

    key: str
    target: str
    address: str


@dataclass(frozen=True, slots=True)
class Due:
    """A business acknowledgement to send.

    control_id: its own MSH-10, the same at every try. of: MSH-10 of the request. The requester's MSH-3 to MSH-6 are as
    the request had them. at: seconds since the epoch.
    """

    id: int
    control_id: str
    of: str
    outcome: Outcome
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    processing_id: str
    profile: str
    at: float


@dataclass(frozen=True, slots=True)
class Consent:
    """What ZFA said of a patient, last known.

    dmp: ``ACTIF``, ``FERME``, ``INEXISTANT``. feeding: ``NA``, ``IO``, ``INO``; consultation: ``NA``, ``INC``, ``IC``.
    Dates as written (ZFA-2, ZFA-3, ZFA-10, ZFA-12). ``""`` when absent.
    """

    dmp: str = ""
    dmp_collected: str = ""
    dmp_closed: str = ""
    feeding: str = ""
    feeding_date: str = ""
    consultation: str = ""
    consultation_date: str = ""

    @property
    def opposed(self) -> bool:
        """The patient opposes feeding (ZFA-9 ``IO``)."""
        return self.feeding == "IO"

    @property
    def no_record(self) -> bool:
        """The DMP is closed, or there is none (ZFA-1)."""
        return self.dmp in ("FERME", "INEXISTANT")
