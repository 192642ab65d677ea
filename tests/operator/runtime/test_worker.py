import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog

from ringfence_operator.errors import ConflictError, NotLeaderError, TerminalError, UnavailableError
from ringfence_operator.runtime.queue import Backoff, WorkQueue
from ringfence_operator.runtime.worker import Instruments, Pace, work
from tests.operator.runtime.clock import FakeClock


class Results:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def finished(self, result: str, seconds: float) -> None:  # noqa: ARG002
        self.seen.append(result)


class UnderWay:
    """Counts the passes that have begun and not ended."""

    def __init__(self) -> None:
        self.number = 0

    def added(self) -> None: ...

    def retried(self) -> None: ...

    def started(self, waited: float) -> None:  # noqa: ARG002
        self.number += 1

    def finished(self, worked: float) -> None:  # noqa: ARG002
        self.number -= 1


class Bench:
    """A queue on a fake clock and what became of its passes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.results = Results()
        self.under_way = UnderWay()
        self.queue: WorkQueue[str] = WorkQueue(
            clock=self.clock,
            call_later=self.clock.call_later,
            backoff=Backoff(base=8.0, jitter=lambda: 0.0),
            observer=self.under_way,
        )

    @asynccontextmanager
    async def working(self, reconcile: Callable[[str], Awaitable[float | None]], **pace: float) -> AsyncIterator[None]:
        instruments = Instruments(observer=self.results, clock=self.clock)
        task = asyncio.create_task(work(self.queue, reconcile, pace=Pace(**pace), instruments=instruments))  # type: ignore[arg-type]
        try:
            yield
        finally:
            self.queue.close()
            await asyncio.wait_for(task, 5)

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            while len(self.queue) or self.under_way.number:  # noqa: ASYNC110 - a turn of the event loop, not a delay
                await asyncio.sleep(0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def failing(*errors: Exception) -> Callable[[str], Awaitable[None]]:
    """Raise one error a pass, then succeed."""
    left = list(errors)

    async def reconcile(key: str) -> None:
        if left:
            raise left.pop(0)

    return reconcile


async def test_every_key_is_reconciled(bench: Bench) -> None:
    seen: set[str] = set()

    async def reconcile(key: str) -> None:
        seen.add(key)

    async with bench.working(reconcile):
        for key in "abc":
            bench.queue.add(key)
        await bench.settle()

    assert seen == {"a", "b", "c"}
    assert bench.results.seen == ["success"] * 3


async def test_a_pass_may_say_when_to_come_back(bench: Bench) -> None:
    async def reconcile(key: str) -> float | None:
        return 30.0

    async with bench.working(reconcile):
        bench.queue.add("a")
        await bench.settle()
        bench.clock.advance(30.0)
        await bench.settle()

    assert bench.results.seen == ["requeue_after"] * 2


async def test_a_failed_pass_is_tried_again_after_its_backoff(bench: Bench) -> None:
    async with bench.working(failing(UnavailableError("down"), UnavailableError("still down"))):
        bench.queue.add("a")
        await bench.settle()
        bench.clock.advance(8.0)
        await bench.settle()
        bench.clock.advance(8.0)
        await bench.settle()
        assert bench.results.seen == ["error", "error"]
        bench.clock.advance(8.0)
        await bench.settle()

    assert bench.results.seen == ["error", "error", "success"]
    assert bench.queue.failures("a") == 0


async def test_an_error_that_names_its_delay_gets_it(bench: Bench) -> None:
    async with bench.working(failing(UnavailableError("starting", retry_after=1.5))):
        bench.queue.add("a")
        await bench.settle()
        bench.clock.advance(1.5)
        await bench.settle()

    assert bench.results.seen == ["error", "success"]


async def test_after_a_lost_race_the_pass_runs_again_soon(bench: Bench) -> None:
    async with bench.working(failing(ConflictError("modified")), conflict_seconds=0.02):
        bench.queue.add("a")
        await bench.settle()
        bench.clock.advance(0.02)
        await bench.settle()

    assert bench.results.seen == ["requeue", "success"]


async def test_a_race_lost_for_ever_backs_off(bench: Bench) -> None:
    async with bench.working(failing(ConflictError("1"), ConflictError("2")), conflict_seconds=0.02):
        bench.queue.add("a")
        await bench.settle()
        bench.clock.advance(0.02)
        await bench.settle()
        bench.clock.advance(1.0)
        await bench.settle()

    assert bench.results.seen == ["requeue", "requeue"]


@pytest.mark.parametrize(
    ("error", "result"), [(NotLeaderError("not us"), "not_leader"), (TerminalError("never"), "error")]
)
async def test_what_another_try_cannot_help_is_not_tried_again(bench: Bench, error: Exception, result: str) -> None:
    async with bench.working(failing(error)):
        bench.queue.add("a")
        await bench.settle()

        bench.clock.advance(3600.0)
        await bench.settle()

    assert bench.results.seen == [result]


async def test_a_bug_in_one_pass_stops_nobody_else(bench: Bench) -> None:
    async with bench.working(failing(ZeroDivisionError()), workers=1):
        bench.queue.add("buggy")
        bench.queue.add("fine")
        await bench.settle()

        bench.clock.advance(8.0)
        await bench.settle()

    assert bench.results.seen == ["error", "success", "success"]


async def test_as_many_passes_run_at_once_as_there_are_workers(bench: Bench) -> None:
    running, most, gate = 0, 0, asyncio.Event()

    async def reconcile(key: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async with bench.working(reconcile, workers=4):
        for n in range(20):
            bench.queue.add(str(n))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.set()
        await bench.settle()

    assert most == 4


async def test_closing_the_queue_lets_passes_under_way_finish(bench: Bench) -> None:
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        await gate.wait()

    async with bench.working(reconcile):
        bench.queue.add("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bench.queue.close()
        gate.set()

    assert bench.results.seen == ["success"]


async def test_a_pass_that_does_not_end_is_cut_off_at_shutdown(bench: Bench) -> None:
    async def reconcile(key: str) -> None:
        await asyncio.Event().wait()

    async with bench.working(reconcile, drain_seconds=0.01):
        bench.queue.add("a")
        for _ in range(3):
            await asyncio.sleep(0)

    assert bench.results.seen == ["cancelled"]


async def test_log_lines_of_a_pass_carry_its_key_and_an_id_of_its_own(bench: Bench) -> None:
    contexts = []

    async def reconcile(key: str) -> None:
        contexts.append(structlog.contextvars.get_contextvars())

    async with bench.working(reconcile):
        bench.queue.add("a")
        bench.queue.add("b")
        await bench.settle()

    assert [context["key"] for context in contexts] == ["a", "b"]
    assert contexts[0]["pass_id"] != contexts[1]["pass_id"]
