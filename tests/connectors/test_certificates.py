"""Certificates by their name: read, renewed without a restart, looked at."""

import asyncio
import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from channels.certificates import CertificateSettings
from channels.errors import ConfigError, ConfigErrors
from channels.loader import LoadedSite, load_site
from channels.ports import Surroundings
from connectors.certificates import client_tls, credentials
from tests.connectors.intake import SITE
from vaguemestre.certificates import inspect
from vaguemestre.cli import app
from vaguemestre.simulators.pki import PASSWORD, Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def surroundings(folder: Path, **settings: CertificateSettings) -> Surroundings:
    return Surroundings(SITE.model_copy(update={"certificates": settings}), folder, "c", "d")


def p12(path: Path, use: str = "client") -> CertificateSettings:
    return CertificateSettings.model_validate({"file": path, "password": PASSWORD, "use": use})


def test_pkcs12_and_pem_hold_the_same(authority: Authority) -> None:
    issued = authority.issue("both", "client")
    where = surroundings(
        authority.directory,
        a=p12(issued.p12),
        b=CertificateSettings.model_validate({"file": issued.pem, "use": "client"}),
    )
    assert credentials("a", where).certificate == credentials("b", where).certificate == issued.certificate
    assert credentials("a", where).chain == (authority.certificate,)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"password": "wrong"}, "password"),
        ({"password": None}, "password"),
        ({"file": Path("nowhere.p12")}, "No such file"),
        ({"file": Path("text.p12")}, "not a PKCS#12 file"),
        ({"file": Path("text.pem")}, "no PEM certificate"),
    ],
)
def test_what_cannot_be_read_is_said(
    authority: Authority, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    issued = authority.issue("faulty", "client")
    for name in ("text.p12", "text.pem"):
        (tmp_path / name).write_text("nothing")
    fields = {"file": issued.p12, "password": PASSWORD, "use": "client", **change}
    where = surroundings(tmp_path, a=CertificateSettings.model_validate(fields))
    with pytest.raises(ConfigError, match=words) as refusal:
        credentials("a", where)
    assert PASSWORD not in str(refusal.value)


def test_an_unknown_name_is_said_with_the_nearest(tmp_path: Path, authority: Authority) -> None:
    where = surroundings(tmp_path, auth=p12(authority.issue("near", "client").p12))
    with pytest.raises(ConfigError, match="did you mean 'auth'"):
        credentials("auht", where)


def test_a_key_of_another_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("one", "client"), authority.issue("other", "client")
    fields = {"file": one.pem, "key": other.pem, "use": "client"}
    where = surroundings(tmp_path, a=CertificateSettings.model_validate(fields))
    with pytest.raises(ConfigError, match="not that of the certificate"):
        credentials("a", where)


async def test_a_renewed_certificate_serves_the_next_connection(authority: Authority, tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.issue("srv", "server").pem)
    server.load_verify_locations(authority.file)
    server.verify_mode = ssl.CERT_REQUIRED
    seen = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
        seen.append(subject["commonName"])
        writer.write(b"x")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    file = tmp_path / "auth.p12"
    file.write_bytes(authority.issue("old", "client", common_name="OLD").p12.read_bytes())
    where = surroundings(tmp_path, auth=p12(file))

    async def connect() -> ssl.SSLContext:
        context = client_tls("auth", authority.file, where)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        await reader.read()
        writer.close()
        return context

    first = await connect()
    assert await connect() is first
    file.write_bytes(authority.issue("new", "client", common_name="NEW").p12.read_bytes())
    assert await connect() is not first
    file.write_bytes(b"half written")
    os.utime(file, (1, 1))
    with capture_logs() as logs:
        await connect()
        await connect()
    (said,) = logs  # once, not at each connection
    assert (said["certificate"], said["problem"]) == (
        "auth",
        "not a PKCS#12 file, or its password is not the one given",
    )
    file.unlink()
    await connect()
    assert seen == ["OLD", "OLD", "NEW", "NEW", "NEW", "NEW"]
    listener.close()
    await listener.wait_closed()


async def test_new_authorities_are_believed_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    where = surroundings(tmp_path, auth=p12(authority.issue("trusting", "client").p12))
    trusted = tmp_path / "authorities.pem"
    trusted.write_bytes(authority.file.read_bytes())
    first = client_tls("auth", trusted, where)
    other = Authority(tmp_path / "other", "AC NOUVELLE")
    trusted.write_bytes(authority.file.read_bytes() + other.file.read_bytes())
    second = client_tls("auth", trusted, where)
    assert len(first.get_ca_certs()) + 1 == len(second.get_ca_certs()) == 2
    trusted.write_text("half written")
    assert client_tls("auth", trusted, where) is second
    with pytest.raises(ConfigError, match="holds no PEM certificate"):
        client_tls("auth", tmp_path / "nothing.pem", where)


CHANNEL = """
channel: dft
source: {{mllp: {{listen: "127.0.0.1:0"}}}}
destinations:
  - name: out
    transform: [{step}]
    file: {{directory: out}}
"""


def site(folder: Path, authority: Authority, **uses: str) -> LoadedSite:
    (folder / "channels").mkdir()
    lines = ["site: essai", "establishment: {name: E, finess: '990000001'}", "certificates:"]
    for name, use in uses.items():
        file = authority.directory / f"{name}.p12"
        lines.append(
            f"  {name}: {{file: {file}, password: '${{P12}}', use: {use}, authorities: {authority.file}, "
            f"revoked: {authority.crl}}}"
        )
    (folder / "site.yaml").write_text("\n".join(lines))
    (folder / "channels" / "dft.yaml").write_text(CHANNEL.format(step=""))
    return load_site(folder, {"P12": PASSWORD})


@pytest.mark.parametrize(
    "issue, use, problem",
    [
        ({"use": "client"}, "client", ""),
        ({"use": "sign"}, "sign", ""),
        ({"use": "server"}, "server", ""),
        ({"use": "client", "days": -1}, "client", "it has ended"),
        ({"use": "client"}, "sign", "its usages are not those of `use: sign`"),
        ({"use": "sign"}, "client", "its usages are not those of `use: client`"),
        ({"use": "client", "structure": "1990000099"}, "client", "its OU is not the number of the structure"),
    ],
)
def test_what_does_not_fit_is_found(
    authority: Authority, tmp_path: Path, issue: dict[str, object], use: str, problem: str
) -> None:
    authority.issue("mine", **issue)  # type: ignore[arg-type]  # the case's arguments
    (report,) = inspect(site(tmp_path, authority, mine=use))
    assert [one.startswith(problem) for one in report.problems] == ([True] if problem else [])
    assert report.warnings[-1] == "no service uses it"


@pytest.mark.parametrize("days, warns", [(59, True), (62, False), (5, True)])
def test_the_end_is_told_before_it_comes(authority: Authority, tmp_path: Path, days: int, *, warns: bool) -> None:
    authority.issue("soon", "client", days=days)
    (report,) = inspect(site(tmp_path, authority, soon="client"))
    assert any("it ends in" in one for one in report.warnings) is warns
    (later,) = inspect(again(tmp_path), datetime.now(UTC) + timedelta(days=days + 1))
    assert later.problems[0] == "it has ended"


def again(folder: Path) -> LoadedSite:
    return load_site(folder, {"P12": PASSWORD})


def test_a_revoked_certificate_and_a_stranger_are_found(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("gone", "client")
    authority.revoke(issued.certificate)
    (report,) = inspect(site(tmp_path, authority, gone="client"))
    assert report.problems == ("it is revoked",)
    stranger = Authority(tmp_path / "other", "AC ETRANGERE").issue("gone", "client")
    issued.p12.write_bytes(stranger.p12.read_bytes())
    (report,) = inspect(again(tmp_path))
    assert report.problems == ("no authority of `authorities` signed it", "the revocation list is another authority's")


SENDS = """\
channel: publication
source: {channel: {}}
transform:
  - insi: {url: "https://insi.example/lps", tls: auth, sign: sign, context: {idam: X}}
destinations:
  - name: mssante
    mssante:
      connect: mail.example:587
      certificate: auth
"""


def test_each_service_is_named_with_its_setting(authority: Authority, tmp_path: Path) -> None:
    authority.issue("auth", "client")
    authority.issue("sign", "sign")
    site(tmp_path, authority, auth="client", sign="sign")
    (tmp_path / "channels" / "publication.yaml").write_text(SENDS)
    found = {one.name: one.services for one in inspect(again(tmp_path))}
    assert found["auth"] == ("publication/insi: tls", "publication/mssante: certificate")
    assert found["sign"] == ("publication/insi: sign",)


@pytest.mark.parametrize(
    "old, new, place, problem",
    [
        ("certificate: auth", "certificate: auht", "9:20", "site.yaml has no certificate 'auht'; did you mean 'auth'?"),
        (
            "certificate: auth",
            "certificate: sign",
            "9:20",
            "the certificate 'sign' is of `use: sign` in site.yaml; `client` is needed",
        ),
        ("tls: auth, sign: sign", "sign: other", "4:5", "site.yaml has no certificate 'other'"),
    ],
)
def test_a_certificate_that_is_not_there_is_found_where_it_is_named(
    authority: Authority, tmp_path: Path, old: str, new: str, place: str, problem: str
) -> None:
    authority.issue("auth", "client")
    authority.issue("sign", "sign")
    site(tmp_path, authority, auth="client", sign="sign")
    (tmp_path / "channels" / "publication.yaml").write_text(SENDS.replace(old, new))
    with pytest.raises(ConfigErrors) as caught:
        again(tmp_path)
    assert [str(one) for one in caught.value.faults] == [f"channels/publication.yaml:{place}: {problem}"]


def test_the_command_says_who_uses_what(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.issue("mine", "client")
    site(tmp_path, authority, mine="client")
    monkeypatch.setenv("P12", PASSWORD)
    shown = CliRunner().invoke(app, ["certificates", str(tmp_path), "--json"])
    assert shown.exit_code == 0
    (one,) = json.loads(shown.stdout)
    assert (one["name"], one["subject"], one["structure"]) == ("mine", "PFI CLIENT", "1990000001")
    authority.issue("mine", "sign")
    shown = CliRunner().invoke(app, ["certificates", str(tmp_path)])
    assert shown.exit_code == 1
    checked = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert "certificate 'mine'" in checked.stdout
