"""The simulated DMP over real sockets: mutual TLS, misbehaviours, counts, what the operator sees."""

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from lxml import etree
from typer.testing import CliRunner

from channels.errors import ConfigError
from tests.vaguemestre.dmp_ebrim import INS
from tests.vaguemestre.dmp_lots import Document, Lot, Sender, multipart
from vaguemestre.cli import app
from vaguemestre.simulators.dmp import DmpSettings, DmpSimulator, french, structure, trust
from vaguemestre.simulators.dmp.registry import Registry
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.service import Case, Services
from vaguemestre.simulators.pki import Authority


class Hospital:
    """A structure that talks to a simulator."""

    def __init__(self, authority: Authority, simulator: DmpSimulator) -> None:
        self.sender, self.simulator, self.authority = Sender(authority), simulator, authority

    def client(self, pem: Path | None = None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        if pem is not None:
            context.load_cert_chain(pem)
        return httpx.AsyncClient(verify=context, timeout=10)

    async def send(self, request: tuple[str, str, bytes], pem: Path | None = None) -> httpx.Response:
        service, kind, body = request
        async with self.client(pem or self.sender.client.pem) as client:
            url = f"{self.simulator.url}/{service}"
            return await client.post(url, content=body, headers={"Content-Type": kind})

    async def submit(self, lot: Lot | None = None) -> httpx.Response:
        return await self.send(self.sender.submission(lot or Lot()))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def hospital(authority: Authority) -> AsyncIterator[Hospital]:
    simulator = DmpSimulator(authority=authority)
    await simulator.start()
    yield Hospital(authority, simulator)
    await simulator.stop()


async def test_a_lot_comes_in(hospital: Hospital) -> None:
    lot = Lot()
    answer = await hospital.submit(lot)
    assert answer.status_code == 200
    assert "ResponseStatusType:Success" in answer.text
    assert [one.unique_id for one in hospital.simulator.lots] == [lot.unique_id]
    assert hospital.simulator.published == {lot.documents[0].unique_id: 1}
    assert hospital.simulator.current()[0].content == lot.documents[0].bytes(lot.ins)


async def test_without_a_clients_certificate_nothing_passes(hospital: Hospital) -> None:
    server = hospital.simulator.authority.directory / "dmp-server.pem"
    async with hospital.client() as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            await client.post(f"{hospital.simulator.url}/repository")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
        await hospital.send(hospital.sender.submission(Lot()), server)
    answer = await hospital.send(hospital.sender.submission(Lot()), hospital.sender.sign.pem)
    assert "tls.client-use" in answer.text
    assert hospital.simulator.documents == []


@pytest.mark.parametrize(
    "behaviour, status, words, stored",
    [
        ({"kind": "refuse", "code": "DMPClosed"}, 200, "DMPClosed", 0),
        ({"kind": "refuse", "code": "XDSRegistryBusy", "stored": True}, 200, "XDSRegistryBusy", 1),
        ({"kind": "warn", "code": "DMPTitleTruncated"}, 200, "ErrorSeverityType:Warning", 1),
        ({"kind": "partial"}, 200, "ResponseStatusType:PartialSuccess", 1),
        ({"kind": "fault", "code": "Receiver", "status": 200}, 200, "env:Receiver", 0),
        ({"kind": "fault", "code": "InvalidSecurityToken"}, 500, "wsse:InvalidSecurityToken", 0),
        ({"kind": "empty", "status": 200}, 200, "", 0),
        ({"kind": "empty"}, 500, "", 0),
        ({"kind": "http", "status": 503}, 503, "<html>", 0),
        ({"kind": "garbage"}, 200, "<not xml", 0),
        ({"kind": "mtom"}, 200, "ResponseStatusType:Success", 1),
        ({"kind": "slow", "seconds": 0.01}, 200, "ResponseStatusType:Success", 1),
        ({"kind": "twice"}, 200, "XDSDuplicateUniqueIdInRegistry", 1),
    ],
)
async def test_it_misbehaves_once_when_asked(
    hospital: Hospital, behaviour: dict[str, Any], status: int, words: str, stored: int
) -> None:
    hospital.simulator.behave(**behaviour)
    answer = await hospital.submit()
    assert (answer.status_code, len(hospital.simulator.documents)) == (status, stored)
    assert words in answer.text
    assert answer.headers["content-type"].startswith("multipart/related") == (behaviour["kind"] == "mtom")
    assert "ResponseStatusType:Success" in (await hospital.submit()).text


@pytest.mark.parametrize("kind, stored", [("cut", True), ("cut", False), ("cut-before", False)])
async def test_it_cuts_the_connection(hospital: Hospital, kind: str, stored: bool) -> None:
    hospital.simulator.behave(kind, **({"stored": stored} if kind == "cut" else {}))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)):
        await hospital.submit()
    assert len(hospital.simulator.documents) == stored


