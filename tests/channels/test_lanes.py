"""Order inside lanes, lanes side by side, retries, the circuit breaker, queues longer than memory."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import lanes as lanes_module
from channels.lanes import Entry, Lanes, Work
from channels.message import Message
from channels.model import Breaker, DestinationModel, Queue, Retry
from channels.retry import delay, trial_delay

QUICK = Retry(first="1ms", most="2ms", jitter=0.0)


def model(**more: object) -> DestinationModel:
    return DestinationModel(name="dpi", connector="mllp", **{"retry": QUICK, "breaker": Breaker(failures=1000), **more})


class Store:
    """What the journal holds for the queue."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, tuple[int, ...]]] = []
        self.reads = 0

    def pending(self, route: str, after: int, limit: int) -> list[tuple[int, tuple[int, ...]]]:
        self.reads += 1
        return [row for row in self.rows if row[0] > after][:limit]


def add(queue: Lanes, number: int, *lanes: int) -> Entry | None:
    return queue.add(number, lanes, Work(Message(b"x" * 10)))


async def take(queue: Lanes) -> int:
    return (await asyncio.wait_for(queue.next(), 5)).id


async def nothing_goes(queue: Lanes) -> bool:
    try:
        await asyncio.wait_for(queue.next(), 0.02)
    except TimeoutError:
        return True
    return False


async def test_one_lane_hands_out_one_at_a_time_in_order() -> None:
    queue = Lanes("c/d", model(), Store(), 0)
    add(queue, 1, 7)
    add(queue, 2, 7)
    first = await queue.next()
    assert first.id == 1
    assert await nothing_goes(queue)
    queue.done(first, reached=True)
    assert await take(queue) == 2


async def test_other_lanes_do_not_wait() -> None:
    queue = Lanes("c/d", model(), Store(), 0)
    add(queue, 1, 7)
    add(queue, 2, 8)
    assert [await take(queue), await take(queue)] == [1, 2]


async def test_strict_order_is_one_lane() -> None:
    queue = Lanes("c/d", model(order="strict"), Store(), 0)
    add(queue, 1, 7)
    add(queue, 2, 8)
    assert await take(queue) == 1
    assert await nothing_goes(queue)


async def test_a_merge_waits_for_both_patients_and_both_wait_for_it() -> None:
    queue = Lanes("c/d", model(), Store(), 0)
    add(queue, 1, 7)
    add(queue, 2, 8)
    add(queue, 3, 7, 8)
    add(queue, 4, 7)
    add(queue, 5, 8)
    one, two = await queue.next(), await queue.next()
    queue.done(one, reached=True)
    assert await nothing_goes(queue)
    queue.done(two, reached=True)
    merge = await queue.next()
    assert merge.id == 3
    assert await nothing_goes(queue)
    queue.done(merge, reached=True)
    assert {await take(queue), await take(queue)} == {4, 5}


async def test_a_failed_delivery_keeps_its_place_and_others_pass_in_other_lanes() -> None:
    queue = Lanes("c/d", model(retry=Retry(first="50ms", most="50ms", jitter=0.0)), Store(), 0)
    for number, lane in ((1, 7), (2, 7), (3, 8)):
        add(queue, number, lane)
    first = await queue.next()
    queue.again(first)
    third = await queue.next()
    assert third.id == 3
    queue.done(third, reached=False)
    assert await take(queue) == 1
    assert first.attempts == 1


async def test_an_open_circuit_lets_one_try_at_a_time_and_closes_when_one_succeeds() -> None:
    settings = model(breaker=Breaker(failures=2, wait="30ms"), retry=Retry(first="1ms", most="1ms", jitter=0.0))
    queue = Lanes("c/d", settings, Store(), 0)
    for number in range(1, 6):
        add(queue, number, number)
    first, second = await queue.next(), await queue.next()
    queue.again(first)
    queue.again(second)
    assert queue.state()["circuit_open"]
    assert await nothing_goes(queue)
    trial = await queue.next()
    assert await nothing_goes(queue)  # one trial at a time
    queue.done(trial, reached=True)
    assert not queue.state()["circuit_open"]
    assert len({await take(queue) for _ in range(4)}) == 4


async def test_a_held_queue_keeps_everything_until_it_is_released() -> None:
    queue = Lanes("c/d", model(), Store(), 0)
    queue.held = True
    add(queue, 1, 7)
    assert await nothing_goes(queue)
    waiting = asyncio.create_task(queue.next())
    await asyncio.sleep(0)
    queue.release()
    assert (await waiting).id == 1


async def test_release_tries_at_once_what_waits_for_a_retry() -> None:
    queue = Lanes("c/d", model(retry=Retry(first="60000ms", most="60000ms", jitter=0.0)), Store(), 0)
    add(queue, 1, 7)
    queue.again(await queue.next())
    assert await nothing_goes(queue)
    queue.release()
    assert await take(queue) == 1


async def test_a_waiting_delivery_can_be_skipped_but_not_one_under_way() -> None:
    queue = Lanes("c/d", model(), Store(), 0)
    for number, lane in ((1, 7), (2, 7), (3, 7), (4, 8)):
        add(queue, number, lane)
    first = await queue.next()
    assert not queue.skip(1)
    assert queue.skip(2)
    assert queue.skip(4)
    assert not queue.skip(99)
    queue.done(first, reached=True)
    assert await take(queue) == 3
    assert queue.waiting == 1


