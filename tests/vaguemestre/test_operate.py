"""What operators type, on a running engine and on a stopped one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from channels import registry
from channels.control import ControlServer
from channels.errors import MessageError, Refused, Undelivered
from channels.journal import MasterKeys
from channels.loader import load_site
from channels.message import Message
from channels.ports import Outcome
from channels.supervisor import Supervisor
from tests.channels.probe import ProbeDestination, ProbeSource
from transforms import er7
from vaguemestre.cli import app

SITE = """site: essai
establishment: {name: Essai, finess: '990000001'}
journal: {key_file: master.key}
"""
CHANNEL = """channel: adt
source: {probe: {}}
destinations:
  - name: dpi
    retry: {first: 20ms, most: 20ms}
    breaker: {failures: 1000}
    probe: {}
  - name: sgl
    probe: {}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(registry.SOURCES, "probe", "tests.channels.probe:ProbeSource")
    monkeypatch.setitem(registry.DESTINATIONS, "probe", "tests.channels.probe:ProbeDestination")
    registry.names.cache_clear()
    folder = tmp_path / "site"
    (folder / "channels").mkdir(parents=True)
    (folder / "site.yaml").write_text(SITE)
    (folder / "channels" / "adt.yaml").write_text(CHANNEL)
    (folder / "master.key").write_text(MasterKeys.new_line("k1"))
    (folder / "master.key").chmod(0o600)
    return folder


class Engine:
    """A running engine and its control socket."""

    def __init__(self, site: Path) -> None:
        self.supervisor = Supervisor(load_site(site))
        self.control = ControlServer(self.supervisor, site / "var" / "control.sock")

    async def __aenter__(self) -> Self:
        await self.supervisor.start()
        await self.control.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.control.stop()
        await self.supervisor.stop()

    async def give(self, number: int, patient: str = "7") -> int:
        source = ProbeSource.running["adt"]
        assert source.intake is not None
        body = f"MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^A01|G{number}|P|2.5\rPID|1||{patient}^^^CH^PI\r"
        message = er7.message(body.encode(), 1_770_000_000.0 + number)
        return (await source.intake.receive(message)).id

    async def settled(self, *names: str) -> None:
        routes = self.supervisor.channels["adt"].routes
        while any(routes[name].lanes.waiting for name in names or routes):
            await asyncio.sleep(0.005)
        await self.supervisor.journal.flushed()


@pytest.fixture
async def engine(site: Path) -> AsyncIterator[Engine]:
    async with Engine(site) as running:
        yield running


