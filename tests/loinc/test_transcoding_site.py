"""The transcoding table in a site: loaded with it, in its history, and a change restarts the channels that use it."""

from pathlib import Path

import pytest

from channels.errors import ConfigErrors
from channels.loader import load_site
from channels.pipeline import Pipeline
from transforms import er7

SITE = "site: essai\nestablishment: {name: Labo, finess: '990000001'}\n"
CHANNEL = """channel: {name}
source:
  file: {{directory: var/in-{name}}}
transform: {steps}
destinations:
  - name: dpi
    file: {{directory: var/out-{name}}}
"""
TABLE = "local_code;loinc;status\nNA;2951-2;checked\n"
ORU = b"MSH|^~\\&|SGL|LBM|DPI|CH|20261101||ORU^R01|1|P|2.5\rPID|1\rOBR|1\rOBX|1|NM|NA^Sodium^L||140|mmol/L\r"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "channels").mkdir()
    (tmp_path / "loinc").mkdir()
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "loinc/transcoding.csv").write_text(TABLE)
    for name, steps in (("oru", "[{loinc.transcode: {unknown: refuse}}]"), ("adt", "[{delete: ZFP}]")):
        (tmp_path / f"channels/{name}.yaml").write_text(CHANNEL.format(name=name, steps=steps))
    return tmp_path


def test_a_channel_transcodes_with_the_table_of_its_site(site: Path) -> None:
    loaded = load_site(site)
    (out,) = Pipeline(loaded.channels["oru"], loaded).outputs(er7.message(ORU, 1_790_000_000.0))["dpi"]
    assert b"|NA^Sodium^L^2951-2^^LN|" in out.body
    assert loaded.texts["loinc/transcoding.csv"] == TABLE


def test_a_changed_table_restarts_the_channels_that_use_it_and_no_other(site: Path) -> None:
    before = load_site(site)
    (site / "loinc/transcoding.csv").write_text(TABLE + "K;2823-3;checked\n")
    after = load_site(site)
    assert before.fingerprints["oru"] != after.fingerprints["oru"]
    assert before.fingerprints["adt"] == after.fingerprints["adt"]
    assert before.shared_fingerprint == after.shared_fingerprint


def test_a_fault_of_the_table_is_a_fault_of_the_site_at_its_line(site: Path) -> None:
    (site / "loinc/transcoding.csv").write_text(TABLE + "K;2823-4;checked\nCL;2075-0;bof\n")
    with pytest.raises(ConfigErrors) as caught:
        load_site(site)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [
        ("loinc/transcoding.csv", line) for line in (3, 4)
    ]


def test_a_site_without_a_table_transcodes_nothing(site: Path) -> None:
    (site / "loinc/transcoding.csv").unlink()
    loaded = load_site(site)
    with pytest.raises(Exception, match="without checked LOINC code"):
        Pipeline(loaded.channels["oru"], loaded).outputs(er7.message(ORU, 1_790_000_000.0))
