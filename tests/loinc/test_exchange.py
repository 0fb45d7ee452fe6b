"""Spreadsheets and FHIR: what goes out comes back as it was; what others send is read as they mean it."""

import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from channels.errors import ChannelFileError, ConfigErrors
from loinc.catalogue import Catalogue, Entry, entries_of
from loinc.columns import FRENCH
from loinc.exchange import fhir
from loinc.exchange.csv_xlsx import CATALOGUE, TRANSCODING, decisions, from_xlsx, sheets, to_csv, to_xlsx
from loinc.tabular import decode, read_csv
from loinc.transcoding import Row, Transcoding
from tests.loinc.laboratory_rows import CATALOGUES, TRANSCODINGS

openpyxl = pytest.importorskip("openpyxl", reason="spreadsheets need openpyxl (pip install 'vaguemestre[loinc]')")
DICTIONARY = fhir.Dictionary("urn:oid:1.2.250.1.999999.2.6", "Analyses", "Analyses du laboratoire", "2026-11-25.1")

SODIUM = Entry(local_code="NA", label="Sodium", specimen="Sérum", unit="mmol/L", value_type="numeric", frequency=9000)
URINE = Entry(local_code="NA", label="Sodium urinaire", specimen="Urine", unit="mmol/L")
GLUCOSE = Entry(local_code="GLU", label="Glycémie", short_label="Gly", specimen="Plasma", unit="g/L", active=False)
SMALL = Catalogue([SODIUM, URINE, GLUCOSE])
ROWS = Transcoding(
    [
        Row(local_code="NA", specimen="Sérum", loinc="2951-2", status="checked", author="AD", date="2026-11-25"),
        Row(
            local_code="GLU", loinc="14749-6", ucum="mmol/L", molar_mass="Glucose", decimals="2", evidence="score 0.93"
        ),
        Row(local_code="OLD", status="without_loinc", comment="abandonné"),
    ]
)


@given(CATALOGUES, TRANSCODINGS)
def test_two_csv_files_lose_nothing(catalogue: Catalogue, transcoding: Transcoding) -> None:
    first, second = sheets(catalogue, transcoding)
    back = Catalogue(entries_of(read_csv(decode(to_csv(first), "c"), "c")))
    assert back == catalogue
    assert Transcoding(decisions(read_csv(decode(to_csv(second), "t"), "t"), back)) == transcoding


@settings(max_examples=40)
@given(CATALOGUES, TRANSCODINGS)
def test_a_workbook_loses_nothing(catalogue: Catalogue, transcoding: Transcoding) -> None:
    tables = from_xlsx(to_xlsx(sheets(catalogue, transcoding)), "x")
    back = Catalogue(entries_of(tables[CATALOGUE]))
    assert back == catalogue
    assert Transcoding(decisions(tables[TRANSCODING], back)) == transcoding


@given(CATALOGUES, TRANSCODINGS)
def test_fhir_loses_nothing(catalogue: Catalogue, transcoding: Transcoding) -> None:
    system = fhir.code_system(catalogue, DICTIONARY, "2026-11-25")
    mapped = fhir.concept_map(transcoding, catalogue, DICTIONARY, "2026-11-25")
    assert fhir.read(fhir.dumps(system), "c").catalogue == catalogue
    assert Transcoding(fhir.read(fhir.dumps(mapped), "m").rows or []) == transcoding
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": system}, {"resource": mapped}]}
    both = fhir.read(json.dumps(bundle), "b")
    assert both.catalogue == catalogue
    assert Transcoding(both.rows or []) == transcoding


def _nothing_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(_nothing_empty(one) for one in value.values())
    if isinstance(value, list):
        return bool(value) and all(_nothing_empty(one) for one in value)
    return value != "" and value is not None


@given(CATALOGUES, TRANSCODINGS)
def test_the_resources_keep_the_rules_of_fhir(catalogue: Catalogue, transcoding: Transcoding) -> None:
    system = fhir.code_system(catalogue, DICTIONARY, "2026-11-25")
    mapped = fhir.concept_map(transcoding, catalogue, DICTIONARY, "2026-11-25")
    assert _nothing_empty(system)
    assert _nothing_empty(mapped)
    codes = [
        code
        for concept in system.get("concept", [])
        for code in (concept["code"], *(one["code"] for one in concept.get("concept", [])))
    ]
    assert len(codes) == len(set(codes)) == system["count"]
    for element in (one for group in mapped.get("group", []) for one in group["element"]):
        for target in element["target"]:
            assert target["equivalence"] in {
                "equivalent",
                "wider",
                "narrower",
                "inexact",
                "relatedto",
                "disjoint",
                "unmatched",
            }
            assert ("code" in target) == (target["equivalence"] != "unmatched")


def test_the_columns_are_called_as_laboratories_call_them() -> None:
    first, second = sheets(SMALL, ROWS)
    assert first.columns[:4] == ("Code analyse", "Libellé", "Libellé court", "Milieu")
    assert {"Condition milieu", "Code LOINC", "Statut", "Unité UCUM", "Justification"} <= set(second.columns)
    assert len(set(FRENCH.values())) == len(FRENCH)


def test_the_sheet_for_the_transcoder_has_each_analysis_with_its_decision_or_without() -> None:
    _, second = sheets(SMALL, ROWS)
    shown = [(row["Code analyse"], row["Milieu"], row["Code LOINC"], row["Statut"]) for row in second.rows]
    assert shown == [
        ("GLU", "Plasma", "14749-6", "proposé"),
        ("NA", "Sérum", "2951-2", "vérifié"),
        ("NA", "Urine", "", ""),
        ("OLD", "", "", "sans LOINC"),
    ]


