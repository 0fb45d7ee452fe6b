"""The ``dmp`` destination against the simulated DMP, written by others from the same texts, as strict as it can be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from channels.certificates import CertificateSettings
from channels.errors import Refused, Undelivered
from channels.journal.keys import Hasher
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.dmp.destination import DmpDestination
from connectors.dmp.errors import error_table
from connectors.dmp.settings import DmpDestinationSettings
from connectors.shared.submissions import Submissions, open_submissions
from tests.conftest import REPOSITORY
from tests.connectors.intake import SITE
from tests.connectors.test_dmp_destination import PFI, request
from tests.transforms.test_xds import REPORT
from transforms.submission import Document, Submission, Visibility, encode
from vaguemestre.simulators.dmp import DmpSettings, DmpSimulator
from vaguemestre.simulators.dmp.service import Case
from vaguemestre.simulators.pki import PASSWORD, Authority


@dataclass
class House:
    """The simulated DMP, and a hospital that publishes in it."""

    dmp: DmpSimulator
    surroundings: Surroundings
    store: Submissions
    options: dict[str, Any]
    open: list[DmpDestination] = field(default_factory=list)
    ends: asyncio.Task[Receipt] | None = None
    """Cancelled once the DMP has carried out what was sent, before its answer leaves."""

    def carried_out(self, case: Case) -> None:
        if self.ends is not None and case.service == "repository":
            self.ends.cancel()

    async def destination(self, **changes: Any) -> DmpDestination:
        made = DmpDestination(DmpDestinationSettings.model_validate({**self.options, **changes}), self.surroundings)
        await made.start()
        self.open.append(made)
        return made

    async def send(self, destination: DmpDestination, one: Submission, tries: int = 6) -> Receipt:
        """As the engine does: again while it is undelivered."""
        await self.store.register(one, known_parents_only=False)
        message = Message(encode(one), "submission")
        for _ in range(tries - 1):
            with contextlib.suppress(Undelivered):
                return await destination.send(message)
        return await destination.send(message)

    async def outcomes(self) -> list[tuple[bool, str]]:
        return [(one.outcome.positive, one.outcome.code) for one in await self.store.due()]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.keep("client", "client")
    made.keep("sign", "sign")
    return made


def in_front(authority: Authority, folder: Path) -> House:
    houses: list[House] = []

    def carried_out(case: Case) -> None:
        houses[0].carried_out(case)

    dmp = DmpSimulator(authority=authority, settings=DmpSettings(inline=True), on_request=carried_out)
    named = {
        name: CertificateSettings.model_validate(
            {"file": authority.directory / f"{name}.p12", "use": name, "password": PASSWORD}
        )
        for name in ("client", "sign")
    }
    site = SITE.model_copy(update={"certificates": named, "pfi": PFI})
    surroundings = Surroundings(site, folder, "publication", "dmp", folder, Hasher(b"k" * 32))
    options = {"tls": "client", "sign": "sign", "authorities": authority.file, "lookups": ["0s", "0s"]}
    houses.append(House(dmp, surroundings, open_submissions(surroundings), options))
    return houses[0]


@pytest.fixture
async def house(authority: Authority, tmp_path: Path) -> AsyncIterator[House]:
    made = in_front(authority, tmp_path)
    await made.dmp.start()
    made.options |= {name: f"{made.dmp.url}/{name}" for name in ("repository", "registry", "patients")}
    yield made
    for one in made.open:
        await one.aclose()
    await made.store.aclose()
    await made.dmp.stop()


def version(number: int, **changes: Any) -> Submission:
    """Another version of the document, which replaces the one before."""
    old, new = f"1.2.3.{number - 1}", f"1.2.3.{number}"
    content = rewritten(REPORT, new, old)
    document = Document(content, new, "11502-2", replaces=old)
    return request(f"v{number}", documents=(document,), action="replace", **changes)


def rewritten(content: bytes, unique_id: str, replaced: str = "") -> bytes:
    """The report under another number, and what it replaces: the simulated DMP reads the document too."""
    root = etree.fromstring(content)
    names = {"h": "urn:hl7-org:v3"}
    root.find("h:id", names).set("root", unique_id)  # type: ignore[union-attr]  # every report has one
    for one in root.findall("h:relatedDocument", names):
        root.remove(one)
    if replaced:
        related = etree.Element("{urn:hl7-org:v3}relatedDocument", {"typeCode": "RPLC"})
        parent = etree.SubElement(related, "{urn:hl7-org:v3}parentDocument")
        etree.SubElement(parent, "{urn:hl7-org:v3}id", {"root": replaced})
        place = root.find("h:documentationOf", names)
        assert place is not None
        place.addnext(related)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def first(**changes: Any) -> Submission:
    return request("v1", documents=(Document(rewritten(REPORT, "1.2.3.1"), "1.2.3.1", "11502-2"),), **changes)


async def test_published_replaced_twice_and_deleted(house: House) -> None:
    destination = await house.destination()
    await house.send(destination, first())
    house.dmp.touch("1.2.3.1")  # the patient did something: the entry has another identifier
    await house.send(destination, version(2))
    await house.send(destination, version(3))
    assert [one.unique_id for one in house.dmp.current()] == ["1.2.3.3"]
    await house.send(destination, replace(version(3), action="delete", request=request("gone").request))
    assert house.dmp.current() == []
    assert await house.outcomes() == [(True, "")] * 4
    assert [one.broken for one in house.dmp.requests if one.broken] == []


async def test_two_documents_in_one_lot_are_replaced_and_deleted_together(house: House) -> None:
    def pair(numbers: tuple[int, int], before: tuple[str, str] = ("", "")) -> tuple[Document, ...]:
        return tuple(
            Document(rewritten(REPORT, f"1.2.3.{number}", old), f"1.2.3.{number}", "11502-2", replaces=old)
            for number, old in zip(numbers, before, strict=True)
        )

    destination = await house.destination()
    await house.send(destination, request("a", documents=pair((1, 2))))
    again = request("b", documents=pair((3, 4), ("1.2.3.1", "1.2.3.2")), action="replace")
    await house.send(destination, again)
    assert sorted(one.unique_id for one in house.dmp.current()) == ["1.2.3.3", "1.2.3.4"]
    await house.send(destination, replace(again, action="delete", request=request("c").request))
    assert house.dmp.current() == []
    assert len(house.dmp.lots) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"mtom": False},
        {"signature": {"digest": "sha256", "chain": True}},
        {"vihf": {"digest": "sha1", "prefixes": False, "validity": "5m"}},
        {"query_returns": "ObjectRef"},
    ],
)
async def test_what_the_texts_leave_open_is_taken_too(house: House, changes: dict[str, Any]) -> None:
    destination = await house.destination(**changes)
    await house.send(destination, first())
    await house.send(destination, version(2))
    assert house.dmp.published == {"1.2.3.1": 1, "1.2.3.2": 1}


async def test_visibility_of_the_request_is_that_of_the_document(house: House) -> None:
    destination = await house.destination()
    shown = Visibility(masked_professionals=True, hidden_patient=True, hidden_representatives=True)
    await house.send(destination, first(visibility=shown))
    (document,) = house.dmp.documents
    for word in ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"):
        assert word.encode() in document.metadata


_PATIENCE = {"retry", "tries"}
_CODES = [
    line.split(",")[:2] for line in (REPOSITORY / "connectors/dmp/error-codes.csv").read_text("utf-8").splitlines()[1:]
]


@pytest.mark.parametrize("code, action", _CODES)
async def test_every_code_of_the_table_ends_as_it_says(house: House, code: str, action: str) -> None:
    destination = await house.destination(tries=2)
    house.dmp.behave("refuse", code=code, service="repository", times=None)
    with pytest.raises((Refused, Undelivered)) as error:
        await house.send(destination, first(), tries=8)
    assert isinstance(error.value, Undelivered if action == "retry" else Refused)
    told = {"retry": [], "parent": [(False, "900")]}.get(action, [(False, code)])
    assert await house.outcomes() == told
    house.dmp.behave_well()
    if action in _PATIENCE or action == "look":  # an operator sends it again, or the engine does
        await house.send(destination, first())
    assert set(house.dmp.published.values()) <= {1}
    assert error_table(None).rule(code).action == action


@pytest.mark.parametrize("kind", ["cut", "cut-before", "empty", "http", "garbage", "mtom", "twice", "warn", "slow"])
@pytest.mark.parametrize("stored", [True, False])
async def test_whatever_happens_to_the_answer_it_is_published_once(house: House, kind: str, stored: bool) -> None:
    destination = await house.destination(timeouts={"read": "1s", "total": "3s"})
    details: dict[str, Any] = {"service": "repository"}
    if kind in ("cut", "empty", "http", "garbage"):
        details["stored"] = stored
    house.dmp.behave(kind, **details)
    await house.send(destination, first())
    assert house.dmp.published == {"1.2.3.1": 1}
    assert await house.outcomes() == [(True, "")]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("kind", ["empty", "fault"])
async def test_a_dmp_that_stays_broken_is_held_unless_it_has_the_lot(house: House, kind: str, stored: bool) -> None:
    destination = await house.destination(tries=1)
    if stored:  # the second lot gets through, unseen
        house.dmp.behave(kind, code="Receiver", service="repository")
    house.dmp.behave(kind, code="Receiver", service="repository", stored=stored, times=None)
    if stored:
        await house.send(destination, first())
    else:
        with pytest.raises(Refused):
            await house.send(destination, first())
    assert house.dmp.published == ({"1.2.3.1": 1} if stored else {})
    assert [positive for positive, _ in await house.outcomes()] == [stored]


async def test_a_lot_too_large_for_the_dmp_is_held_at_once(house: House) -> None:
    destination = await house.destination()
    house.dmp.behave("http", status=413, service="repository", times=None)
    with pytest.raises(Refused):
        await house.send(destination, first(), tries=1)
    assert await house.outcomes() == [(False, "HTTP413")]


async def test_a_lot_that_is_registered_late_is_not_sent_again(house: House) -> None:
    """The engine ends before the answer comes; the first query of the next one does not find the document yet."""
    one = first()
    await house.store.register(one, known_parents_only=False)
    message = Message(encode(one), "submission")
    house.dmp.behave("hide", queries=1, service="repository")
    sending = asyncio.create_task((await house.destination()).send(message))
    house.ends = sending
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (len(house.dmp.lots), await house.outcomes()) == (1, [])
    await house.open.pop().aclose()
    destination = await house.destination()
    with pytest.raises(Undelivered):
        await destination.send(message)
    assert (await destination.send(message)).reference == house.dmp.lots[0].unique_id
    assert house.dmp.published == {"1.2.3.1": 1}
    assert await house.outcomes() == [(True, "")]


async def test_many_patients_documents_at_once(house: House) -> None:
    destination = await house.destination()
    asked = [
        request(f"m{number}", documents=(Document(rewritten(REPORT, f"1.2.4.{number}"), f"1.2.4.{number}", "11502-2"),))
        for number in range(12)
    ]
    await asyncio.gather(*(house.send(destination, one) for one in asked))
    assert sorted(house.dmp.published.values()) == [1] * 12
    assert len({one.unique_id for one in house.dmp.lots}) == 12
