"""What the engine remembers of requests: chains of versions, targets, acknowledgements due, consents."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import MessageError
from channels.journal import MasterKeys
from channels.journal.catalog import Catalog
from channels.journal.sqlite import connect, rows
from connectors.shared.submissions import Consent, Outcome, Submissions
from connectors.shared.submissions.consents import SCHEMA, latest, remember
from transforms.submission import Document, Organization, Patient, Person, Recipient, Request, Sender, Submission

INS = "279035121518989"
ADDRESS = "marie.marqueur@hopital.mssante.fr"
FIRST = Document(b"<one/>", "1.2.3.1", "11502-2")


def submission(key: str = "k1", document: Document = FIRST, **changes: object) -> Submission:
    made = Submission(
        Request(key, f"MSG{key}", sending_application="SGL", sending_facility="CH"),
        "create",
        Patient(ins=INS, ins_oid="1.2.250.1.213.1.4.10", local_id="42", local_oid="1.2.250.1.999999.1.1"),
        (document,),
        Sender(Person("801234567890"), Organization("1990000001")),
        to_dmp=True,
        recipients=(Recipient("professional", ADDRESS), Recipient("patient", f"{INS}@patient.mssante.fr")),
        wants_reception=True,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields that a test names


def second(key: str = "k2", **changes: object) -> Submission:
    return submission(key, Document(b"<two/>", "1.2.3.2", "11502-2", replaces="1.2.3.1"), action="replace", **changes)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Submissions]:
    keys = MasterKeys.read(MasterKeys.new_line("test"))
    catalog = Catalog(tmp_path, keys, write=True)
    made = Submissions(tmp_path / "pfi.db", catalog.hasher, catalog.sealer("pfi"))
    yield made
    await made.aclose()
    catalog.close()


async def test_targets_go_from_waiting_to_done_once(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    target = await store.target("k1", "mail 1")
    assert target is not None
    assert (target.state, target.address) == ("waiting", ADDRESS)
    assert await store.target("k1", "mail 3") is None
    assert await store.note("k1", "dmp", "sending", reference="1.2.9")
    assert not await store.note("k1", "dmp", "sending", reference="1.2.9")
    assert await store.note("k1", "dmp", "done", outcome=Outcome("Z01", positive=True))
    assert not await store.note("k1", "dmp", "done", outcome=Outcome("Z01", positive=True))
    assert not await store.note("k1", "dmp", "sent")
    target = await store.target("k1", "dmp")
    assert target is not None
    assert (target.state, target.reference) == ("done", "1.2.9")


async def test_an_acknowledgement_is_due_until_the_journal_has_it(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.note("k1", "mail 1", "done", outcome=Outcome("Z02", positive=True, address=ADDRESS))
    (due,) = await store.due()
    assert (due.of, due.outcome.kind, due.outcome.address, due.sending_application) == ("MSGk1", "Z02", ADDRESS, "SGL")
    assert len(due.control_id) <= 20
    assert (await store.due())[0].control_id == due.control_id
    await store.sent(due.id)
    assert await store.due() == []


async def test_what_the_requester_does_not_want_is_not_due_but_a_failure_is(store: Submissions) -> None:
    await store.register(submission(wants_reception=False), known_parents_only=True)
    await store.note("k1", "dmp", "done", outcome=Outcome("Z01", positive=True))
    await store.note("k1", "mail 1", "done", outcome=Outcome("Z03", positive=True, address=ADDRESS))
    assert await store.due() == []
    await store.note("k1", "mail 2", "refused", outcome=Outcome("Z02", positive=False, code="550"))
    assert [one.outcome.code for one in await store.due()] == ["550"]
    store.always_report_failures = False
    await store.register(
        submission("k5", replace(FIRST, unique_id="1.2.5"), wants_reception=False), known_parents_only=True
    )
    await store.note("k5", "dmp", "refused", outcome=Outcome("Z01", positive=False, code="DMPClosed"))
    assert len(await store.due()) == 1


async def test_who_waits_for_news_wakes_up(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    waiting = asyncio.create_task(store.more_due())
    await asyncio.sleep(0)
    await store.note("k1", "dmp", "done", outcome=Outcome("Z01", positive=True))
    await asyncio.wait_for(waiting, 4)


async def test_a_mail_is_found_by_its_message_id_and_address(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.note("k1", "mail 1", "sent", reference="<a@b>")
    await store.note("k1", "mail 2", "sent", reference="<c@b>")
    found = await store.mail("a@b")
    assert found is not None
    assert (found.key, found.target, found.address) == ("k1", "mail 1", ADDRESS)
    assert await store.mail("<c@b>", "someone@else") is not None
    assert await store.mail("<d@b>") is None


async def test_a_version_replaces_the_latest_only(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.register(second(), known_parents_only=True)
    await store.register(second(), known_parents_only=True)  # the same request again
    third = Document(b"<three/>", "1.2.3.3", "11502-2", replaces="1.2.3.1")
    with pytest.raises(MessageError) as refusal:
        await store.register(submission("k3", third, action="replace"), known_parents_only=True)
    assert refusal.value.condition == "900"
    await store.register(
        submission("k3", replace(third, replaces="1.2.3.2"), action="replace"), known_parents_only=True
    )
    known = await store.document("1.2.3.2")
    assert known is not None
    assert (known.replaces, known.replaced_by) == ("1.2.3.1", "1.2.3.3")


async def test_a_replacement_that_everyone_refused_replaces_nothing(store: Submissions) -> None:
    await store.register(submission(recipients=()), known_parents_only=True)
    await store.register(second(recipients=()), known_parents_only=True)
    await store.note("k2", "dmp", "refused", outcome=Outcome("Z01", positive=False, code="XDSRegistryMetadataError"))
    third = Document(b"<three/>", "1.2.3.3", "11502-2", replaces="1.2.3.1")
    await store.register(submission("k3", third, action="replace", recipients=()), known_parents_only=True)


@pytest.mark.parametrize(
    "changes, condition",
    [
        ({"sender": Sender(Person("899999999999"), Organization("1990000002"))}, "901"),
        ({"patient": Patient(ins="190076300000000", ins_oid="1.2.250.1.213.1.4.10")}, "904"),
    ],
)
async def test_another_structure_or_another_patient_changes_no_document(
    store: Submissions, changes: dict[str, Any], condition: str
) -> None:
    await store.register(submission(), known_parents_only=True)
    with pytest.raises(MessageError) as refusal:
        await store.register(second(**changes), known_parents_only=True)
    assert refusal.value.condition == condition


async def test_an_unknown_parent_is_refused_or_taken_as_the_site_says(store: Submissions) -> None:
    with pytest.raises(MessageError) as refusal:
        await store.register(second(), known_parents_only=True)
    assert refusal.value.condition == "900"
    assert await store.target("k2", "dmp") is None
    await store.register(second(), known_parents_only=False)


async def test_a_deleted_document_is_neither_replaced_nor_deleted_again(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.register(submission("k4", action="delete"), known_parents_only=True)
    known = await store.document("1.2.3.1")
    assert known is not None
    assert known.deleted
    for again in (submission("k6", action="delete"), second()):
        with pytest.raises(MessageError) as refusal:
            await store.register(again, known_parents_only=True)
        assert refusal.value.condition == "900"


async def test_an_identifier_stands_for_one_content(store: Submissions) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.register(submission("k7"), known_parents_only=True)
    with pytest.raises(MessageError) as refusal:
        await store.register(submission("k8", replace(FIRST, content=b"<other/>")), known_parents_only=True)
    assert refusal.value.condition == "205"


async def test_the_file_names_nobody(store: Submissions, tmp_path: Path) -> None:
    await store.register(submission(), known_parents_only=True)
    await store.note("k1", "mail 1", "done", outcome=Outcome("Z02", positive=True, address=ADDRESS))
    await store.remember((("1.2.250.1.213.1.4.10", INS),), Consent(feeding="IO"), 1.0)
    written = b"".join(path.read_bytes() for path in tmp_path.glob("pfi.db*"))
    assert INS.encode() not in written
    assert b"marqueur" not in written


async def test_consent_is_found_by_any_number_of_the_patient(store: Submissions) -> None:
    await store.remember(
        (("1.2.250.1.999999.1.1", "42"),), Consent(dmp="ACTIF", feeding="IO", feeding_date="20260101"), 1e9
    )
    patient = submission().patient
    assert (await store.consent(patient)).opposed
    both = (("1.2.250.1.999999.1.1", "42"), ("1.2.250.1.213.1.4.10", INS))
    await store.remember(both, Consent(feeding="INO", feeding_date="20260102"), 1e9)
    found = await store.consent(patient)
    assert (found.opposed, found.dmp) == (False, "ACTIF")
    await store.remember(both, Consent(feeding="IO", feeding_date="20251231"), 2e9)
    assert not (await store.consent(patient)).opposed
    await store.remember(both, Consent(), 3e9)
    assert (await store.consent(patient)).feeding == "INO"
    assert await store.consent(Patient(ins="1", ins_oid="2")) == Consent()


@given(
    st.permutations(
        [(day, feeding) for day, feeding in zip(range(1, 6), ("NA", "IO", "INO", "IO", "INO"), strict=True)]
    )
)
def test_whatever_order_messages_come_in_the_latest_date_counts(order: list[tuple[int, str]]) -> None:
    db = connect(Path(":memory:"), write=True)
    db.execute(SCHEMA)
    for day, feeding in order:
        remember(db, 1, Consent(feeding=feeding, feeding_date=f"2026010{day}"), 1e9 - day)
    assert latest(db, [1]).feeding == "INO"
    assert len(rows(db, "SELECT * FROM consent")) == 1


async def test_what_was_kept_before_the_site_had_a_key_is_still_read(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path, None, write=True)
    plain = Submissions(tmp_path / "pfi.db", catalog.hasher, catalog.sealer("pfi"))
    await plain.register(submission(), known_parents_only=True)
    await plain.aclose()
    catalog.close()
    catalog = Catalog(tmp_path, MasterKeys.read(MasterKeys.new_line("k1")), write=True)
    store = Submissions(tmp_path / "pfi.db", catalog.hasher, catalog.sealer("pfi"))
    target = await store.target("k1", "mail 1")
    assert target is not None
    assert target.address == ADDRESS
    await store.aclose()
    catalog.close()
