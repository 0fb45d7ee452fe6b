"""The steps of a channel cut into parts: light ones here, heavy ones in a real worker process, lookups in between.

The worker finds the lookup as it finds a third party's: through an entry point.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import apsw
import pytest

from channels import registry
from channels.asking import Lookups, Outside
from channels.channel_steps import ChannelSteps
from channels.errors import MessageError, Refused, StoreError, Undelivered, VaguemestreError, VersionNeeded
from channels.fields import Settings
from channels.lanes import Work
from channels.loader import LoadedSite, load_site
from channels.message import Message
from channels.pipeline import Pipeline, Steps
from channels.ports import Context, Surroundings
from channels.workers import Workers
from tests.channels.test_runtime import SITE

CODE = """\
from hashlib import sha256

from channels.errors import MappingError
from channels.numbering import issue_of, numbered
from channels.ports import in_worker


def light(message, context):
    return message.with_body(message.body + b"l")


@in_worker
def heavy(message, context):
    return message.with_body(message.body + b"h")


def pair(message, context):
    return [message.with_body(message.body + b"1"), message.with_body(message.body + b"2")]


@in_worker
def heavy_pair(message, context):
    return [message.with_body(message.body + b"3"), message.with_body(message.body + b"4")]


def without(message, context):
    return [] if message.body.endswith((b"2", b"4")) else message


@numbered
@in_worker
def document(message, context):
    with open(context.site.site + ".ran", "ab") as ran:
        ran.write(b"x")
    content = message.body.partition(b".")[0].decode()
    made = "00000000-0000-4000-8000-" + sha256(content.encode()).hexdigest()[:12]
    issue = issue_of(message, "report", content, made, "")
    said = f"{issue.number}{'r' if issue.replaces else ''}"
    return message.with_body(message.body + said.encode(), format="raw")
"""
STEPS = ["code.light", "code.heavy", "code.pair", "code.heavy_pair", "code.without", "ask", "ask", "ask.pair"]


class AskSettings(Settings):
    pass


class Ask:
    """Appends what it is called; raises what a test has scripted for the next question."""

    settings: type[Settings] = AskSettings
    script: ClassVar[deque[VaguemestreError | Exception | None]] = deque()
    answered: ClassVar[list[tuple[str, bytes]]] = []
    closed: ClassVar[list[str]] = []
    open: ClassVar[asyncio.Event | None] = None

    def __init__(self, settings: Any, surroundings: Surroundings) -> None:
        self.name = surroundings.name

    async def start(self) -> None:
        pass

    async def ask(self, message: Message, context: Context) -> Any:
        await asyncio.sleep(0)
        if self.open is not None:
            await self.open.wait()
        error = self.script.popleft() if self.script else None
        if error is not None:
            raise error
        self.answered.append((context.destination, message.body))
        return self.answer(message)

    def answer(self, message: Message) -> Any:
        return message.with_body(message.body + b"a")

    async def aclose(self) -> None:
        self.closed.append(self.name)


class AskPair(Ask):
    def answer(self, message: Message) -> Any:
        return [message.with_body(message.body + b"5"), message.with_body(message.body + b"6")]


class AskWrong(Ask):
    def answer(self, message: Message) -> Any:
        return None


@pytest.fixture(autouse=True)
def _third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs a distribution that has these lookups, for this process and for the workers."""
    about = tmp_path / "packages" / "lookups-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lookups\nVersion: 1.0\n")
    here = "tests.channels.test_channel_steps"
    names = {"ask": "Ask", "ask.pair": "AskPair", "ask.wrong": "AskWrong"}
    lines = "".join(f"{name} = {here}:{target}\n" for name, target in names.items())
    (about / "entry_points.txt").write_text(f"[vaguemestre.lookups]\n{lines}")
    monkeypatch.syspath_prepend(about.parent)
    monkeypatch.setattr(Ask, "open", None)
    registry.names.cache_clear()
    for kept in (Ask.script, Ask.answered, Ask.closed):
        kept.clear()
    yield
    registry.names.cache_clear()


def write(folder: Path, *channels: tuple[list[str], list[str]]) -> LoadedSite:
    """A site with a channel ``c0``, ``c1``… for each pair of steps: its own, and those of its destination."""
    for name in ("channels", "transforms"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(SITE)
    (folder / "transforms" / "code.py").write_text(CODE)
    for number, (own, far) in enumerate(channels):
        (folder / "channels" / f"c{number}.yaml").write_text(
            f"channel: c{number}\nsource: {{file: {{directory: in}}}}\ntransform: [{', '.join(own)}]\n"
            f"destinations: [{{name: far, transform: [{', '.join(far)}], file: {{directory: out}}}}]\n"
        )
    return load_site(folder)


def steps_of(loaded: LoadedSite, channel: str, workers: Workers, versions: Path | None = None) -> ChannelSteps:
    pipeline = Pipeline(loaded.channels[channel], loaded)

    def here(name: str) -> Surroundings:
        return Surroundings(loaded.site, loaded.directory, channel, name)

    lookups = Lookups(loaded.channels[channel], loaded, pipeline, here)
    return ChannelSteps(pipeline, workers, channel, lookups, versions)


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Workers]:
    made = Workers(tmp_path, 1)
    yield made
    await made.stop()