async def command(*words: object, code: int = 0) -> str:
    """Type a command in another thread, as an operator beside the engine; its output."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


async def as_json(*words: object) -> Any:
    return json.loads(await command(*words, "--json"))


def received(name: str) -> list[Message]:
    return ProbeDestination.running[f"adt/{name}"].received


async def test_search_show_and_story_of_a_delivered_message(engine: Engine, site: Path) -> None:
    number = await engine.give(1)
    await engine.settled()
    [found] = await as_json("messages", "search", site, "--patient", "7")
    assert (found["id"], found["state"], found["control_id"]) == (number, "delivered", "G1")
    assert await as_json("messages", "search", site, "--patient", "8") == []
    assert (await command("messages", "show", site, number)).startswith("MSH|^~\\&|GAP")
    story = await as_json("messages", "story", site, number)
    assert {one["destination"]: one["state"] for one in story["deliveries"]} == {
        "adt/dpi": "delivered",
        "adt/sgl": "delivered",
    }
    assert "delivered" in await command("messages", "story", site, number)
    assert "G1" in await command("messages", "search", site)
    trail = await as_json("audit", site)
    assert [entry["action"] for entry in trail] == ["show", "search", "search"]
    assert "show" in await command("audit", site)


async def test_a_search_by_time_is_in_local_time(engine: Engine, site: Path) -> None:
    await engine.give(1)  # 2026-02-02 03:40:01 in Paris
    assert (
        len(await as_json("messages", "search", site, "--since", "2026-02-02T03:40", "--until", "2026-02-02T03:41"))
        == 1
    )
    assert await as_json("messages", "search", site, "--until", "2026-02-02T03:40") == []
    await command("messages", "search", site, "--since", "yesterday", code=2)


async def test_a_held_destination_waits_until_it_is_released_also_after_a_restart(site: Path) -> None:
    async with Engine(site) as engine:
        await command("queues", "hold", site, "adt/dpi", "--why", "maintenance")
        await engine.give(1)
        await engine.settled("sgl")
        rows = {row["route"]: row for row in await as_json("queues", "list", site)}
        assert (rows["adt/dpi"]["waiting"], rows["adt/dpi"]["state"]) == (1, "held")
        assert rows["adt/sgl"]["waiting"] == 0
    rows = {row["route"]: row for row in await as_json("queues", "list", site)}
    assert (rows["adt/dpi"]["waiting"], rows["adt/dpi"]["state"]) == (1, "held")
    async with Engine(site) as engine:
        assert received("dpi") == []
        await command("queues", "release", site, "adt/dpi")
        await engine.settled()
        assert len(received("dpi")) == 1


async def test_holds_and_releases_work_on_a_stopped_engine(site: Path) -> None:
    async with Engine(site):
        pass
    await command("queues", "hold", site, "adt/dpi")
    assert "held" in await command("queues", "list", site)
    await command("queues", "release", site, "adt/dpi")
    assert "held" not in await command("queues", "list", site)
    assert [entry["action"] for entry in await as_json("audit", site)] == ["release", "hold"]


async def test_a_blocked_message_can_be_skipped_and_replayed(engine: Engine, site: Path) -> None:
    ProbeDestination.running["adt/dpi"].script.extend([Undelivered("no answer")] * 5)
    blocked, following = await engine.give(1), await engine.give(2)
    await engine.settled("sgl")
    while True:  # between two tries
        result = await asyncio.to_thread(
            CliRunner().invoke, app, ["queues", "skip", str(site), "adt/dpi", str(blocked)]
        )
        if result.exit_code == 0:
            break
    ProbeDestination.running["adt/dpi"].script.clear()
    await engine.settled()
    assert [message.control_id for message in received("dpi")] == ["G2"]
    assert (await as_json("messages", "search", site, "--state", "skipped"))[0]["id"] == blocked
    assert "would send 1 messages to 1 systems" in await command("messages", "replay", site, blocked, "--to", "dpi")
    assert len(received("dpi")) == 1
    sent = await as_json("messages", "replay", site, blocked, "--to", "dpi", "--go")
    await engine.settled()
    assert [message.control_id for message in received("dpi")] == ["G2", "G1"]
    assert len(received("sgl")) == 2
    assert sent["sent_as"] == [following + 1]
    assert (await as_json("messages", "story", site, blocked))["children"] == sent["sent_as"]


async def test_a_stopped_engine_can_skip_and_replay_too(site: Path) -> None:
    async with Engine(site) as engine:
        await command("queues", "hold", site, "adt/dpi")
        first, _ = await engine.give(1), await engine.give(2)
    await command("queues", "skip", site, "adt/dpi", first)
    await command("queues", "skip", site, "adt/dpi", first, code=2)
    await command("messages", "replay", site, first, "--to", "sgl", "--go")
    await command("queues", "release", site, "adt/dpi")
    async with Engine(site) as engine:
        await engine.settled()
        assert [message.control_id for message in received("dpi")] == ["G2"]
        assert [message.control_id for message in received("sgl")] == ["G1"]


async def test_replay_chooses_by_state_and_asks_which_messages(engine: Engine, site: Path) -> None:
    await engine.give(1)
    await engine.settled()
    assert (await as_json("messages", "replay", site, "--state", "dead"))["messages"] == []
    await command("messages", "replay", site, code=2)
    await command("messages", "replay", site, 1, "--to", "nobody", code=2)
    assert "every destination took message 1" in await command("messages", "replay", site, 1, code=2)


async def test_replay_goes_by_itself_only_where_the_message_was_not_taken(engine: Engine, site: Path) -> None:
    ProbeDestination.running["adt/sgl"].script.append(Refused("answered AE"))
    number = await engine.give(1)
    await engine.settled()
    sent = await as_json("messages", "replay", site, "--state", "dead", "--go")
    await engine.settled()
    assert sent["destinations"] == ["adt/sgl"]
    assert (len(received("dpi")), len(received("sgl"))) == (1, 1)
    story = await as_json("messages", "story", site, number)
    assert (story["children"], story["state"]) == (sent["sent_as"], "replayed")
    assert (await as_json("messages", "replay", site, "--state", "dead"))["messages"] == []
    assert [one["id"] for one in await as_json("messages", "search", site, "--state", "replayed")] == [number]


async def test_a_message_can_be_repaired_and_sent_in_the_place_of_the_first(
    engine: Engine, site: Path, tmp_path: Path
) -> None:
    ProbeDestination.running["adt/sgl"].script.append(Refused("answered AE"))
    number = await engine.give(1)
    await engine.settled()
    mended = tmp_path / "mended.hl7"
    mended.write_bytes(received("dpi")[0].body.replace(b"||7^", b"||8^"))
    await command("messages", "replay", site, number, "--with", mended, "--go")
    await engine.settled()
    assert [message.body for message in received("sgl")] == [mended.read_bytes()]
    assert len(received("dpi")) == 1
    await command("messages", "replay", site, "--channel", "adt", "--with", mended, "--go", code=2)


async def test_messages_are_exported_byte_for_byte(engine: Engine, site: Path, tmp_path: Path) -> None:
    number = await engine.give(1)
    await command("messages", "export", site, tmp_path / "out")
    message = engine.supervisor.journal.load(number)
    assert message is not None
    assert (tmp_path / "out" / f"{number}.hl7").read_bytes() == message.body


async def test_what_does_not_exist_is_said(engine: Engine, site: Path) -> None:
    assert "no destination is called adt/dpo" in await command("queues", "hold", site, "adt/dpo", code=2)
    assert "no message 99" in await command("messages", "show", site, 99, code=2)
    assert "does not wait" in await command("queues", "skip", site, "adt/dpi", 99, code=2)


async def test_top_shows_channels_and_queues(engine: Engine, site: Path) -> None:
    await engine.give(1)
    await engine.settled()
    text = await command("top", site, "--once")
    assert "adt" in text
    assert "adt/dpi" in text
    state = await as_json("top", site)
    assert state["channels"][0]["destinations"]["dpi"]["delivered"] == 1


async def test_reload_says_what_changed_and_history_keeps_it(engine: Engine, site: Path) -> None:
    file = site / "channels" / "adt.yaml"
    before = file.read_text()
    file.write_text(before.replace("  - name: sgl\n", "  - name: sgl\n    filter: {message: ADT^A03}\n"))
    assert "sgl" in await command("reload", site, "--why", "less for the SGL")
    assert "nothing changed" in await command("reload", site)
    latest, first = await as_json("history", site)
    assert (latest["why"], first["why"]) == ("less for the SGL", "start")
    await command("history", site, "--restore", first["number"])
    assert file.read_text() == before
    await command("history", site, "--restore", 99, code=2)
    assert "less for the SGL" in await command("history", site)


async def test_a_reload_with_faults_says_where_and_changes_nothing(engine: Engine, site: Path) -> None:
    (site / "channels" / "adt.yaml").write_text(CHANNEL.replace("name: sgl", "name: dpi"))
    result = await asyncio.to_thread(CliRunner().invoke, app, ["reload", str(site)])
    assert result.exit_code != 0
    assert "adt.yaml:" in result.output
    await engine.give(1)
    await engine.settled()
    assert len(received("sgl")) == 1


async def test_keys_rotate_while_the_engine_runs(engine: Engine, site: Path) -> None:
    number = await engine.give(1)
    await engine.settled()
    assert "3 keys are wrapped" in await command("keys", "rotate", site)
    newest = (site / "master.key").read_text().splitlines()[0]
    assert await as_json("keys", "list", site) == {newest.partition(":")[0]: 3}
    (site / "master.key").write_text(newest + "\n")  # the old key is gone
    assert (await command("messages", "show", site, number)).startswith("MSH")


async def test_a_rotation_is_known_to_the_running_engine_so_that_the_old_key_can_go(site: Path) -> None:
    async with Engine(site) as engine:
        await engine.give(1)
        await command("keys", "rotate", site)
        newest = (site / "master.key").read_text().splitlines()[0]
        (site / "master.key").write_text(newest + "\n")
        engine.supervisor.journal._files.roll()
        await engine.give(2)
        assert await as_json("keys", "list", site) == {newest.partition(":")[0]: 4}
    async with Engine(site) as engine:
        assert (await command("messages", "show", site, 2)).startswith("MSH")


async def test_faults_in_a_channel_file_do_not_stand_in_the_way_of_operators(engine: Engine, site: Path) -> None:
    number = await engine.give(1)
    await engine.settled()
    text = (site / "channels" / "adt.yaml").read_text()
    (site / "channels" / "adt.yaml").write_text("channel: [\n")
    for words in (
        ["top", site, "--once"],
        ["queues", "list", site],
        ["messages", "story", site, number],
        ["audit", site],
    ):
        await command(*words)
    await command("queues", "hold", site, "adt/dpi")
    await command("messages", "replay", site, number, "--to", "sgl", "--go")
    assert "adt.yaml:" in (await asyncio.to_thread(CliRunner().invoke, app, ["reload", str(site)])).output
    [first] = await as_json("history", site)
    await command("history", site, "--restore", first["number"])
    assert (site / "channels" / "adt.yaml").read_text() == text


async def test_a_stuck_destination_says_why(engine: Engine, site: Path) -> None:
    ProbeDestination.running["adt/dpi"].script.extend([Undelivered("nobody listens there")] * 100_000)
    await engine.give(1)
    while "nobody" not in await command("queues", "list", site):
        await asyncio.sleep(0.01)
    assert "nobody" in await command("top", site, "--once")  # folded to the width of the terminal
    ProbeDestination.running["adt/dpi"].script.clear()
    await engine.settled()
    assert "nobody" not in await command("queues", "list", site)


async def test_a_full_disk_is_an_error_of_the_command_not_of_the_engine(engine: Engine, site: Path) -> None:
    engine.supervisor.journal.catalog._db.execute("PRAGMA max_page_count=1")
    words = ["queues", "hold", str(site), "adt/dpi", "--why", "x" * 10_000]
    while (result := await asyncio.to_thread(CliRunner().invoke, app, words)).exit_code == 0:
        pass
    assert "cannot be written" in result.output
    assert "adt/dpi" in await command("queues", "list", site)


async def test_without_an_engine_the_commands_that_need_one_say_so(site: Path) -> None:
    assert "no engine answers" in await command("top", site, "--once", code=2)
    assert "no engine answers" in await command("reload", site, code=2)


async def test_garbage_on_the_control_socket_is_answered(engine: Engine, site: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(site / "var" / "control.sock")
    for line in (
        b"\xff\xfe\n",
        b"[]\n",
        b'{"do": "nothing"}\n',
        b'{"do": "hold"}\n',
        b'{"do": "hold", "route": "x/y"}\n',
    ):
        writer.write(line)
        assert "error" in json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    assert oct((site / "var" / "control.sock").stat().st_mode & 0o777) == "0o600"


async def test_a_refused_message_that_was_repaired_and_sent_is_no_dead_letter_any_more(
    engine: Engine, site: Path, tmp_path: Path
) -> None:
    source = ProbeSource.running["adt"]
    assert source.intake is not None
    refused: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    body = b"MSH|^~\\&|GAP|CH|PFI|CH|20260310||ADT^A01|G1|P|2.5\rPID|1||7^^^CH^PI\r"
    source.intake.refuse(er7.message(body, 1_770_000_000.0), MessageError("missing", "PV1", "100"), refused.set_result)
    number = (await refused).id
    assert [one["id"] for one in await as_json("messages", "search", site, "--state", "dead")] == [number]
    mended = tmp_path / "mended.hl7"
    mended.write_bytes(body + b"PV1|1|I\r")
    await command("messages", "replay", site, number, "--with", mended, "--go")
    await engine.settled()
    assert [message.body for message in received("dpi")] == [mended.read_bytes()]
    assert await as_json("messages", "search", site, "--state", "dead") == []
    assert (await as_json("messages", "story", site, number))["state"] == "replayed"
