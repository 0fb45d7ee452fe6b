"""``loinc``: transcode a laboratory's catalogue to LOINC, from its export to a checked table."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from channels.errors import ConfigError, UnknownNameError
from channels.journal.search import Criteria
from channels.loader import load_site
from channels.registry import suggestion
from loinc.checks import Fault, check_row
from loinc.checks import check as check_all
from loinc.exchange import fhir
from loinc.exchange.csv_xlsx import sheets, to_csv, to_xlsx
from loinc.learn import Traffic, learned
from loinc.report import coverage, page
from loinc.transcoding import STATUSES
from loinc.worklist import Item, items, open_items
from loinc.worklist import decided as settle
from vaguemestre.commands import loinc_import, loinc_suggest
from vaguemestre.commands.loinc_folder import COLUMN_NAMES, Folder
from vaguemestre.commands.loinc_traffic import learn_from
from vaguemestre.commands.run import JSON, SITE, operator
from vaguemestre.commands.selection import archive_of, seconds

loinc = typer.Typer(help="Transcode a laboratory's catalogue to LOINC.", no_args_is_help=True)

BY = Annotated[str, typer.Option(help="Who decides, for the history; the account of the session if absent.")]
SECTION = Annotated[str, typer.Option(help="Only this chapter of the catalogue.")]
LIMIT = Annotated[int, typer.Option(min=1, help="At most this many.")]
CONDITION = "Only for results with this {}, as the messages write it; where one code needs several."
_WIDTH = 130


@loinc.callback()
def group() -> None:
    """Transcode a laboratory's catalogue to LOINC.

    The files are in the folder `loinc/` of the site: catalogue.csv, transcoding.csv, history.csv, traffic.csv.
    """


def _console() -> Console:
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_WIDTH)


@loinc.command("import")
def import_(
    site: SITE,
    file: Annotated[
        Path, typer.Argument(help="CSV, XLSX, or FHIR JSON; or Loinc.csv, MapTo.csv, the French value set.")
    ],
    as_: Annotated[
        str, typer.Option("--as", help=f"What the file is: {', '.join(loinc_import.KINDS)}. Seen if absent.")
    ] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="FIELD=TITLE: the column of a field; kept for next time.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The catalogue is whole: analyses that it lacks go.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also change what was checked already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    by: BY = "",
) -> None:
    """Bring a catalogue, a transcoding that comes back from outside, or LOINC's own tables into the site.

    Example: vaguemestre loinc import mon-hopital export-sgl.csv --dry-run
    """
    folder = Folder(site)
    if as_ and as_ not in loinc_import.KINDS:
        raise UnknownNameError(f"--as is one of {', '.join(loinc_import.KINDS)}{suggestion(as_, loinc_import.KINDS)}")
    kind = as_ or loinc_import.kind_of(file)
    if kind in ("loinc", "french", "map_to"):
        count = "" if dry_run else loinc_import.import_terms(folder, file, kind)
        typer.echo(f"{kind} : {count} lignes / rows" if count else f"{kind} : rien n'est écrit / nothing is written")
        return
    chosen = loinc_import.chosen_columns(folder, column or ())
    plan = loinc_import.planned(folder, file, kind, chosen, by or operator(), replace=replace)
    for line in loinc_import.told(plan, folder.today):
        typer.echo(line)
    if dry_run:
        return
    if plan.rows.conflicts and not force:
        raise ConfigError("checked decisions would change: nothing was written; --force changes them")
    if column:
        folder.save(COLUMN_NAMES, loinc_import.columns_text(chosen))
    if plan.entries:
        folder.save_catalogue(plan.catalogue)
    folder.save_transcoding(plan.transcoding, by or operator(), f"import {file.name}")


@loinc.command()
def learn(
    site: SITE,
    channel: Annotated[str, typer.Option(help="Only messages of this channel.")] = "",
    kind: Annotated[str, typer.Option(help="Type of the messages.")] = "ORU",
    since: Annotated[str, typer.Option(help="From this local time, e.g. 2026-11-01T00:00.")] = "",
    until: Annotated[str, typer.Option(help="Up to this local time.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many messages, the newest.")] = 200_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what was seen, and write nothing.")] = False,
    json_: JSON = False,
) -> None:
    """Collect every local code that the journal's messages have: units, types, usual values, counts. Never a result.

    Example: vaguemestre loinc learn mon-hopital --channel oru-cr-bio
    """
    folder, loaded = Folder(site), load_site(site)
    criteria = Criteria(
        channel=channel, kind=kind, since=seconds(loaded, since), until=seconds(loaded, until), limit=limit
    )
    archive = archive_of(loaded)
    try:
        traffic, read, unreadable = learn_from(archive, criteria, loaded.site.timezone)
    finally:
        archive.close()
    entries = learned(folder.catalogue, traffic, _days(traffic))
    if not dry_run and read:
        folder.save_traffic(traffic)
        if entries:
            folder.save_catalogue(folder.catalogue.with_entries(entries))
    known = {"messages": read, "unreadable": unreadable, "codes": len(traffic.counts()), "combinations": len(traffic)}
    known |= {"results": sum(traffic.counts().values()), "left_out": traffic.left_out, "learned": len(entries)}
    if json_:
        typer.echo(json.dumps(known))
        return
    typer.echo(
        f"{read} messages lus (read), {unreadable} illisibles (unreadable) ; {known['results']} résultats (results), "
        f"{known['codes']} codes locaux (local codes) ; {len(entries)} analyses ajoutées ou complétées (learned)"
    )
    if traffic.left_out:
        typer.echo(f"{traffic.left_out} résultats de codes au-delà de la limite (left out: too many codes)", err=True)


def _days(traffic: Traffic) -> int:
    first, last = traffic.days()
    return (date.fromisoformat(last) - date.fromisoformat(first)).days + 1 if first and last else 0


@loinc.command()
def suggest(
    file: Annotated[Path, typer.Argument(help="CSV: local_code,label,specimen,unit,technique.", metavar="FILE.csv")],
    top: Annotated[int, typer.Option(min=1, max=50, help="How many candidates a line.")] = 5,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Propose LOINC candidates for each analysis, with reasons and a confidence; nothing is validated.

    Example: vaguemestre loinc suggest catalogue.csv --top 3
    """
    loinc_suggest.suggest(file, top, json_)


