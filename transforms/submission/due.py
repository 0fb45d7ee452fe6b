"""An acknowledgement that is due, as its writer needs it; the store of submissions has such rows."""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["Z01", "Z02", "Z03"]
"""DMP reception, MSSanté reception, MSSanté reading."""


class Outcome(Protocol):
    """A business answer about one target (``connectors.shared.submissions.Outcome``)."""

    @property
    def kind(self) -> Kind:
        """Which ZAM."""

    @property
    def positive(self) -> bool:
        """Received, or read."""

    @property
    def code(self) -> str:
        """ERR-5.1."""

    @property
    def label(self) -> str:
        """ERR-5.2."""

    @property
    def system(self) -> str:
        """ERR-5.3."""

    @property
    def address(self) -> str:
        """The mailbox."""

    @property
    def reader(self) -> str:
        """The person who read."""


class Due(Protocol):
    """An acknowledgement to send (``connectors.shared.submissions.Due``); MSH-3 to MSH-6 are the request's."""

    @property
    def control_id(self) -> str:
        """Its own MSH-10."""

    @property
    def of(self) -> str:
        """MSH-10 of the request."""

    @property
    def outcome(self) -> Outcome:
        """What it says."""

    @property
    def sending_application(self) -> str:
        """MSH-3 of the request."""

    @property
    def sending_facility(self) -> str:
        """MSH-4 of the request."""

    @property
    def receiving_application(self) -> str:
        """MSH-5 of the request."""

    @property
    def receiving_facility(self) -> str:
        """MSH-6 of the request."""

    @property
    def processing_id(self) -> str:
        """MSH-11."""

    @property
    def profile(self) -> str:
        """Version of the volet."""
