"""The ``insi`` step inside a running channel, with certificates of ``site.yaml`` and the simulated service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from channels import registry
from channels.errors import ConfigErrors, VaguemestreError
from channels.loader import load_site
from channels.message import Message
from channels.supervisor import Supervisor
from tests.channels.probe import ProbeDestination, ProbeSource
from tests.connectors.insi import adt, with_ins
from transforms import er7
from vaguemestre.commands.simulate_insi import build
from vaguemestre.simulators.insi.service import Behaviour, InsiSimulator

SITE = """
site: ch-test
establishment: {{name: CH Test, finess: "990000010"}}
pfi:
  organization: {{id: "1990000001", name: CH DE TESTVILLE}}
  source_oid: 1.2.250.1.999999.7
certificates:
  auth: {{file: {client}, use: client, password: "${{P12}}"}}
  cachet: {{file: {sign}, use: sign, password: "${{P12}}"}}
"""
CHANNEL = """
channel: adt
{ack}
source: {{probe: {{}}}}
transform:
  - insi:
      url: {url}
      tls: auth
      sign: cachet
      authorities: {authority}
      context: {{idam: SIMULATEUR}}
      policy: {policy}
      {more}
destinations:
  - name: dpi
    retry: {{first: 1ms, most: 5ms}}
    probe: {{}}
"""
Start = Callable[..., Awaitable[Supervisor]]


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SOURCES, "probe", "tests.channels.probe:ProbeSource")
    monkeypatch.setitem(registry.DESTINATIONS, "probe", "tests.channels.probe:ProbeDestination")
    registry.names.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture
async def insi(folder: Path) -> AsyncIterator[InsiSimulator]:
    made, _ = build(folder, None, ["SIMULATEUR"], "1990000001")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def start(tmp_path: Path, folder: Path, insi: InsiSimulator) -> AsyncIterator[Start]:
    engines: list[Supervisor] = []
    files = build(folder, None, [], "1990000001")[1]

    async def begin(policy: str = "qualify", more: str = "", ack: str = "") -> Supervisor:
        (tmp_path / "channels").mkdir()
        (tmp_path / "site.yaml").write_text(SITE.format(**files))
        text = CHANNEL.format(url=insi.url, authority=files["authority"], policy=policy, more=more, ack=ack)
        (tmp_path / "channels" / "adt.yaml").write_text(text)
        engine = Supervisor(load_site(tmp_path, {"P12": "rehearsal"}))
        engines.append(engine)
        await engine.start()
        return engine

    yield begin
    for engine in engines:
        if engine.channels:
            await engine.stop()


async def send(message: Message) -> VaguemestreError | None:
    intake = ProbeSource.running["adt"].intake
    assert intake is not None
    return (await intake.receive(message)).error


async def received(count: int = 1) -> list[Message]:
    while len(ProbeDestination.running["adt/dpi"].received) < count:
        await asyncio.sleep(0.005)
    return ProbeDestination.running["adt/dpi"].received


async def test_an_admission_leaves_with_its_ins(start: Start, insi: InsiSimulator) -> None:
    await start()
    await send(adt())
    (message,) = await received()
    assert er7.read(message).get("PID-3[2].1") == "279035121518989"
    assert [one.broken for one in insi.calls] == [[]]


async def test_admissions_go_on_while_insi_is_down(start: Start, insi: InsiSimulator) -> None:
    insi.behaviour = Behaviour(http=503)
    await start()
    await send(adt())
    (message,) = await received()
    assert message.body == adt().body


async def test_a_site_may_wait_for_insi(start: Start, insi: InsiSimulator) -> None:
    insi.behaviour = Behaviour(fault="insi_102", times=2)
    await start(more="when_down: wait")
    await send(adt())
    (message,) = await received()
    assert er7.read(message).get("PID-3[2].5") == "INS"
    assert [one.answered for one in insi.calls] == ["insi_102", "insi_102", "00"]


async def test_a_wrong_ins_leaves_the_message_before_it_goes_on(start: Start, insi: InsiSimulator) -> None:
    await start(policy="verify")
    await send(adt(ids=with_ins(), birth="19790329"))
    (message,) = await received()
    assert message.body == adt(birth="19790329").body


async def test_the_sender_is_told_of_a_wrong_ins(start: Start) -> None:
    await start(policy="verify", more="on_mismatch: refuse", ack="ack: transformed")
    error = await send(adt(ids=with_ins(), birth="19790329"))
    assert str(error) == "PID-3[2].1: INSi says that the INS is not that of these traits"


def test_a_faulty_setting_is_found_by_check(tmp_path: Path) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "site.yaml").write_text('site: x\nestablishment: {name: x, finess: "990000010"}\n')
    text = CHANNEL.format(url="ftp://x", authority="none.pem", policy="guess", more="", ack="")
    (tmp_path / "channels" / "adt.yaml").write_text(text)
    with pytest.raises(ConfigErrors) as refusal:
        load_site(tmp_path)
    told = str(refusal.value)
    assert "an address such as https://host/path" in told
    assert "there is no such file" in told
