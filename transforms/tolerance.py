"""Defects met in real messages: noticed, and tolerated, repaired or refused as each site says."""

from __future__ import annotations

from transforms.wire_rules import Inspector, rule_names

__all__ = ["Inspector", "rule_names"]
