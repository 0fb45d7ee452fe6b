"""Every rule that the simulated DMP applies: what is answered when it is broken, and where it comes from.

``source`` is the section (and row) of the project's reference page on the national services, and the standard when one
says so. A code in ``FAULTS`` is answered as a SOAP fault, any other as a ``rs:RegistryError``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from vaguemestre.simulators.dmp.tables import rows

FAULTS = frozenset({"Sender", "VersionMismatch", "InvalidSecurity", "InvalidSecurityToken", "FailedCheck"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. name: ``family.rule``; text: what must be, in French, as the operator reads it."""

    name: str
    code: str
    source: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Answered as a SOAP fault."""
        return self.code in FAULTS


RULES = {row["rule"]: Rule(row["rule"], row["code"], row["source"], row["text"]) for row in rows("rules.csv")}


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a request breaks. place: the element or attribute; never its value."""

    rule: Rule
    place: str = ""

    def __str__(self) -> str:
        where = f" [{self.place}]" if self.place else ""
        return f"{self.rule.name}{where} : {self.rule.text} ({self.rule.source})"


Value = TypeVar("Value")


class Broken(Exception):
    """The request cannot be read further; its findings are in the judge."""


@dataclass(slots=True)
class Judge:
    """Collects what is broken in one request."""

    findings: list[Finding] = field(default_factory=list)

    def check(self, kept: object, name: str, place: str = "") -> bool:
        """Note rule ``name`` as broken unless ``kept`` is true; true when it is kept."""
        if not kept:
            self.findings.append(Finding(RULES[name], place))
        return bool(kept)

    def need(self, kept: object, name: str, place: str = "") -> None:
        """The same for a rule without which nothing more can be read: raises Broken."""
        if not self.check(kept, name, place):
            raise Broken

    def given(self, value: Value | None, name: str, place: str = "") -> Value:
        """The same for a value that must be there: returns it."""
        if value is None:
            self.need(kept=False, name=name, place=place)
            raise Broken
        return value

    @property
    def names(self) -> list[str]:
        """Names of the broken rules, in the order found, once each."""
        return list(dict.fromkeys(one.rule.name for one in self.findings))