@loinc.command()
def worklist(
    site: SITE,
    section: SECTION = "",
    limit: LIMIT = 50,
    propose: Annotated[
        bool, typer.Option("--propose", help="Ask the assistant first, and keep its proposals.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, max=20, help="Proposals for an analysis that the assistant doubts.")] = 3,
    by: BY = "",
    json_: JSON = False,
) -> None:
    """Show what is left to transcode, the most frequent first, with the proposals that wait.

    Example: vaguemestre loinc worklist mon-hopital --propose
    """
    folder = Folder(site)
    if propose:
        from vaguemestre.commands.loinc_proposals import proposals

        rows = proposals(folder, section, top)
        folder.save_transcoding(folder.transcoding.with_rows(rows), by or operator(), "assistant")
    found = items(folder.catalogue, folder.transcoding, folder.traffic, folder.today)
    waiting = list(open_items(found, section))
    if json_:
        typer.echo(json.dumps([_as_json(item) for item in waiting[:limit]], ensure_ascii=False))
        return
    _console().print(_waiting(waiting, limit, folder))


def _as_json(item: Item) -> dict[str, Any]:
    proposals = [{"loinc": row.loinc, "name": row.loinc_name, "evidence": row.evidence} for row in item.proposals]
    shown = {name: text for name, text in item.entry.cells().items() if name in ("label", "section")}
    return {**item.entry.key._asdict(), **shown, "volume": item.volume, "state": item.state, "proposals": proposals}


def _waiting(waiting: list[Item], limit: int, folder: Folder) -> Table:
    caption = f"{len(waiting)} analyses à transcoder (left)"
    if len(waiting) > limit:
        caption += f", {limit} montrées (shown)"
    table = Table("Code", "Libellé", "Milieu", "Unité", "Volume", "Proposition", "Pourquoi (why)", caption=caption)
    for item in waiting[:limit]:
        entry = item.entry
        lines = [f"{row.loinc} {folder.name_of(row.loinc) or row.loinc_name}" for row in item.proposals]
        why = item.proposals[0].evidence if item.proposals else ""
        cells = (entry.local_code, entry.label, entry.specimen, entry.unit, str(item.volume), "\n".join(lines), why)
        table.add_row(*map(escape, cells))
    return table


@loinc.command()
def accept(
    site: SITE,
    code: Annotated[list[str], typer.Argument(help="Local codes; several only for their one proposal each.")],
    to: Annotated[str, typer.Option("--loinc", help="The LOINC code; the proposal that waits if absent.")] = "",
    refuse: Annotated[bool, typer.Option("--refuse", help="Turn the code down: it is not proposed again.")] = False,
    without: Annotated[bool, typer.Option("--without-loinc", help="The analysis has no LOINC code.")] = False,
    specimen: Annotated[str, typer.Option(help=CONDITION.format("specimen"))] = "",
    unit: Annotated[str, typer.Option(help=CONDITION.format("unit"))] = "",
    technique: Annotated[str, typer.Option(help=CONDITION.format("technique"))] = "",
    relationship: Annotated[str, typer.Option(help="`wider`, `narrower` or `inexact`, when it is not the same.")] = "",
    ucum: Annotated[str, typer.Option(help="UCUM unit to send, when it is not the one of the messages.")] = "",
    molar_mass: Annotated[str, typer.Option(help="Analyte of the table of molar masses, from mass to amount.")] = "",
    decimals: Annotated[str, typer.Option(help="Decimals of a converted value.")] = "",
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD.")] = "",
    why: Annotated[str, typer.Option(help="On what evidence, for the history.")] = "",
    comment: Annotated[str, typer.Option(help="Remark, kept in the table.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Keep it although a check finds a fault.")] = False,
    by: BY = "",
) -> None:
    """Decide: accept a proposal or another code, turn it down, or say that there is none; the history keeps why.

    Example: vaguemestre loinc accept mon-hopital NA --why "technique vérifiée avec le biologiste"
    """
    from vaguemestre.commands.loinc_decisions import Wish, decided

    if refuse and without:
        raise ConfigError("--refuse and --without-loinc are two decisions")
    if to and len(code) > 1:
        raise ConfigError("--loinc is for one local code")
    folder = Folder(site)
    status = "refused" if refuse else "without_loinc" if without else "checked"
    wish = Wish(
        to, status, specimen, unit, technique, relationship, ucum, molar_mass, decimals, since, until,
        by or operator(), why, comment,
    )  # fmt: skip
    rows = [decided(folder, local, wish) for local in code]
    faults = [fault for row in rows for fault in check_row(folder.laboratory, row)] if status == "checked" else []
    _show_faults(faults, folder)
    if any(fault.level == "fault" for fault in faults) and not force:
        raise ConfigError("nothing was written: correct the decision, or --force")
    table = settle(folder.transcoding, rows, folder.today)
    folder.save_transcoding(table, by or operator(), why)
    for row in rows:
        typer.echo(f"{row.local_code} -> {row.loinc or '-'} {row.loinc_name} [{row.status}]")


@loinc.command()
def check(site: SITE, json_: JSON = False) -> None:
    """Check every decision, axis by axis, and the catalogue; each fault at file:line. Exit 1 when there are faults.

    Example: vaguemestre loinc check mon-hopital
    """
    folder = Folder(site)
    found = check_all(folder.laboratory, folder.today)
    faults = sum(one.level == "fault" for one in found)
    if json_:
        typer.echo(json.dumps([one._asdict() for one in found], ensure_ascii=False))
    else:
        _show_faults(found, folder)
        states = {status: sum(row.status == status for row in folder.transcoding) for status in STATUSES}
        counts = ", ".join(f"{count} {status}" for status, count in states.items())
        table = "table LOINC du site" if folder.own_terms else "sous-ensemble LOINC livré (the subset that ships)"
        typer.echo(f"{faults} fautes (faults), {len(found) - faults} à regarder (warnings) ; {counts} ; {table}")
    if faults:
        raise typer.Exit(1)


def _show_faults(found: list[Fault], folder: Folder) -> None:
    for one in found:
        warning = " (warning)" if one.level == "warning" else ""
        place = f"{folder.site / one.file}:{one.line}" if one.line else str(folder.site / one.file)
        typer.echo(f"{place}: {one.rule}: {one.problem}{warning}")


@loinc.command()
def export(
    site: SITE,
    target: Annotated[Path, typer.Argument(help="FILE.xlsx, FILE.json (FHIR Bundle), or a folder for CSV and FHIR.")],
    url: Annotated[str, typer.Option(help="URI of the laboratory's dictionary, for FHIR; its OID if absent.")] = "",
) -> None:
    """Write catalogue and transcoding for an outside transcoder or another system; `import` reads all of it back.

    Example: vaguemestre loinc export mon-hopital transcodage.xlsx
    """
    folder = Folder(site)
    suffix = target.suffix.lower()
    if suffix == ".xlsx":
        written = {target: to_xlsx(sheets(folder.catalogue, folder.transcoding))}
    elif suffix == ".json":
        system, mapped = _resources(folder, url)
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": system}, {"resource": mapped}]}
        written = {target: fhir.dumps(bundle).encode()}
    elif suffix:
        raise ConfigError("an export is FILE.xlsx, FILE.json, or a folder")
    else:
        target.mkdir(parents=True, exist_ok=True)
        system, mapped = _resources(folder, url)
        first, second = sheets(folder.catalogue, folder.transcoding)
        written = {
            target / "catalogue.csv": to_csv(first),
            target / "transcodage.csv": to_csv(second),
            target / "CodeSystem.json": fhir.dumps(system).encode(),
            target / "ConceptMap.json": fhir.dumps(mapped).encode(),
        }
    for file, content in written.items():
        file.write_bytes(content)
        typer.echo(str(file))


def _resources(folder: Folder, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """CodeSystem and ConceptMap; their version is the day."""
    loaded = folder.loaded
    name, oid = "laboratoire", None
    if loaded is not None:
        laboratory = loaded.site.laboratory
        name = laboratory.name if laboratory else loaded.site.establishment.name
        oid = laboratory.oids.local_codes if laboratory else None
    day = folder.today.isoformat()
    uri = url or (f"urn:oid:{oid}" if oid else f"urn:vaguemestre:{loaded.site.site if loaded else 'site'}:analyses")
    dictionary = fhir.Dictionary(uri, "Analyses", f"Analyses : {name}", day)
    system = fhir.code_system(folder.catalogue, dictionary, day)
    return system, fhir.concept_map(folder.transcoding, folder.catalogue, dictionary, day)


@loinc.command()
def report(
    site: SITE,
    target: Annotated[Path | None, typer.Argument(help="HTML file to write; figures are printed if absent.")] = None,
    json_: JSON = False,
) -> None:
    """How much of the results is transcoded, by chapter and by volume; as a page to print when a file is named.

    Example: vaguemestre loinc report mon-hopital couverture.html
    """
    folder = Folder(site)
    found = items(folder.catalogue, folder.transcoding, folder.traffic, folder.today)
    if target is not None:
        loaded = folder.loaded
        name = loaded.site.establishment.name if loaded else site.name
        faults = check_all(folder.laboratory, folder.today)
        target.write_text(page(f"Transcodage LOINC – {name}", found, faults, folder.today), "utf-8")
        typer.echo(str(target))
    parts = coverage(found)
    if json_:
        typer.echo(
            json.dumps([{**one._asdict(), "checked": one.share("checked")} for one in parts], ensure_ascii=False)
        )
    elif target is None:
        table = Table(
            "Chapitre (section)", "Analyses", "Vérifiées", "Sans LOINC", "Proposées", "À faire", "Volume vérifié"
        )
        for one in parts:
            share = one.share("checked")
            cells = [str(count) for count in one.analyses.values()]
            shown = "–" if share is None else f"{share:.1%}"
            table.add_row(escape(one.name) or "Tout (all)", str(sum(one.analyses.values())), *cells, shown)
        _console().print(table)
