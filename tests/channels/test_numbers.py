"""Keys of the national numbers in ``site.yaml``: strict in production, told in a test site."""

from pathlib import Path

import pytest

from channels.errors import ConfigErrors
from channels.loader import load_site
from tests.channels.sites import marked

SITE = """\
site: essai
establishment: {name: CH, finess: §"750712185"}
laboratory:
  finess: §"690781811"
  name: LBM
  director: {rpps: §"10000005478", family: A, profession: G15_10/SM03}
  biologists:
    - {rpps: "10000005479", family: B, profession: G15_10/SM03}
    - {rpps: §"99700366241", family: C, profession: G15_10/SM03}
  subcontractors:
    - finess: §"690781812"
      name: X
      director: {rpps: "10000005479", family: D, profession: G15_10/SM03}
pfi:
  organization: {id: §"1750712185", name: CH}
  source_oid: 1.2.250.1.999999.3
  responsible: {id: §"810000005478", family: E}
"""
TEXT, PLACES = marked(SITE)
KINDS = ["FINESS", "FINESS", "RPPS", "RPPS", "FINESS", "IDNST", "IDNPS"]
SAID = [f"site.yaml:{place}: the key of this {kind} number is wrong" for place, kind in zip(PLACES, KINDS, strict=True)]


def test_a_site_in_production_has_right_numbers(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"{TEXT}ins_domain: production\n")
    with pytest.raises(ConfigErrors) as caught:
        load_site(tmp_path)
    assert [str(one) for one in caught.value.faults] == SAID


def test_a_test_site_is_warned(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(TEXT)
    assert [str(one) for one in load_site(tmp_path).warnings] == SAID


def test_numbers_that_are_plainly_invented_need_no_warning_in_a_test_site(tmp_path: Path) -> None:
    invented = TEXT.replace('"10', '"00').replace('"99', '"00').replace('"810', '"800')
    invented = invented.replace('"750', '"990').replace('"690', '"990').replace('"1750', '"1990')
    (tmp_path / "site.yaml").write_text(invented)
    assert load_site(tmp_path).warnings == ()
    (tmp_path / "site.yaml").write_text(f"{invented}ins_domain: production\n")
    with pytest.raises(ConfigErrors):
        load_site(tmp_path)


def test_right_numbers_are_taken_in_production(tmp_path: Path) -> None:
    text = 'site: essai\nestablishment: {name: CH, finess: "750712184"}\nins_domain: production\n'
    (tmp_path / "site.yaml").write_text(text)
    assert load_site(tmp_path).warnings == ()
    (tmp_path / "site.yaml").write_text(text.replace("750712184", "2A0000055"))
    assert load_site(tmp_path).warnings == ()
