"""The peers of the DMP connector, proved with requests that the tests write: nginx, gSOAP, xmlsec1.

Each is by other authors than the connector, the simulator and these tests.
"""

import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.connectors.gsoap import Repository
from tests.connectors.nginx import Nginx
from tests.parts import require
from tests.vaguemestre.dmp_ebrim import DS
from tests.vaguemestre.dmp_lots import XAD, Document, Lot, Sender, multipart
from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.pki import Authority

pytestmark = pytest.mark.timeout(300)  # the first to use gSOAP waits for its compilation
ACTION = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"


@dataclass
class Door:
    """nginx, the simulator behind it, and a structure."""

    nginx: Nginx
    simulator: DmpSimulator
    sender: Sender

    async def send(self, pem: Path | None, lot: Lot) -> httpx.Response:
        service, kind, body = self.sender.submission(lot)
        context = ssl.create_default_context(cafile=str(self.sender.authority.file))
        if pem is not None:
            context.load_cert_chain(pem)
        async with httpx.AsyncClient(verify=context, timeout=20) as client:
            url = f"{self.nginx.url}/si-dmp-server/v2/services/{service}"
            return await client.post(url, content=body, headers={"Content-Type": kind})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def door(authority: Authority, tmp_path: Path) -> AsyncIterator[Door]:
    server = authority.keep("nginx", "server", structure="1990000099")
    nginx = Nginx(tmp_path, server=server.pem, authority=authority.file)
    simulator = DmpSimulator(authority=authority, behind_proxy=True, port=nginx.upstream)
    await simulator.start()
    nginx.start()
    yield Door(nginx, simulator, Sender(authority))
    nginx.stop()
    await simulator.stop()


@pytest.fixture
def gsoap(gsoap_program: Path, tmp_path: Path) -> Iterator[Repository]:
    server = Repository(gsoap_program, tmp_path)
    yield server
    server.stop()


async def test_nginx_lets_the_structure_in_and_says_who_it_is(door: Door) -> None:
    lot = Lot([Document(text="é" * 300_000)])
    answer = await door.send(door.sender.client.pem, lot)
    assert "ResponseStatusType:Success" in answer.text
    assert door.simulator.published == {lot.documents[0].unique_id: 1}


async def test_nginx_refuses_no_certificate_and_one_of_a_server(door: Door) -> None:
    for pem in (None, door.nginx.folder.parent / "none", door.sender.authority.directory / "nginx.pem"):
        answer = await door.send(pem if pem and pem.exists() else None, Lot())
        assert answer.status_code == 400
    other = door.sender.authority.issue("neighbour", "client", structure="1990000002")
    assert "tls.structure" in (await door.send(other.pem, Lot())).text
    assert door.simulator.documents == []


def example(shared: Path) -> tuple[dict[str, str], bytes, dict[str, bytes]]:
    """The reference's envelope and signature as a request, written line by line by the tests."""
    contents = {
        "signature": (shared / "ihe" / "example-xades.xml").read_bytes(),
        "document1": b"\x00\x01\r\n--not a boundary\r\n" + bytes(range(256)),
        "document2": b"x" * 200_000,
    }
    envelope = (shared / "ihe" / "example-iti41.xml").read_bytes().replace(b"@moteur.example", b"@test")
    kind, body = multipart(envelope, contents)
    return {"Content-Type": kind}, body, contents


def test_gsoap_decodes_the_reference_example(gsoap: Repository, shared: Path) -> None:
    headers, body, contents = example(shared)
    answer = httpx.post(gsoap.url, content=body, headers=headers, timeout=20)
    request = gsoap.received()
    assert (request.action, request.message_id) == (ACTION, "urn:uuid:4b0f2a3e-5f9d-4f6a-8f7d-3f5a0a5d9c01")
    found = {part.id: (part.size, part.type, part.content) for part in request.parts}
    expected = {"Signature01": "signature", "Document01": "document1", "Document02": "document2"}
    assert found == {
        name: (len(contents[part]), "application/octet-stream", contents[part]) for name, part in expected.items()
    }
    assert answer.status_code == 200
    assert "ResponseStatusType:Success" in answer.text


def test_gsoap_refuses_what_the_schemas_do_not_allow(gsoap: Repository, shared: Path) -> None:
    headers, body, _ = example(shared)
    answer = httpx.post(
        gsoap.url, content=body.replace(b' registryObject="Document01"', b""), headers=headers, timeout=20
    )
    assert answer.status_code >= 400
    with pytest.raises(AssertionError):
        gsoap.received()


def test_gsoap_and_the_simulator_read_the_same_lot(gsoap: Repository, authority: Authority) -> None:
    lot = Lot([Document(), Document()])
    _, kind, body = Sender(authority).submission(lot)
    httpx.post(gsoap.url, content=body, headers={"Content-Type": kind}, timeout=20)
    parts = gsoap.received().parts
    assert [part.id for part in parts] == ["Document01", "Document02", "Signature01"]
    assert [part.content for part in parts[:2]] == [one.bytes(lot.ins) for one in lot.documents]


def xmlsec(path: Path, authority: Authority, *options: str) -> bool:
    """Whether xmlsec1 finds the signature good."""
    program = require("xmlsec1", "xmlsec1")
    command = [program, "--verify", "--trusted-pem", str(authority.file), *options, str(path)]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0


@pytest.mark.parametrize("damage", [b"", b"2.0", b"VAGUEMESTRE"])
def test_xmlsec_agrees_on_signatures(authority: Authority, tmp_path: Path, damage: bytes) -> None:
    """The assertion in its envelope and the lot's signature; one byte of the assertion changed is seen."""
    lot, sender = Lot(), Sender(authority)
    _, _, body = sender.submission(lot)
    parts = [part.partition(b"\r\n\r\n")[2] for part in body.split(b"\r\n--frontiere")]
    assertion = b"urn:oasis:names:tc:SAML:2.0:assertion:Assertion"
    envelope, signature = tmp_path / "envelope.xml", tmp_path / "signature.xml"
    envelope.write_bytes(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--frontiere")[0].replace(damage or b"\0", b"Z"))
    signature.write_bytes(parts[2])
    assert xmlsec(envelope, authority, "--id-attr:ID", assertion.decode()) == (not damage)
    manifest = ["--id-attr:Id", f"{DS}:Manifest", "--id-attr:Id", f"{XAD}:SignedProperties", "--ignore-manifests"]
    assert xmlsec(signature, authority, *manifest)
