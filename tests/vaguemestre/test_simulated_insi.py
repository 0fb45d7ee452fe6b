"""The simulated INSi is strict: each rule that a call breaks is named, and no value with it."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from channels.errors import ConfigError
from connectors.insi.requests import search, verification
from connectors.insi.settings import InsiServiceSettings
from connectors.insi.traits import Traits
from tests.connectors.insi import OID, RUTH, World, world
from vaguemestre.simulators.insi.people import Asked, matching, read_people
from vaguemestre.simulators.insi.rules import InsiRules, read
from vaguemestre.simulators.insi.service import InsiSimulator
from vaguemestre.simulators.pki import Authority

TRAITS = Traits("FICTIVE", ("RUTH", "ISABELLE"), "F", "1979-03-28", "51215")
TYPE = "application/soap+xml; charset=UTF-8"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("insi"))


@pytest.fixture
async def insi(authority: Authority, tmp_path: Path) -> AsyncIterator[World]:
    async with world(authority, tmp_path) as made:
        yield made


def calls(insi: World) -> tuple[bytes, bytes]:
    """A search and a verification as the connector writes them."""
    service = insi.lookup()._insi
    options = InsiServiceSettings.model_validate({k: v for k, v in insi.options().items() if k != "policy"})
    bodies = (
        (options.search, search(options.search, TRAITS, TRAITS.given, "repeat")),
        (options.verification, verification(options.verification, RUTH, OID, TRAITS)),
    )
    number = "3f0c1d5e-0000-4000-8000-000000000001"
    made = [service._written(operation.action, number, body) for operation, body in bodies]
    return made[0], made[1]


def shown(authority: Authority, name: str = "auth", use: str = "client", **more: str) -> x509.Certificate:
    return authority.keep(name, use, **more).certificate  # type: ignore[arg-type]  # literals and names of arguments


async def test_calls_of_the_connector_break_no_rule(insi: World, authority: Authority) -> None:
    for call in calls(insi):
        assert read(call, TYPE, shown(authority), insi.insi.rules).broken == []


@pytest.mark.parametrize(
    "old, new, rules",
    [
        (b"2003/05/soap-envelope", b"2003/05/other", {"soap.version"}),
        (b"<soap:Body>", b"<soap:Body><x/>", {"body.element"}),
        (b"rechercherInsAvec", b"chercherInsAvec", {"soap.action", "body.element"}),
        (b"INSiRecSans", b"INSiRecVit", {"body.element"}),
        (b"uuid:3f0c", b"3f0c", {"soap.message-id"}),
        (b"<bam:COUVERTURE/>", b"", {"bam.cover"}),
        (b'Version="01_02"', b'Version="01_01"', {"bam.version"}),
        (b'Version="01_00"', b'Version="01_02"', {"lps.version"}),
        (b"<bam:Id>3f0c", b"<bam:Id>", {"bam.id"}),
        (b"<lps:Temps>2", b"<lps:Temps>1", {"lps.moment"}),
        (b"<bam:Emetteur>1", b"<bam:Emetteur>2", {"context.sender"}),
        (b'R="4"', b'R="5"', {"lps.idam"}),
        (b">SIMULATEUR<", b">X<", {"lps.idam"}),
        (b"lps:Instance>", b"lps:Other>", {"lps.product"}),
        (b"lps:ContexteLPS", b"lps:Contexte", {"lps.present", "lps.product", "lps.idam"}),
        (b"<saml:Assertion", b"<saml:Assertion2", {"soap.readable"}),
        (b"wsse:Security", b"wsse:Other", {"assertion.present"}),
        (b"identifiantFacturation", b"identifiantDeFact", {"assertion.identifiantFacturation", "assertion.signature"}),
        (b">SA01<", b"><", {"assertion.secteurActivite", "assertion.signature"}),
        (b"<i:Sexe>F</i:Sexe>", b"<i:Sexe>I</i:Sexe>", {"body.sex"}),
        (b">FICTIVE<", b">Fictive<", {"body.alphabet"}),
        (b">FICTIVE<", b"> <", {"body.alphabet"}),
        (b">RUTH<", b">RUTH3<", {"body.alphabet"}),
        (b"1979-03-28", b"19790328", {"body.date"}),
        (b">51215<", b">5121<", {"body.place"}),
        (b"<i:Sexe>F</i:Sexe>", b"", {"body.order", "body.sex"}),
        (b"i:LieuNaissance>", b"i:Lieu>", {"body.order"}),
        (b"</soap:Envelope>", b"", {"soap.readable"}),
    ],
)
async def test_each_broken_rule_is_named(
    insi: World, authority: Authority, old: bytes, new: bytes, rules: set[str]
) -> None:
    call, _ = calls(insi)
    assert old in call
    found = read(call.replace(old, new), TYPE, shown(authority), insi.insi.rules)
    assert set(found.broken) == rules
    assert not [one for one in found.broken if "FICTIVE" in one]


@pytest.mark.parametrize(
    "old, new, rules",
    [
        (b"<i:Cle>89", b"<i:Cle>8", {"body.ins"}),
        (f"<i:OID>{OID}".encode(), b"<i:OID>", {"body.ins"}),
        (b"i:INSFourni", b"i:INS", {"body.order", "body.ins"}),
        (b"TraitsIdentiteIndividu", b"Traits", {"body.order", "body.traits"}),
    ],
)
async def test_a_verification_has_its_form(
    insi: World, authority: Authority, old: bytes, new: bytes, rules: set[str]
) -> None:
    _, call = calls(insi)
    assert old in call
    assert set(read(call.replace(old, new), TYPE, shown(authority), insi.insi.rules).broken) == rules


async def test_certificates_are_those_of_one_structure_with_their_use(insi: World, authority: Authority) -> None:
    call, _ = calls(insi)
    rules = insi.insi.rules
    assert read(call, "text/xml", shown(authority), rules).broken == ["http.media-type"]
    assert read(call, TYPE, None, rules).broken == ["tls.certificate"]
    assert read(call, TYPE, shown(authority, "sign", "sign"), rules).broken == ["tls.certificate"]
    assert read(call, TYPE, shown(authority, "other", structure="1990000028"), rules).broken == ["tls.structure"]


async def test_an_assertion_ends_and_one_of_another_authority_is_none(
    insi: World, authority: Authority, tmp_path: Path
) -> None:
    call, _ = calls(insi)
    later = InsiRules(authority=authority.certificate, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    found = read(call, TYPE, shown(authority), later).broken
    assert found == ["bam.moment", "lps.moment", "assertion.moment"]
    stranger = InsiRules(authority=Authority(tmp_path / "stranger").certificate)
    assert read(call, TYPE, shown(authority), stranger).broken == ["assertion.certificate"]


async def test_it_tells_its_calls_and_misbehaves_when_told(insi: World, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(authority.keep("auth", "client").pem)
    call, _ = calls(insi)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        headers = {"Content-Type": TYPE}
        said = {"fault": "insi_102", "times": 1}
        assert (await client.post(f"{insi.insi.base}/_behave", json=said)).status_code == 204
        assert (await client.post(f"{insi.insi.base}/_behave", json={"falut": "x"})).status_code == 400
        answers = [await client.post(insi.insi.url, content=call, headers=headers) for _ in range(2)]
        assert [one.status_code for one in answers] == [500, 200]
        state = await client.get(f"{insi.insi.base}/_state")
    assert [one["answered"] for one in state.json()["calls"]] == ["insi_102", "00"]
    assert not [one for one in (RUTH[:13], "FICTIVE", "RUTH") if one in state.text]


async def test_nobody_is_answered_without_a_certificate(insi: World, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        with pytest.raises((httpx.HTTPError, OSError)):
            await client.post(insi.insi.url, content=b"")
    assert insi.insi.calls == []


# people


def test_the_people_have_right_keys_and_test_numbers() -> None:
    for one in read_people(None):
        department = {"2A": "19", "2B": "18"}.get(one.number[5:7], one.number[5:7])
        digits = int(one.number[:5] + department + one.number[7:13])
        assert int(one.number[13:]) == 97 - digits % 97


@pytest.mark.parametrize(
    "given, place, count",
    [
        (("RUTH", "ISABELLE"), "51215", 1),
        (("RUTH ISABELLE",), "", 1),
        (("ISABELLE",), "", 1),
        (("ISABELLE", "RUTH"), "", 0),
        (("RUTH", "MARIE"), "", 0),
        (("RUTH",), "51216", 0),
    ],
)
def test_people_are_found_by_all_their_given_names_or_by_one(given: tuple[str, ...], place: str, count: int) -> None:
    assert len(matching(read_people(None), Asked("FICTIVE", given, "F", "1979-03-28", place))) == count


@pytest.mark.parametrize("text", ["a\n", "number,oid,family,given,sex,birth_date,birth_place,former\n1,1.2.3,,,,,,\n"])
def test_a_table_with_real_authorities_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "people.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"^people\.csv:[12]:1: "):
        read_people(file)


async def test_a_simulator_that_was_not_started_can_be_stopped() -> None:
    await InsiSimulator(read_people(None)).stop()
