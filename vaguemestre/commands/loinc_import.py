"""``loinc import``: what a file is, and what it brings into the folder of the laboratory."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from channels.errors import ChannelFileError, ConfigError
from loinc.catalogue import COLUMNS, Catalogue, Entry, entries_of
from loinc.catalogue import Difference as CatalogueDifference
from loinc.columns import FRENCH, recognised
from loinc.exchange import fhir
from loinc.exchange.csv_xlsx import decisions, from_xlsx
from loinc.learn import LEARNED
from loinc.releases import read_release, read_value_set, with_french
from loinc.replacements import read_map_to, write_replacements
from loinc.tabular import Table, decode, read_csv, write_csv
from loinc.terms import Term, load, write_terms
from loinc.transcoding import Difference, Row, Transcoding
from loinc.worklist import decided
from vaguemestre.commands.loinc_folder import COLUMN_NAMES, MAP_TO, TERMS, Folder

__all__ = ["KINDS", "Plan", "chosen_columns", "import_terms", "kind_of", "planned"]

KINDS = ("catalogue", "transcoding", "loinc", "french", "map_to")


class Plan(NamedTuple):
    """What an import would do. catalogue and transcoding: after it."""

    catalogue: Catalogue
    transcoding: Transcoding
    entries: CatalogueDifference
    rows: Difference


@dataclass
class _Content:
    """What a file holds. fields: of the catalogue, those that the file has a column for."""

    entries: list[Entry] = field(default_factory=list)
    fields: frozenset[str] = frozenset(COLUMNS)
    rows: list[Row] = field(default_factory=list)


def kind_of(file: Path) -> str:
    """``loinc``, ``french``, ``map_to`` or ``""`` (a catalogue, a transcoding, or both)."""
    suffix = file.suffix.lower()
    if suffix in (".xlsx", ".xlsm"):
        from loinc.sheets import Workbook

        with Workbook(file) as book:
            return "french" if any("jeu" in name.lower() for name in book.sheets) else ""
    if suffix == ".json":
        return ""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        first = stream.readline(100_000)
    columns = set(next(csv.reader([first]), []))
    if {"LOINC_NUM", "COMPONENT"} <= columns:
        return "loinc"
    return "map_to" if {"LOINC", "MAP_TO"} <= columns else ""


# catalogue and transcoding


def chosen_columns(folder: Folder, given: Iterable[str]) -> dict[str, str]:
    """Field -> column: those of the command, else those that an earlier import kept. Raises ConfigError."""
    kept = {row["field"]: row["column"] for _, row in read_csv(folder.text(COLUMN_NAMES), COLUMN_NAMES).rows}
    for one in given:
        name, sign, column = one.partition("=")
        if not sign or name not in FRENCH or not column:
            raise ConfigError(f"--column is FIELD=TITLE, and FIELD is one of {', '.join(FRENCH)}")
        kept[name] = column
    return kept


def columns_text(chosen: Mapping[str, str]) -> str:
    """The file ``columns.csv``."""
    return write_csv(("field", "column"), ({"field": name, "column": chosen[name]} for name in sorted(chosen)))


def planned(folder: Folder, file: Path, kind: str, chosen: Mapping[str, str], author: str, *, replace: bool) -> Plan:
    """What the file would change.

    kind: ``catalogue``, ``transcoding`` or ``""`` for both, by its columns. replace: analyses that the file lacks go.
    Raises ChannelFileError, ConfigErrors with the lines of the file that are wrong.
    """
    content = _read(folder, file, kind, chosen)
    catalogue = _merged(folder.catalogue, content, replace=replace)
    stamped = [_stamped(row, folder, author, file.name) for row in content.rows]
    before, own = folder.transcoding, {row.identity for row in stamped}
    others = Transcoding(row for row in before if row.identity not in own)
    after = decided(before, stamped, folder.today, others)
    conflicts = before.difference(before.with_rows(stamped)).conflicts
    difference = before.difference(after)._replace(conflicts=conflicts)
    return Plan(catalogue, after, folder.catalogue.difference(catalogue), difference)


def _merged(old: Catalogue, content: _Content, *, replace: bool) -> Catalogue:
    """The catalogue after the import; a column that the file lacks keeps what it had."""
    kept = []
    for entry in content.entries:
        known = old.get(entry.key)
        cells = {name: getattr(entry if name in content.fields or known is None else known, name) for name in COLUMNS}
        kept.append(Entry(**cells, line=entry.line))
    if replace and content.entries:
        return Catalogue(kept)
    codes = {entry.local_code for entry in kept}
    return Catalogue([*(one for one in old if one.comment != LEARNED or one.local_code not in codes), *kept])


def _read(folder: Folder, file: Path, kind: str, chosen: Mapping[str, str]) -> _Content:
    content = _Content()
    if file.suffix.lower() == ".json":
        found = fhir.read(decode(file.read_bytes(), file.name), file.name)
        if found.catalogue is not None and kind in ("", "catalogue"):
            content.entries = list(found.catalogue)
        if found.rows is not None and kind in ("", "transcoding"):
            content.rows = found.rows
        return content
    tables = [(table, recognised(table.columns, chosen)) for table in _tables(file, chosen)]
    for table, columns in tables:
        if kind in ("", "catalogue") and "loinc" not in columns:
            content.entries += entries_of(table, chosen)
            content.fields = frozenset(columns)
    for table, columns in tables:
        if "loinc" in columns and kind in ("", "catalogue") and not content.entries:
            content.entries = _analyses(table, columns, folder.catalogue)
    known = _merged(folder.catalogue, content, replace=False)
    for table, columns in tables:
        if kind in ("", "transcoding") and "loinc" in columns:
            content.rows += decisions(table, known, chosen)
    return content


def _analyses(table: Table, columns: Mapping[str, str], known: Catalogue) -> list[Entry]:
    """The analyses that a table of decisions speaks of and the catalogue lacks; one may have several decisions."""
    taken = [columns[name] for name in ("local_code", "specimen", "unit", "technique") if name in columns]
    seen: dict[tuple[str, ...], tuple[int, dict[str, str]]] = {}
    for line, row in table.rows:
        if not known.of(row.get(columns["local_code"], "")):
            seen.setdefault(tuple(row.get(column, "") for column in taken), (line, row))
    own = {name: column for name, column in columns.items() if name not in ("comment", "decimals")}
    kept = tuple(column for column in table.columns if column in own.values())
    return entries_of(Table(table.name, kept, tuple(seen.values())), own)


def _tables(file: Path, chosen: Mapping[str, str]) -> Iterator[Table]:
    if file.suffix.lower() not in (".xlsx", ".xlsm"):
        yield read_csv(decode(file.read_bytes(), file.name), file.name)
        return
    found = [
        table
        for table in from_xlsx(file.read_bytes(), file.name).values()
        if "local_code" in recognised(table.columns, chosen)
    ]
    if not found:
        raise ChannelFileError(file.name, 0, 0, "no sheet has a column of local codes; name it with --column")
    yield from found


def _stamped(row: Row, folder: Folder, author: str, origin: str) -> Row:
    """A row that is new or changed says who brought it, when, from which file; and LOINC's own name of its code."""
    known = folder.transcoding.get(row.identity)
    if known is not None and known.cells() == row.cells():
        return row
    cells = row.cells()
    defaults = {"author": author, "date": folder.today.isoformat(), "evidence": f"import {origin}"}
    if known is not None and known.cells() != row.cells() and known.status != row.status:
        defaults["date"] = cells["date"] = folder.today.isoformat()
    cells |= {name: text for name, text in defaults.items() if not cells[name]}
    name = folder.name_of(row.loinc) if row.loinc else ""
    return Row(**(cells | ({"loinc_name": name} if name else {})), line=row.line)


