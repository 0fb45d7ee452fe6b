"""The hospital in a box: everything that is sent arrives, in order, whatever the SGL does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.errors import ConfigError
from channels.loader import load_site
from transforms import er7
from vaguemestre import demo
from vaguemestre.demo import Hospital, make_site

pytestmark = pytest.mark.timeout(150)


def test_the_site_is_the_example_with_other_ports(tmp_path: Path) -> None:
    make_site(tmp_path / "site", {"2675": 12345})
    loaded = load_site(tmp_path / "site")
    platform = {"pfi-requests", "publication", "zam", "mssante-in", "mssante-mdn"}
    assert set(loaded.channels) == {"adt-fanout", "oru-dpi", "oru-cr-bio", "dft-file"} | platform
    assert not loaded.channels["mssante-in"].enabled  # no mailbox is named
    dpi = loaded.channels["adt-fanout"].destinations[0]
    assert dpi.settings.connect.port == 12345
    ports = [one.source.settings.listen.port for one in loaded.channels.values() if one.source.connector == "mllp"]
    assert len({*ports, loaded.site.web.listen.port if loaded.site.web else 0}) == 6
    assert not {2575, 2580, 2581, 2585, 2590} & set(ports)
    assert loaded.site.journal.key_file is not None


async def test_what_is_sent_arrives_in_order_though_the_sgl_restarts(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path / "hopital", haste=8)
    try:
        await hospital.start()
        hospital.restart_sgl(over=False)
        while sum(len(sender.acknowledged) for sender in hospital.senders.values()) < 60:
            await asyncio.sleep(0.05)
        await hospital.look()
        hospital.restart_sgl(over=True)
    finally:
        await hospital.stop()
    await hospital.stop()
    flows = {flow.where: flow for flow in hospital.flows()}
    published = ["CR-Bio → DMP", "CR-Bio → MSSanté", "ZAM → SGL"]
    assert list(flows) == ["GAP → DPI", "GAP → SGL", "SGL → DPI", "SGL → CR-Bio", *published, "DPI → facturation"]
    assert hospital.services is not None
    assert (hospital.services.published_twice, hospital.services.faults) == (0, [])
    assert flows["CR-Bio → DMP"].arrived > 0
    for flow in flows.values():
        assert (flow.lost, flow.out_of_order) == (0, 0), flow
    assert flows["GAP → DPI"].arrived == flows["GAP → DPI"].sent > 0
    assert flows["GAP → SGL"].filtered > 0
    assert flows["DPI → facturation"].arrived > 0
    seen = {"GAP → DPI", "GAP → SGL", "SGL → DPI", "SGL → CR-Bio", "SGL → MSSanté", "ZAM → SGL", "MSSanté → DPI"}
    assert {one.where for one in hospital.latest} <= seen


async def test_the_dpi_gets_what_the_gap_wrote_but_the_ins_that_it_should_not_have_sent(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path / "hopital", haste=8)
    statuses = set()

    def look(header: er7.Header, body: bytes) -> None:
        message = er7.parse(body)
        statuses.add((message.get("PID-32"), "INS" in message.values("PID-3.5")))
        assert header.field(18) == "8859/15"
        assert "Ã" not in body.decode("iso8859-15")

    try:
        await hospital.start()
        hospital.receivers["dpi"].on_message = look
        while hospital.receivers["dpi"].tally.messages < 80:
            await asyncio.sleep(0.05)
    finally:
        await hospital.stop()
    assert ("VALI", True) in statuses
    assert not {(status, ins) for status, ins in statuses if ins and status != "VALI"}


async def test_an_engine_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = demo.make_site

    def broken(folder: Path, ports: dict[str, int]) -> None:
        real(folder, ports)
        (folder / "var" / "keys" / "master.key").write_text("no key")

    monkeypatch.setattr(demo, "make_site", broken)
    hospital = Hospital(tmp_path / "hopital")
    with pytest.raises(ConfigError, match=r"did not start: see .*engine\.log"):
        await hospital.start()
    await hospital.stop()
    with pytest.raises(ConfigError, match="has not started"):
        _ = Hospital(tmp_path).site


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: that of a Unix socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="vg-", dir="/tmp") as folder:
        yield Path(folder)


def test_the_command_plays_and_tells_the_result(short: Path) -> None:
    command = [sys.executable, "-m", "vaguemestre", "demo", "--seconds", "2", "--json"]
    made = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(short)}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    assert Path(result["folder"]).is_relative_to(short)
    assert all(flow["lost"] == flow["out_of_order"] == 0 for flow in result["flows"])


def test_the_screen_is_in_french_and_english_and_ctrl_c_ends_in_order(short: Path) -> None:
    command = [sys.executable, "-m", "vaguemestre", "demo", "--forever"]
    environment = {**os.environ, "TMPDIR": str(short), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(short.glob("*/hopital/var/control.sock")) and time.monotonic() < deadline:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=90)
    assert process.returncode == 0, shown
    for words in (
        "Ce qui est arrivé / What arrived",
        "GAP → DPI",
        "Où regarder / Where to look",
        "vaguemestre explain",
    ):
        assert words in shown
