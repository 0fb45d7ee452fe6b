"""``vaguemestre loinc suggest``: the contract for scripts, and the table for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vaguemestre.cli import app

CATALOGUE = """local_code;label;specimen;unit;technique
NA;Natrémie;Sérum;mmol/L;
HB;[Hémoglobine];Sang;g/dL;
ZZ;;;;
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.csv"
    path.write_text(CATALOGUE, encoding="utf-8-sig")
    return path


def test_json_is_one_object_a_line_in_the_order_of_the_file(catalogue: Path) -> None:
    result = CliRunner().invoke(app, ["loinc", "suggest", str(catalogue), "--top", "2", "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["local_code"] for line in lines] == ["NA", "HB", "ZZ"]
    assert all(set(line) == {"local_code", "candidates", "confidence", "decision"} for line in lines)
    assert [len(line["candidates"]) for line in lines] == [2, 2, 0]
    assert lines[0]["candidates"][0]["loinc"] == "2951-2"
    assert set(lines[0]["candidates"][0]) == {"loinc", "score", "reasons"}
    assert {line["decision"] for line in lines} <= {"propose", "abstain"}
    assert all(0 <= line["confidence"] <= 1 for line in lines)


def test_without_json_a_table_is_shown(catalogue: Path) -> None:
    result = CliRunner().invoke(app, ["loinc", "suggest", str(catalogue)])
    assert result.exit_code == 0, result.output
    assert "2951-2" in result.stdout
    assert "[Hémoglobine]" in result.stdout
    assert "concorde" in result.stdout


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["loinc", "suggest", str(tmp_path / "no.csv")])
    assert result.exit_code == 2
    assert "no.csv" in result.output
