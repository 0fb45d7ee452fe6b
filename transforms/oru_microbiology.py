"""Cultures: isolates, and the susceptibility tests of each.

Two ways are met: one OBR for each susceptibility test, linked to its germ by OBR-26 and OBR-29; or one OBR for all,
whose OBX-4 tells the isolates apart (``1``, ``1.1``, ``1.2``...). A link that names a germ which the message does not
hold is never guessed: the words of OBR-26 are shown as the germ, or the message is refused.

Source: HL7 v2.5, 7.4.1 (OBR-26, OBR-29); order of linking as met in French laboratories.
"""

from __future__ import annotations

from dataclasses import replace

from channels.errors import ProfileError
from transforms.oru_orders import Parent, ReadOrder
from transforms.oru_results import Found
from transforms.oru_rules import Rules
from transforms.report import LOINC, SNOMED_CT, Answer, Coding, Concept, Flag, Isolate, Panel, Result, Text
from transforms.tables import value_set

ANTIBIOGRAM = Concept("Antibiogramme", Coding("18769-0", "Antibiogramme", LOINC, "LOINC"))
_SUSCEPTIBILITY = frozenset({"S", "I", "R", "SDD", "NS"})
_WORDS = {"SENSIBLE": "S", "INTERMÉDIAIRE": "I", "INTERMEDIAIRE": "I", "RÉSISTANT": "R", "RESISTANT": "R"}
_NO_GERM = frozenset({"264868006", "260415000", "260385009", "3947000"})
"""SNOMED CT: no growth, not detected, negative, no organism: answers that are not a germ."""


def linked(read: list[ReadOrder], rules: Rules) -> list[ReadOrder]:
    """The orders with their isolates; a susceptibility test is in its isolate, and no longer an order of its own.

    Raises:
        ProfileError: a link to a result that the message does not hold and does not name, or that was withdrawn.
    """
    children: dict[int, list[tuple[int, ReadOrder]]] = {}
    nested: dict[int, list[int]] = {}
    moved: set[int] = set()
    made = list(read)
    known = _codes(rules)
    for index, one in enumerate(read):
        if one.parent is None or one.panel is None:
            continue
        owner = _owner(one.parent, index, read, known)
        if owner is None:
            made[index] = _alone(one, one.parent, rules)
        elif owner[1] is None:
            nested.setdefault(owner[0], []).append(index)
        else:
            children.setdefault(owner[0], []).append((owner[1], one))
            moved.add(index)
    made = [_isolated(one, children.get(index, []), rules) for index, one in enumerate(made)]
    return _in_order(made, nested, moved)


def _in_order(made: list[ReadOrder], nested: dict[int, list[int]], moved: set[int]) -> list[ReadOrder]:
    """Panels of a panel follow it, in its chapter."""
    inside = {index for found in nested.values() for index in found}
    found: list[ReadOrder] = []

    def add(index: int, chapter: Coding | None, sub: Coding | None, seen: frozenset[int]) -> None:
        one = made[index]
        if chapter:
            one = replace(one, chapter=chapter, sub_chapter=sub)
        found.append(one)
        for each in nested.get(index, []):
            if each not in seen:
                add(each, one.chapter, one.sub_chapter, seen | {each})

    for index in range(len(made)):
        if index not in inside and index not in moved:
            add(index, None, None, frozenset({index}))
    added = {id(one.order) for one in found}
    found += [made[index] for index in sorted(inside) if id(made[index].order) not in added]  # a circle of parents
    return found


def _owner(parent: Parent, index: int, read: list[ReadOrder], known: frozenset[str]) -> tuple[int, int | None] | None:
    """Where the parent is: number of its order, and of its result (None: the panel only hangs on the order).

    None: it is not in the message, or nothing says that it is.
    """
    for level in (_same_filler, _same_placer, _same_group):
        orders = [at for at, one in enumerate(read) if at != index and level(parent, one)]
        if not orders:
            continue
        if not parent.result:
            return orders[0], None
        found = [(at, number) for at in orders for number in _named(parent, read[at].found)]
        found = _likely(found, parent, read, known)
        if len(found) == 1:
            return _germ_or_panel(found[0], index, read)
        if any(_named(parent, read[at].withdrawn) for at in orders):
            raise ProfileError("linked to a result that the laboratory withdrew", parent.place)
        if found:
            raise ProfileError("linked to several results: which one is the germ?", parent.place)
    if parent.text:
        said = parent.text.casefold()
        found = [
            (at, number)
            for at, one in enumerate(read)
            if at != index
            for number, result in enumerate(one.found)
            if _words(result) == said
        ]
        if len(found) == 1:
            return _germ_or_panel(found[0], index, read)
    return None


