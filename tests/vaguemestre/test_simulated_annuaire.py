"""The simulated directory: what it takes, what it refuses; and the ``annuaire`` lookup against it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from channels.errors import ConfigError, MessageError
from channels.message import Message
from channels.ports import Surroundings
from connectors.annuaire.lookup import AnnuaireLookup, AnnuaireSettings
from tests.connectors.intake import SITE
from tests.transforms.test_xds import submission
from transforms.submission import Organization, Person, Recipient, decode, encode
from vaguemestre.simulators.annuaire.resources import read_resources
from vaguemestre.simulators.annuaire.service import AnnuaireSimulator, Behaviour

DURAND, MARTIN, PETIT, MOREAU = "10000005479", "99700366240", "99700000013", "99700000047"
CH, CLINIC = "990000010", "990000028"


@pytest.fixture
async def annuaire() -> AsyncIterator[AnnuaireSimulator]:
    made = AnnuaireSimulator(read_resources(None, "2026-03-10T00:00:00Z"))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(annuaire: AnnuaireSimulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"ESANTE-API-KEY": annuaire.key}
    async with httpx.AsyncClient(base_url=annuaire.url, headers=headers, trust_env=False) as made:
        yield made


async def ids(client: httpx.AsyncClient, path: str) -> list[str]:
    response = await client.get(path)
    assert response.status_code == 200
    return [one["resource"]["id"] for one in response.json()["entry"]]


@pytest.mark.parametrize(
    "path, found",
    [
        (f"Practitioner?identifier=https://rpps.esante.gouv.fr|{DURAND}", ["003-1"]),
        (f"Practitioner?identifier=urn:oid:1.2.250.1.71.4.2.1|8{DURAND}", ["003-1"]),
        (f"Practitioner?identifier={DURAND}&_revinclude=PractitionerRole:practitioner", ["003-1", "005-1"]),
        ("Practitioner?identifier=urn:oid:1.2.3|10000005479", []),
        (f"Organization?identifier=https://finess.esante.gouv.fr|{CH}", ["001-1"]),
        ("Organization?_id=001-2,001-3", ["001-2", "001-3"]),
        ("Organization?active=false", ["001-3"]),
        ("PractitionerRole?mailbox-mss=DURAND@ch-testville.mssante.fr", ["005-1"]),
        ("PractitionerRole?organization=001-2&role=21&_include=PractitionerRole:practitioner", ["005-4", "003-4"]),
        ("PractitionerRole?practitioner=Practitioner/003-6", ["005-5", "005-6"]),
        ("Organization?_lastUpdated=ge2026-03-11", []),
    ],
)
async def test_searches_find_what_they_name(client: httpx.AsyncClient, path: str, found: list[str]) -> None:
    assert await ids(client, path) == found


@pytest.mark.parametrize(
    "path, status",
    [
        ("Practitioner?mailbox-mss-type=PER", 400),
        ("Practitioner?name=durand", 400),
        ("Practitioner?_count=51", 400),
        ("Practitioner?_page=none", 400),
        ("Practitioner?_include=PractitionerRole:practitioner", 400),
        ("PractitionerRole?_revinclude=PractitionerRole:practitioner", 400),
        ("Organization?_lastUpdated=2026", 400),
        ("Patient?identifier=1", 404),
    ],
)
async def test_what_the_directory_does_not_take_is_refused(client: httpx.AsyncClient, path: str, status: int) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["resourceType"]) == (status, "OperationOutcome")


async def test_a_search_may_be_posted_and_nothing_else(client: httpx.AsyncClient) -> None:
    response = await client.post("Practitioner/_search", data={"identifier": DURAND})
    assert response.json()["total"] == 1
    assert (await client.post("Practitioner", json={})).status_code == 405
    assert (await client.post("", json={})).status_code == 404


async def test_the_key_is_asked_for(annuaire: AnnuaireSimulator) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for headers in ({}, {"ESANTE-API-KEY": "other"}):
            assert (await client.get(f"{annuaire.url}/Practitioner", headers=headers)).status_code == 401


async def test_too_many_calls_a_second_are_put_off(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
    annuaire.rate = 3
    found = [await client.get("Organization") for _ in range(4)]
    assert [one.status_code for one in found] == [200, 200, 200, 429]
    assert found[-1].headers["retry-after"] == "1"


async def test_pages_hold_fifty_at_most(annuaire: AnnuaireSimulator, client: httpx.AsyncClient) -> None:
    one = annuaire.resources[0]
    annuaire.resources = [{**one, "id": f"001-{number}"} for number in range(120)]
    sizes, url, total = [], "Organization", 0
    while url:
        bundle = (await client.get(url)).json()
        sizes.append(len(bundle["entry"]))
        total = max(total, bundle["total"])
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), "")
    assert (sizes, total) == ([50, 50, 20], 120)


async def test_it_misbehaves_when_told_and_tells_no_number(
    annuaire: AnnuaireSimulator, client: httpx.AsyncClient
) -> None:
    for said in ({"http": 503, "times": 1}, {"body": "<html>", "times": 1}, {"cut": True, "times": 1}):
        assert (await client.post(f"{annuaire.base}/_behave", json=said)).status_code == 204
        if "cut" in said:
            with pytest.raises(httpx.HTTPError):
                await client.get("Organization")
        else:
            response = await client.get("Organization")
            assert response.status_code == said.get("http", 200)
    assert (await client.get(f"Practitioner?identifier={DURAND}")).status_code == 200
    assert (await client.post(f"{annuaire.base}/_behave", json={"slwo": 1})).status_code == 400
    state = await client.get(f"{annuaire.base}/_state")
    assert [one["status"] for one in state.json()["requests"]] == [503, 200, 0, 200]
    assert DURAND not in state.text


@pytest.mark.parametrize("text", ["rpps,name\n", "finess,name,active,mailbox\n1,2\n"])
def test_a_table_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "structures.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"^structures\.csv:[12]:1: "):
        read_resources(tmp_path, "")


# the lookup


async def word(
    annuaire: AnnuaireSimulator, folder: Path, person: str, finess: str = "", **changes: Any
) -> tuple[str, ...]:
    """Address found, word."""
    options = {"base": annuaire.url, "key": annuaire.key, "timeout": "1s", **changes}
    lookup = AnnuaireLookup(
        AnnuaireSettings.model_validate(options), Surroundings(SITE, folder, "c", "transform", folder)
    )
    one = Recipient(
        "professional" if person else "organization", "", Person(f"8{person}") if person else None,
        Organization(f"1{finess}") if finess else None, place="PRT[2]",
    )  # fmt: skip
    context: Any = None
    await lookup.start()
    try:
        made = await lookup.ask(Message(encode(submission(recipients=(one,))), "submission"), context)
    finally:
        await lookup.aclose()
    assert isinstance(made, Message)
    return decode(made.body).recipients[0].address, made.attributes["annuaire"]


@pytest.mark.parametrize(
    "person, finess, found",
    [
        (DURAND, CH, ("durand@ch-testville.mssante.fr", "known-active")),
        (MOREAU, CLINIC, ("moreau@clinique-testville.mssante.fr", "known-active")),
        (MOREAU, "", ("", "known-active,no-address")),
        (MARTIN, CH, ("paul.martin@medecin.mssante.fr", "known-active")),
        (PETIT, CH, ("", "known-inactive")),
        ("", CH, ("accueil@ch-testville.mssante.fr", "known-active")),
        ("", "990000002", ("", "known-inactive")),
        ("99700000054", "", ("", "unknown")),
    ],
)
async def test_the_lookup_finds_addresses_in_it(
    annuaire: AnnuaireSimulator, tmp_path: Path, person: str, finess: str, found: tuple[str, str]
) -> None:
    assert await word(annuaire, tmp_path, person, finess) == found


async def test_the_lookup_bears_a_directory_that_is_away(annuaire: AnnuaireSimulator, tmp_path: Path) -> None:
    assert (await word(annuaire, tmp_path, DURAND, CH))[1] == "known-active"
    annuaire.behaviour = Behaviour(http=503)
    address, said = await word(annuaire, tmp_path, DURAND, CH, known_for="0s")
    assert (address, said) == ("durand@ch-testville.mssante.fr", "known-active,0d")
    assert await word(annuaire, tmp_path, MARTIN) == ("", "unreachable")


async def test_a_wrong_api_key_is_an_outage_and_is_not_told(annuaire: AnnuaireSimulator, tmp_path: Path) -> None:
    assert await word(annuaire, tmp_path, DURAND, key="secret-key") == ("", "unreachable")


async def test_who_does_not_practise_can_be_refused(annuaire: AnnuaireSimulator, tmp_path: Path) -> None:
    with pytest.raises(MessageError) as refusal:
        await word(annuaire, tmp_path, PETIT, inactive="refuse")
    assert PETIT not in str(refusal.value)