def raw(body: bytes = b"", number: int = 1) -> Message:
    return Message(body, "raw", id=number, received=1_773_144_000.0)


def expected(names: list[str], bodies: list[bytes]) -> list[bytes]:
    """What these steps make, step by step."""
    ends = {
        "code.light": ["l"], "code.heavy": ["h"], "code.pair": ["1", "2"], "code.heavy_pair": ["3", "4"],
        "ask": ["a"], "ask.pair": ["5", "6"],
    }  # fmt: skip
    for name in names:
        if name == "code.without":
            bodies = [body for body in bodies if not body.endswith((b"2", b"4"))]
        else:
            bodies = [body + end.encode() for body in bodies for end in ends[name]]
    return bodies


async def until_made(steps: ChannelSteps, work: Work) -> tuple[list[Message], int]:
    """Try as a destination does, until there is no error that may be tried again; how often that was."""
    tries = 0
    while True:
        try:
            return await steps.outputs(work, "far"), tries
        except (Undelivered, StoreError):
            tries += 1


@pytest.mark.timeout(60)
async def test_any_mixture_of_steps_gives_what_they_give_one_by_one_and_nobody_is_asked_twice(
    tmp_path: Path, pool: Workers
) -> None:
    dice = random.Random(5)
    mixtures = [
        (dice.choices(STEPS, k=dice.randint(0, 5)), dice.choices(STEPS, k=dice.randint(0, 4))) for _ in range(40)
    ]
    loaded = write(tmp_path, *mixtures)
    failures = 0
    for number, (own, far) in enumerate(mixtures):
        steps = steps_of(loaded, f"c{number}", pool)
        await steps.start()
        Ask.answered.clear()
        Ask.script.extend(dice.choices([None, Undelivered("not now"), StoreError("full")], [6, 1, 1], k=4))
        made, tries = await until_made(steps, Work(raw(b"")))
        await steps.aclose()
        Ask.script.clear()
        failures += tries
        assert [one.body for one in made] == expected(far, expected(own, [b""])), (own, far)
        assert len(Ask.answered) == len(set(Ask.answered)), (own, far)
        assert {one.id for one in made} <= {1}
    assert failures > 10


def test_parts_begin_with_steps_and_no_two_of_them_stand_together(tmp_path: Path) -> None:
    loaded = write(tmp_path, (["ask", "ask", "code.heavy", "code.light", "ask"], []), ([], ["code.light"]))
    parts = Pipeline(loaded.channels["c0"], loaded).parts()
    assert [isinstance(part, Steps) for part in parts] == [True, False, False, True, False]
    assert not any(isinstance(one, Steps) and isinstance(two, Steps) for one, two in pairwise(parts))
    assert [part.heavy for part in parts if isinstance(part, Steps)] == [False, True]
    light = Pipeline(loaded.channels["c1"], loaded)
    assert (light.waits(), light.waits("far"), light.asks) == (False, False, False)
    assert len(light.parts("far")) == 1


async def test_two_destinations_ask_once_for_what_is_common(tmp_path: Path, pool: Workers) -> None:
    loaded = write(tmp_path, (["ask"], []))
    steps = steps_of(loaded, "c0", pool)
    await steps.start()
    work = Work(raw())
    Ask.script.append(Undelivered("not now"))
    with pytest.raises(Undelivered):
        await steps.outputs(work, "far")
    one, other = await asyncio.gather(steps.outputs(work, "far"), steps.outputs(work, "far"))
    assert one == other
    assert Ask.answered == [("", b"")]
    await steps.aclose()


async def test_what_is_asked_for_nobody_any_more_ends_with_its_channel(tmp_path: Path, pool: Workers) -> None:
    loaded = write(tmp_path, (["ask"], []))
    steps = steps_of(loaded, "c0", pool)
    await steps.start()
    Ask.open = asyncio.Event()
    delivery = asyncio.create_task(steps.outputs(Work(raw()), "far"))
    await asyncio.sleep(0)
    delivery.cancel()
    await asyncio.gather(delivery, return_exceptions=True)
    await steps.aclose()
    assert Ask.answered == []
    assert Ask.closed == ["transform"]
    assert not steps._running


