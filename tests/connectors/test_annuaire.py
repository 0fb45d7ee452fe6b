"""The ``annuaire`` lookup against a directory in the test: addresses, states, memory, outages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.errors import MessageError, Undelivered
from channels.message import Message
from channels.ports import Surroundings
from connectors.annuaire.limits import Limit
from connectors.annuaire.lookup import AnnuaireLookup, AnnuaireSettings
from tests.connectors.intake import SITE
from tests.transforms.test_xds import submission
from transforms import er7
from transforms.submission import Organization, Person, Recipient, decode, encode
from vaguemestre.simulators.serving import Server

RPPS, FINESS = "10000005479", "750712184"
ADDRESS = "anne.durand@medecin.mssante.fr"


def mailbox(address: str, kind: str = "PER", *, red: bool = False) -> dict[str, Any]:
    base = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition"
    metadata = [
        {"url": "type", "valueCodeableConcept": {"coding": [{"code": kind}]}},
        {"url": "listeRouge", "valueBoolean": red},
    ]
    mark = {
        "url": "https://hl7.fr/fr-core-contact-point-email-type",
        "valueCodeableConcept": {"coding": [{"code": "MSSANTE"}]},
    }
    return {
        "system": "email", "value": address,
        "extension": [mark, {"url": f"{base}/as-ext-mailbox-mss-metadata", "extension": metadata}],
    }  # fmt: skip


@dataclass
class World:
    """A directory of three resources, and the lookup that asks it."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    page: int = 50
    url: str = ""
    next: str = ""
    busy: int = 0
    retry_after: str = "0"
    beside: Path = Path()

    async def answer(self, request: Request) -> Response:
        self.asked.append(str(request.url).partition("/fhir")[2])
        self.keys.add(request.headers.get("esante-api-key", ""))
        if self.busy:
            self.busy -= 1
            return Response(status_code=429, headers={"Retry-After": self.retry_after})
        if self.status != 200:
            return Response(status_code=self.status)
        kind, query = request.path_params["kind"], request.query_params
        found = [one for one in self.resources if one["resourceType"] == kind and _matches(one, dict(query))]
        if "_revinclude" in query and found:
            found += [one for one in self.resources if one["resourceType"] == "PractitionerRole"]
        start = int(query.get("_page", "0"))
        link = []
        if len(found) > start + self.page:
            link = [{"relation": "next", "url": f"{self.next}/{kind}?{request.url.query}&_page={start + self.page}"}]
        entries = [{"resource": one} for one in found[start : start + self.page]]
        return JSONResponse({"resourceType": "Bundle", "link": link, "entry": entries})

    async def lookup(self, **changes: Any) -> AnnuaireLookup:
        options = AnnuaireSettings.model_validate({"base": self.url, "key": "k", "timeout": "1s", **changes})
        made = AnnuaireLookup(options, Surroundings(SITE, self.beside, "c", "d", self.beside))
        await made.start()
        return made


def _matches(resource: dict[str, Any], query: dict[str, str]) -> bool:
    if "_id" in query:
        return bool(resource["id"] == query["_id"])
    if "mailbox-mss" in query:
        return any(one["value"] == query["mailbox-mss"] for one in resource["telecom"])
    system, _, value = query["identifier"].partition("|")
    return {"system": system, "value": value} in resource.get("identifier", [])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(beside=tmp_path)
    server = Server([Route("/fhir/{kind}", made.answer)])
    await server.start("127.0.0.1", 0)
    made.url = made.next = f"{server.url}/fhir"
    made.resources = [
        {
            "resourceType": "Practitioner", "id": "p1", "active": True, "telecom": [mailbox(ADDRESS)],
            "identifier": [{"system": "https://rpps.esante.gouv.fr", "value": RPPS}],
        },
        {
            "resourceType": "PractitionerRole", "id": "r1", "active": True,
            "organization": {"reference": "Organization/o1"}, "telecom": [mailbox("durand@ch.mssante.fr")],
        },
        {
            "resourceType": "Organization", "id": "o1", "active": True,
            "telecom": [mailbox("labo@ch.mssante.fr", "ORG")],
            "identifier": [{"system": "https://finess.esante.gouv.fr", "value": FINESS}],
        },
    ]  # fmt: skip
    yield made
    await server.stop()


def asking(
    person: str = f"8{RPPS}", organization: str = "", address: str = "", kind: str = "", authority: str = ""
) -> Message:
    who = Person(person, kind=kind, authority=authority) if person else None
    one = Recipient(
        "professional" if person else "organization", address, who,
        Organization(organization) if organization else None, place="PRT[2]",
    )  # fmt: skip
    return Message(encode(submission(recipients=(one,))), "submission")


