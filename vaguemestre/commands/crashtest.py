"""``crashtest``: kill the engine under load, then count."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from vaguemestre.measure.crash import Options, Result, run

if TYPE_CHECKING:
    from vaguemestre.measure import pfi_crash


def crashtest(
    kills: Annotated[int, typer.Option(min=0, help="How many times it is killed (SIGKILL).")] = 20,
    senders: Annotated[
        int | None, typer.Option(min=1, max=64, help="Systems that send at the same time; 8, and 4 for pfi.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="Patients of each sender.")] = 6,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Connections to the far end.")] = 8,
    case: Annotated[
        Literal["kill", "torn-page", "full-disk", "pfi"],
        typer.Option(
            help="kill: that; torn-page: the end of the journal is spoilt as well; full-disk: no room; pfi: results to "
            "a simulated DMP and to mailboxes, whose connections are cut as well."
        ),
    ] = "kill",
    segment_size: Annotated[str, typer.Option(help="Size at which the journal begins a new file.")] = "1GB",
    seed: Annotated[int | None, typer.Option(help="Repeats the draws of a test; absent: a new one.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Where the journal is written: the disk to try.")] = None,
    quota: Annotated[
        bool, typer.Option("--quota", help="full-disk: limit the size of files instead of mounting a small tmpfs.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Kill a real engine under load, again and again, then compare what it acknowledged with what arrived.

    Exit code 1 when a message was lost, altered, out of its patient's order, or (pfi) published or mailed twice, or the
    engine did not come back.

    Example: vaguemestre crashtest --kills 200
    """
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    console = Console(stderr=True, quiet=json_)
    console.print(f"seed {seed}", style="dim", highlight=False)

    def tell(line: str) -> None:
        console.print(line, style="dim", highlight=False)

    if case == "pfi":
        _pfi(kills, senders or 4, patients, seed, directory, tell, as_json=json_)
        return
    options = Options(
        kills,
        senders or 8,
        patients,
        parallel,
        seed,
        case,
        segment_size,
        directory,
        mount=not quota,
    )
    result = run(options, tell)
    if json_:
        typer.echo(json.dumps(result.values()))
    else:
        _show(result)
    if not result.kept:
        raise typer.Exit(1)


def _pfi(
    kills: int, senders: int, patients: int, seed: int, directory: Path | None, tell: Callable[[str], object], *,
    as_json: bool,
) -> None:  # fmt: skip
    """The case of its own: other far ends, another verdict."""
    from vaguemestre.measure import pfi_crash

    result = pfi_crash.run(pfi_crash.Options(kills, senders, patients, seed, directory), tell)
    if as_json:
        typer.echo(json.dumps(result.values()))
    else:
        _show_pfi(result)
    if not result.kept:
        raise typer.Exit(1)


def _show_pfi(result: pfi_crash.Result) -> None:
    values = result.values()
    recovery = values.pop("recovery_s")
    for name in (one.name for one in fields(result.verdict)):
        typer.echo(f"{name:>26}  {values[name]}")
    typer.echo(f"{'kills':>26}  {values['kills']}")
    for name, count in (*values["cuts"].items(), *values["rules_broken"].items()):
        typer.echo(f"{name:>26}  {count}")
    if recovery:
        typer.echo(f"{'recovery':>26}  median {recovery['median']:.2f} s, worst {recovery['worst']:.2f} s")
    typer.echo(f"{'time':>26}  {values['seconds']} s")
    if result.problem:
        typer.echo(f"{'problem':>26}  {result.problem}")
    typer.echo("every result went where it should, once" if result.kept else "THE ENGINE BROKE A PROMISE")


def _show(result: Result) -> None:
    values = result.values()
    recovery = values.pop("recovery_s")
    for name in ("acknowledged", "delivered", "lost", "duplicates", "out_of_order", "altered", "kills"):
        typer.echo(f"{name:>26}  {values[name]}")
    for name in ("unacknowledged_delivered", "negative", "disk_full", "torn"):
        if values[name]:
            typer.echo(f"{name:>26}  {values[name]}")
    if recovery:
        typer.echo(f"{'recovery':>26}  median {recovery['median']:.2f} s, worst {recovery['worst']:.2f} s")
    typer.echo(f"{'time':>26}  {values['seconds']} s")
    if result.problem:
        typer.echo(f"{'problem':>26}  {result.problem}")
    typer.echo("nothing acknowledged was lost or reordered" if result.kept else "THE ENGINE BROKE A PROMISE")