async def test_a_registration_may_be_seen_late(hospital: Hospital) -> None:
    lot = Lot()
    hospital.simulator.behave("hide", queries=2, service="repository")
    await hospital.submit(lot)
    seen = []
    for _ in range(3):
        answer = await hospital.send(hospital.sender.query(lot.documents[0].unique_id))
        seen.append("ObjectRef " in answer.text)
    assert seen == [False, False, True]
    hospital.simulator.behave("hide", seconds=3600)
    later = Lot()
    await hospital.submit(later)
    assert "ObjectRef " not in (await hospital.send(hospital.sender.query(later.documents[0].unique_id))).text


async def test_a_misbehaviour_waits_for_its_service_and_can_be_forgotten(hospital: Hospital) -> None:
    hospital.simulator.behave("empty", service="patients", times=None)
    assert (await hospital.submit()).status_code == 200
    assert [(await hospital.send(hospital.sender.existence())).status_code for _ in range(2)] == [500, 500]
    hospital.simulator.behave_well()
    assert "PRPA_IN201308UV02" in (await hospital.send(hospital.sender.existence())).text
    hospital.simulator.behave("refuse", times=2, service="patients")
    found = [(await hospital.send(hospital.sender.existence())).status_code for _ in range(3)]
    assert found == [500, 500, 200]
    with pytest.raises(ConfigError, match="misbehaviour"):
        hospital.simulator.behave("sulk")
    with pytest.raises(ConfigError, match="kind"):
        hospital.simulator.behave("slow", colour="red")


async def test_it_is_steered_over_http(hospital: Hospital) -> None:
    lot = Lot()
    await hospital.submit(lot)
    name = lot.documents[0].unique_id
    async with httpx.AsyncClient(base_url=hospital.simulator.control_url) as control:
        state = (await control.get("/_state")).json()
        assert state["published"] == state["received"] == {name: 1}
        before = hospital.simulator.current()[0].entry_uuid
        after = (await control.post("/_touch", json={"unique_id": name})).json()["entry_uuid"]
        assert hospital.simulator.current()[0].entry_uuid == after != before
        assert (await control.post("/_patient", json={"ins": INS, "state": "closed"})).json() == {"state": "closed"}
        assert "DMPClosed" in (await hospital.submit()).text
        asked = [{"kind": "refuse", "code": "DMPBusy"}, {"kind": "empty"}]
        assert (await control.post("/_behave", json=asked)).json() == {"asked": 2}
        assert "DMPBusy" in (await hospital.submit()).text
        assert (await control.delete("/_behave")).json() == {"asked": 0}
        for path, body in (
            ("/_behave", {"kind": "sulk"}),
            ("/_patient", {"ins": INS}),
            ("/_touch", {"unique_id": "1"}),
        ):
            assert (await control.post(path, json=body)).status_code == 400


async def test_the_state_survives_a_restart(authority: Authority, tmp_path: Path) -> None:
    lot = Lot()
    for attempt in range(2):
        simulator = DmpSimulator(authority=authority, directory=tmp_path / "dmp")
        await simulator.start()
        hospital = Hospital(authority, simulator)
        if attempt == 0:
            await hospital.submit(lot)
        assert simulator.published == {lot.documents[0].unique_id: 1}
        await simulator.stop()


async def test_it_has_the_names_it_is_given_and_keeps_no_content_when_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.keep("dmp-server", "server", structure="1990000099")
    simulator = DmpSimulator(authority=authority, settings=DmpSettings(hosts=("dmp.test", "::1"), keep_contents=False))
    await simulator.start()
    await Hospital(authority, simulator).submit()
    assert [(one.content, one.size > 0) for one in simulator.documents] == [(b"", True)]
    await simulator.stop()
    second = authority.keep("dmp-server", "server", structure="1990000099", hosts=["dmp.test"])
    names = second.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "dmp.test"]
    assert first.certificate != second.certificate
    assert authority.keep("dmp-server", "server", structure="1").certificate != second.certificate


async def test_it_makes_its_own_authority_when_it_has_none() -> None:
    simulator = DmpSimulator()
    await simulator.start()
    try:
        assert "ResponseStatusType:Success" in (await Hospital(simulator.authority, simulator).submit()).text
    finally:
        await simulator.stop()


async def test_behind_a_proxy_the_certificate_is_in_headers(authority: Authority) -> None:
    simulator = DmpSimulator(authority=authority, behind_proxy=True)
    await simulator.start()
    sender = Sender(authority)
    service, kind, body = sender.submission(Lot())
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{simulator.url}/{service}", content=body, headers={"Content-Type": kind})
        headers = {"Content-Type": kind, "X-Client-Verify": "SUCCESS", "X-Client-Certificate": "none"}
        damaged = await client.post(f"{simulator.url}/{service}", content=body, headers=headers)
    await simulator.stop()
    assert "tls.certificate" in answer.text
    assert "tls.certificate" in damaged.text


