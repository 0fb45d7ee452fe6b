"""``simulate``: the national services, on this machine, for a rehearsal.

One line a simulator in ``SIMULATORS``; its code is imported when it is called.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command


class _Entry(NamedTuple):
    """``module:function`` of the simulator's command, and what it stands in for."""

    target: str
    summary: str


SIMULATORS = {
    "mssante": _Entry(
        "vaguemestre.commands.simulate_mssante:mssante", "An MSSanté operator: SMTP, IMAP, delivery and read reports."
    ),
    "dmp": _Entry("vaguemestre.commands.simulate_dmp:dmp", "The DMP: takes and checks lots, answers queries."),
    "insi": _Entry("vaguemestre.commands.simulate_insi:insi", "INSi: searches and verifications of the INS."),
    "annuaire": _Entry("vaguemestre.commands.simulate_annuaire:annuaire", "The Annuaire Santé: a FHIR directory."),
}


class _Simulators(TyperGroup):
    """Loads the command that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in the place of the line that the help shows."""
        name, command, rest = super().resolve_command(ctx, args)
        return (name, _load(name), rest) if name in SIMULATORS else (name, command, rest)


def _load(name: str) -> Any:
    module, _, attribute = SIMULATORS[name].target.partition(":")
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(importlib.import_module(module), attribute))
    return get_command(alone)


simulate = typer.Typer(cls=_Simulators, no_args_is_help=True, add_completion=False)


@simulate.callback()
def group() -> None:
    """Stand in for a national service, offline: checks what it receives as strictly, and misbehaves when asked.

    Patients are test patients (INS under the test authorities); real ones are refused.

    Example: vaguemestre simulate dmp --directory dmp
    """


def _line(name: str, entry: _Entry) -> None:
    def placeholder() -> None: ...

    simulate.command(name, help=entry.summary)(placeholder)


for _name, _entry in SIMULATORS.items():
    _line(_name, _entry)
