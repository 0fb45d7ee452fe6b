"""Which patterns to try at which element: the walk of the style sheet that a schema becomes.

A pattern is tried at most once at an element, and only where one of its rules may match: by the templates that the
element declares, or by its name and its parent's. Without this nearly all the time would go into matching.
"""

from __future__ import annotations

from typing import Any

from transforms.validation.steps import Step
from transforms.validation.stylesheet import plain, test_of, xsl

Key = tuple[str, str]
"""Names of the parent and of the element, ``{uri}local``; ``""``: any that has no key of its own."""


class Pattern:
    """One pattern: which elements its rules tell apart, and the mode of each kind."""

    def __init__(self, number: int, rules: list[list[Step]]) -> None:
        """rules: for each rule, the alternatives of its context."""
        self.number, self._rules = number, rules
        steps = [step for rule in rules for step in rule]
        rooted = bool(steps) and all(step.template for step in steps)
        self.roots = sorted({step.template for step in steps}) if rooted else []
        """The templates that all its rules hang on."""
        self.document = any(step.document for step in steps)
        self.other = any(step.other for step in steps)
        elements = [step for step in steps if not (step.document or step.other or rooted)]
        self.keys = {key: f"p{number}-{place}" for place, key in enumerate(sorted(_keys(elements)))}
        """The modes, by the kind of element."""

    def key(self, parent: str, name: str) -> Key | None:
        """The kind of such an element; None when no rule can match it."""
        return next((one for one in ((parent, name), (parent, ""), ("", name), ("", "")) if one in self.keys), None)

    def modes(self, rule: int) -> str:
        """The modes in which one rule takes part."""
        if self.roots:
            return f"p{self.number}"
        steps = self._rules[rule]
        found = {
            mode
            for key, mode in self.keys.items()
            if any(step.parent in ("", key[0]) and step.name in ("", key[1]) for step in steps)
        }
        if any(step.document or step.other for step in steps):
            found.add(f"p{self.number}-other")
        return " ".join(sorted(found))


def _keys(steps: list[Step]) -> set[Key]:
    pairs = {(step.parent, step.name) for step in steps}
    parents = {parent for parent, name in pairs if not name}
    names = {name for parent, name in pairs if not parent}
    return pairs | {(parent, name) for parent in parents for name in names}


def walk(root: Any, patterns: list[Pattern], prefixes: dict[str, str]) -> None:
    """The templates that go through the document once. Whatever fails stops it, with the error's code."""
    start = xsl(root, "template", match="/")
    attempt = xsl(start, "try")
    report = plain(attempt, "r")
    for one in patterns:
        if one.document:
            xsl(report, "apply-templates", select="/", mode=f"p{one.number}-other")
    xsl(report, "apply-templates", select="*", mode="walk")
    plain(xsl(attempt, "catch"), "stopped", code="{$err:code}", text="{$err:description}")
    keys = {key for one in patterns for key in one.keys}
    parents = {parent for parent, name in keys if not name}
    names = {name for parent, name in keys if not parent}
    keys |= {(parent, name) for parent in parents for name in names} | {("", "")}
    xsl(root, "mode", name="walk", on_no_match="deep-skip")
    for parent, name in sorted(keys):
        match = f"{test_of(parent, prefixes)}/{test_of(name, prefixes)}" if parent else test_of(name, prefixes)
        priority = str(bool(parent) * 2 + bool(name))
        _visit(xsl(root, "template", match=match, mode="walk", priority=priority), patterns, parent, name)
    _rooted(root, patterns)


def _visit(template: Any, patterns: list[Pattern], parent: str, name: str) -> None:
    """One element: every pattern that may match it, then its children."""
    if any(one.roots for one in patterns):
        xsl(xsl(template, "if", test="cda:templateId"), "call-template", name="rooted")
    for one in patterns:
        key = one.key(parent, name)
        if key is not None:
            xsl(template, "apply-templates", select=".", mode=one.keys[key])
        if one.other:
            xsl(template, "apply-templates", select="@* | node()[not(self::*)]", mode=f"p{one.number}-other")
    xsl(template, "apply-templates", select="*", mode="walk")


def _rooted(root: Any, patterns: list[Pattern]) -> None:
    """Patterns found by the templates of an element, through a table: there are hundreds of them."""
    by_root: dict[str, list[int]] = {}
    for one in patterns:
        for template in one.roots:
            by_root.setdefault(template, []).append(one.number)
        if one.roots:
            function = xsl(root, "function", name=f"vgm:p{one.number}")
            xsl(function, "param", name="vgm:node")
            xsl(function, "apply-templates", select="$vgm:node", mode=f"p{one.number}")
    if not by_root:
        return
    numbers = ", ".join(f"'{template}': ({', '.join(map(str, found))})" for template, found in sorted(by_root.items()))
    functions = ", ".join(f"{one.number}: vgm:p{one.number}#1" for one in patterns if one.roots)
    xsl(root, "variable", name="vgm:numbers", select=f"map{{{numbers}}}")
    xsl(root, "variable", name="vgm:functions", select=f"map{{{functions}}}")
    called = xsl(root, "template", name="rooted")
    chosen = "distinct-values(cda:templateId/@root ! $vgm:numbers(string(.)))"
    xsl(called, "variable", name="vgm:here", select=".")
    xsl(called, "sequence", select=f"sort({chosen}) ! $vgm:functions(.)($vgm:here)")