@pytest.mark.parametrize(
    "error, kind, problem",
    [
        (OSError("10.0.0.1 said MODELE"), Undelivered, "'ask' failed: OSError"),
        (TimeoutError(), Undelivered, "'ask' failed: TimeoutError"),
        (KeyError("MODELE"), MessageError, "'ask' failed: KeyError"),
        (Refused("no"), Refused, "no"),
    ],
)
async def test_a_lookup_that_fails_says_no_value(
    tmp_path: Path, pool: Workers, error: Exception, kind: type[Exception], problem: str
) -> None:
    loaded = write(tmp_path, (["ask"], []))
    steps = steps_of(loaded, "c0", pool)
    await steps.start()
    Ask.script.append(error)
    with pytest.raises(kind) as raised:
        await steps.outputs(Work(raw()), "far")
    assert str(raised.value) == problem
    await steps.aclose()


async def test_a_lookup_answers_with_messages(tmp_path: Path, pool: Workers) -> None:
    loaded = write(tmp_path, (["ask.wrong"], []))
    steps = steps_of(loaded, "c0", pool)
    await steps.start()
    with pytest.raises(MessageError, match=r"'ask\.wrong' failed: TypeError"):
        await steps.outputs(Work(raw()), "far")
    await steps.aclose()


def test_an_interrupt_is_no_fault_of_a_connector() -> None:
    with pytest.raises(KeyboardInterrupt), Outside("mllp"):
        raise KeyboardInterrupt


# versions of documents


class Documents:
    """A channel whose steps write documents that have versions."""

    def __init__(self, folder: Path, pool: Workers, own: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self.folder = folder
        self.steps = steps_of(write(folder, (own, [])), "c0", pool, folder / "versions.db")

    async def made(self, body: bytes) -> bytes:
        (made,), _ = await until_made(self.steps, Work(raw(body)))
        return made.body

    def runs(self) -> int:
        return len((self.folder / "essai.ran").read_bytes())

    def known(self) -> list[tuple[str, int, int]]:
        rows = apsw.Connection(str(self.folder / "versions.db")).execute("SELECT content, number, issued FROM version")
        return [(str(content), int(number), int(issued)) for content, number, issued in rows]


async def test_a_document_is_not_written_again_because_a_service_is_down(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path, pool, ["code.document", "ask"], monkeypatch)
    await documents.steps.start()
    Ask.script.extend([Undelivered("not now")] * 3)
    assert await documents.made(b"one.") == b"one.1a"
    assert documents.runs() == 2  # the first one asked for the version
    assert await documents.made(b"two.") == b"two.2ra"
    assert documents.known() == [("one", 1, 1), ("two", 2, 1)]
    await documents.steps.aclose()


async def test_a_version_that_no_service_took_is_free_again(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path, pool, ["code.document", "ask", "ask"], monkeypatch)
    await documents.steps.start()
    Ask.script.append(MessageError("no"))
    with pytest.raises(MessageError):
        await documents.made(b"one.")
    assert documents.known() == []
    assert await documents.made(b"two.") == b"two.1aa"
    await documents.steps.aclose()


async def test_a_version_that_a_service_took_is_replaced_even_if_the_next_one_refuses(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path, pool, ["code.document", "ask", "ask"], monkeypatch)
    await documents.steps.start()
    Ask.script.extend([None, Refused("no")])
    with pytest.raises(Refused):
        await documents.made(b"one.")
    assert await documents.made(b"two.") == b"two.2raa"
    await documents.steps.aclose()


async def test_a_service_before_a_numbered_step_is_asked_once(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path, pool, ["ask", "code.document"], monkeypatch)
    await documents.steps.start()
    assert await documents.made(b"one.") == b"one.a1"
    assert Ask.answered == [("", b"one.")]
    await documents.steps.aclose()


async def test_a_version_that_went_away_meanwhile_is_asked_for_again(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path, pool, ["code.document", "ask"], monkeypatch)
    await documents.steps.start()
    versions = documents.steps._versions
    assert versions is not None
    Ask.script.append(Undelivered("not now"))
    work = Work(raw(b"one."))
    with pytest.raises(Undelivered):
        await documents.steps.outputs(work, "far")
    await versions.give_back([VersionNeeded("report", "one", "", "")])
    with pytest.raises(VaguemestreError) as raised:
        await documents.steps.outputs(work, "far")
    assert raised.value.retry
    (made,) = await documents.steps.outputs(work, "far")
    assert made.body == b"one.1a"
    assert documents.runs() == 4  # both times the first run asked
    await documents.steps.aclose()


async def test_what_was_told_about_versions_stays_in_its_channel(
    tmp_path: Path, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.numbering import forgotten

    documents = Documents(tmp_path, pool, ["code.document"], monkeypatch)
    await documents.steps.start()
    (made,) = await documents.steps.outputs(Work(replace(raw(b"one."), attributes={"file": "x"})), "far")
    assert len(made.attributes) == 3
    assert forgotten(made.attributes) == {"file": "x"}
    await documents.steps.aclose()
