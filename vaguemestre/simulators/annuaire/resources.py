"""Resources of the directory, made of three tables: professionals, their activities, structures.

Source: ANS, API Annuaire Santé v2 (profiles of Practitioner, PractitionerRole, Organization; MSSanté mailboxes).
"""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path
from typing import Any

from channels.errors import ConfigError

Resource = dict[str, Any]
RPPS, IDNPS = "https://rpps.esante.gouv.fr", "urn:oid:1.2.250.1.71.4.2.1"
FINESS, IDNST = "https://finess.esante.gouv.fr", "urn:oid:1.2.250.1.71.4.2.2"
_ANS = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition"
_FR_CORE = "https://hl7.fr/ig/fhir/core/StructureDefinition"
_COLUMNS = {
    "professionals": ["rpps", "family", "given", "profession", "active", "mailbox", "red"],
    "activities": ["rpps", "finess", "role", "active", "end", "mailbox", "kind", "red"],
    "structures": ["finess", "name", "active", "mailbox"],
}


def read_resources(folder: Path | None, updated: str) -> list[Resource]:
    """All resources of a folder of tables (CSV), or of the package. updated: ``meta.lastUpdated``.

    Raises ConfigError for a table that is none.
    """
    structures = _rows(folder, "structures")
    professionals = _rows(folder, "professionals")
    made = [_structure(row, number) for number, row in enumerate(structures, 1)]
    made += [_professional(row, number) for number, row in enumerate(professionals, 1)]
    people = {row["rpps"]: number for number, row in enumerate(professionals, 1)}
    places = {row["finess"]: number for number, row in enumerate(structures, 1)}
    made += [_activity(row, number, people, places) for number, row in enumerate(_rows(folder, "activities"), 1)]
    for one in made:
        one["meta"] = {"lastUpdated": updated}
    return made


def _rows(folder: Path | None, table: str) -> list[dict[str, str]]:
    source = (folder or files("vaguemestre.simulators.annuaire") / "data") / f"{table}.csv"
    rows = csv.reader(source.read_text("utf-8").splitlines())
    columns = _COLUMNS[table]
    if next(rows, None) != columns:
        raise ConfigError(f"{table}.csv:1:1: the columns are {', '.join(columns)}")
    found = []
    for row in filter(None, rows):
        if len(row) != len(columns):
            raise ConfigError(f"{table}.csv:{rows.line_num}:1: a row has {len(columns)} columns")
        found.append(dict(zip(columns, row, strict=True)))
    return found


def _professional(row: dict[str, str], number: int) -> Resource:
    return {
        "resourceType": "Practitioner", "id": f"003-{number}", "active": row["active"] == "yes",
        "identifier": [_identifier(RPPS, row["rpps"], "RPPS"), _identifier(IDNPS, f"8{row['rpps']}", "IDNPS")],
        "name": [{"family": row["family"], "given": [row["given"]]}],
        "qualification": [{"code": {"coding": [{"code": row["profession"]}]}}],
        "telecom": _mailbox(row["mailbox"], "PER", row["red"]),
    }  # fmt: skip


def _activity(row: dict[str, str], number: int, people: dict[str, int], places: dict[str, int]) -> Resource:
    period = {"period": {"end": row["end"]}} if row["end"] else {}
    return {
        "resourceType": "PractitionerRole", "id": f"005-{number}", "active": row["active"] == "yes",
        "practitioner": {"reference": f"Practitioner/003-{people[row['rpps']]}"},
        "organization": {"reference": f"Organization/001-{places[row['finess']]}"},
        "code": [{"coding": [{"code": row["role"]}]}],
        "telecom": _mailbox(row["mailbox"], row["kind"], row["red"]), **period,
    }  # fmt: skip


def _structure(row: dict[str, str], number: int) -> Resource:
    return {
        "resourceType": "Organization", "id": f"001-{number}", "active": row["active"] == "yes", "name": row["name"],
        "identifier": [_identifier(FINESS, row["finess"], "FINEG"), _identifier(IDNST, f"1{row['finess']}", "IDNST")],
        "telecom": _mailbox(row["mailbox"], "ORG", "no"),
    }  # fmt: skip


def _identifier(system: str, value: str, code: str) -> Resource:
    kinds = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
    return {"type": {"coding": [{"system": kinds, "code": code}]}, "system": system, "value": value}


def _mailbox(address: str, kind: str, red: str) -> list[Resource]:
    if not address:
        return []
    mark = {"coding": [{"code": "MSSANTE", "display": "MSSANTE"}]}
    metadata = [
        {"url": "type", "valueCodeableConcept": {"coding": [{"code": kind}]}},
        {"url": "digitization", "valueBoolean": True},
        {"url": "listeRouge", "valueBoolean": red == "yes"},
    ]
    extensions = [
        {"url": f"{_FR_CORE}/fr-core-contact-point-email-type", "valueCodeableConcept": mark},
        {"url": f"{_ANS}/as-ext-mailbox-mss-metadata", "extension": metadata},
    ]
    return [{"system": "email", "value": address, "extension": extensions}]