async def test_bodies_beyond_the_budget_stay_on_disk() -> None:
    queue = Lanes("c/d", model(queue=Queue(memory="15B")), Store(), 0)
    entries = [add(queue, number, 7) for number in range(1, 5)]
    assert [entry is not None and entry.work is not None for entry in entries] == [True, True, False, False]


async def test_a_queue_longer_than_the_window_is_read_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "WINDOW", 8)
    monkeypatch.setattr(lanes_module, "_REFILL_BELOW", 2)
    store = Store()
    queue = Lanes("c/d", model(), store, 0)
    for number in range(1, 51):
        store.rows.append((number, (number % 3,)))
        add(queue, number, number % 3)
    assert queue.waiting == 50
    assert queue._known <= 8
    seen: dict[int, list[int]] = {}
    for _ in range(50):
        entry = await asyncio.wait_for(queue.next(), 5)
        seen.setdefault(entry.lanes[0], []).append(entry.id)
        queue.done(entry, reached=True)
    assert queue.waiting == 0
    assert sorted(number for numbers in seen.values() for number in numbers) == list(range(1, 51))
    assert all(numbers == sorted(numbers) for numbers in seen.values())


async def test_what_the_journal_holds_at_the_start_goes_first() -> None:
    store = Store()
    store.rows = [(1, (7,)), (2, (7,))]
    queue = Lanes("c/d", model(), store, 2)
    add(queue, 3, 7)
    store.rows.append((3, (7,)))
    got = []
    for _ in range(3):
        entry = await asyncio.wait_for(queue.next(), 5)
        got.append(entry.id)
        queue.done(entry, reached=True)
    assert got == [1, 2, 3]
    assert queue.waiting == 0


async def test_a_message_read_from_the_journal_is_not_queued_twice() -> None:
    store = Store()
    store.rows = [(1, (7,))]
    queue = Lanes("c/d", model(), store, 1)
    queue.refill()
    assert add(queue, 1, 7) is None
    entry = await queue.next()
    queue.done(entry, reached=True)
    assert await nothing_goes(queue)


@given(
    st.lists(st.sets(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(0, 999),
)
def test_whatever_the_lanes_and_failures_order_holds_in_each(works: list[set[int]], parallel: int, seed: int) -> None:
    """Several tasks, random failures, merges over up to three lanes: each lane sees its messages once, in order."""
    chance = random.Random(seed)
    ended: list[tuple[int, tuple[int, ...]]] = []
    busy: set[int] = set()

    async def worker(queue: Lanes) -> None:
        while True:
            entry = await queue.next()
            assert not busy & set(entry.lanes)
            busy.update(entry.lanes)
            await asyncio.sleep(0)
            busy.difference_update(entry.lanes)
            if chance.random() < 0.3:
                queue.again(entry)
            else:
                ended.append((entry.id, entry.lanes))
                queue.done(entry, reached=True)

    async def run() -> None:
        queue = Lanes("c/d", model(), Store(), 0)
        tasks = [asyncio.create_task(worker(queue)) for _ in range(parallel)]
        for number, lanes in enumerate(works, 1):
            add(queue, number, *sorted(lanes))
        while len(ended) < len(works):
            for task in tasks:
                assert not task.done()
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert queue.waiting == queue.in_flight == queue._known == queue._memory == 0

    asyncio.run(run())
    for lane in range(5):
        numbers = [number for number, lanes in ended if lane in lanes]
        assert numbers == [number for number, lanes in enumerate(works, 1) if lane in lanes]


def test_back_off_grows_to_its_ceiling_and_jitter_only_shortens() -> None:
    retry = Retry(first="1000ms", factor=2.0, most="10000ms", jitter=0.5)
    assert [delay(retry, n, lambda: 0.0) for n in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]
    assert delay(retry, 1, lambda: 0.999) == pytest.approx(0.5, abs=0.01)


def test_a_circuit_stays_open_longer_each_time() -> None:
    breaker, retry = Breaker(failures=1, wait="5000ms"), Retry(most="60000ms")
    assert [trial_delay(breaker, retry, n) for n in (1, 2, 3, 9)] == [5, 10, 20, 60]


async def test_what_was_read_from_disk_is_kept_for_the_next_try_when_its_steps_have_begun_and_there_is_room() -> None:
    store = Store()
    store.rows = [(1, (7,)), (2, (8,)), (3, (9,))]
    queue = Lanes("c/d", model(queue=Queue(memory="30B")), store, 3)
    kept = []
    for begun in (True, False, True):
        entry = await queue.next()
        work = Work(Message(b"x" * 20))
        work.runs = {"": []} if begun else None
        queue.again(entry, work)
        kept.append((entry, entry.work is work))
    assert [one for _, one in kept] == [True, False, False], "the second has no steps, the third no room"
    for _ in kept:
        entry = await queue.next()
        queue.done(entry, reached=True)
    assert (queue.waiting, queue.in_flight, queue._memory, queue._out) == (0, 0, 0, 0)
