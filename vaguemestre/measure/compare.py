"""What was acknowledged against what arrived: the verdict of a crash test, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Steps = Sequence[tuple[str, int]]
"""The places of one message in its patients' stories: (patient, number); two of them for a merge."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of messages.

    acknowledged: positively, by the engine. delivered: different ones that arrived. lost: acknowledged and never
    arrived. duplicates: arrivals beyond the first. out_of_order: arrived for the first time after a later message of
    the same patient. unacknowledged_delivered: arrived although their sender was never told so (allowed).
    altered: arrivals whose bytes are not those that were sent.
    """

    acknowledged: int
    delivered: int
    lost: int
    duplicates: int
    out_of_order: int
    unacknowledged_delivered: int
    altered: int = 0

    @property
    def kept(self) -> bool:
        """True when the engine kept its promises."""
        return not (self.lost or self.out_of_order or self.altered)


def compare(
    stories: Mapping[str, Steps], acknowledged: Iterable[str], arrived: Sequence[str], altered: int = 0
) -> Verdict:
    """Judge one test.

    stories: control id -> its steps, of every message that was sent. arrived: control ids in order of arrival.
    An arrival with a control id that nobody sent counts as altered.
    """
    known = set(acknowledged)
    times = Counter(one for one in arrived if one in stories)
    latest: dict[str, int] = {}
    out_of_order = 0
    for one in times:  # in order of first arrival
        steps = stories[one]
        out_of_order += any(number < latest.get(patient, -1) for patient, number in steps)
        for patient, number in steps:
            latest[patient] = max(number, latest.get(patient, -1))
    return Verdict(
        acknowledged=len(known),
        delivered=len(times),
        lost=len(known - times.keys()),
        duplicates=sum(times.values()) - len(times),
        out_of_order=out_of_order,
        unacknowledged_delivered=len(times.keys() - known),
        altered=altered + len(arrived) - sum(times.values()),
    )
