"""Documents: 300 kB and 10 MB in OBX-5, beside a loop-back copy."""

from __future__ import annotations

from vaguemestre.measure import parts
from vaguemestre.measure.parts import Plan
from vaguemestre.measure.report import Part


def measure(plan: Plan) -> Part:
    """Rate, latency and peak memory of one connection."""
    return parts.large(plan)
