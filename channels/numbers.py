"""National numbers of ``site.yaml``: a field says of which kind its number is; the keys are looked at when it is read.

In production a number with a wrong key is a fault, since the national services would refuse it. In a site with
``ins_domain: test`` it is a warning, and nothing at all when the number is plainly invented: a FINESS of department 99
or a RPPS that begins with 0, which nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from channels import registry
from channels.yaml_places import Place

_INVENTED = {"FINESS": "99", "IDNST": "199", "RPPS": "0", "IDNPS": "80"}


@dataclass(frozen=True, slots=True)
class NumberKind:
    """Metadata of a field. name: ``FINESS``, ``RPPS``, ``IDNPS`` (PS_IdNat) or ``IDNST`` (Struct_IdNat)."""

    name: str


def wrong_keys(model: BaseModel) -> Iterator[tuple[Place, str, bool]]:
    """Place, kind, and whether it is plainly invented, of each number whose key is wrong."""
    is_right = registry.load(registry.NUMBERS)
    for place, kind, number in _numbers(model, ()):
        if not is_right(kind, number):
            yield place, kind, number.startswith(_INVENTED[kind])


def _numbers(value: Any, place: Place) -> Iterator[tuple[Place, str, str]]:
    if isinstance(value, tuple | list):
        for index, one in enumerate(value):
            yield from _numbers(one, (*place, index))
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inside = getattr(value, name)
            for mark in field.metadata:
                if isinstance(mark, NumberKind) and isinstance(inside, str):
                    yield (*place, name), mark.name, inside
            yield from _numbers(inside, (*place, name))