# --- the examples of the reference ------------------------------------------------------------------------------------


def test_the_reference_example_keeps_every_rule_but_those_of_its_placeholders(shared: Path, tmp_path: Path) -> None:
    """Its two CDA are not given, only their hashes: what is computed on them cannot fit. All the rest does."""
    ihe = shared / "ihe"
    at = datetime(2024, 1, 15, 10, 16, tzinfo=UTC)
    settings = DmpSettings(schemas=ihe / "xsd", clock=lambda: at)
    authority = x509.load_pem_x509_certificate((ihe / "example-ca.pem").read_bytes())
    services = Services(Registry(), settings, trust.Trust(authority, None, settings.clock))
    envelope = (ihe / "example-iti41.xml").read_bytes()
    kind, body = multipart(
        envelope.replace(b"@moteur.example", b"@test"),
        {
            "signature": (ihe / "example-xades.xml").read_bytes(),
            "document1": b"<placeholder/>".ljust(93),
            "document2": b"<placeholder/>".ljust(99),
        },
    )
    case = Case("repository", at)
    services.handle(case, kind, body, None)
    assert sorted(set(case.broken)) == [
        "entry.hash",  # of Document01 and Document02; the signature's is right, and so are the three sizes
        "signature.content",
        "tls.certificate", "tls.client-use", "tls.structure",  # the example has no connection
    ]  # fmt: skip
    hashes = [one.place for one in case.findings if one.rule.name in {"entry.hash", "signature.content"}]
    assert hashes == ["Document01", "Document02", "Signature01", "Signature01"]


@pytest.mark.parametrize("name", ["example-replace.xml", "example-delete.xml"])
def test_the_other_examples_have_the_shape(shared: Path, name: str) -> None:
    judge = Judge()
    root = etree.fromstring((shared / "ihe" / name).read_bytes())
    structure.check(root, judge, shared / "ihe" / "xsd")
    assert judge.names == []


# --- the command ------------------------------------------------------------------------------------------------------


def test_what_came_is_told_in_words(authority: Authority) -> None:
    settings = DmpSettings()
    services = Services(Registry(), settings, trust.Trust(authority.certificate, None, settings.clock))
    sender = Sender(authority)
    lot = Lot([Document()])
    case = Case("repository", settings.clock())
    services.handle(case, *sender.submission(lot)[1:], sender.client.certificate)
    told = "\n".join(french.lines(case))
    for words in ("Lot de documents", "ACCEPTÉ", "1990000001", INS, "LEFICTIF RUTH", "11502-2", "structuré", "normal"):
        assert words in told
    refused = Case("repository", settings.clock(), misbehaviour="slow")
    services.handle(refused, "text/plain", b"", None)
    told = "\n".join(french.lines(refused))
    assert "Demande illisible" in told
    assert "http.media-type [Content-Type] : Content-Type multipart/related" in told
    assert "(2.2)" in told


async def test_the_command_serves_and_shows(tmp_path: Path) -> None:
    words = ["simulate", "dmp", "--listen", "127.0.0.1:0", "--control", "0", "--directory", str(tmp_path / "dmp")]
    pki = tmp_path / "pki"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vaguemestre", *words, "--certificates", str(pki), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[str] = []
    while "/_patient" not in "".join(lines):
        line = (await process.stdout.readline()).decode()
        assert line, "".join(lines)
        lines.append(line)
    shown = "".join(lines)
    url = next(line for line in lines if "Adresse du DMP" in line).split()[-1]
    assert "schémas officiels non vérifiés" in shown
    assert str(pki / "dmp-client.p12") in shown
    sender = Sender(Authority(pki))
    context = ssl.create_default_context(cafile=str(pki / "authority.pem"))
    context.load_cert_chain(pki / "dmp-client.pem")
    service, kind, body = sender.submission(Lot())
    async with httpx.AsyncClient(verify=context) as client:
        answer = await client.post(f"{url}/{service}", content=body, headers={"Content-Type": kind})
    assert "ResponseStatusType:Success" in answer.text
    process.send_signal(signal.SIGTERM)
    rest = (await process.stdout.read()).decode()
    assert await process.wait() == 0
    assert "ACCEPTÉ" in rest
    assert "LEFICTIF RUTH" in rest


@pytest.mark.parametrize(
    "words", [["--listen", "nowhere"], ["--patient", "away"], ["--issuer-order", "x"], ["--schemas", "/nowhere"]]
)
def test_wrong_options_are_told(words: list[str], tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["simulate", "dmp", "--certificates", str(tmp_path), *words])
    assert made.exit_code == 2


def test_the_group_lists_the_simulators() -> None:
    made = CliRunner().invoke(app, ["simulate", "--help"])
    assert made.exit_code == 0
    assert "dmp" in made.output
