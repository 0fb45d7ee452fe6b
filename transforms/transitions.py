"""What a new version of a report may do to the results of the version before.

A final result may be corrected or withdrawn, never made preliminary again. What is kept of a version are keyed digests
of its final results: no value, no name.

Source: HL7 v2.5 table 0085; IHE LTW, LAB-3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256

from channels.errors import ProfileError
from transforms.report import Panel, Report, Result

_DIGITS = 12


def statuses(report: Report) -> str:
    """Digests of the final results, for the version after. A test that is there several times is not told apart."""
    return " ".join(key for key, result in _keyed(report).items() if result.final)


def check(report: Report, before: str) -> None:
    """Raises ProfileError: a result that was final in the version before is preliminary in this one."""
    final = set(before.split())
    for key, result in _keyed(report).items():
        if key in final and result.status in "PRSI":
            raise ProfileError("a result that was final cannot become preliminary again", f"{result.place}-11")


def _keyed(report: Report) -> dict[str, Result]:
    found = [pair for panel in report.panels() for pair in _pairs(panel, "")]
    counts = Counter(key for key, _ in found)
    return {key: result for key, result in found if counts[key] == 1}


def _pairs(panel: Panel, isolate: str) -> Iterator[tuple[str, Result]]:
    for result in panel.results:
        yield _key(panel, isolate, result), result
    for one in panel.isolates:
        for result in one.results:
            yield _key(panel, one.number, result), result
        for tests in one.panels:
            yield from _pairs(tests, one.number)


def _key(panel: Panel, isolate: str, result: Result) -> str:
    numbers = panel.filler or panel.placer
    code = result.code.standard or (result.code.others[0] if result.code.others else None)
    words = (
        f"{numbers.root} {numbers.value}" if numbers else "",
        f"{code.system} {code.code}" if code else result.code.text,
        isolate,
        result.sub_id,
    )
    return sha256("|".join(words).encode()).hexdigest()[:_DIGITS]
