"""A corrected report replaces the one before: the engine remembers versions, whatever happens to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from lxml import etree

from channels.errors import MappingError, StoreError, VersionNeeded, WorkerError
from channels.loader import load_site
from channels.message import Message
from channels.numbering import REMEMBERED, Issue, issue_of, told
from channels.pipeline import Pipeline
from channels.supervisor import Supervisor
from channels.versions import Versions
from channels.worker import describe, error_of
from tests.transforms.laboratory import LABORATORY, edited
from transforms import er7

A, B, C = (f"{number:08d}-0000-4000-8000-000000000000" for number in range(3))


def need(content: str, document: str = A, series: str = "report", note: str = "") -> VersionNeeded:
    return VersionNeeded(series, content, document, note)


@pytest.fixture
async def versions(tmp_path: Path) -> AsyncIterator[Versions]:
    made = Versions(tmp_path / "versions.db")
    yield made
    made.close()


Said = tuple[int, str, str, str]


def parts(issue: Issue | None) -> Said:
    assert issue is not None
    return issue.number, issue.document, issue.replaces, issue.before


async def passed(
    versions: Versions, message: Message, steps: Callable[[Message], Awaitable[list[Message]]]
) -> list[Message]:
    """Run steps as a channel does: what they make may leave, or nothing of it may."""
    needs: list[VersionNeeded] = []
    try:
        made = await versions.run(message, steps, needs)
    except MappingError:
        await versions.give_back(needs)
        raise
    if not await versions.issue(needs):
        raise WorkerError("given back meanwhile")
    return made


async def issued(versions: Versions, content: str, document: str = A, note: str = "") -> Said:
    """Pass a message whose one step asks for the version of this content."""
    found: list[Said] = []

    async def steps(message: Message) -> list[Message]:
        found.append(parts(issue_of(message, "report", content, document, note)))
        return [message]

    await passed(versions, Message(b""), steps)
    return found[0]


async def test_versions_count_and_each_replaces_the_one_before(versions: Versions) -> None:
    assert await issued(versions, "one", A, "first") == (1, A, "", "")
    assert await issued(versions, "two", B, "second") == (2, B, A, "first")
    assert await issued(versions, "three", C) == (3, C, B, "second")


async def test_the_same_content_is_the_same_version_even_after_another(versions: Versions, tmp_path: Path) -> None:
    first, second = await issued(versions, "one", A), await issued(versions, "two", B)
    assert await issued(versions, "one", A) == first
    again = Versions(tmp_path / "versions.db")
    assert await issued(again, "two", B) == second
    again.close()


async def test_another_content_under_the_same_header_is_another_document(versions: Versions) -> None:
    first, second = await issued(versions, "one", A), await issued(versions, "two", A)
    assert (second[0], second[2]) == (2, first[1])
    assert second[1] != first[1]


async def test_reports_do_not_share_their_numbers(versions: Versions) -> None:
    await issued(versions, "one")
    assert (await versions.reserve(need("one", series="other"))).number == 1


async def test_a_message_that_cannot_pass_gives_its_number_back(versions: Versions) -> None:
    async def steps(message: Message) -> list[Message]:
        issue_of(message, "report", "bad", A, "")
        raise MappingError("no", "OBX-6")

    with pytest.raises(MappingError):
        await passed(versions, Message(b""), steps)
    assert await issued(versions, "good", B) == (1, B, "", "")


async def test_a_version_that_was_issued_is_never_given_back(versions: Versions) -> None:
    await issued(versions, "one", A)

    async def steps(message: Message) -> list[Message]:
        issue_of(message, "report", "one", A, "")
        raise MappingError("another destination refuses it", "")

    with pytest.raises(MappingError):
        await passed(versions, Message(b""), steps)
    assert (await issued(versions, "two", B))[2] == A


async def test_a_version_reserved_before_a_crash_is_found_again_and_replaced_only_if_issued(versions: Versions) -> None:
    await versions.reserve(need("lost", A))
    assert await issued(versions, "next", B) == (2, B, "", "")
    assert await issued(versions, "lost", A) == (1, A, "", "")


async def test_a_version_given_back_by_another_destination_meanwhile_is_tried_again(versions: Versions) -> None:
    async def fails(message: Message) -> list[Message]:
        issue_of(message, "report", "one", A, "")
        raise MappingError("no", "")

    async def steps(message: Message) -> list[Message]:
        issue_of(message, "report", "one", A, "")
        with pytest.raises(MappingError):
            await passed(versions, Message(b""), fails)
        return [message]

    with pytest.raises(WorkerError):
        await passed(versions, Message(b""), steps)
    assert (await issued(versions, "one", A))[0] == 1


async def test_a_transform_that_does_not_listen_is_stopped(versions: Versions) -> None:
    async def steps(message: Message) -> list[Message]:
        raise need("one")

    with pytest.raises(WorkerError, match="twice"):
        await passed(versions, Message(b""), steps)


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    versions = Versions(tmp_path / "absent" / "versions.db")
    with pytest.raises(StoreError):
        await issued(versions, "one")
    versions.close()


async def test_many_at_once_have_different_numbers(versions: Versions) -> None:
    found = await asyncio.gather(
        *(issued(versions, f"c{n}", f"{n:08d}-0000-4000-8000-000000000000") for n in range(20))
    )
    assert sorted(one[0] for one in found) == list(range(1, 21))


def test_without_memory_there_is_no_version() -> None:
    assert issue_of(Message(b""), "report", "one", A, "") is None


def test_what_is_asked_crosses_processes() -> None:
    asked = error_of(describe(need("one", note="n")))
    assert isinstance(asked, VersionNeeded)
    assert (asked.series, asked.content, asked.document, asked.note) == ("report", "one", A, "n")
    message = told(Message(b"", attributes={REMEMBERED: "yes"}), need("one"), Issue(2, B, A, "x"))
    assert parts(issue_of(message, "report", "one", A, "")) == (2, B, A, "x")


def test_a_pipeline_knows_whether_it_writes_versions(tmp_path: Path) -> None:
    site(tmp_path)
    loaded = load_site(tmp_path)
    assert Pipeline(loaded.channels["oru"], loaded).numbered


# the whole engine


def site(directory: Path, extra: str = "") -> None:
    (directory / "channels").mkdir(parents=True, exist_ok=True)
    about = {
        "site": "essai",
        "establishment": {"name": "Essai", "finess": "990000001"},
        "ins_domain": "test",
        "laboratory": LABORATORY,
    }
    (directory / "site.yaml").write_text(json.dumps(about))
    (directory / "channels" / "oru.yaml").write_text(
        "channel: oru\nsource: {mllp: {listen: '127.0.0.1:0'}}\ntransform: [cda.cr_bio]\n"
        "destinations: [{name: dmp, file: {directory: out, name: '{control_id}-{id}.xml'}}]\n" + extra
    )


async def run(directory: Path, *messages: Message, wait: int) -> list[dict[str, Any]]:
    """Start the engine, give it messages, wait for so many documents; what they say of their versions."""
    engine = Supervisor(load_site(directory))
    await engine.start()
    try:
        for message in messages:
            await engine.channels["oru"].receive(message)
        lanes = engine.channels["oru"].routes["dmp"].lanes
        while lanes.waiting:
            await asyncio.sleep(0.01)
        sent = sorted((directory / "out").glob("*.xml"), key=lambda file: int(file.stem.rpartition("-")[2]))
        assert len(sent) == wait
        return [said(file.read_bytes()) for file in sent]
    finally:
        await engine.stop()


def said(body: bytes) -> dict[str, Any]:
    root = etree.fromstring(body)

    def value(path: str) -> str:
        found = root.xpath(f"string({path})", namespaces={"c": "urn:hl7-org:v3"})
        return str(found)

    return {
        "number": value("/*/c:versionNumber/@value"),
        "id": value("/*/c:id/@root"),
        "set": value("/*/c:setId/@root"),
        "replaces": value("/*/c:relatedDocument/c:parentDocument/c:id/@root"),
    }


def oru(control_id: str, value: str, status: str = "F") -> Message:
    return er7.message(
        edited("oru_with_pdf", ("MSH", 10, control_id), ("OBX[1]", 5, value), ("OBX[1]", 11, status)).body
    )


@pytest.mark.timeout(40)
async def test_a_corrected_report_replaces_the_one_before_also_after_a_restart(tmp_path: Path) -> None:
    site(tmp_path)
    first, second = await run(tmp_path, oru("M1", "^5"), oru("M2", "^6", "C"), wait=2)
    assert (first["number"], first["replaces"]) == ("1", "")
    assert (second["number"], second["replaces"], second["set"]) == ("2", first["id"], first["set"])
    third = (await run(tmp_path, oru("M3", "^7", "C"), wait=3))[-1]
    assert (third["number"], third["replaces"]) == ("3", second["id"])


@pytest.mark.timeout(40)
async def test_a_resend_that_the_edge_does_not_know_is_the_same_document(tmp_path: Path) -> None:
    site(tmp_path, "duplicates: {remember: 0}\n")
    first, second, again = await run(tmp_path, oru("M1", "^5"), oru("M2", "^6", "C"), oru("M1", "^5"), wait=3)
    assert again == first
    assert second["number"] == "2"


@pytest.mark.timeout(40)
async def test_a_final_result_cannot_become_preliminary_in_the_next_version(tmp_path: Path) -> None:
    site(tmp_path)
    documents = await run(tmp_path, oru("M1", "^5"), oru("M2", "^6", "P"), oru("M3", "^6", "C"), wait=2)
    assert [one["number"] for one in documents] == ["1", "2"]
    assert documents[1]["replaces"] == documents[0]["id"]


async def test_the_file_holds_no_patient_data(tmp_path: Path, versions: Versions) -> None:
    await issued(versions, "one", note="abc F")
    columns = apsw.Connection(str(tmp_path / "versions.db")).execute("SELECT * FROM version").fetchall()
    assert columns == [("report", 1, "one", A, "abc F", 1)]
