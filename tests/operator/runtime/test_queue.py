import asyncio
from typing import Any

import pytest

from ringfence_operator.runtime.queue import PATIENCE, Backoff, QueueClosedError, WorkQueue
from tests.operator.runtime.clock import FakeClock


def make_queue(clock: FakeClock, **options: Any) -> WorkQueue[str]:
    return WorkQueue(clock=clock, call_later=clock.call_later, **options)


def take_all(queue: WorkQueue[str]) -> list[str]:
    taken = []
    while (key := queue.get_nowait()) is not None:
        taken.append(key)
        queue.done(key)
    return taken


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_keys_come_out_in_the_order_in_which_they_were_added(clock: FakeClock) -> None:
    queue = make_queue(clock)

    for key in "cab":
        queue.add(key)

    assert take_all(queue) == ["c", "a", "b"]


def test_a_key_added_twice_is_worked_on_once(clock: FakeClock) -> None:
    queue = make_queue(clock)

    queue.add("a")
    queue.add("a")

    assert len(queue) == 1
    assert take_all(queue) == ["a"]


def test_a_lower_priority_number_comes_first(clock: FakeClock) -> None:
    queue = make_queue(clock)

    queue.add("bookkeeping", priority=1)
    queue.add("urgent")

    assert take_all(queue) == ["urgent", "bookkeeping"]


def test_a_waiting_key_moves_up_when_it_becomes_urgent(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add("a", priority=2)
    queue.add("b", priority=1)

    queue.add("a", priority=0)

    assert take_all(queue) == ["a", "b"]


def test_a_flood_of_urgent_keys_does_not_starve_the_others(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add("bookkeeping", priority=1)

    clock.advance(PATIENCE + 0.1)
    queue.add("late but urgent")

    assert take_all(queue) == ["bookkeeping", "late but urgent"]


def test_a_key_that_is_being_worked_on_is_given_to_nobody_else(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add("a")
    assert queue.get_nowait() == "a"

    queue.add("a")

    assert queue.get_nowait() is None


def test_a_key_added_during_its_pass_comes_again_after_it(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add("a")
    queue.get_nowait()
    queue.add("a")

    queue.done("a")

    assert take_all(queue) == ["a"]


def test_a_delayed_key_is_ready_when_its_time_has_come(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add_after("a", 10.0)

    clock.advance(9.9)
    early = take_all(queue)
    clock.advance(0.1)

    assert early == []
    assert take_all(queue) == ["a"]


@pytest.mark.parametrize("delays", [(10.0, 5.0), (5.0, 10.0)])
def test_of_two_delays_the_earlier_time_holds(clock: FakeClock, delays: tuple[float, float]) -> None:
    queue = make_queue(clock)
    for delay in delays:
        queue.add_after("a", delay)

    clock.advance(5.0)
    first = take_all(queue)
    clock.advance(60.0)

    assert first == ["a"]
    assert take_all(queue) == []


def test_moving_a_delay_forward_again_and_again_leaves_no_pile_of_old_ones(clock: FakeClock) -> None:
    queue = make_queue(clock)

    for n in range(10_000):
        queue.add_after("a", 20_000.0 - n)

    assert len(queue._due_heap) < 100
    clock.advance(20_000.0)
    assert take_all(queue) == ["a"]


def test_failures_double_the_delay_up_to_the_ceiling_and_success_resets_it(clock: FakeClock) -> None:
    queue = make_queue(clock, backoff=Backoff(base=1.0, ceiling=5.0, jitter=lambda: 0.0))

    delays = [queue.retry("a") for _ in range(4)]
    queue.forget("a")

    assert delays == [1.0, 2.0, 4.0, 5.0]
    assert queue.retry("a") == 1.0


def test_jitter_shortens_a_delay_by_half_at_most() -> None:
    assert Backoff(base=2.0, jitter=lambda: 1.0).delay(1) == 1.0


def test_a_backoff_of_many_failures_stays_finite() -> None:
    assert Backoff(ceiling=60.0, jitter=lambda: 0.0).delay(100_000) == 60.0


async def test_get_waits_until_a_key_is_added(clock: FakeClock) -> None:
    queue = make_queue(clock)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)

    queue.add("a")

    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_get_wakes_when_a_delayed_key_is_due(clock: FakeClock) -> None:
    queue = make_queue(clock)
    queue.add_after("later", 60.0)
    queue.add_after("a", 5.0)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)

    clock.advance(5.0)

    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_a_delayed_key_comes_by_real_time_too() -> None:
    queue: WorkQueue[str] = WorkQueue()

    queue.add_after("a", 0.01)

    assert await asyncio.wait_for(queue.get(), 1) == "a"
    queue.close()


async def test_a_worker_that_gives_up_waiting_leaves_its_key_to_another(clock: FakeClock) -> None:
    queue = make_queue(clock)
    quitter, stayer = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)

    queue.add("a")
    quitter.cancel()

    assert await asyncio.wait_for(stayer, 1) == "a"


async def test_closing_ends_those_who_wait_and_lets_nothing_out(clock: FakeClock) -> None:
    queue = make_queue(clock)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)

    queue.close()
    queue.add("a")

    with pytest.raises(QueueClosedError):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(QueueClosedError):
        await queue.get()


def test_the_ages_of_passes_under_way_are_known(clock: FakeClock) -> None:
    queue = make_queue(clock)
    for key in "ab":
        queue.add(key)
        queue.get_nowait()
        clock.advance(2.0)

    assert queue.unfinished_seconds() == 6.0
    assert queue.longest_seconds() == 4.0


def test_an_empty_queue_has_no_ages(clock: FakeClock) -> None:
    queue = make_queue(clock)

    assert queue.unfinished_seconds() == queue.longest_seconds() == 0.0


def test_a_queue_without_passes_has_none_that_is_younger_than_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue()

    assert {queue.longest_seconds() for _ in range(1_000)} == {0.0}