def test_a_table_of_another_origin_has_conditions_only_where_the_code_needs_them() -> None:
    text = (
        "Code;Nature;Unités;LOINC;Statut\nNA;Sérum;mmol/L;2951-2;OK\nNA;Urine;mmol/L;2955-3;OK\n"
        "GLU;Plasma;g/L;2345-7;à vérifier\nK;;;;\n"
    )
    rows = decisions(read_csv(text, "retour.csv"), SMALL)
    assert [(row.key, row.loinc, row.status) for row in rows] == [
        (("NA", "Sérum", "", ""), "2951-2", "checked"),
        (("NA", "Urine", "", ""), "2955-3", "checked"),
        (("GLU", "", "", ""), "2345-7", "proposed"),
    ]


@pytest.mark.parametrize(
    "cells,problem",
    [
        ("GLU;2345-8;", "check digit"),
        ("GLU;02/01/2026;", "made a date"),
        ("GLU;2026-01-08;", "made a date"),
        ("GLU;abc;", "not a LOINC code"),
        ("GLU;2345-7;peut-être", "a status is one of"),
        ("GLU;;vérifié", "needs a LOINC code"),
        ("GLU;2345-7;sans LOINC", "has no LOINC code"),
        (";2345-7;", "without local code"),
    ],
)
def test_what_a_spreadsheet_spoilt_is_a_fault_at_its_line(cells: str, problem: str) -> None:
    text = f"Code analyse;Code LOINC;Statut\nNA;2951-2;vérifié\n{cells}\n"
    with pytest.raises(ConfigErrors) as caught:
        decisions(read_csv(text, "retour.csv"), SMALL)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == ("retour.csv", 3)
    assert problem in fault.problem


def test_other_hyphens_and_blanks_around_a_code_are_no_fault() -> None:
    (row,) = decisions(read_csv("Code;LOINC\nNA; 2951‑2 \n", "x"), SMALL)
    assert row.loinc == "2951-2"


def test_a_workbook_with_numbers_and_days_is_read_as_text() -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.append(["Code examen", "Libellé", "Fréquence", "Décimales"])
    page.append([7, "Sodium", 9000.0, 2])
    page.append([dt.datetime(2026, 1, 8), "Date", None, None])  # noqa: DTZ001  # as a spreadsheet has it
    stream = io.BytesIO()
    book.save(stream)
    (table,) = from_xlsx(stream.getvalue(), "export.xlsx").values()
    entries = entries_of(table)
    assert [(one.local_code, one.frequency, one.decimals) for one in entries] == [
        ("7", 9000, "2"),
        ("2026-01-08", 0, ""),
    ]


@pytest.mark.parametrize("content", [b"", b"not a workbook", b"PK\x03\x04rest"])
def test_what_is_no_workbook_is_said(content: bytes) -> None:
    with pytest.raises(ChannelFileError, match="not an XLSX workbook"):
        from_xlsx(content, "x.xlsx")


def test_a_concept_map_of_another_origin_gives_proposals() -> None:
    foreign = {
        "resourceType": "ConceptMap",
        "url": "http://example.org/map",
        "group": [
            {
                "target": "http://loinc.org",
                "element": [
                    {"code": "NA", "target": [{"code": "2951-2", "equivalence": "equivalent",
                     "dependsOn": [{"property": "http://example.org/specimen", "value": "Sérum"}],
                     "product": [{"property": "http://example.org/ucum", "value": "mmol/L"}]}]},
                    {"code": "X", "target": [{"equivalence": "unmatched"}]},
                    {"code": "Y", "target": [{"code": "2345-7", "equivalence": "disjoint"}]},
                    {"code": "Z", "target": [{"code": "2345-7", "equivalence": "subsumes"}]},
                ],
            },
            {"target": "http://snomed.info/sct", "element": [{"code": "NA", "target": [{"code": "1"}]}]},
        ],
    }  # fmt: skip
    rows = fhir.read(json.dumps(foreign), "map.json").rows
    assert rows is not None
    assert [(row.local_code, row.loinc, row.status, row.relationship) for row in rows] == [
        ("NA", "2951-2", "proposed", ""),
        ("X", "", "without_loinc", ""),
        ("Y", "2345-7", "refused", ""),
        ("Z", "2345-7", "proposed", "wider"),
    ]
    assert (rows[0].specimen, rows[0].ucum, rows[0].evidence) == (
        "Sérum",
        "mmol/L",
        "ConceptMap http://example.org/map",
    )


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"resourceType": "Patient"}', '{"resourceType": "Bundle"}', "null"])
def test_another_resource_is_refused_with_its_file(text: str) -> None:
    with pytest.raises(ChannelFileError) as caught:
        fhir.read(text, "x.json")
    assert caught.value.file == "x.json"


def test_a_wrong_code_of_a_map_is_shown_at_its_line() -> None:
    text = fhir.dumps(fhir.concept_map(ROWS, SMALL, DICTIONARY, "2026-11-25")).replace("14749-6", "14749-7")
    with pytest.raises(ConfigErrors) as caught:
        fhir.read(text, "map.json")
    (fault,) = caught.value.faults
    assert '"14749-7"' in text.splitlines()[fault.line - 1]


@pytest.mark.parametrize(
    "write", [lambda: fhir.code_system(SMALL, DICTIONARY, "d"), lambda: fhir.concept_map(ROWS, SMALL, DICTIONARY, "d")]
)
def test_the_same_content_is_the_same_text(write: Callable[[], dict[str, Any]]) -> None:
    assert fhir.dumps(write()) == fhir.dumps(write())
