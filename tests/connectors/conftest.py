"""Servers that several test files share."""

from collections.abc import Iterator

import pytest

from tests.connectors import certificates
from tests.connectors.certificates import Certificates
from tests.connectors.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of a server and its clients."""
    return certificates.make(tmp_path_factory.mktemp("issued"))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory, issued: Certificates) -> Iterator[RabbitMQ]:
    """One broker for the whole run: it takes ten seconds to start."""
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), issued)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
