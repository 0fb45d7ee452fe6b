"""``certificates``: which service uses which certificate, whether it fits, how long it lasts."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape

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
    console = Console(highlight=False)
    for one in reports:
        soon = one.days is None or one.days <= WARN_AT[1]
        console.print(f"[bold]{escape(one.name)}[/] ({one.use})", "" if one.problems else "[green]ok[/]")
        if one.subject:
            console.print(f"  {escape(one.subject)}, OU {escape(one.structure)}; {escape(one.issuer)}", soft_wrap=True)
            console.print(f"  until {one.until}, {'[yellow]' if soon else ''}{one.days} days{'[/]' if soon else ''}")
        for service in one.services:
            console.print(f"  used by {escape(service)}", soft_wrap=True)
        for text in one.problems:
            console.print(f"  [red]{escape(text)}[/]", soft_wrap=True)
        for text in one.warnings:
            console.print(f"  [yellow]{escape(text)}[/]", soft_wrap=True)
