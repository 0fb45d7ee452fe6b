"""The parts of the benchmark: what is run, and the goals of each.

Source of the goals: the design's table of speeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaguemestre.measure import runs
from vaguemestre.measure.report import Goal, Part
from vaguemestre.measure.runs import Flow

_MB = 1_000_000

_FLOWS = ("what", "message", "conn.", "msg/s", "best", "ACK p50", "p99 ms", "CPU µs", "tools µs")


@dataclass(frozen=True, slots=True)
class Plan:
    """folder: where journals are written. seconds: of each run. rounds: how often each run is repeated, in turn."""

    folder: Path
    seconds: float = 2.0
    rounds: int = 1
    connections: Sequence[int] = (1, 4, 16, 64)
    messages: Sequence[str] = ("adt", "oru")


def floors(plan: Plan) -> Part:
    """The disk and the bare writer."""
    disk = runs.floor("disk", plan.folder, "--seconds", plan.seconds)
    rows: list[Sequence[str | float]] = [
        ("append + fdatasync", 1, disk["count"] / plan.seconds, disk["p50_ms"], disk["p99_ms"], 0.0)
    ]
    for producers in plan.connections:
        found = runs.floor("writer", plan.folder, "--producers", producers, "--seconds", plan.seconds)
        rate = found["messages"] / found["seconds"]
        cpu = found["cpu"] / found["messages"] * 1e6
        rows.append(("SQLite group commit", producers, rate, found["p50_ms"], found["p99_ms"], cpu))
    columns = ("floor", "in flight", "msg/s", "commit p50", "p99 ms", "CPU µs")
    return Part("Floors without a network", columns, rows)


def throughput(plan: Plan) -> Part:
    """Echo, bare path and engine under the same load, one after the other in each round."""
    found: dict[tuple[str, str, int], list[Flow]] = {}
    shares: dict[tuple[str, int], list[float]] = {}
    waits: list[tuple[float, float, float]] = []
    with runs.running(plan.folder) as engine:
        engine.load("adt", 4, 0.5)
        for _ in range(plan.rounds):
            for message in plan.messages:
                for connections in plan.connections:
                    bare = runs.path(plan.folder, message, connections, plan.seconds)
                    ours = engine.load(message, connections, plan.seconds)
                    for flow in (runs.echo(message, connections, plan.seconds / 2), bare, ours):
                        found.setdefault((flow.what, message, connections), []).append(flow)
                    shares.setdefault((message, connections), []).append(ours.rate / bare.rate)
                    if (message, connections) == ("adt", 1):
                        disk = runs.floor("disk", plan.folder, "--seconds", plan.seconds)
                        turn = found["echo", message, 1][-1].p50
                        waits.append((ours.p99 / (disk["p99_ms"] + turn), disk["p99_ms"], turn))
        _, peak = engine.usage.memory()
    part = Part("MLLP to MLLP: floors and the engine", _FLOWS, [_row(flows) for flows in found.values()])
    part.note = (
        f"Peak memory of the engine: {peak / _MB:.0f} MB. Negative answers: {_negative(found.values())}. "
        "msg/s: counted at the far end, queue empty; median of the rounds, best beside it. CPU of a message, least of "
        "the rounds: of what is measured, and of the load generator and the sink."
    )
    part.goals = _goals(found, shares, sorted(waits))
    return part


def _negative(found: object) -> int:
    return sum(flow.negative for flows in found for flow in flows)  # type: ignore[attr-defined]  # values of a dict


def _row(flows: Sequence[Flow]) -> Sequence[str | float]:
    first = flows[0]
    return (
        {"path": "bare path"}.get(first.what, first.what),
        first.message,
        first.connections,
        median(flows, lambda flow: flow.rate),
        max(flow.rate for flow in flows),
        median(flows, lambda flow: flow.p50),
        median(flows, lambda flow: flow.p99),
        min(flow.cpu for flow in flows),
        min(flow.load + flow.sink for flow in flows),
    )


def median(flows: Sequence[Flow], value: Callable[[Flow], float]) -> float:
    """The middle of one figure of several runs."""
    return statistics.median(value(flow) for flow in flows)


def _goals(
    found: dict[tuple[str, str, int], list[Flow]],
    shares: dict[tuple[str, int], list[float]],
    waits: list[tuple[float, float, float]],
) -> list[Goal]:
    """waits: of each round, the ratio of the third goal, the disk's p99 and a turn of the loop, sorted."""
    goals = []
    if ("adt", 16) in shares:
        share = statistics.median(shares["adt", 16])
        cpu = min(flow.cpu for flow in found["engine", "adt", 16])
        goals.append(Goal("engine ÷ bare path, 16 connections", share, at_least=0.60))
        goals.append(Goal("CPU per message, 16 connections", cpu, "µs", at_most=150.0))
    if waits:
        ratio, fsync, turn = waits[len(waits) // 2]
        name = f"ACK p99 at 1 connection ÷ (fsync p99 {fsync:.2f} ms + one loop turn {turn:.2f} ms)"
        goals.append(Goal(name, ratio, at_most=3.0))
    return goals


def at_rest(plan: Plan) -> Part:
    """Ten channels: start and memory."""
    starts = [runs.at_rest(plan.folder) for _ in range(max(3, plan.rounds))]
    memory, seconds = statistics.median(one["memory"] for one in starts), sorted(one["start_s"] for one in starts)
    part = Part("Ten channels at rest", ("start to listening s", "best", "memory MB"))
    part.rows = [(statistics.median(seconds), seconds[0], memory / _MB)]
    part.goals = [
        Goal("memory at rest, ten channels", memory / _MB, "MB", at_most=100.0),
        Goal("start to listening, ten channels", statistics.median(seconds), "s", at_most=1.0),
    ]
    return part


def large(plan: Plan, messages: Sequence[str] = ("300kB", "10MB"), count: int = 20) -> Part:
    """Large messages, one connection."""
    part = Part(
        "Large messages, one connection (disk: append and fdatasync; one, row: peak memory above rest)",
        ("message", "MB/s", "copy MB/s", "÷ copy", "disk MB/s", "÷ disk", "ACK ms", "one MB", "÷ size", "row MB"),
    )
    for message in messages:
        found = runs.large(plan.folder, message, count if message == "10MB" else count * 10)
        share, above = found["rate"] / found["copy"], (found["peak"] - found["rest"]) / _MB
        alone = (found["alone"] - found["rest"]) / _MB
        times = alone * _MB / found["size"]
        rate, copy, disk = (found[name] / _MB for name in ("rate", "copy", "disk"))
        part.rows.append((message, rate, copy, share, disk, rate / disk, found["p50"], alone, times, above))
        if message == "10MB":
            part.goals = [
                Goal("10 MB: in and out ÷ loop-back copy", share, at_least=0.5),
                Goal("10 MB: peak memory of one ÷ size", times, at_most=4.0),
            ]
    return part
