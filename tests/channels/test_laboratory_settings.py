"""A setting of the laboratory that is wrong is shown at its line, with what is expected."""

from pathlib import Path

import pytest

from channels.errors import ConfigErrors
from channels.laboratory import LABORATORY_TABLES
from channels.loader import load_site
from tests.channels.sites import SITE, marked

LABORATORY = 'laboratory:\n  finess: "990000009"\n  name: LBM\n'
PERSON = '{rpps: "01000000058", family: A, profession: G15_10/SM03}'


def faults(folder: Path, text: str) -> list[str]:
    (folder / "channels").mkdir()
    (folder / "site.yaml").write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load_site(folder)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "written, problem",
    [
        ('  director: {rpps: §"0100000005", family: A, profession: G15_10/SM03}\n', ""),
        ('  director: {rpps: "01000000058", family: A, profession: §medecin}\n', ""),
        ('  §director: {rpps: "01000000058", profession: G15_10/SM03}\n', "'family' is missing"),
        ("  profession: §biologiste\n", ""),
        ("  telecom: §01 40\n", ""),
        ("  practice_setting: §HOPITAL\n", ""),
        ("  facility_type: §SA99\n", ""),
        ("  oids: {patient: §1.2.250.x}\n", ""),
        ("  oids: {§patients: 1.2.250.1}\n", "did you mean 'patient'?"),
        ("  authorities: {CH: §250}\n", ""),
        ("  code_systems: {L: §abc}\n", ""),
        ("  unknown_unit: §keep\n", ""),
        ("  no_loinc: §text\n", ""),
        ("  faulty_ins: §drop\n", ""),
        ("  other_values: §drop\n", ""),
        ("  outside_group: §drop\n", ""),
        ("  previous_results: §never\n", ""),
        ("  decimal_comma: §peut-être\n", "true or false"),
        ("  germ_codes: §GERME\n", "a list is expected"),
        ("  pdf_codes: §PDF\n", "a list is expected"),
        ('  custodian: {finess: §"12", name: CH}\n', ""),
        (f'  subcontractors: [{{finess: §"69", name: X, director: {PERSON}}}]\n', ""),
        ("  senders: [{application: SGL, oids: {patient: §1.2.x}}]\n", ""),
        ("  senders: [§{facility: LBM}]\n", "'application' is missing"),
        ("  §unknow_unit: text\n", "did you mean 'unknown_unit'?"),
        *((f"  {name}: §nothing\n", "no table is called 'nothing'") for name in LABORATORY_TABLES),
    ],
)  # fmt: skip
def test_it_is_shown_at_its_line(written: str, problem: str, tmp_path: Path) -> None:
    text, (place,) = marked(SITE + LABORATORY + written)
    (shown,) = faults(tmp_path, text)
    assert shown.startswith(f"site.yaml:{place}: ")
    assert problem in shown


@pytest.mark.parametrize(
    "written, problem",
    [
        ("rules: §nowhere\n", "no such folder"),
        ("ins_domain: §prod\n", ""),
        ("timezone: §Europe/Pari\n", "not a time zone"),
        ("§ins_domaine: test\n", "did you mean 'ins_domain'?"),
    ],
)
def test_so_is_one_of_the_site(written: str, problem: str, tmp_path: Path) -> None:
    text, (place,) = marked(SITE + written)
    (shown,) = faults(tmp_path, text)
    assert shown.startswith(f"site.yaml:{place}: ")
    assert problem in shown


def test_the_folder_of_rules_is_absolute_once_loaded(tmp_path: Path) -> None:
    (tmp_path / "règles").mkdir()
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text(f"{SITE}rules: règles\n")
    assert load_site(tmp_path).site.rules == tmp_path.resolve() / "règles"


@pytest.mark.parametrize(
    "setting, good, bad, problem",
    [
        ("chapters", "18719-5", "2951-2", "LOINC chapter"),
        ("sub_chapters", "57698-3", "57698-4", "LOINC code"),
        ("units", "mmol/L", "mmoles/L", "UCUM"),
        ("units", "nkat/L", "µmol/L", "UCUM"),
        ("flags", "HH", "TOX", "interpretation"),
        ("specimens", "BLDV", "TUBE", "specimen"),
        ("microorganisms", "112283007", "112283008", "SNOMED CT"),
        ("microorganisms", "3092008", "Escherichia coli", "SNOMED CT"),
        ("antibiotics", "267-5", "GEN", "LOINC code"),
    ],
)
def test_what_a_table_translates_into_is_shown_at_its_line(
    setting: str, good: str, bad: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "mappings").mkdir()
    table = tmp_path / "mappings" / "sgl.csv"
    table.write_text(f"source;target\nA;{good}\n\nB;{bad}\n")
    text = f"{SITE}{LABORATORY}  {setting}: sgl\n"
    (shown,) = faults(tmp_path, text)
    assert shown.startswith("mappings/sgl.csv:4:1: ")
    assert problem in shown
    assert bad not in shown
    table.write_text(f"source;target\nA;{good}\n")
    load_site(tmp_path)


def test_a_table_of_the_product_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text(f"{SITE}{LABORATORY}  units: units\n  chapters: chapters\n")
    load_site(tmp_path)
