"""`vaguemestre run` as a process: the service manager, signals, health, metrics, a kill."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from channels.journal import MasterKeys
from vaguemestre.cli import app
from vaguemestre.simulators.pki import Authority

BODY = "MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^A01|{number}|P|2.5\rPID|1||7^^^CH^PI\r"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def site(tmp_path: Path, port: int) -> Path:
    folder = tmp_path / "site"
    (folder / "channels").mkdir(parents=True)
    (folder / "site.yaml").write_text(
        "site: essai\nestablishment: {name: Essai, finess: '990000001'}\n"
        f"journal: {{key_file: master.key}}\nweb: {{listen: '127.0.0.1:{port}'}}\n"
    )
    (folder / "channels" / "adt.yaml").write_text(channel("adt"))
    (folder / "master.key").write_text(MasterKeys.new_line("k1"))
    (folder / "master.key").chmod(0o600)
    return folder


def channel(name: str, to: str = "out") -> str:
    return (
        f"channel: {name}\nsource: {{file: {{directory: in-{name}, stable_for: 10ms, every: 20ms}}}}\n"
        f"destinations:\n  - name: dpi\n    file: {{directory: {to}, name: '{{control_id}}.hl7'}}\n"
    )


class Running:
    """One engine process, and what systemd would hear from it."""

    def __init__(self, site: Path, environment: dict[str, str] | None = None) -> None:
        self.site = site
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = site.parent / f"notify-{time.monotonic_ns()}"
        self._notified.bind(str(path))
        self._notified.settimeout(20)
        self.log = site.parent / "engine.log"
        command = [sys.executable, "-m", "vaguemestre", "run", str(site)]
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                command, env={**os.environ, **(environment or {}), "NOTIFY_SOCKET": str(path)}, stdout=log, stderr=log
            )

    def hears(self, state: str) -> None:
        while (heard := self._notified.recv(100).decode()) != state:
            assert heard in ("WATCHDOG=1", "READY=1", "RELOADING=1", "STOPPING=1"), heard

    def end(self) -> None:
        if self.process.is_running():
            self.process.kill()
        self.process.wait()
        self._notified.close()

    def put(self, number: int, name: str = "adt") -> None:
        folder = self.site / f"in-{name}"
        folder.mkdir(exist_ok=True)
        (self.site / f"{number}.tmp").write_text(BODY.format(number=number), newline="")
        (self.site / f"{number}.tmp").rename(folder / f"{number}.hl7")

    async def delivers(self, number: int, to: str = "out") -> None:
        file = self.site / to / f"{number}.hl7"
        end = time.monotonic() + 20
        while not file.exists():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.is_running(), self.log.read_text()
            await asyncio.sleep(0.02)
        assert file.read_bytes().decode() == BODY.format(number=number)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def running(site: Path) -> Iterator[Running]:
    engine = Running(site)
    yield engine
    engine.end()


async def test_it_starts_carries_messages_and_stops_when_asked(running: Running, port: int) -> None:
    running.hears("READY=1")
    running.put(1)
    await running.delivers(1)
    assert get(port, "/health") == (200, '{"status":"ok"}')
    status, text = get(port, "/ready")
    assert (status, json.loads(text)) == (200, {"ready": True, "journal": True, "broken": []})
    running.process.send_signal(signal.SIGTERM)
    running.hears("STOPPING=1")
    assert running.process.wait(20) == 0
    assert not (running.site / "var" / "control.sock").exists()


async def test_metrics_say_what_moved_and_nothing_of_the_patient(running: Running, port: int) -> None:
    running.hears("READY=1")
    running.put(1)
    await running.delivers(1)
    while True:
        _, text = get(port, "/metrics")
        if 'vaguemestre_destination_delivered_total{channel="adt",destination="dpi"} 1.0' in text:
            break
    assert 'vaguemestre_channel_received_total{channel="adt"} 1.0' in text
    assert 'vaguemestre_queue_waiting{channel="adt",destination="dpi"} 0.0' in text
    assert "vaguemestre_ready 1.0" in text
    assert "process_resident_memory_bytes" in text


async def test_a_killed_engine_goes_on_where_it_was(site: Path) -> None:
    (site / "channels" / "adt.yaml").write_text(channel("adt", "/nonexistent/share"))
    engine = Running(site)
    try:
        engine.hears("READY=1")
        engine.put(1)
        end = time.monotonic() + 20
        while list((site / "in-adt").glob("*.hl7")) or list((site / "in-adt" / ".work").glob("*.hl7")):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        engine.process.kill()
    finally:
        engine.end()
    (site / "channels" / "adt.yaml").write_text(channel("adt"))
    engine = Running(site)
    try:
        engine.hears("READY=1")
        await engine.delivers(1)
    finally:
        engine.end()


async def test_a_hang_up_reloads(running: Running) -> None:
    running.hears("READY=1")
    (running.site / "channels" / "other.yaml").write_text(channel("other", "out-other"))
    running.process.send_signal(signal.SIGHUP)
    running.hears("RELOADING=1")
    running.hears("READY=1")
    running.put(2, "other")
    await running.delivers(2, "out-other")


async def test_a_hang_up_with_faulty_files_changes_nothing(running: Running) -> None:
    running.hears("READY=1")
    (running.site / "channels" / "adt.yaml").write_text("channel: adt\n")
    running.process.send_signal(signal.SIGHUP)
    running.hears("RELOADING=1")
    running.hears("READY=1")
    running.put(1)
    await running.delivers(1)
    assert "adt.yaml" in running.log.read_text()


async def test_the_watchdog_is_told_that_the_loop_turns(site: Path) -> None:
    engine = Running(site, {"WATCHDOG_USEC": "200000"})
    try:
        engine.hears("READY=1")
        engine.hears("WATCHDOG=1")
        engine.hears("WATCHDOG=1")
    finally:
        engine.end()


async def test_a_second_engine_on_the_same_site_is_refused(running: Running, site: Path) -> None:
    running.hears("READY=1")
    second = Running(site)
    try:
        assert second.process.wait(20) == 2
        assert "another process has the journal" in second.log.read_text()
    finally:
        second.end()
    running.put(1)
    await running.delivers(1)


def test_a_faulty_site_does_not_start(site: Path) -> None:
    (site / "channels" / "adt.yaml").write_text("channel: adt\n")
    engine = Running(site)
    try:
        assert engine.process.wait(20) == 1
        assert "adt.yaml:" in engine.log.read_text()
    finally:
        engine.end()


async def test_an_address_in_use_is_said(site: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        engine = Running(site)
        try:
            assert engine.process.wait(20) == 2
            assert "cannot be listened on" in engine.log.read_text()
        finally:
            engine.end()


async def test_certificates_that_end_are_told_in_the_log_the_metrics_and_top(site: Path, port: int) -> None:
    authority = Authority(site / "pki")
    authority.issue("ending", "client", days=20)
    authority.issue("urgent", "client", days=5)
    authority.issue("ended", "client", days=-1)
    authority.issue("good", "client", days=300)
    lines = [
        f"  {name}: {{file: pki/{name}.pem, use: client}}\n" for name in ("ending", "urgent", "ended", "good", "gone")
    ]
    authority.issue("gone", "client").pem.write_text("nothing")
    (site / "site.yaml").write_text((site / "site.yaml").read_text() + "certificates:\n" + "".join(lines))
    running = Running(site)
    try:
        running.hears("READY=1")
        _, text = get(port, "/metrics")
        found = dict(re.findall(r'vaguemestre_certificate_days\{certificate="(\w+)",use="client"\} (\S+)', text))
        assert {name: float(days) for name, days in found.items()} == {
            "ending": 19.0, "urgent": 4.0, "ended": -2.0, "good": 299.0, "gone": -1.0
        }  # fmt: skip
        while running.log.read_text().count('"certificate":') < 4:
            await asyncio.sleep(0.02)
        said = [json.loads(line) for line in running.log.read_text().splitlines()]
        about = {one["certificate"]: (one["level"], one["event"]) for one in said if "certificate" in one}
        assert about == {
            "ending": ("warning", "a certificate ends soon"), "urgent": ("error", "a certificate ends soon"),
            "ended": ("error", "a certificate does not fit"), "gone": ("error", "a certificate does not fit"),
        }  # fmt: skip
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["top", str(site), "--json"])
        assert json.loads(shown.stdout)["certificates"] == [
            "ending: it ends in 19 days", "urgent: it ends in 4 days", "ended: it has ended",
            "gone: gone.pem holds no PEM certificate",
        ]  # fmt: skip
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["top", str(site), "--once"])
        assert "certificat / certificate urgent: it ends in 4 days" in shown.stdout
    finally:
        running.end()
