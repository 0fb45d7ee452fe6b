"""Worker processes: real ones, on a site whose functions do everything a site should not do."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channels.errors import MappingError, MessageError, WorkerError
from channels.loader import load_site
from channels.message import Message
from channels.pipeline import Pipeline
from channels.worker import describe, error_of, fingerprint, frame, lengths, message_of
from channels.workers import Workers

SITE = 'site: essai\nestablishment: {name: CH de Testville, finess: "990000001"}\n'
CHANNEL = """\
channel: heavy
source:
  file: {directory: in}
transform: [code.work]
destinations:
  - name: twice
    transform: [code.twice]
    file: {directory: out}
  - name: filtered
    filter: {message: ADT^A01}
    file: {directory: out}
"""
CODE = """\
import os
import signal
import sys

from channels.errors import MappingError
from channels.ports import in_worker


def act(text):
    if text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("once") and not os.path.exists(text[5:]):
        open(text[5:], "w").close()
        os.kill(os.getpid(), signal.SIGSEGV)
    if text.startswith("exit"):
        os._exit(3)
    if text.startswith("loop"):
        while True:
            pass
    if text.startswith("wait"):
        import time
        time.sleep(0.3)


@in_worker
def work(message, context):
    text = message.body.decode()
    act(text)
    if text.startswith("refuse"):
        raise MappingError("the code has no translation", "PV1-3.1")
    if text.startswith("fault"):
        return {}[text]
    if text.startswith("same"):
        return message
    told = f"{os.getpid()} {context.channel} {context.now:%Y}"
    return message.with_body(told.encode(), format="raw", charset="ascii")


@in_worker
def twice(message, context):
    print("to nowhere")
    print("to nowhere", file=sys.stderr)
    return [message.with_body(message.body + b"1"), message, message.with_body(message.body + b"2")]
