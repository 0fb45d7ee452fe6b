"""Lots compared whatever their objects are called and in whatever order they stand."""

from collections.abc import Iterator
from dataclasses import fields, replace

from transforms.xds import DocumentEntry, Lot


def differences(one: Lot, other: Lot, *, without: frozenset[str] = frozenset()) -> list[str]:
    """Places where two lots differ: ``set.title``, ``1.2.3.hash``, ``associations``. without: attributes left out."""
    left, right = _named(one), _named(other)
    return [*_differ("set", left.submission_set, right.submission_set, without), *_entries(left, right, without)] + (
        ["associations"] if set(left.associations) != set(right.associations) else []
    )


def _entries(left: Lot, right: Lot, without: frozenset[str]) -> Iterator[str]:
    ours, theirs = ({entry.unique_id: entry for entry in lot.entries} for lot in (left, right))
    yield from sorted(ours.keys() ^ theirs.keys())
    for unique_id in sorted(ours.keys() & theirs.keys()):
        yield from _differ(unique_id, ours[unique_id], theirs[unique_id], without)


def _differ(name: str, one: object, other: object, without: frozenset[str]) -> Iterator[str]:
    for field in fields(one):  # type: ignore[arg-type]  # a dataclass of the model
        if field.name not in without and getattr(one, field.name) != getattr(other, field.name):
            yield f"{name}.{field.name}"


def _named(lot: Lot) -> Lot:
    """The lot with every object called by its unique id."""
    names = {lot.submission_set.id: "set", **{entry.id: entry.unique_id for entry in lot.entries}}
    return replace(
        lot,
        submission_set=replace(lot.submission_set, id="set"),
        entries=tuple(_called(entry, names) for entry in lot.entries),
        associations=tuple(
            replace(one, source=names.get(one.source, one.source), target=names.get(one.target, one.target))
            for one in lot.associations
        ),
    )


def _called(entry: DocumentEntry, names: dict[str, str]) -> DocumentEntry:
    return replace(entry, id=names[entry.id])
