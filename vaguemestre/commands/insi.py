"""``insi``: identities of a file verified with INSi; a number's key; what a datamatrix says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from channels.errors import ConfigError
from channels.loader import LoadedSite, load_site
from channels.ports import Surroundings
from connectors.insi.service import Insi
from transforms.ins import ins_key_is_right
from transforms.ins_datamatrix import read
from vaguemestre import logs
from vaguemestre.commands.files import STANDARD_INPUT, read_bytes
from vaguemestre.commands.site import SITE
from vaguemestre.identities import Line, Report, Tally, insi_settings, read_lines, verify_all

insi = typer.Typer(no_args_is_help=True, add_completion=False)


@insi.callback()
def group() -> None:
    """The national health identity (INS): verify identities with INSi, check a number, read a datamatrix."""


@insi.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV of identities.", exists=True, dir_okay=False)],
    site: SITE,
    out: Annotated[Path, typer.Option(help="CSV to write; lines that it has are not asked about again.")],
    channel: Annotated[str | None, typer.Option(help="Channel whose step `insi` says how to call; the first.")] = None,
    rate: Annotated[float, typer.Option(help="Calls a second.", min=0.01, max=50)] = 2.0,
    pause: Annotated[float, typer.Option(help="Seconds after a call without an answer.", min=0)] = 5.0,
) -> None:
    """Verify each identity of a file with INSi, one call a line (INS3), and write what was answered.

    Columns: id, ins, oid, nom, prenoms, sexe, naissance, lieu (or family, given, sex, birth_date, birth_place). The
    report has the id, a word and a time: no trait, no INS. A run that was stopped goes on where it was.

    Exit codes: 0 all are verified; 1 some are not; 2 INSi was given up after five failures, or could not run.

    Example: vaguemestre insi verify identites.csv mon-hopital --out rapport.csv
    """
    loaded, lines = load_site(site), read_lines(file)
    logs.configure(loaded.site.log)
    if out.resolve() == file.resolve():
        raise ConfigError("--out is the file of identities itself")
    report = Report(out)
    try:
        tally = asyncio.run(_verify(loaded, channel, rate, pause, report, lines))
    finally:
        report.close()
    for word, count in sorted(tally.words.items()):
        typer.echo(f"{word}: {count}")
    if tally.skipped:
        typer.echo(f"déjà faits / done before: {tally.skipped}")
    if tally.stopped:
        typer.echo("INSi ne répond pas ; relancez pour continuer / INSi fails; run again to go on", err=True)
        raise typer.Exit(2)
    if set(tally.words) - {"verified"}:
        raise typer.Exit(1)


async def _verify(
    loaded: LoadedSite, channel: str | None, rate: float, pause: float, report: Report, lines: list[Line]
) -> Tally:
    settings, name = insi_settings(loaded, channel)
    surroundings = Surroundings(loaded.site, loaded.directory, name, "insi")
    service = Insi(settings.model_copy(update={"rate": rate}), surroundings)
    service.check()
    try:
        return await verify_all(lines, report, loaded.site.ins_domain, service.verify, pause=pause)
    finally:
        await service.aclose()


@insi.command()
def check(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="INS of 15 characters, spaces allowed; - reads standard input.")
    ],
) -> None:
    """Tell whether the key of an INS is right. A number on the command line stays in the shell's history: prefer -.

    Exit codes: 0 it is; 1 it is not.

    Example: vaguemestre insi check -
    """
    text = read_bytes(STANDARD_INPUT).decode("ascii", "replace") if number == STANDARD_INPUT else number
    right = ins_key_is_right("".join(text.split()).upper())
    typer.echo("clé juste / right key" if right else "clé fausse ou forme fausse / wrong key or wrong form")
    if not right:
        raise typer.Exit(1)


@insi.command()
def datamatrix(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What the scanner gave; - reads standard input.")],
) -> None:
    """Read an INS datamatrix as a scanner gives it, with or without its prefix; print its fields as JSON.

    Exit codes: 0 it is one and the key of its INS is right; 1 it is not.

    Example: vaguemestre insi datamatrix -
    """
    found = read(read_bytes(file).decode("utf-8", "replace"))
    right = ins_key_is_right(found.ins)
    typer.echo(json.dumps({**asdict(found), "key": "right" if right else "wrong"}, ensure_ascii=False))
    if not right:
        raise typer.Exit(1)