async def ask(lookup: AnnuaireLookup, message: Message) -> tuple[str, str]:
    """Address found, word."""
    context: Any = None
    made = await lookup.ask(message, context)
    if made.format == "submission":
        return decode(made.body).recipients[0].address, made.attributes.get("annuaire", "")
    return "", made.attributes.get("annuaire", "")


@pytest.mark.parametrize(
    "person, organization, address",
    [
        (f"8{RPPS}", f"1{FINESS}", "durand@ch.mssante.fr"),
        (RPPS, FINESS, "durand@ch.mssante.fr"),
        ("", f"1{FINESS}", "labo@ch.mssante.fr"),
    ],
)
async def test_the_address_is_that_of_the_activity(world: World, person: str, organization: str, address: str) -> None:
    lookup = await world.lookup()
    assert await ask(lookup, asking(person, organization)) == (address, "known-active")
    assert world.keys == {"k"}
    await lookup.aclose()


async def test_two_addresses_are_no_address(world: World) -> None:
    lookup = await world.lookup()
    assert await ask(lookup, asking()) == ("", "known-active,no-address")
    world.resources.pop(1)
    await lookup.aclose()
    (world.beside / "annuaire.db").unlink()
    lookup = await world.lookup()
    assert await ask(lookup, asking()) == (ADDRESS, "known-active")
    await lookup.aclose()


async def test_an_address_that_is_given_is_kept(world: World) -> None:
    lookup = await world.lookup()
    assert await ask(lookup, asking(address="a@b.mssante.fr")) == ("a@b.mssante.fr", "known-active")
    await lookup.aclose()


async def test_what_was_answered_is_not_asked_again_and_serves_while_the_directory_is_away(world: World) -> None:
    lookup = await world.lookup()
    await ask(lookup, asking("", f"1{FINESS}"))
    count = len(world.asked)
    world.status = 503
    assert await ask(lookup, asking("", f"1{FINESS}")) == ("labo@ch.mssante.fr", "known-active")
    assert len(world.asked) == count
    await lookup.aclose()
    lookup = await world.lookup(known_for="0s")
    address, word = await ask(lookup, asking("", f"1{FINESS}"))
    assert (address, word) == ("labo@ch.mssante.fr", "known-active,0d")
    assert len(world.asked) == count + 1
    await lookup.aclose()


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_outage_without_memory_passes_or_waits(world: World, status: int) -> None:
    world.status = status
    lookup = await world.lookup()
    assert await ask(lookup, asking()) == ("", "unreachable")
    await lookup.aclose()
    lookup = await world.lookup(away="wait")
    with pytest.raises(Undelivered):
        await ask(lookup, asking())
    await lookup.aclose()


@pytest.mark.parametrize(
    "person, change, word",
    [
        ("899700366240", {}, "unknown"),
        (f"8{RPPS}", {"active": False}, "known-inactive"),
        ("810000005478", {}, "wrong-key"),
    ],
)
async def test_who_does_not_practise_is_marked_or_refused(
    world: World, person: str, change: dict[str, Any], word: str
) -> None:
    world.resources[0] |= change
    lookup = await world.lookup()
    assert await ask(lookup, asking(person)) == ("", word)
    await lookup.aclose()
    lookup = await world.lookup(inactive="refuse")
    with pytest.raises(MessageError) as refusal:
        await ask(lookup, asking(person))
    assert refusal.value.place == "PRT[2]-5.1"
    assert person[1:] not in str(refusal.value)
    await lookup.aclose()


async def test_fields_of_a_message_are_checked(world: World) -> None:
    pipes = "|" * 15
    people = f"{RPPS}^DURAND{'^' * 11}RPPS~LOCAL1^Y~99700366241^Z~1^X{'^' * 11}RPPS"
    body = f"MSH|^~\\&|S|F|||20260310||ORU^R01|1|P|2.5\rOBR|1{pipes}{people}\r"
    lookup = await world.lookup(fields="OBR-16")
    assert await ask(lookup, er7.message(body.encode(), 1.0)) == ("", "known-active wrong-key wrong-key")
    await lookup.aclose()


async def test_pages_are_followed_on_the_same_server_only(world: World) -> None:
    world.page = 1
    lookup = await world.lookup()
    assert await ask(lookup, asking(f"8{RPPS}", f"1{FINESS}")) == ("durand@ch.mssante.fr", "known-active")
    await lookup.aclose()


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1.example/fhir", "http://127.0.0.1:1/fhir", "http://[x"])
async def test_the_key_is_shown_to_no_other_server(world: World, elsewhere: str) -> None:
    world.page, world.next = 1, elsewhere
    lookup = await world.lookup()
    assert await ask(lookup, asking(f"8{RPPS}", f"1{FINESS}")) == ("", "unreachable")
    await lookup.aclose()


