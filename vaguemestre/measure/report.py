"""Figures with their goals, as tables and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside what it should be.

    value: measured; at_most or at_least: the goal; unit: of both.
    """

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """True when the goal is reached."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def wanted(self) -> str:
        """The goal in words."""
        if self.at_least is not None:
            return f"≥ {number(self.at_least)} {self.unit}".strip()
        return f"≤ {number(self.at_most or 0.0)} {self.unit}".strip()


@dataclass(slots=True)
class Part:
    """One part of a report: a table, and goals."""

    title: str
    columns: Sequence[str] = ()
    rows: list[Sequence[str | float]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    note: str = ""

    def values(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
            "note": self.note,
        }

    def show(self, console: Console) -> None:
        """Print the table, the note and the goals."""
        table = Table(title=self.title, title_justify="left")
        for position, column in enumerate(self.columns):
            text = bool(self.rows) and isinstance(self.rows[0][position], str)
            table.add_column(column, justify="left" if text else "right")
        for row in self.rows:
            table.add_row(*(cell if isinstance(cell, str) else number(cell) for cell in row))
        if self.rows:
            console.print(table)
        if self.note:
            console.print(self.note, style="dim")
        for goal in self.goals:
            mark = "[green]pass[/green]" if goal.met else "[red]miss[/red]"
            console.print(f"  {mark}  {goal.name}: {number(goal.value)} {goal.unit} (goal {goal.wanted})")
        console.print()


def number(value: float) -> str:
    """As people read it: thousands apart, three digits that count."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def machine(folder: Path) -> dict[str, str]:
    """What the figures depend on. folder: where the journals of the measurement are."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processors": str(os.cpu_count()),
        "model": model or platform.processor(),
        "load": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "journals": f"{folder} ({_file_system(folder)})",
    }


def _file_system(folder: Path) -> str:
    """The kind of file system that a folder is on, ``?`` when it cannot be told."""
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return "?"
    found = ("", "?")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split(" ")
        if len(place) > len(found[0]) and folder.resolve().is_relative_to(place):
            found = (place, kind)
    return found[1]
