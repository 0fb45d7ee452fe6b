"""``init``, ``check``, ``test``, ``plan``, ``schema``, as typed."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.loader import load_site
from channels.plan import dump_site
from tests.channels.sites import ADT, CHANNEL, change, connectors, write
from vaguemestre.cli import app

__all__ = ["connectors"]
TESTS = "tests:\n  - {name: both, input: cases/a01.hl7, expect: {dpi: cases/a01.hl7, sgl: null}}\n"


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def _json(*words: object) -> Any:
    return json.loads(_run(*words, "--json").stdout)


# the example


def test_init_makes_a_site_without_fault_whose_tests_pass(tmp_path: Path) -> None:
    site = tmp_path / "mon-hopital"
    made = _run("init", site)
    assert made.exit_code == 0, made.output
    assert str(site / "var/keys/master.key") in made.stdout
    checked = _run("check", site)
    assert checked.exit_code == 0, checked.output
    assert "adt-fanout, dft-file, oru-cr-bio, oru-dpi" in checked.stdout
    results = _json("test", site)
    assert [(one["test"], one["problems"]) for one in results if not one["passed"]] == []
    assert {one["channel"] for one in results} == {"adt-fanout", "oru-dpi", "oru-cr-bio", "dft-file"}


def test_init_makes_a_key_that_only_its_owner_reads_and_git_never_sees(tmp_path: Path) -> None:
    site = tmp_path / "s"
    _run("init", site)
    key = site / "var/keys/master.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert MasterKeys.load(key).newest == "k1"
    assert (site / ".gitignore").read_text() == "var/\n"
    assert load_site(site).site.journal.key_file == Path("var/keys/master.key")
    again = tmp_path / "t"
    _run("init", again)
    assert (again / "var/keys/master.key").read_text() != key.read_text()


def test_init_writes_into_an_empty_folder_and_into_no_other(tmp_path: Path) -> None:
    assert _run("init", tmp_path).exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    second = _run("init", tmp_path)
    assert (second.exit_code, sorted(tmp_path.rglob("*"))) == (2, before)
    assert "is not empty: nothing was written" in second.stderr
    assert _run("init", tmp_path / "site.yaml").exit_code == 2


def test_the_files_of_the_example_name_the_schemas_that_init_writes(tmp_path: Path) -> None:
    _run("init", tmp_path)
    for file in [tmp_path / "site.yaml", *(tmp_path / "channels").glob("*.yaml")]:
        first = file.read_text().splitlines()[0]
        schema = file.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(schema.read_text())["$schema"].startswith("https://json-schema.org/")


def test_the_report_of_the_example_is_valid_under_the_official_rules(shared: Path) -> None:
    example = Path(__file__).parents[2] / "vaguemestre/example/cases/oru_crp.cr-bio.xml"
    command = [sys.executable, str(shared / "tools/cda-validate"), "--pack", str(shared / "ans/cda-pack"), str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# a site with faults, or without


@pytest.mark.usefixtures("connectors")
def test_check_shows_each_fault_at_its_file_line_and_column(tmp_path: Path) -> None:
    write(tmp_path, {"channels/adt.yaml": change(("timeout: 30s", "timeout: 30"), ("name: dpi", "name: DPI"))})
    result = _run("check", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{tmp_path}/channels/adt.yaml:5:11: the text does not have the form ^[a-z0-9][a-z0-9_-]*$",
        f"{tmp_path}/channels/adt.yaml:6:50: a duration needs a unit; did you mean '30s'?",
    ]
    assert _json("check", tmp_path)["faults"][1] == {
        "file": "channels/adt.yaml",
        "line": 6,
        "column": 50,
        "problem": "a duration needs a unit; did you mean '30s'?",
    }
    other = _run("test", tmp_path)
    assert (other.exit_code, other.stderr.count("channels/adt.yaml:")) == (1, 2)


_SHEET = """\
<xsl:stylesheet version="3.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/"><a/></xsl:template>
</xsl:stylesheet>
"""


@pytest.mark.usefixtures("connectors")
def test_check_compiles_the_style_sheets(tmp_path: Path) -> None:
    pytest.importorskip("saxonche", reason="needs the extra xslt")
    text = change(("- codes: {field: PV1-3.1, table: uf}", "- xslt: {stylesheet: transforms/cda.xsl}"))
    write(tmp_path, {"channels/adt.yaml": text, "transforms/cda.xsl": _SHEET})
    assert _run("check", tmp_path).exit_code == 0
    wrong = _SHEET.replace("<a/>", '<xsl:value-of select="nothing("/>')
    write(tmp_path, {"transforms/cda.xsl": wrong, "channels/adt.yaml": text})
    result = _run("check", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path}/transforms/cda.xsl:2:")


@pytest.mark.usefixtures("connectors")
def test_check_shows_warnings_and_is_content(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"channels/adt.yaml": change(("  - name: sgl\n", "  - name: sgl\n    order: strict\n    parallel: 2\n"))},
    )
    result = _run("check", tmp_path)
    assert result.exit_code == 0
    assert f"{tmp_path}/channels/adt.yaml:9:15: with `order: strict`" in result.stdout
    assert "(warning)" in result.stdout
    assert len(_json("check", tmp_path)["warnings"]) == 1


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert _run("check", tmp_path / "nowhere").exit_code == 2
    assert _run("check", tmp_path).exit_code == 1


@pytest.mark.usefixtures("connectors")
def test_test_tells_where_a_case_differs_and_fails(tmp_path: Path) -> None:
    write(tmp_path, {"channels/adt.yaml": CHANNEL + TESTS})
    result = _run("test", tmp_path)
    assert result.exit_code == 1
    assert "nothing expected" in result.stdout
    assert "1 en échec / failed" in result.stdout
    assert _json("test", tmp_path) == [
        {
            "channel": "adt",
            "test": "both",
            "passed": False,
            "problems": ["sgl: nothing expected, one message made"],
            "notes": [],
        }
    ]
    assert _json("test", tmp_path, "--channel", "adt")[0]["test"] == "both"
    accepted = _run("test", tmp_path, "--accept")
    assert (accepted.exit_code, accepted.stderr) == (1, "")
    write(tmp_path, {"channels/adt.yaml": CHANNEL + TESTS.replace("null", "cases/sgl.hl7"), "cases/sgl.hl7": ADT})
    assert _run("test", tmp_path).exit_code == 1
    accepted = _run("test", tmp_path, "--accept")
    assert (accepted.exit_code, accepted.stderr) == (0, f"{tmp_path}/cases/sgl.hl7: écrit / written\n")
    write(tmp_path, {"channels/adt.yaml": CHANNEL + TESTS})
    unknown = _run("test", tmp_path, "--channel", "oru")
    assert (unknown.exit_code, unknown.stderr) == (2, "no channel is called 'oru'\n")


@pytest.mark.usefixtures("connectors")
def test_plan_tells_what_the_configuration_applied_last_would_become(tmp_path: Path) -> None:
    write(tmp_path)
    first = _run("plan", tmp_path)
    assert first.exit_code == 0
    assert "adt: new channel" in first.stdout
    assert _json("plan", tmp_path)["applied"] is False
    journal = tmp_path / "var/journal"
    journal.mkdir(parents=True)
    catalog = Catalog(journal, None, write=True)
    assert _json("plan", tmp_path)["applied"] is False
    catalog.applied("anne", "start", dump_site(load_site(tmp_path)))
    catalog.close()
    assert _run("plan", tmp_path).stdout == "rien ne change / nothing changes\n"
    write(tmp_path, {"channels/adt.yaml": change(("sgl.example", "sgl2.example"))})
    words = "adt: destination sgl: mllp.connect sgl.example:2576 → sgl2.example:2576"
    assert _json("plan", tmp_path) == {"applied": True, "changes": [words], "restart": ["adt"], "stay": []}
    assert _run("plan", tmp_path).stdout.splitlines() == [
        words,
        "redémarrent / restart: adt",
        "continuent / stay up: –",
    ]


@pytest.mark.usefixtures("connectors")
def test_schema_prints_both_schemas_or_writes_them(tmp_path: Path) -> None:
    assert set(json.loads(_run("schema").stdout)) == {"channel", "site"}
    written = _run("schema", "--out", tmp_path / "new")
    assert written.stdout.split() == [str(tmp_path / "new" / f"{one}.schema.json") for one in ("channel", "site")]
    assert all(json.loads(Path(one).read_text()) for one in written.stdout.split())


def test_the_help_of_each_command_has_an_example() -> None:
    for name in ("init", "check", "test", "plan"):
        assert f"Example: vaguemestre {name} mon-hopital" in _run(name, "--help").stdout.replace("\n", " ")
