"""``run``, ``reload``, ``top``, ``keys``, ``history``, ``audit``: the engine itself."""

from __future__ import annotations

import getpass
import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from channels.control import NotRunning, ask
from channels.errors import ConfigError
from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.loader import LoadedSite, load_settings, load_site
from channels.supervisor import master_keys

SITE = Annotated[Path, typer.Argument(help="Folder of the site.", exists=True, file_okay=False)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

keys = typer.Typer(help="Master keys of the journal.", no_args_is_help=True)


def operator() -> str:
    """Who types the command, for the audit trail."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def control(loaded: LoadedSite, request: dict[str, Any], timeout: float = 30.0) -> Any:
    """Ask the running engine, and wait ``timeout`` seconds at most. Raises NotRunning when there is none."""
    return ask(loaded.directory / loaded.site.control, {"who": operator(), **request}, timeout)


def local(loaded: LoadedSite, seconds: float | None) -> str:
    """A time in the site's zone, for people; empty for None and 0."""
    zone: ZoneInfo = loaded.site.timezone
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


def run(site: SITE) -> None:
    """Run a site until it is stopped (Ctrl-C, SIGTERM). SIGHUP, or `vaguemestre reload`, applies changed files.

    Example: vaguemestre run mon-hopital
    """
    from vaguemestre import engine, logs

    loaded = load_site(site)
    logs.configure(loaded.site.log)
    engine.run(loaded)


def reload(
    site: SITE,
    why: Annotated[str, typer.Option(help="Reason, kept in the history of configurations.")] = "",
    json_: JSON = False,
) -> None:
    """Apply changed files to the running engine: only changed channels restart. Faults leave everything as it is.

    Example: vaguemestre reload mon-hopital --why "SGL moved to its new server"
    """
    words = control(load_settings(site), {"do": "reload", "why": why})
    if json_:
        typer.echo(json.dumps(words, ensure_ascii=False))
    else:
        typer.echo("\n".join(words) or "nothing changed")


def state_tables(loaded: LoadedSite, state: dict[str, Any], before: dict[str, Any] | None, seconds: float) -> Group:
    """What moves, as tables: messages per second since ``before``, queues and their age."""
    earlier = {one["channel"]: one for one in before["channels"]} if before else {}
    ready = "prêt / ready" if state["ready"] else "[red]PAS PRÊT / NOT READY"
    table = Table(title=f"{state['site']} — {ready}", box=SIMPLE_HEAD, pad_edge=False)
    queues = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("canal\nchannel", no_wrap=True)
    queues.add_column("destination", no_wrap=True)
    for name in ("reçus\nreceived", "/s", "refusés\nrefused", "dernier\nlast"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("remis\ndelivered", "/s", "attente\nwaiting", "âge\nage", "rejets\ndead"):
        queues.add_column(name, justify="right", no_wrap=True)
    queues.add_column("état\nstate", overflow="fold")
    for one in state["channels"]:
        old = earlier.get(one["channel"], one)
        rate = (one["received"] - old["received"]) / seconds
        last = local(loaded, one["last"])
        table.add_row(one["channel"], str(one["received"]), f"{rate:.0f}", str(one["refused"]), last)
        for name, values in one["destinations"].items():
            was = old["destinations"].get(name, values)
            queues.add_row(
                *_queue_row(f"{one['channel']}/{name}", values, (values["delivered"] - was["delivered"]) / seconds)
            )
    for name, problem in state["broken"].items():
        table.add_row(name, "", "", "", f"[red]{problem}")
    return Group(table, queues)


def _queue_row(route: str, values: dict[str, Any], rate: float) -> list[str]:
    age = f"{max(0, time.time() - values['oldest']):.0f} s" if values["oldest"] and values["waiting"] else ""
    dead = values["failed"] + values["refused"] + values["expired"]
    state = "[red]injoignable / unreachable" if values["circuit_open"] else "ok"
    if values["held"]:
        state = "[yellow]retenu / held"
    if values["problem"]:
        state += f"\n{values['problem']}"
    return [route, str(values["delivered"]), f"{rate:.0f}", str(values["waiting"]), age, str(dead), state]


def top(
    site: SITE,
    once: Annotated[bool, typer.Option(help="Print the state once and leave.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 1.0,
    json_: JSON = False,
) -> None:
    """Show live what the running engine receives, delivers and keeps waiting.

    Example: vaguemestre top mon-hopital
    """
    loaded = load_settings(site)
    state = control(loaded, {"do": "state"})
    troubles = certificate_troubles(loaded)
    if json_:
        typer.echo(json.dumps(state | {"certificates": troubles}, ensure_ascii=False))
        return
    warning = Text("\n".join(f"certificat / certificate {one}" for one in troubles), style="yellow")
    if once:
        Console().print(Group(state_tables(loaded, state, None, every), warning))
        return
    with Live(Group(state_tables(loaded, state, None, every), warning), refresh_per_second=4) as live:
        while True:
            time.sleep(every)
            before, state = state, control(loaded, {"do": "state"})
            live.update(Group(state_tables(loaded, state, before, every), warning))


def certificate_troubles(loaded: LoadedSite) -> list[str]:
    """What does not fit of the site's certificates, and which of them end soon."""
    if not loaded.site.certificates:
        return []
    from vaguemestre.certificates import inspect

    return [f"{one.name}: {text}" for one in inspect(loaded) for text in (*one.problems, *one.ending)]


@keys.command("list")
def list_keys(site: SITE, json_: JSON = False) -> None:
    """Name the master keys that the journal needs; a line of the key file with another name can be removed."""
    catalog = _catalog(load_settings(site))
    masters = catalog.masters()
    catalog.close()
    if json_:
        typer.echo(json.dumps(masters))
    else:
        typer.echo(
            "\n".join(f"{name}: wraps {count} keys" for name, count in masters.items()) or "the journal is in clear"
        )


@keys.command("rotate")
def rotate(site: SITE) -> None:
    """Add a master key at the top of the key file and wrap the journal's keys under it; older lines can then go.

    Bodies are not encrypted again: only the small keys that encrypt them are. The engine may run meanwhile.
    """
    loaded = load_settings(site)
    settings = loaded.site.journal
    if settings.key_file is None:
        raise ConfigError("site.yaml names no journal.key_file: there is no key file to add a key to")
    path = loaded.directory / settings.key_file
    old = path.read_text(encoding="ascii")
    line = MasterKeys.new_line(f"k{int(time.time())}")
    path.write_text(line + old, encoding="ascii")
    try:
        count = control(loaded, {"do": "rotate"})
    except NotRunning:
        catalog = Catalog(loaded.directory / settings.directory, MasterKeys.read(line + old), write=True)
        count = catalog.rotate()
        catalog.audit(operator(), "rotate", "master key", f"{count} keys")
        catalog.close()
    typer.echo(f"{count} keys are wrapped under {line.partition(':')[0]}; the older lines of {path} can be removed")


def _catalog(loaded: LoadedSite) -> Catalog:
    settings = loaded.site.journal
    return Catalog(loaded.directory / settings.directory, master_keys(settings, loaded.directory))


def history(
    site: SITE,
    restore: Annotated[int, typer.Option(help="Number of the configuration to write back into the site's folder.")] = 0,
    json_: JSON = False,
) -> None:
    """List the configurations that were applied, who applied them and why; write an older one back.

    Example: vaguemestre history mon-hopital --restore 3 && vaguemestre reload mon-hopital
    """
    loaded = load_settings(site)
    catalog = _catalog(loaded)
    entries = catalog.configurations()
    catalog.close()
    if restore:
        files = next((files for number, _, _, _, files in entries if number == restore), None)
        if files is None:
            raise ConfigError(f"no configuration has the number {restore}")
        for name, text in files.items():
            (loaded.directory / name).write_text(text, encoding="utf-8")
        typer.echo(f"{len(files)} files written; check and reload to apply them")
        return
    if json_:
        rows = [
            {"number": n, "time": t, "who": who, "why": why, "files": sorted(files)}
            for n, t, who, why, files in entries
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("number", "time", "who", "why", "files")
    for number, at, who, why, files in entries:
        table.add_row(str(number), local(loaded, at), who, why, str(len(files)))
    Console().print(table)


def audit(site: SITE, limit: Annotated[int, typer.Option(help="How many entries.")] = 50, json_: JSON = False) -> None:
    """Show who looked at or moved which messages, the latest first."""
    loaded = load_settings(site)
    catalog = _catalog(loaded)
    entries = catalog.audited(limit)
    catalog.close()
    if json_:
        names = ("time", "who", "action", "object", "detail")
        typer.echo(json.dumps([dict(zip(names, entry, strict=True)) for entry in entries], ensure_ascii=False))
        return
    table = Table("time", "who", "action", "object", "detail")
    for at, *rest in entries:
        table.add_row(local(loaded, at), *rest)
    Console().print(table)


__all__ = ["NotRunning", "audit", "control", "history", "keys", "local", "operator", "reload", "run", "top"]
