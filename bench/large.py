"""Documents: 300 kB and 10 MB in OBX-5, beside a loop-back copy, the disk and the bare path."""

from __future__ import annotations

from vaguemestre.measure import parts, runs
from vaguemestre.measure.messages import template
from vaguemestre.measure.parts import Plan
from vaguemestre.measure.report import Part

_MB = 1_000_000


def measure(plan: Plan) -> list[Part]:
    """Rate, latency and peak memory of one connection; then several connections beside the bare path."""
    return [parts.large(plan), _together(plan)]


def _together(plan: Plan) -> Part:
    columns = ("message", "conn.", "bare path MB/s", "engine MB/s", "÷ path", "ACK p50 ms", "CPU ms", "memory MB")
    part = Part("Large messages, several connections", columns)
    for message in ("300kB", "10MB"):
        size = len(template(message).frame)
        for connections in plan.connections:
            bare = runs.path(plan.folder, message, connections, plan.seconds)
            with runs.running(plan.folder) as engine:
                ours = engine.load(message, connections, plan.seconds)
                _, peak = engine.usage.memory()
            rates = bare.rate * size / _MB, ours.rate * size / _MB
            share = ours.rate / bare.rate
            part.rows.append((message, connections, *rates, share, ours.p50, ours.cpu / 1000, peak / _MB))
    part.note = "CPU: of one message. memory: the engine's peak."
    return part
