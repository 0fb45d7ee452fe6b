"""Throughput and start with a journal that already holds messages."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from vaguemestre.measure import runs
from vaguemestre.measure.parts import Plan, median
from vaguemestre.measure.report import Goal, Part

_MB = 1_000_000


def measure(plan: Plan, counts: Sequence[int] = (10_000, 1_000_000)) -> Part:
    """Throughput and start with a journal that already holds messages."""
    part = Part(
        "With messages in the journal", ("rows", "start s", "msg/s", "best", "ACK p99 ms", "CPU µs/msg", "memory MB")
    )
    rates = []
    for count in counts:
        with tempfile.TemporaryDirectory(dir=plan.folder) as place:
            site = runs.filled(Path(place) / "site", count)
            with runs.running(plan.folder, prepared=site) as engine:
                start = engine.started
                flows = [engine.load("adt", 16, plan.seconds) for _ in range(max(3, plan.rounds))]
                memory, _ = engine.usage.memory()
        rate = median(flows, lambda flow: flow.rate)
        rates.append(rate)
        best = max(flow.rate for flow in flows)
        part.rows.append(
            (count, start, rate, best, median(flows, lambda f: f.p99), median(flows, lambda f: f.cpu), memory / _MB)
        )
    name = f"throughput, {counts[-1]} rows ÷ {counts[0]} rows"
    part.goals = [Goal(name, rates[-1] / rates[0], at_least=0.85)]
    return part
