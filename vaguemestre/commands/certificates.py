"""``certificates``: which service uses which certificate, whether it fits, how long it lasts."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from channels.loader import load_site
from vaguemestre.certificates import WARN_AT, Report, inspect
from vaguemestre.commands.site import JSON, SITE


def certificates(site: SITE, json_: JSON = False) -> None:
    """Show the certificates of a site: who uses them, for which structure, until when, and what does not fit.

    Exit code 1 when one does not fit: ended, revoked, wrong usages, another structure's, not of its authorities.

    Example: vaguemestre certificates mon-hopital
    """
    reports = inspect(load_site(site))
    if json_:
        typer.echo(json.dumps([asdict(one) for one in reports], ensure_ascii=False))
    elif not reports:
        typer.echo("site.yaml names no certificate (`certificates:`)")
    else:
        _show(reports)
    if any(one.problems for one in reports):
        raise typer.Exit(1)


def _show(reports: list[Report]) -> None:
    table = Table()
    for title in ("name", "use", "subject, OU", "issuer", "until", "days", "used by", "verdict"):
        table.add_column(title, justify="right" if title == "days" else "left", overflow="fold")
    for one in reports:
        days = "" if one.days is None else str(one.days)
        style = "red" if one.days is None or one.days <= WARN_AT[2] else "yellow" if one.days <= WARN_AT[1] else ""
        said = [f"[red]{escape(text)}[/]" for text in one.problems]
        said += [f"[yellow]{escape(text)}[/]" for text in one.warnings]
        table.add_row(
            one.name, one.use, "\n".join(map(escape, filter(None, (one.subject, one.structure)))), escape(one.issuer),
            one.until, f"[{style}]{days}[/]" if style and days else days, "\n".join(map(escape, one.services)),
            "\n".join(said) or "[green]ok[/]",
        )  # fmt: skip
    Console().print(table)
