"""The far end is down: memory must not grow with the queue, and the queue must empty."""

from __future__ import annotations

from collections.abc import Sequence

from vaguemestre.measure import runs
from vaguemestre.measure.parts import Plan
from vaguemestre.measure.report import Goal, Part

_MB = 1_000_000


def measure(plan: Plan, counts: Sequence[int] = (10_000, 100_000)) -> Part:
    """The far end is down: memory must not grow with the queue."""
    part = Part(
        "Deep queue: destination down, then up after a kill",
        (
            "waiting",
            "in msg/s",
            "memory before MB",
            "with the queue MB",
            "most MB",
            "restart s",
            "after restart MB",
            "out msg/s",
        ),
    )
    full = []
    for count in counts:
        found = runs.deep_queue(plan.folder, count)
        full.append(found["full"])
        part.rows.append(
            (
                found["waiting"],
                found["in_rate"],
                found["rest"] / _MB,
                found["full"] / _MB,
                found["peak"] / _MB,
                found["restart_s"],
                found["restarted"] / _MB,
                found["out_rate"],
            )
        )
    name = f"memory, {counts[-1]} waiting ÷ {counts[0]} waiting"
    part.goals = [Goal(name, full[-1] / full[0], at_most=1.5)]
    return part