async def test_a_next_page_may_be_relative(world: World) -> None:
    world.page, world.next = 1, "/fhir"
    lookup = await world.lookup()
    assert await ask(lookup, asking(f"8{RPPS}", f"1{FINESS}")) == ("durand@ch.mssante.fr", "known-active")
    await lookup.aclose()


@pytest.mark.parametrize(
    "person, kind, authority, identifier",
    [
        ("751234567", "ADELI", "", "urn:oid:1.2.250.1.71.4.2.1|0751234567"),
        ("3750712184/12", "IDNPS", "1.2.250.1.71.4.2.1", "urn:oid:1.2.250.1.71.4.2.1|3750712184/12"),
        (RPPS, "RPPS", "", f"https://rpps.esante.gouv.fr|{RPPS}"),
        ("DURAND12", "", "", ""),
        ("75123456789", "", "1.2.250.1.999999.7", ""),
        (RPPS, "EI", "", ""),
    ],
)
async def test_a_professional_is_asked_for_by_the_national_number(
    world: World, person: str, kind: str, authority: str, identifier: str
) -> None:
    lookup = await world.lookup(inactive="warn")
    await ask(lookup, asking(person, "", "a@b.mssante.fr", kind, authority))
    asked = [unquote(one) for one in world.asked]
    if identifier:
        assert f"identifier={identifier}&" in asked[0]
    else:
        assert asked == []
    await lookup.aclose()


@pytest.mark.parametrize(
    "address, change, word",
    [
        (ADDRESS, {}, "known-active"),
        (ADDRESS, {"active": False}, "known-inactive"),
        ("labo@ch.mssante.fr", {}, "known-active"),
        ("nobody@ch.mssante.fr", {}, "unknown"),
    ],
)
async def test_an_address_alone_may_be_asked_about(
    world: World, address: str, change: dict[str, Any], word: str
) -> None:
    world.resources[0] |= change
    lookup = await world.lookup()
    assert await ask(lookup, asking("", "", address)) == (address, "")
    await lookup.aclose()
    lookup = await world.lookup(check_addresses=True)
    assert await ask(lookup, asking("", "", address)) == (address, word)
    await lookup.aclose()


async def test_a_busy_directory_is_asked_again_when_it_says_soon(world: World) -> None:
    world.busy = 2
    lookup = await world.lookup()
    assert await ask(lookup, asking("", f"1{FINESS}")) == ("labo@ch.mssante.fr", "known-active")
    assert len(world.asked) == 3
    await lookup.aclose()
    world.busy, world.retry_after = 2, "30"
    lookup = await world.lookup(known_for="0s")
    assert (await ask(lookup, asking("", f"1{FINESS}")))[1] == "known-active,0d"
    assert len(world.asked) == 4
    await lookup.aclose()


async def test_after_an_outage_messages_do_not_wait_for_the_directory(world: World) -> None:
    world.status = 503
    lookup, other = await world.lookup(), await world.lookup()
    assert await ask(lookup, asking()) == ("", "unreachable")
    world.status = 200
    assert await ask(lookup, asking()) == ("", "unreachable")
    assert await ask(other, asking()) == ("", "unreachable")  # whichever step asks
    assert len(world.asked) == 1
    await lookup.aclose()
    await other.aclose()


async def test_the_rest_grows_until_there_is_an_answer() -> None:
    now = [0.0]
    limit = Limit(lambda: now[0])
    for rest in (1.0, 2.0, 4.0, 5.0):
        limit.failed(5.0)
        now[0] += rest - 0.1
        assert limit.resting
        now[0] += 0.2
        assert not limit.resting
    limit.answered()
    limit.failed(5.0)
    now[0] += 1.1
    assert not limit.resting


async def test_whose_activities_are_all_over_does_not_practise(world: World) -> None:
    world.resources[1]["period"] = {"end": "2020-01-01"}
    lookup = await world.lookup()
    assert await ask(lookup, asking()) == ("", "known-inactive")
    await lookup.aclose()


async def test_patients_are_not_asked_for(world: World) -> None:
    lookup = await world.lookup()
    one = Recipient("patient", "279035121518989@patient.mssante.fr")
    message = Message(encode(submission(recipients=(one,))), "submission")
    context: Any = None
    assert await lookup.ask(message, context) is message
    assert world.asked == []
    await lookup.aclose()


async def test_an_answer_with_odd_parts_is_read(world: World) -> None:
    lookup = await world.lookup()
    known = world.resources[0]["identifier"]
    world.resources = [
        {"resourceType": "Practitioner", "identifier": ["x", *known], "telecom": ["x", {}, {"value": 3}], "id": "p"}
    ]
    assert (await ask(lookup, asking()))[1] == "known-active,no-address"
    await lookup.aclose()
