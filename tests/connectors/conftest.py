"""Servers that several test files share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors import certificates, dmp_certificates, gsoap
from tests.connectors.certificates import Certificates
from tests.connectors.dmp_certificates import Health
from tests.connectors.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of a server and its clients."""
    return certificates.make(tmp_path_factory.mktemp("issued"))


@pytest.fixture(scope="session")
def health(tmp_path_factory: pytest.TempPathFactory) -> Health:
    """Certificates of a structure: SIGN, AUTH_CLI; of a server."""
    return dmp_certificates.make(tmp_path_factory.mktemp("health"))


@pytest.fixture(scope="session")
def gsoap_program(shared: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ITI-41 server that gSOAP makes of the schemas; compiled once for all runs that share a cache."""
    known = request.config.pluginmanager.hasplugin("cacheprovider")
    cache = request.config.cache.mkdir("gsoap") if known else tmp_path_factory.mktemp("gsoap")
    return gsoap.build(shared / "ihe" / "xsd", cache)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory, issued: Certificates) -> Iterator[RabbitMQ]:
    """One broker for the whole run: it takes ten seconds to start."""
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), issued)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
