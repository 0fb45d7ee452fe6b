"""The command line as a whole: help, exit codes, errors without a traceback."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vaguemestre import cli
from vaguemestre.cli import COMMANDS, app


def run(*words: str, **options: object) -> Result:
    return CliRunner().invoke(app, list(words), **options)  # type: ignore[arg-type]  # input, as bytes


def test_the_help_lists_every_command() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"│ {name} " in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0, shown.output
    assert "Usage" in shown.output


def test_the_help_is_quick() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "vaguemestre", "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4  # 0.2 s, measured; CPU, not time


def test_the_help_loads_no_heavy_part() -> None:
    heavy = ("lxml", "pydantic", "hl7apy", "apsw", "rich.live")
    code = f"import sys, vaguemestre.cli; print([name for name in {heavy} if name in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").output.startswith("vaguemestre 0.")


def test_a_wrong_name_is_corrected() -> None:
    shown = run("chekc")
    assert shown.exit_code == 2
    assert "check" in shown.output


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    shown = run("explain", str(tmp_path / "none.hl7"))
    assert shown.exit_code == 2
    assert shown.stderr == f"{tmp_path / 'none.hl7'}: No such file or directory\n"


def test_a_command_whose_part_is_missing_does_not_break_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "bench", cli._Entry("nowhere:bench", "", ""))
    shown = run("bench")
    assert shown.exit_code == 2
    assert "pip install 'vaguemestre[all]'" in shown.stderr
    assert run("schema", "--help").exit_code == 0


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    shown = run("--debug", "explain", str(tmp_path / "none.hl7"))
    assert isinstance(shown.exception, FileNotFoundError)


def test_output_is_utf_8_whatever_the_locale(example_message: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "vaguemestre", "explain", "--json", str(example_message)],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True, check=True,
    )  # fmt: skip
    assert "Événement" in made.stdout.decode() or "Église" in made.stdout.decode()


def test_a_reader_that_leaves_early_is_no_error(example_message: Path) -> None:
    command = f"{sys.executable} -m vaguemestre explain {example_message} | head -1; exit ${{PIPESTATUS[0]}}"
    made = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert b"Traceback" not in made.stderr


@pytest.fixture
def example_message() -> Path:
    return Path(cli.__file__).parent / "example" / "cases" / "adt_a01_inpatient.hl7"


def test_the_help_can_be_asked_with_h() -> None:
    assert run("send", "-h").exit_code == 0


def test_json_is_json(example_message: Path) -> None:
    assert json.loads(run("explain", str(example_message), "--json").stdout)["kind"] == "ADT^A01"
