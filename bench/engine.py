"""Floors of this machine and the engine under the same load, message kinds and connections of the goals."""

from __future__ import annotations

from vaguemestre.measure import parts
from vaguemestre.measure.parts import Plan
from vaguemestre.measure.report import Part


def measure(plan: Plan) -> list[Part]:
    """The disk, the bare writer, then echo, bare path and engine in turn."""
    return [parts.floors(plan), parts.throughput(plan)]
