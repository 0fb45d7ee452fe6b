"""What became of acknowledged results against what should have: the verdict of a crash test of the PFI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
Step = tuple[str, int]
"""A version of a report: its number, and its place among the versions, from 1."""


@dataclass(frozen=True, slots=True)
class Published:
    """A document that the DMP has. chain: what its versions have in common there; place: among them, from 1."""

    step: Step
    unique_id: str
    chain: str
    place: int
    current: bool


@dataclass(frozen=True, slots=True)
class Mailed:
    """One arrival of a mail at one mailbox. faulty: it is not as it must be."""

    step: Step
    address: str
    message_id: str
    faulty: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """One arrival of a business acknowledgement. of: control id of the result; control_id: its own."""

    of: str
    kind: str
    positive: bool
    address: str
    control_id: str


@dataclass(frozen=True, slots=True)
class PfiVerdict:
    """Counts.

    acknowledged: results, positively; corrections: of these. unpublished: of these, not in the DMP; published_twice: in
    it more than once; misplaced: not behind the version that it replaces, or the last one and not current. unmailed:
    mails that did not arrive; mailed_twice: that arrived with several Message-IDs; faulty: not as they must be. untold:
    acknowledged without a positive ZAM^Z01; told_twice: with several; told_no: negative ZAM. unknown: documents and
    mails of no result. Allowed: mails_repeated and told_repeated, arrivals of the same beyond the first;
    refused_duplicates, lots that came again and that the DMP refused for that.
    """

    acknowledged: int
    corrections: int
    published: int
    mailed: int
    told: int
    unpublished: int
    published_twice: int
    misplaced: int
    unmailed: int
    mailed_twice: int
    faulty: int
    untold: int
    told_twice: int
    told_no: int
    unknown: int
    mails_repeated: int
    told_repeated: int
    refused_duplicates: int = 0

    @property
    def kept(self) -> bool:
        """True when the engine kept its promises."""
        return not (
            self.unpublished or self.published_twice or self.misplaced or self.unmailed or self.mailed_twice
            or self.faulty or self.untold or self.told_twice or self.told_no or self.unknown
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. steps: control id -> version of a report, of all that was sent. mailboxes: of each step."""

    steps: Mapping[str, Step]
    mailboxes: Mapping[Step, Collection[str]]
    acknowledged: Collection[str]


def compare(
    wanted: Wanted,
    published: Collection[Published],
    mailed: Collection[Mailed],
    told: Collection[Told],
    refused_duplicates: int = 0,
) -> PfiVerdict:
    """Judge one test, once nothing is on its way any more."""
    known = set(wanted.steps.values())
    certain = [wanted.steps[one] for one in wanted.acknowledged]
    documents = _grouped((one.step, one) for one in published)
    identities = _grouped(((one.step, one.address), one.message_id) for one in mailed)
    answers = _grouped((one.of, one.control_id) for one in told if one.kind == "Z01" and one.positive)
    boxes = [(step, address) for step in certain for address in wanted.mailboxes[step]]
    return PfiVerdict(
        acknowledged=len(certain),
        corrections=sum(place > 1 for _, place in certain),
        published=len(published),
        mailed=len({one.message_id for one in mailed}),
        told=len({one.control_id for one in told}),
        unpublished=sum(step not in documents for step in certain),
        published_twice=sum(len(found) > 1 for found in documents.values()),
        misplaced=_misplaced(documents),
        unmailed=sum(one not in identities for one in boxes),
        mailed_twice=sum(len(set(found)) > 1 for found in identities.values()),
        faulty=sum(one.faulty for one in mailed),
        untold=sum(one not in answers for one in wanted.acknowledged),
        told_twice=sum(len(set(found)) > 1 for found in answers.values()),
        told_no=len({one.control_id for one in told if not one.positive}),
        unknown=sum(one.step not in known for one in published)
        + sum(one.address not in wanted.mailboxes.get(one.step, ()) for one in mailed),
        mails_repeated=len(mailed) - len({(one.message_id, one.address) for one in mailed}),
        told_repeated=len(told) - len({one.control_id for one in told}),
        refused_duplicates=refused_duplicates,
    )


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    found: dict[Key, list[Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)


def _misplaced(documents: Mapping[Step, list[Published]]) -> int:
    """Documents whose chain is not that of their report, version by version, the last one current."""
    latest: dict[str, int] = {}
    for number, place in documents:
        latest[number] = max(place, latest.get(number, 0))
    wrong = 0
    for (number, place), found in documents.items():
        first = documents.get((number, 1), found)
        wrong += any(
            one.place != place or one.chain != first[0].chain or one.current != (place == latest[number])
            for one in found
        )
    return wrong
