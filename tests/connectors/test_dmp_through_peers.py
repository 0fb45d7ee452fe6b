"""The connector's own requests, decoded by gSOAP and let in by nginx: stacks that are not ours."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.connectors.gsoap import Repository
from tests.connectors.nginx import Nginx
from tests.connectors.test_dmp_simulated import House, authority, first, in_front
from vaguemestre.simulators.dmp import DmpSimulator
from vaguemestre.simulators.pki import Authority

pytestmark = pytest.mark.timeout(300)  # the first to use gSOAP waits for its compilation
ACTION = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
__all__ = ["authority"]


@pytest.fixture
async def house(authority: Authority, tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "house").mkdir()
    made = in_front(authority, tmp_path / "house")
    yield made
    for one in made.open:
        await one.aclose()
    await made.store.aclose()


@pytest.fixture
def gsoap(gsoap_program: Path, tmp_path: Path) -> Iterator[Repository]:
    server = Repository(gsoap_program, tmp_path)
    yield server
    server.stop()


async def test_gsoap_decodes_what_the_connector_sends(house: House, gsoap: Repository) -> None:
    house.options |= dict.fromkeys(("repository", "registry"), gsoap.url) | {"tls": None}
    await house.send(await house.destination(), first())
    request = gsoap.received()
    assert request.action == ACTION
    assert [one.id for one in request.parts] == ["Document01", "Signature01"]
    assert request.parts[0].content == first().documents[0].content
    assert await house.outcomes() == [(True, "")]


async def test_nginx_lets_the_connector_in_with_its_certificate(
    house: House, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "nginx").mkdir()
    server = authority.keep("nginx", "server", structure="1990000099")
    nginx = Nginx(tmp_path / "nginx", server=server.pem, authority=authority.file)
    dmp = DmpSimulator(authority=authority, behind_proxy=True, port=nginx.upstream)
    await dmp.start()
    nginx.start()
    base = f"{nginx.url}/si-dmp-server/v2/services"
    house.options |= {name: f"{base}/{name}" for name in ("repository", "registry", "patients")}
    await house.send(await house.destination(), first())
    assert dmp.published == {"1.2.3.1": 1}
    assert [one.broken for one in dmp.requests if not one.accepted] == []
    nginx.stop()
    await dmp.stop()