def _likely(
    found: list[tuple[int, int]], parent: Parent, read: list[ReadOrder], known: frozenset[str]
) -> list[tuple[int, int]]:
    """Of several results, those that OBR-26 calls by their words; else those whose code names germs."""
    if len(found) < 2:  # one is not several
        return found
    of = {pair: read[pair[0]].found[pair[1]] for pair in found}
    named = [pair for pair, one in of.items() if _words(one) == parent.text.casefold()]
    return named or [pair for pair, one in of.items() if one.codes & known] or found


def _germ_or_panel(at: tuple[int, int], index: int, read: list[ReadOrder]) -> tuple[int, int | None]:
    """A panel that follows a number (a reflex test) hangs on its order; one that follows words is of a germ."""
    parent = read[at[0]].found[at[1]].result
    germ = parent is not None and any(isinstance(value, (Answer, Text)) for value in parent.values)
    child = read[index].found
    tested = any(one.result and _susceptibility(one.result) for one in child) or not child
    return at if germ and tested else (at[0], None)


def _same_filler(parent: Parent, one: ReadOrder) -> bool:
    return bool(parent.filler) and one.numbers[1] == parent.filler


def _same_placer(parent: Parent, one: ReadOrder) -> bool:
    return bool(parent.placer) and one.numbers[0] == parent.placer


def _same_group(parent: Parent, one: ReadOrder) -> bool:
    group = one.parent.group if one.parent else ""
    return bool(parent.group and parent.sub_id) and group == parent.group and not (one.parent and one.parent.result)


def _named(parent: Parent, found: tuple[Found, ...]) -> list[int]:
    """Numbers of the results that OBR-26 may mean."""
    return [
        number
        for number, one in enumerate(found)
        if (not parent.codes or parent.codes & one.codes)
        and (not parent.sub_id or parent.sub_id == one.sub_id)
        and (parent.codes or parent.sub_id or _words(one) == parent.text.casefold())
    ]


def _words(found: Found) -> str:
    result = found.result
    return result.values[0].source.casefold() if result and result.values else ""


def _alone(one: ReadOrder, parent: Parent, rules: Rules) -> ReadOrder:
    """A susceptibility test whose germ is known by the words of OBR-26 only; any other follow-up stays as it is."""
    panel = one.panel
    tested = any(found.result and _susceptibility(found.result) for found in one.found)
    if panel is None or not parent.result or not tested:
        return one
    if not parent.text:
        raise ProfileError("linked to a result that the message does not hold", parent.place)
    germ = rules.germ(Concept(parent.text, place=parent.place), parent.place)
    isolate = Isolate(germ, panel.status, (), (_tested(panel, rules),), parent.sub_id, place=parent.place)
    return replace(one, panel=replace(panel, results=(), notes=(), isolates=(isolate,)), found=())


def _isolated(one: ReadOrder, children: list[tuple[int, ReadOrder]], rules: Rules) -> ReadOrder:
    """The order, its germs taken out of the results and made isolates."""
    panel = one.panel
    if panel is None or not one.found:
        return one
    germs = sorted({number for number, _ in children} | set(_germs(one, rules)))
    if not germs:
        return one
    keys = _keys([one.found[number].sub_id for number in germs])
    groups: dict[int, list[Found]] = {number: [] for number in germs}
    rest = []
    for number, found in enumerate(one.found):
        owner = number if number in groups else _group(found.sub_id, germs, keys)
        if owner is None:
            rest.append(found)
        elif owner != number:
            groups[owner].append(found)
    isolates = [
        _isolate(
            one.found[number],
            groups[number],
            [_without_specimen(each, panel) for at, each in children if at == number],
            rules,
        )
        for number in germs
    ]
    results = tuple(found.result for found in rest if found.result)
    return replace(one, panel=replace(panel, results=results, isolates=tuple(isolates)), found=tuple(rest))


def _codes(rules: Rules) -> frozenset[str]:
    """Codes of tests whose result is a germ."""
    return frozenset((*rules.laboratory.germ_codes, *value_set("germ_codes")))


