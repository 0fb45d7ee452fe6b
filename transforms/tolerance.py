"""Defects met in real messages: noticed, and tolerated, refused or repaired as each site says.

Bytes are forwarded untouched by default: readers bear these defects by themselves. A channel that wants the bytes
repaired has the step ``hl7.repair``. ``docs/tolerance.md`` lists the defects and the names of their rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from channels.errors import Finding, Level, MessageError
from channels.message import Message
from transforms import er7
from transforms.content_rules import CONTENT, content_defects
from transforms.header import Header
from transforms.repair import repair
from transforms.wire_rules import WIRE, Rule, wire_defects

__all__ = ["RULES", "USUAL", "Inspector", "Rule", "inspect", "noted", "refusal", "repair", "rule_names"]

RULES: Mapping[str, Rule] = WIRE | CONTENT


def rule_names() -> frozenset[str]:
    """Names that ``levels`` may use."""
    return frozenset(RULES)


class Inspector:
    """Looks for defects, and says how grave each is for its sender."""

    def __init__(
        self, levels: Mapping[str, Level], sender_levels: Mapping[str, Mapping[str, Level]], *, full: bool = False
    ) -> None:
        """levels: rule -> level; sender_levels: ``MSH-3|MSH-4`` -> rule -> level. full: contents too."""
        self._levels, self._sender_levels, self._full = levels, sender_levels, full

    def findings(self, message: Message, header: Header) -> tuple[Finding, ...]:
        """What is noticed; defects at level ``ignore`` are left out."""
        found = wire_defects(message.body, header)
        if self._full:
            found = [*found, *content_defects(er7.read(message))]
        return tuple(self._leveled(found, self._sender_levels.get(header.sender, {}))) if found else ()

    def _leveled(self, found: Iterable[tuple[Rule, str]], own: Mapping[str, Level]) -> Iterator[Finding]:
        for rule, place in found:
            level = own.get(rule.name) or self._levels.get(rule.name) or rule.level
            if level != "ignore":
                yield Finding(place, rule.code, rule.problem, level)


_EVERYTHING = Inspector({}, {}, full=True)
USUAL = Inspector({}, {})
"""Defects of syntax, each at its usual level."""


def noted(message: Message, findings: Iterable[Finding]) -> Message:
    """The message with what was noticed, for its story (attribute ``findings``)."""
    text = "; ".join(f"{one.place}: {one.problem} ({one.code})" for one in findings)
    return replace(message, attributes={**message.attributes, "findings": text})


def refusal(findings: Iterable[Finding]) -> MessageError | None:
    """The first defect that is a refusal, as an error."""
    return next((MessageError(one.problem, one.place, one.code) for one in findings if one.level == "reject"), None)


def inspect(message: Message) -> list[Finding]:
    """Every defect of a message, of syntax and of contents, at its usual level. Raises ParseError."""
    return list(_EVERYTHING.findings(message, message.view(er7.header_of)))
