"""The lookup ``pfi.register``: chains of versions are checked before a request is accepted."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.errors import ConfigError, MessageError, UnknownNameError
from channels.journal.keys import Hasher, Sealer
from channels.message import Message
from channels.ports import Context, Surroundings, Tables
from connectors.register import Register, RegisterSettings
from connectors.shared.submissions import open_submissions
from tests.transforms.pfi_requests import BEFORE, COLLEAGUE, DOCUMENT, SENDER, Ask, Cda, site
from transforms import er7
from transforms.submission import decode, encode
from transforms.submission.request import read_request

FIRST = Ask(
    control_id="DPI1", unique_id=BEFORE, documents=(Cda(unique_id=f'root="{BEFORE}"').bytes(),), flags={"DESTDMP": "Y"}
)
SECOND = Ask(
    control_id="DPI2", action="replace", documents=(Cda(replaces=f'root="{BEFORE}"').bytes(),), flags={"DESTDMP": "Y"}
)
DELETION = Ask(control_id="DPI3", action="delete", flags={"DESTDMP": "Y"})
OTHERS = SENDER.replace("801000000057", "801000000065").replace("1990000002", "1990000010")


def submission(ask: Ask) -> Message:
    message = er7.message(ask.bytes())
    made, _ = read_request(message, site())
    return message.with_body(encode(made), format="submission")


def _no_table(name: str) -> Tables:
    raise UnknownNameError(name)


CONTEXT = Context(site(), "pfi", datetime(2026, 3, 12, tzinfo=UTC), _no_table)


def surroundings(directory: Path) -> Surroundings:
    return Surroundings(
        site(), directory, "pfi", "pfi.register", journal_directory=directory, hasher=Hasher(b"k" * 32),
        sealer=Sealer(None),
    )  # fmt: skip


@asynccontextmanager
async def register(directory: Path, **settings: Any) -> AsyncIterator[Callable[[Ask], Any]]:
    lookup = Register(RegisterSettings(**settings), surroundings(directory))
    await lookup.start()

    async def ask(one: Ask) -> Message:
        return await lookup.ask(submission(one), CONTEXT)

    try:
        yield ask
    finally:
        await lookup.aclose()
        await lookup.aclose()


async def refused(ask: Callable[[Ask], Any], one: Ask) -> str:
    with pytest.raises(MessageError) as caught:
        await ask(one)
    return caught.value.condition


async def test_a_request_is_remembered_and_a_resend_changes_nothing(tmp_path: Path) -> None:
    async with register(tmp_path) as ask:
        first = await ask(FIRST)
        assert (await ask(FIRST)).body == first.body
        store = open_submissions(surroundings(tmp_path))
        known = await store.document(BEFORE)
        assert known is not None
        assert (known.institution, known.replaced_by) == ("1990000002", "")
        assert await store.target(decode(first.body).request.key, "dmp") is not None
        await store.aclose()


async def test_a_chain_goes_from_version_to_version(tmp_path: Path) -> None:
    async with register(tmp_path) as ask:
        for one in (FIRST, SECOND, DELETION):
            await ask(one)
        assert await refused(ask, replace(DELETION, control_id="DPI4")) == "900"


async def test_an_older_version_is_not_replaced_again(tmp_path: Path) -> None:
    third = "1.2.250.1.999999.1.8.3"
    again = SECOND.with_(
        control_id="DPI5",
        unique_id=third,
        documents=(Cda(unique_id=f'root="{third}"', replaces=f'root="{BEFORE}"').bytes(),),
    )
    async with register(tmp_path) as ask:
        await ask(FIRST)
        await ask(SECOND)
        assert await refused(ask, again) == "900"


async def test_an_unknown_parent_is_refused_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    async with register(tmp_path) as ask:
        assert await refused(ask, SECOND) == "900"
        assert await refused(ask, DELETION) == "900"
    async with register(tmp_path, known_parents_only=False) as ask:
        assert decode((await ask(SECOND)).body).action == "replace"


async def test_somebody_elses_document_is_left_alone(tmp_path: Path) -> None:
    async with register(tmp_path) as ask:
        await ask(FIRST)
        assert await refused(ask, SECOND.with_(sender=OTHERS)) == "901"


async def test_a_report_of_ours_whose_version_before_went_nowhere_is_the_first(tmp_path: Path) -> None:
    lookup = Register(RegisterSettings(), surroundings(tmp_path))
    made = decode(submission(SECOND).body)
    ours = replace(made, request=replace(made.request, profile=""))
    message = Message(encode(ours), "submission")
    answered = decode((await lookup.ask(message, CONTEXT)).body)
    assert (answered.action, answered.documents[0].replaces) == ("create", "")
    assert answered.documents[0].unique_id == DOCUMENT
    await lookup.aclose()


async def test_a_recipient_without_address_is_refused_or_left_out(tmp_path: Path) -> None:
    ask_ = Ask(recipients=(*Ask().recipients, COLLEAGUE))
    async with register(tmp_path) as ask:
        with pytest.raises(MessageError) as caught:
            await ask(ask_)
        assert (caught.value.place, caught.value.condition) == ("PRT[3]-15.4", "101")
    async with register(tmp_path, empty_recipients="drop") as ask:
        made = decode((await ask(ask_)).body)
        assert [one.address for one in made.recipients] == ["camille.medico@exemple.mssante.fr"]


async def test_there_is_no_register_without_a_journal(tmp_path: Path) -> None:
    lookup = Register(RegisterSettings(), Surroundings(site(), tmp_path, "pfi", "pfi.register"))
    with pytest.raises(ConfigError):
        await lookup.start()
