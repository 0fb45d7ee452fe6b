"""Misbehaviour on request: what the simulator does instead of, or on top of, a good answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from channels.errors import ConfigError

KINDS = {
    "slow": "answer after `seconds`; the work is done before",
    "refuse": "answer Failure with error `code`; nothing is stored, unless `stored`",
    "warn": "do the work, answer Success with warning `code`",
    "partial": "answer PartialSuccess with error `code`; stored, unless `stored` is false",
    "fault": "answer a SOAP fault of `code`, with HTTP `status`",
    "empty": "answer HTTP `status` without a body",
    "http": "answer HTTP `status` with a page in HTML",
    "garbage": "answer HTTP 200 with what is not XML",
    "cut": "close after reading; stored, unless `stored` is false",
    "cut-before": "close before reading the body",
    "mtom": "do the work, answer inside a multipart message",
    "twice": "do the work twice, as if the network had delivered it twice; the second answer is given",
    "hide": "what this lot registers is not found for `seconds`, nor by the first `queries` queries",
}
_STORED = frozenset({"slow", "warn", "partial", "cut", "mtom", "twice", "hide"})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One misbehaviour. times: for how many requests, None for ever; service: one of the three, or all of them."""

    kind: str
    service: str = ""
    times: int | None = 1
    seconds: float = 0.0
    code: str = "XDSRepositoryBusy"
    status: int = 500
    stored: bool | None = None
    queries: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no misbehaviour is called so; there are: {', '.join(KINDS)}")

    @property
    def does_the_work(self) -> bool:
        """Whether the request is carried out."""
        return self.stored if self.stored is not None else self.kind in _STORED

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Behaviour:
        """Read one of JSON. Raises ConfigError for what it does not know."""
        known = {one.name for one in fields(cls)}
        if "kind" not in values or set(values) - known:
            raise ConfigError(f"a misbehaviour has `kind`, and may have {', '.join(sorted(known - {'kind'}))}")
        return cls(**values)


@dataclass(slots=True)
class Behaviours:
    """What was asked, in order; the first that fits a request is used."""

    asked: list[Behaviour] = field(default_factory=list)

    def add(self, behaviour: Behaviour) -> None:
        """Ask for one more."""
        self.asked.append(behaviour)

    def clear(self) -> None:
        """Behave well."""
        self.asked.clear()

    def take(self, service: str) -> Behaviour | None:
        """What to do for this request."""
        for place, one in enumerate(self.asked):
            if one.service in {"", service}:
                if one.times is not None:
                    left = one.times - 1
                    self.asked[place : place + 1] = [replace(one, times=left)] if left > 0 else []
                return one
        return None
