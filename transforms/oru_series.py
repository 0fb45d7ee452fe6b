"""Several results of one test in one order: corrections replace, results of earlier days are previous ones.

Source: HL7 v2.5 table 0085 (C replaces the result of the same code and sub-id); French laboratories, which send the
results of earlier days beside those of the day.
"""

from __future__ import annotations

from dataclasses import replace

from channels.errors import ProfileError
from transforms.oru_results import Found
from transforms.oru_rules import Rules
from transforms.report import LeftOut, Moment, Previous, Result


def settle(read: list[Found], collected: Moment | None, rules: Rules) -> tuple[list[Found], list[LeftOut]]:
    """The results that count, and what is left out because another replaces it.

    collected: of the order (OBR-7).

    Raises:
        ProfileError: a result is final, then preliminary again.
    """
    kept: list[Found] = []
    left_out: list[LeftOut] = []
    for one in read:
        earlier = next((other for other in kept if _same(one, other)), None)
        if earlier is None:
            kept.append(one)
            continue
        before, now = _result(earlier), _result(one)
        if now.status == "C" or (now.status == "F" and before.status in "PRSI"):
            kept[kept.index(earlier)] = one
            left_out.append(LeftOut(before.place, "replaced by a later result of the same test"))
        elif before.final and now.status in "PRSI":
            raise ProfileError("a final result cannot become preliminary again", f"{now.place}-11")
        else:
            kept.append(one)
    if collected is None or rules.laboratory.previous_results == "separate":
        return kept, left_out
    return _with_previous(kept, collected.digits[:8], left_out), left_out


def _result(found: Found) -> Result:
    assert found.result is not None  # noqa: S101  # the caller chose those that have one
    return found.result


def _same(one: Found, other: Found) -> bool:
    """The same test, sub-id and moment; without codes nothing is known to be the same."""
    if not one.codes or one.codes != other.codes or one.sub_id != other.sub_id:
        return False
    now, before = _result(one), _result(other)
    if now.status == before.status:
        return False
    return one.observed is None or other.observed is None or one.observed.digits == other.observed.digits


def _with_previous(kept: list[Found], day: str, left_out: list[LeftOut]) -> list[Found]:
    """Results of a day before ``day`` go to the result of the same test of that day or later, when there is one."""
    previous: dict[int, list[Found]] = {}
    current = [index for index, one in enumerate(kept) if not _earlier(one, day)]
    for one in kept:
        if not _earlier(one, day):
            continue
        owner = next((index for index in current if one.codes and kept[index].codes == one.codes), None)
        if owner is None:
            continue
        previous.setdefault(owner, []).append(one)
        result = _result(one)
        if result.flags or result.range:
            left_out.append(LeftOut(result.place, "of a previous result, only the value is carried"))
    moved = {id(one) for found in previous.values() for one in found}
    return [_owner(one, previous.get(index, [])) for index, one in enumerate(kept) if id(one) not in moved]


def _earlier(found: Found, day: str) -> bool:
    """Of an earlier day, validated, and nothing but a value: what has a comment of its own stays a result."""
    result = _result(found)
    moment = found.observed
    dated = moment is not None and len(moment.digits) >= len(day) and moment.digits[:8] < day
    return dated and result.final and not result.notes


def _owner(owner: Found, earlier: list[Found]) -> Found:
    if not earlier:
        return owner
    found = []
    for one in earlier:
        before = _result(one)
        if one.observed:
            found.append(Previous(before.values, one.observed, before.unit, place=before.place))
    found.sort(key=lambda each: each.time.digits, reverse=True)
    return replace(owner, result=replace(_result(owner), previous=tuple(found)))
