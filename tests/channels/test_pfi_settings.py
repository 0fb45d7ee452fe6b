"""A setting of ``pfi`` that is wrong is shown at its line, with what is expected."""

from pathlib import Path

import pytest

from channels.errors import ConfigErrors
from channels.loader import load_site
from tests.channels.sites import SITE, marked

PFI = 'pfi:\n  organization: {id: "1990000002", name: CH}\n  source_oid: 1.2.250.1.999999.9\n'


@pytest.mark.parametrize(
    "written,problem",
    [
        ('  responsible: {id: §"DURAND", family: D}\n', ""),
        ("  dmp_types: [§a b]\n", ""),
        ("  reports: {§dpm: true}\n", "did you mean 'dmp'?"),
        ("  reports: {others: [§nobody]}\n", ""),
        ("  reports: {recipients: [{role: §doctor}]}\n", ""),
        ("  reports: {recipients: [{role: copy, table: §nowhere}]}\n", "nowhere"),
        ("  reports: {masks: [{§code: [7917-8]}]}\n", "did you mean 'codes'?"),
        ("  patient_oid: §CH-TEST\n", ""),
    ],
)
def test_a_wrong_setting_is_shown_at_its_place(tmp_path: Path, written: str, problem: str) -> None:
    text, (place,) = marked(SITE + PFI + written)
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load_site(tmp_path)
    (fault,) = caught.value.faults
    assert (fault.file, f"{fault.line}:{fault.column}") == ("site.yaml", place)
    assert problem in fault.problem


def test_the_dmp_needs_an_author(tmp_path: Path) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text(SITE + PFI + "  reports: {dmp: true}\n")
    with pytest.raises(ConfigErrors, match="needs an author"):
        load_site(tmp_path)
