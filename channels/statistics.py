"""Counters of a channel or a destination: plain numbers, read when somebody looks."""

from __future__ import annotations


class Statistics:
    """Since the start of the process."""

    __slots__ = (
        "delivered",
        "duplicates",
        "expired",
        "failed",
        "filtered",
        "last",
        "received",
        "refused",
        "retries",
        "skipped",
        "warned",
    )

    def __init__(self) -> None:
        """All zero; ``last`` is the time of the latest event, seconds since the epoch, 0.0 for never."""
        self.received = self.refused = self.duplicates = self.warned = 0
        self.delivered = self.filtered = self.failed = self.expired = self.skipped = self.retries = 0
        self.last = 0.0

    def count(self, state: str, now: float) -> None:
        """One delivery ended in this state."""
        setattr(self, state, getattr(self, state) + 1)
        self.last = now

    def values(self) -> dict[str, float]:
        """Name -> number."""
        return {name: getattr(self, name) for name in self.__slots__}