def _without_specimen(child: ReadOrder, parent: Panel) -> ReadOrder:
    """A susceptibility test is made on the isolate: the order's own times of sampling, repeated, are no specimen."""
    if child.panel is None or child.order.specimens:
        return child
    known = {(one.collected and one.collected.digits, one.received and one.received.digits) for one in parent.specimens}
    kept = tuple(
        one
        for one in child.panel.specimens
        if one.type or (one.collected and one.collected.digits, one.received and one.received.digits) not in known
    )
    return replace(child, panel=replace(child.panel, specimens=kept))


def _germs(one: ReadOrder, rules: Rules) -> list[int]:
    """Numbers of the results that name a germ by their code."""
    known = _codes(rules)
    numbers = [number for number, found in enumerate(one.found) if found.codes & known and _is_germ(found.result)]
    sub_ids = [found.sub_id.split(".")[0] for found in one.found]
    return [
        number
        for number in numbers
        if _coded(one.found[number].result, rules) or sub_ids.count(sub_ids[number] or " ") > 1
    ]


def _is_germ(result: Result | None) -> bool:
    if result is None or result.status in ("X", "I"):
        return False
    (value, *more) = result.values or (None,)
    if more or not isinstance(value, (Answer, Text)):
        return False
    standard = value.concept.standard if isinstance(value, Answer) else None
    return not (standard and standard.code in _NO_GERM)


def _coded(result: Result | None, rules: Rules) -> bool:
    germ = _germ(result, rules) if result else None
    return bool(germ and germ.standard and germ.standard.system == SNOMED_CT)


def _germ(result: Result, rules: Rules) -> Concept:
    (value, *_) = result.values
    found = value.concept if isinstance(value, Answer) else Concept(value.source, place=value.place)
    return rules.germ(found, value.place)


def _keys(sub_ids: list[str]) -> list[str]:
    """What the OBX-4 of an isolate begin with: its own, or its stem when stems alone tell the isolates apart."""
    stems = [one.split(".")[0] for one in sub_ids]
    return stems if len(set(stems)) == len(stems) else sub_ids


def _group(sub_id: str, germs: list[int], keys: list[str]) -> int | None:
    """The isolate that an OBX-4 belongs to."""
    for number, key in zip(germs, keys, strict=True):
        if key and (sub_id == key or sub_id.startswith(f"{key}.")):
            return number
    return None


def _isolate(named: Found, others: list[Found], children: list[ReadOrder], rules: Rules) -> Isolate:
    result = named.result
    assert result is not None  # noqa: S101  # a germ is a result
    tested = tuple(one.result for one in others if one.result and _susceptibility(one.result))
    plain = tuple(one.result for one in others if one.result and not _susceptibility(one.result))
    panels = [_tested(one.panel, rules) for one in children if one.panel]
    if tested:
        panels.insert(0, _tested(Panel(ANTIBIOGRAM, tested, _status(tested), place=result.place), rules))
    number = named.sub_id
    return Isolate(
        _germ(result, rules),
        _status((result, *plain)),
        (result, *plain),
        tuple(panels),
        number,
        time=result.time,
        place=result.place,
    )


def _status(results: tuple[Result, ...]) -> str:
    statuses = {one.status for one in results}
    if statuses == {"X"}:
        return "X"
    return "P" if statuses & set("PRSI") else "C" if "C" in statuses else "F"


def _letter(result: Result) -> str:
    """S, I, R... that a value says."""
    (value, *more) = result.values or (None,)
    if value is None or more:
        return ""
    codes = [coding.code for coding in value.concept.others] if isinstance(value, Answer) else []
    for word in (value.source.strip().upper(), *(code.upper() for code in codes)):
        known = _WORDS.get(word, word)
        if known in _SUSCEPTIBILITY:
            return known
    return ""


def _susceptibility(result: Result) -> bool:
    return any(flag.code in _SUSCEPTIBILITY for flag in result.flags) or bool(_letter(result))


def _tested(panel: Panel, rules: Rules) -> Panel:
    """A susceptibility test: antibiotics by the site's table, and S, I, R as interpretation when the value says it."""
    labels = value_set("interpretations")
    results = []
    for one in panel.results:
        flags = one.flags
        letter = _letter(one)
        if letter and not any(flag.code in _SUSCEPTIBILITY for flag in flags):
            flags = (*flags, Flag(letter, labels.get(letter, ""), one.place))
        results.append(replace(one, code=rules.antibiotic(one.code, one.code.place), flags=flags))
    return replace(panel, results=tuple(results))