# LOINC's own tables


def import_terms(folder: Folder, file: Path, kind: str) -> int:
    """Bring a LOINC release, the French value set or MapTo.csv into the site; how many rows the site has then.

    Raises ChannelFileError at a line that is wrong.
    """
    target = folder.site / TERMS
    if kind == "map_to":
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(read_map_to(stream, file.name))
        folder.save(MAP_TO, write_replacements(rows))
        return len(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "french":
        return _replace(target, with_french(folder.terms, list(read_value_set(file))))
    french = {term.code: term.french for term in load(target) if term.french} if folder.own_terms else {}
    with file.open(encoding="utf-8-sig", newline="") as stream:
        terms = read_release(stream, file.name)
        return _replace(target, (one._replace(french=french.get(one.code, one.french)) for one in terms))


def _replace(target: Path, terms: Iterable[Term]) -> int:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".terms.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            count = write_terms(terms, stream)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return count


def told(plan: Plan, today: date) -> list[str]:
    """The plan in words."""
    entries, rows = plan.entries, plan.rows
    lines = [
        f"catalogue : {_counted(entries)} (analyses added, changed, removed)",
        f"transcodage : {_counted(rows)} (rows added, changed, removed), {today.isoformat()}",
    ]
    for old, new in rows.conflicts:
        before, after = (f"{one.loinc or '-'} {one.status}" for one in (old, new))
        lines.append(f"conflit (conflict) {old.local_code!r}: {before} -> {after}, transcoding.csv:{old.line}")
    return lines


def _counted(difference: CatalogueDifference | Difference) -> str:
    added, changed, removed = (len(part) for part in difference[:3])
    return f"{added} ajoutées, {changed} modifiées, {removed} retirées"
