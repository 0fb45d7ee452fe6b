"""Defects of contents."""

from __future__ import annotations

from transforms import er7
from transforms.wire_rules import Rule

CONTENT: dict[str, Rule] = {}


def content_defects(parsed: er7.Er7) -> list[tuple[Rule, str]]:
    """Defects of contents: (rule, place)."""
    return []
