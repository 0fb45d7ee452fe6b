"""``init``, ``check``, ``test``, ``plan``, ``schema``: a site's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from channels.casetests import CaseResult, accept_outputs, run_cases
from channels.errors import ChannelFileError, ConfigError, ConfigErrors
from channels.journal.catalog import Catalog
from channels.loader import LoadedSite, load_site, prepare
from channels.plan import changes, restarts_between
from channels.schema import channel_schema, site_schema
from channels.supervisor import master_keys
from vaguemestre import starter

SITE = Annotated[Path, typer.Argument(help="Folder of the site.", exists=True, file_okay=False)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or new.")],
    *,
    pfi: Annotated[
        bool, typer.Option("--pfi", help="With the DMP and MSSanté, and throw-away certificates to rehearse with.")
    ] = False,
) -> None:
    """Make the folder of a new site: four channels to start from, their tests, a code table, a key for the journal.

    Example: vaguemestre init mon-hopital
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory} is not empty: nothing was written")
    starter.write(directory, pfi=pfi)
    _write_schemas(directory / "schemas")
    key = directory / starter.KEY_FILE
    typer.echo(f"""{directory}: site créé / site made.

Clé du journal / key of the journal: {key}
  Sans elle les messages du journal sont illisibles : gardez-en une copie ailleurs, jamais dans git.
  Without it the journal cannot be read: keep a copy elsewhere, never in git.

Ensuite / next:
  vaguemestre check {directory}
  vaguemestre test {directory}
  vaguemestre run {directory}""")


def _certificates(loaded: LoadedSite) -> list[ChannelFileError]:
    """What does not fit of the site's certificates, or soon ends."""
    if not loaded.site.certificates:
        return []
    from vaguemestre.certificates import inspect

    return [
        ChannelFileError("site.yaml", 0, 0, f"certificate {one.name!r}: {text}")
        for one in inspect(loaded)
        for text in (*one.problems, *one.warnings)
    ]


def check(site: SITE, json_: JSON = False) -> None:
    """Read every file of a site and show all faults, each at file:line:column. Exit 1 when there are any.

    Example: vaguemestre check mon-hopital
    """
    loaded: LoadedSite | None = None
    faults: Sequence[ChannelFileError] = ()
    warnings: list[ChannelFileError] = []
    try:
        loaded = load_site(site)
        faults = prepare(loaded)
        warnings = _certificates(loaded)
    except ConfigErrors as error:
        faults = error.faults
    warnings = [*(loaded.warnings if loaded else ()), *warnings]
    if json_:
        found = {"faults": [_fault(one) for one in faults], "warnings": [_fault(one) for one in warnings]}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for one in faults:
            typer.echo(f"{site / one.file}{str(one).removeprefix(one.file)}")
        for one in warnings:
            typer.echo(f"{site / one.file}{str(one).removeprefix(one.file)} (warning)")
        if loaded is not None and not faults:
            typer.echo(
                f"{len(loaded.channels)} canaux sans faute / channels without fault: {', '.join(loaded.channels)}"
            )
    if faults:
        raise typer.Exit(1)


def _fault(fault: ChannelFileError) -> dict[str, str | int]:
    return {"file": fault.file, "line": fault.line, "column": fault.column, "problem": fault.problem}


def test(  # the name of the command
    site: SITE,
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel; may be repeated.")] = None,  # noqa: PT028
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Write what comes out into the expected files; look at it before you keep it."),
    ] = False,  # noqa: PT028
    json_: JSON = False,  # noqa: PT028  # a command, not a test of pytest
) -> None:
    """Run the tests written in the channel files; nothing is sent. Exit 1 when one fails.

    Example: vaguemestre test mon-hopital --channel adt-fanout
    """
    loaded = _loaded(site)
    for name in channel or ():
        if name not in loaded.channels:
            raise ConfigError(f"no channel is called {name!r}")
    if accept:
        for one in loaded.channels.values():
            for file in accept_outputs(loaded, one) if not channel or one.channel in channel else ():
                typer.echo(f"{site / file}: écrit / written", err=True)
    results = [
        result
        for one in loaded.channels.values()
        if not channel or one.channel in channel
        for result in run_cases(loaded, one)
    ]
    if json_:
        rows = [
            {
                "channel": one.channel,
                "test": one.case,
                "passed": one.passed,
                "problems": list(one.problems),
                "notes": list(one.notes),
            }
            for one in results
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        _show_results(results)
    if not all(one.passed for one in results):
        raise typer.Exit(1)


def _show_results(results: list[CaseResult]) -> None:
    table = Table("canal / channel", "test", "résultat / result")
    for one in results:
        problems = "\n".join(one.problems)
        table.add_row(
            one.channel,
            escape(one.case),
            "\n".join(["[green]✓[/]", *map(escape, one.notes)]) if one.passed else f"[red]{escape(problems)}",
        )
    console = Console(highlight=False)
    console.print(table)
    failed = sum(not one.passed for one in results)
    console.print(f"{len(results)} tests, {failed} en échec / failed")


def plan(site: SITE, json_: JSON = False) -> None:
    """Tell in words what a reload would change: the files, against the configuration applied last.

    Example: vaguemestre plan mon-hopital
    """
    loaded = _loaded(site)
    applied = _applied(loaded)
    lines = changes(applied or {}, loaded)
    restarted, kept = restarts_between(applied or {}, loaded)
    if json_:
        found = {"applied": applied is not None, "changes": lines, "restart": restarted, "stay": kept}
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    if applied is None:
        typer.echo("Rien n'a encore été appliqué : tout est nouveau. / Nothing has been applied yet: all is new.")
    typer.echo("\n".join(lines) or "rien ne change / nothing changes")
    if lines:
        typer.echo(f"redémarrent / restart: {', '.join(restarted) or '–'}")
        typer.echo(f"continuent / stay up: {', '.join(kept) or '–'}")


def _applied(loaded: LoadedSite) -> dict[str, str] | None:
    """The files of the configuration that was applied last, from the journal; None when there is none."""
    directory = loaded.directory / loaded.site.journal.directory
    if not (directory / "catalog.db").exists():
        return None
    catalog = Catalog(directory, master_keys(loaded.site.journal, loaded.directory))
    try:
        latest = catalog.configurations(1)
    finally:
        catalog.close()
    return latest[0][4] if latest else None


def schema(
    out: Annotated[Path | None, typer.Option(help="Folder for channel.schema.json and site.schema.json.")] = None,
) -> None:
    """Print the JSON Schemas of channel files and site.yaml, or write them for editors.

    Example: vaguemestre schema --out mon-hopital/schemas
    """
    if out is None:
        typer.echo(json.dumps({"channel": channel_schema(), "site": site_schema()}, indent=2, ensure_ascii=False))
        return
    for file in _write_schemas(out):
        typer.echo(str(file))


def _write_schemas(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, made in (("channel", channel_schema()), ("site", site_schema())):
        file = folder / f"{name}.schema.json"
        file.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files.append(file)
    return files


def _loaded(site: Path) -> LoadedSite:
    """The site, or its faults on the error output and exit code 1."""
    try:
        return load_site(site)
    except ConfigErrors as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