"""


def write(site: Path, code: str = CODE) -> Path:
    for name in ("channels", "transforms", "in", "out"):
        (site / name).mkdir(exist_ok=True)
    (site / "site.yaml").write_text(SITE)
    (site / "channels" / "heavy.yaml").write_text(CHANNEL)
    (site / "transforms" / "code.py").write_text(code)
    return site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture
async def workers(site: Path) -> AsyncIterator[Workers]:
    pool = Workers(site, 1)
    yield pool
    await pool.stop()


def raw(body: bytes, number: int = 0) -> Message:
    return Message(body, "raw", id=number, received=1_773_144_000.0)


async def pid_of(pool: Workers) -> int:
    (made,) = await pool.run("heavy", "", raw(b"pid"))
    return int(made.body.split()[0])


async def test_a_transform_runs_in_another_process_and_gives_the_same_as_here(site: Path, workers: Workers) -> None:
    (there,) = await workers.run("heavy", "", raw(b"hello"))
    (here,) = Pipeline(load_site(site).channels["heavy"], load_site(site)).common(raw(b"hello"))
    assert there.body.split()[1:] == here.body.split()[1:] == [b"heavy", b"2026"]
    assert int(there.body.split()[0]) != os.getpid()
    assert (there.format, there.charset) == ("raw", "ascii")


async def test_a_message_keeps_all_that_it_has(workers: Workers) -> None:
    message = Message(
        b"same \x00\x0b\xff" * 10,
        "xml",
        "iso8859-15",
        "ADT^A01",
        "C1",
        "GAP|CH \udce9",
        12.5,
        42,
        (40, 41),
        {"file": "é"},
    )
    (made,) = await workers.run("heavy", "filtered", message)
    assert made.body is message.body
    for name in ("format", "charset", "kind", "control_id", "sender", "received", "id", "parents", "attributes"):
        assert getattr(made, name) == getattr(message, name)


async def test_several_messages_come_back_in_order(workers: Workers) -> None:
    message = raw(b"same", 5)
    made = await workers.run("heavy", "twice", message)
    assert [one.body for one in made] == [b"same1", b"same", b"same2"]
    assert made[1].body is message.body


async def test_a_message_that_is_filtered_out_gives_nothing(workers: Workers) -> None:
    assert await workers.run("heavy", "filtered", raw(b"x")) == []


async def test_large_bodies_pass(workers: Workers) -> None:
    body = b"same" + os.urandom(10_000_000)
    made = await workers.run("heavy", "twice", raw(body))
    assert [len(one.body) for one in made] == [10_000_005, 10_000_004, 10_000_005]


async def test_an_error_comes_back_as_it_was_raised(workers: Workers) -> None:
    with pytest.raises(MappingError) as refused:
        await workers.run("heavy", "", raw(b"refuse"))
    assert (refused.value.place, refused.value.condition) == ("PV1-3.1", "103")
    assert await pid_of(workers)


async def test_a_fault_of_the_sites_code_is_an_error_of_the_message_without_its_values(workers: Workers) -> None:
    with pytest.raises(MessageError) as refused:
        await workers.run("heavy", "", raw(b"fault SECRET"))
    assert "SECRET" not in str(refused.value)


async def test_a_fault_outside_the_sites_code_tells_its_place_and_ends_the_process(workers: Workers) -> None:
    before = await pid_of(workers)
    with pytest.raises(MessageError, match=r"KeyError at worker\.py:\d+"):
        await workers.run("unknown", "", raw(b"x"))
    assert await pid_of(workers) != before


async def test_a_process_that_dies_is_replaced_and_its_message_tried_again(workers: Workers, tmp_path: Path) -> None:
    before = await pid_of(workers)
    message = raw(b"once " + str(tmp_path / "mark").encode())
    with pytest.raises(WorkerError, match="its worker process died"):
        await workers.run("heavy", "", message)
    (made,) = await workers.run("heavy", "", message)
    assert int(made.body.split()[0]) != before


@pytest.mark.parametrize("body", [b"die", b"exit"])
async def test_a_message_that_kills_three_times_cannot_pass(workers: Workers, body: bytes) -> None:
    for _ in range(2):
        with pytest.raises(WorkerError):
            await workers.run("heavy", "", raw(body, 9))
    with pytest.raises(MessageError, match="its worker process died, 3 times"):
        await workers.run("heavy", "", raw(body, 9))
    with pytest.raises(WorkerError):  # a replay begins anew
        await workers.run("heavy", "", raw(body, 9))


async def test_only_the_message_that_killed_is_blamed(workers: Workers) -> None:
    await workers.start()
    second: object = None
    for _ in range(3):
        jobs = [workers.run("heavy", "", raw(body, number)) for number, body in ((1, b"wait"), (2, b"die"), (3, b"ok"))]
        first, second, third = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(first, list)
        assert not isinstance(third, MessageError)
    assert isinstance(second, MessageError)


async def test_a_job_that_takes_too_long_is_ended(site: Path) -> None:
    pool = Workers(site, 1, limit=0.2)
    try:
        with pytest.raises(WorkerError, match=r"took longer than 0\.2 s"):
            await pool.run("heavy", "", raw(b"loop"))
        assert await pid_of(pool)
    finally:
        await pool.stop()


async def test_many_jobs_share_the_processes(site: Path) -> None:
    pool = Workers(site, 2)
    try:
        await asyncio.gather(*(pool.run("heavy", "", raw(b"wait")) for _ in range(8)))
        results = await asyncio.gather(*(pool.run("heavy", "", raw(b"pid", number)) for number in range(20)))
        assert len({made[0].body.split()[0] for made in results}) == 2
    finally:
        await pool.stop()


async def test_a_process_is_replaced_after_many_jobs(site: Path) -> None:
    pool = Workers(site, 1, recycle=3)
    try:
        seen = [await pid_of(pool) for _ in range(3)]
        assert len(set(seen)) == 1
        while await pid_of(pool) == seen[0]:
            await asyncio.sleep(0.01)
    finally:
        await pool.stop()


async def test_a_process_works_on_while_its_replacement_cannot_start(site: Path) -> None:
    pool = Workers(site, 1, recycle=2)
    try:
        before = await pid_of(pool)
        (site / "site.yaml").write_text("broken: [")
        assert [await pid_of(pool) for _ in range(6)] == [before] * 6
    finally:
        await pool.stop()


async def test_the_files_that_the_engine_runs_are_those_that_workers_run(site: Path, workers: Workers) -> None:
    await workers.start()
    write(site, CODE.replace("context.channel}", "context.channel}!"))
    with pytest.raises(WorkerError):
        await workers.run("heavy", "", raw(b"die"))
    with pytest.raises(WorkerError, match="no longer those that the engine runs"):
        await workers.run("heavy", "", raw(b"hello"))
    await workers.reload()
    (made,) = await workers.run("heavy", "", raw(b"hello"))
    assert made.body.split()[1] == b"heavy!"


async def test_the_first_process_too_reads_the_site_that_the_engine_runs(site: Path) -> None:
    pool = Workers(site, 1, expected=fingerprint(load_site(site)))
    write(site, CODE + "\n")
    with pytest.raises(WorkerError, match="no longer those that the engine runs"):
        await pool.run("heavy", "", raw(b"hello"))
    await pool.reload(fingerprint(load_site(site)))
    assert await pid_of(pool)
    await pool.stop()


async def test_who_leaves_the_queue_gives_its_turn_away(site: Path) -> None:
    pool = Workers(site, 1)
    await pool.start()
    jobs = [asyncio.create_task(pool.run("heavy", "", raw(b"wait", number))) for number in range(6)]
    while len(pool._queue) < 4:
        await asyncio.sleep(0)
    jobs[2].cancel()
    done = await asyncio.gather(*jobs, return_exceptions=True)
    assert [isinstance(one, list) for one in done] == [True, True, False, True, True, True]
    await pool.stop()


async def test_a_reload_lets_jobs_end(workers: Workers) -> None:
    await workers.start()
    before = await pid_of(workers)
    job = asyncio.create_task(workers.run("heavy", "", raw(b"wait")))
    await asyncio.sleep(0)
    await workers.reload()
    (made,) = await job
    assert int(made.body.split()[0]) == before
    assert await pid_of(workers) != before


async def test_a_site_that_cannot_be_read_is_told(site: Path, workers: Workers) -> None:
    (site / "channels" / "heavy.yaml").write_text("channel: heavy\n")
    with pytest.raises(WorkerError, match=r"heavy\.yaml"):
        await workers.run("heavy", "", raw(b"x"))
    with pytest.raises(WorkerError, match="could not read the site"):
        await workers.start()


async def test_a_process_that_dies_at_the_start_is_told(site: Path) -> None:
    write(site, "import os\nos._exit(1)\n")
    pool = Workers(site, 1)
    with pytest.raises(WorkerError, match="ended before it was ready"):
        await pool.run("heavy", "", raw(b"x"))
    await pool.stop()


async def test_who_asked_may_leave(workers: Workers) -> None:
    await workers.start()
    job = asyncio.create_task(workers.run("heavy", "", raw(b"wait")))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await pid_of(workers)


async def test_a_stop_ends_every_process_and_every_job(site: Path) -> None:
    pool = Workers(site, 1)
    pid = await pid_of(pool)
    job = asyncio.create_task(pool.run("heavy", "", raw(b"loop")))
    await asyncio.sleep(0)
    await pool.stop()
    with pytest.raises(WorkerError):
        await job
    with pytest.raises(WorkerError, match="the engine is stopping"):
        await pool.run("heavy", "", raw(b"x"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await pool.stop()


async def test_a_stop_while_a_process_starts_leaves_none(site: Path) -> None:
    pool = Workers(site, 1)
    job = asyncio.create_task(pool.run("heavy", "", raw(b"x")))
    await asyncio.sleep(0.05)
    await pool.stop()
    with pytest.raises(WorkerError):
        await job


async def test_ctrl_c_is_not_for_workers(workers: Workers) -> None:
    pid = await pid_of(workers)
    os.kill(pid, signal.SIGINT)
    assert await pid_of(workers) == pid


def test_a_frame_says_its_lengths() -> None:
    start, *bodies = frame({"a": 1}, [b"xyz", b"12"])
    assert lengths(start[:12]) == (len(start) - 12, 5)
    assert bodies == [b"xyz", b"12"]


def test_an_error_of_a_class_of_the_sites_own_comes_back_as_its_nearest() -> None:
    class Local(MappingError):
        pass

    made = error_of(describe(Local("no", "PID-3")))
    assert type(made) is MappingError
    assert isinstance(error_of({"class": "Undelivered", "problem": "later"}), WorkerError)


def test_the_state_of_a_site_has_a_fingerprint(site: Path) -> None:
    before = fingerprint(load_site(site))
    assert before == fingerprint(load_site(site))
    write(site, CODE + "\n")
    assert fingerprint(load_site(site)) != before


def test_a_message_is_what_its_fields_say() -> None:
    fields = {"format": "raw", "charset": "ascii", "kind": "", "control_id": "", "sender": "", "received": 0.0, "id": 1}
    assert message_of({**fields, "parents": [3], "attributes": {}}, b"x").parents == (3,)
