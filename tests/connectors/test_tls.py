"""What is wrong with a certificate file is said before anything listens."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from channels.errors import ConfigError
from channels.fields import TlsClient, TlsServer
from connectors.tls import client_context, server_context
from tests.connectors import certificates
from tests.connectors.certificates import Certificates
from tests.connectors.intake import surroundings
from vaguemestre.simulators.pki import PASSWORD, Authority


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


async def exchange(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> bytes:
    """One line from a client to a server and back; nothing when either refuses the other."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    listener = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        except ssl.SSLError:
            return b""
        writer.write(b"hello\n")
        try:
            return await reader.read()
        except (ssl.SSLError, ConnectionError):
            return b""
        finally:
            writer.close()


async def test_a_client_and_a_server_that_know_each_other_talk(made: Certificates) -> None:
    place = surroundings(made.directory)
    settings = TlsServer(
        certificate=Path("server.pem"),
        key=Path("locked.key"),
        password=SecretStr(made.password),
        clients=made.authority,
    )
    shown = TlsClient(authorities=made.authority, certificate=made.client_certificate, key=made.client_key)
    server = server_context(settings, place)
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    assert await exchange(server, client_context(shown, place)) == b"hello\n"
    assert await exchange(server, client_context(TlsClient(authorities=made.authority), place)) == b""
    assert await exchange(server, client_context(TlsClient(), place)) == b""
    assert await exchange(server, client_context(shown, place), "other.example") == b""


def test_a_certificate_and_its_key_may_be_one_file(made: Certificates, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(made.server_certificate.read_bytes() + made.server_key.read_bytes())
    assert server_context(TlsServer(certificate=both), surroundings(tmp_path)).verify_mode == ssl.CERT_NONE


async def test_either_side_may_show_a_pkcs12_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    place, password = surroundings(tmp_path), SecretStr(PASSWORD)
    ours = authority.issue("ours", "client").p12
    server = server_context(
        TlsServer(certificate=authority.issue("theirs", "server").p12, password=password, clients=authority.file), place
    )
    client = client_context(TlsClient(authorities=authority.file, certificate=ours, password=password), place)
    assert await exchange(server, client) == b"hello\n"
    for settings, problem in (
        (TlsClient(certificate=ours), "tls.certificate: .*password"),
        (TlsClient(certificate=ours, key=ours, password=password), "tls.key: a PKCS#12 file holds its key"),
    ):
        with pytest.raises(ConfigError, match=problem):
            client_context(settings, place)


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"certificate": "absent.pem"}, "tls.certificate: .*absent.pem cannot be read: No such file or directory"),
        ({"key": "absent.key"}, "tls.key: .*absent.key cannot be read"),
        ({"key": "client.key"}, "tls.key: .*client.key is not the key of .*server.pem"),
        ({"key": "locked.key"}, "tls.key: .*locked.key is encrypted, and `password` is not given"),
        ({"key": "locked.key", "password": "no"}, "tls.key: .*locked.key does not open with `password`"),
        ({"certificate": "server.key"}, "tls.certificate: .*server.key holds no PEM certificate"),
        ({"key": "server.pem"}, "tls.key: .*server.pem holds no PEM private key"),
        ({"certificate": "broken.pem", "key": "broken.pem"}, "tls.certificate: .*broken.pem and its key cannot be"),
        ({"clients": "absent.pem"}, "tls.clients: .*absent.pem cannot be read"),
        ({"clients": "server.key"}, "tls.clients: .*server.key holds no PEM certificate"),
    ],
)
def test_a_listener_says_which_file_is_wrong(made: Certificates, options: dict[str, Any], problem: str) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
    (made.directory / "broken.pem").write_text(broken)
    settings = TlsServer.model_validate({"certificate": "server.pem", "key": "server.key"} | options)
    with pytest.raises(ConfigError, match=problem) as raised:
        server_context(settings, surroundings(made.directory))
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"authorities": "absent.pem"}, "tls.authorities: .*absent.pem cannot be read"),
        ({"certificate": "absent.pem"}, "tls.certificate: .*absent.pem cannot be read"),
        ({"certificate": "client.pem", "key": "server.key"}, "tls.key: .*server.key is not the key of"),
        ({"key": "client.key"}, "tls.key: a key without `certificate` shows nothing"),
    ],
)
def test_a_connection_says_which_file_is_wrong(made: Certificates, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        client_context(TlsClient.model_validate(options), surroundings(made.directory))
