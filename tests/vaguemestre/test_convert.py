"""``convert`` as typed."""

import json
from pathlib import Path

import pytest
from lxml import etree
from typer.testing import CliRunner, Result

import vaguemestre
from vaguemestre.cli import app

EXAMPLE = Path(vaguemestre.__file__).parent / "example"
CASES = EXAMPLE / "cases"


def convert(*words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["convert", *(str(word) for word in words)], input=stdin)


@pytest.mark.parametrize("name", ["cda.cr_bio", "cr-bio", "cr_bio"])
def test_a_report_becomes_a_cr_bio(name: str) -> None:
    made = convert(name, CASES / "oru_crp.hl7")
    assert made.exit_code == 0, made.output
    assert etree.fromstring(made.stdout_bytes).tag == "{urn:hl7-org:v3}ClinicalDocument"


def test_the_steps_of_a_destination_are_run_and_bytes_are_kept() -> None:
    made = convert("adt-fanout/sgl", CASES / "adt_a01_inpatient.hl7")
    assert made.exit_code == 0
    assert made.stdout_bytes == (CASES / "adt_a01_inpatient.sgl.hl7").read_bytes()


def test_the_steps_of_a_channel_are_run() -> None:
    made = convert("adt-fanout", CASES / "adt_a28_provisional.hl7")
    assert made.stdout_bytes == (CASES / "adt_a28_provisional.out.hl7").read_bytes()


def test_a_message_comes_from_standard_input_in_its_frame_or_not() -> None:
    body = (CASES / "adt_a01_inpatient.hl7").read_bytes()
    expected = (CASES / "adt_a01_inpatient.sgl.hl7").read_bytes().rstrip()
    for stdin in (body, b"\x0b" + body + b"\x1c\r"):
        made = convert("adt-fanout/sgl", "-", stdin=stdin)
        assert made.stdout_bytes.rstrip() == expected


def test_a_refusal_has_its_file_and_its_place() -> None:
    file = CASES / "adt_a02_unknown_unit.hl7"
    made = convert("adt-fanout/sgl", file)
    assert made.exit_code == 1
    assert made.stderr == f"{file}: PV1-3.1: the code has no translation in the table uf_gap_sgl\n"
    assert made.stdout_bytes == b""


def test_a_refusal_is_a_list_for_scripts() -> None:
    made = convert("adt-fanout/sgl", CASES / "adt_a02_unknown_unit.hl7", "--json")
    assert made.exit_code == 1
    (fault,) = json.loads(made.stderr)
    assert (fault["place"], fault["code"]) == ("PV1-3.1", "103")
    assert "no translation" in fault["problem"]


def test_a_message_that_is_filtered_out_gives_nothing_and_says_so() -> None:
    made = convert("adt-fanout/sgl", "-", stdin=(CASES / "adt_a04_outpatient.hl7").read_bytes())
    assert (made.exit_code, made.stdout_bytes) == (0, b"")
    assert made.stderr == "stdin: adt-fanout/sgl lets nothing of this message pass\n"


@pytest.mark.parametrize(
    "name, problem",
    [
        ("cr-boi", "no transform is called 'cr-boi'"),
        ("set", "needs options"),
        ("adt-fanuot/sgl", "did you mean 'adt-fanout'?"),
        ("adt-fanout/nobody", "it has dpi, sgl"),
    ],
)
def test_a_wrong_name_is_told(name: str, problem: str) -> None:
    made = convert(name, CASES / "adt_a01_inpatient.hl7")
    assert made.exit_code == 2
    assert problem in made.stderr


def test_a_site_has_functions_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text('site: s\nestablishment: {name: CH, finess: "990000001"}\n')
    (tmp_path / "transforms" / "ward.py").write_text(
        "def shout(message, context):\n    return message.with_body(message.body.upper(), format='raw')\n"
    )
    made = convert("ward.shout", "-", "--site", tmp_path, stdin=b"hello")
    assert (made.exit_code, made.stdout_bytes) == (0, b"HELLO")


def test_a_setting_that_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text('site: s\nestablishment: {name: CH, finess: "990000001"}\n')
    made = convert("cr-bio", CASES / "oru_crp.hl7", "--site", tmp_path)
    assert made.exit_code == 1
    assert "laboratory of site.yaml" in made.stderr


def test_a_site_with_faults_shows_them(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: S!\n")
    made = convert("cr-bio", CASES / "oru_crp.hl7", "--site", tmp_path)
    assert made.exit_code == 1
    assert "site.yaml:1:" in made.stderr
