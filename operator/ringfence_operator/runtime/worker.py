"""Workers: they take keys from the queue, have them reconciled, and decide what happens to them next."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import uuid4

import structlog

from ringfence_operator.errors import ConflictError, NotLeaderError, OperatorError, TerminalError
from ringfence_operator.runtime.queue import QueueClosedError, WorkQueue

K = TypeVar("K", bound=Hashable)

Reconcile = Callable[[K], Awaitable[float | None]]
"""One pass over a key. It returns the seconds after which it wants to look again, or None."""

_LATER = 1
"""Priority of a pass that only time asks for: what somebody waits for goes first."""

log = structlog.get_logger(__name__)


class PassObserver(Protocol):
    """Counts passes (see `metrics.PassMetrics`)."""

    def finished(self, result: str, seconds: float) -> None:
        """A pass ended: success, requeue_after, requeue, error or not_leader."""


class _Unobserved:
    def finished(self, result: str, seconds: float) -> None: ...


def _pass_id() -> str:
    return uuid4().hex[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many passes run at once, and how long those under way may take when the process stops."""

    workers: int = 16
    drain_seconds: float = 10.0
    conflict_seconds: float = 0.02
    """Somebody else wrote first; their change is on its way into the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What a worker measures with and names its passes by."""

    observer: PassObserver = field(default_factory=_Unobserved)
    clock: Callable[[], float] = time.monotonic
    pass_id: Callable[[], str] = _pass_id


async def work(
    queue: WorkQueue[K],
    reconcile: Reconcile[K],
    *,
    pace: Pace | None = None,
    instruments: Instruments | None = None,
) -> None:
    """Reconcile keys until the queue is closed, then finish the passes under way within a bound.

    The only place that decides about retries. Cancelling it ends the passes at once.
    """
    pace = pace or Pace()
    instruments = instruments or Instruments()
    workers = [asyncio.create_task(_worker(queue, reconcile, pace, instruments)) for _ in range(pace.workers)]
    try:
        await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        ended, late = await asyncio.wait(workers, timeout=pace.drain_seconds)
        if late:
            log.warning("worker.passes_cut_off", passes=len(late))
        for worker in ended:
            worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _worker(queue: WorkQueue[K], reconcile: Reconcile[K], pace: Pace, instruments: Instruments) -> None:
    while True:
        try:
            key = await queue.get()
        except QueueClosedError:
            return
        began = instruments.clock()
        structlog.contextvars.bind_contextvars(key=key, pass_id=instruments.pass_id())
        result = "cancelled"
        try:
            result = await _pass(queue, reconcile, key, pace)
        finally:
            queue.done(key)
            structlog.contextvars.clear_contextvars()
            instruments.observer.finished(result, instruments.clock() - began)


async def _pass(queue: WorkQueue[K], reconcile: Reconcile[K], key: K, pace: Pace) -> str:
    """Run one pass and put the key where its outcome says. Returns the outcome's name."""
    try:
        again = await reconcile(key)
    except OperatorError as error:
        return _settle(queue, key, error, pace)
    except Exception:
        # A bug in one pass must not take the worker away from all the others.
        delay = queue.retry(key)
        log.exception("reconcile.crashed", retry_seconds=delay)
        return "error"
    queue.forget(key)
    log.debug("reconcile.done", again_seconds=again)
    if again is None:
        return "success"
    queue.add_after(key, again, _LATER)
    return "requeue_after"


def _settle(queue: WorkQueue[K], key: K, error: OperatorError, pace: Pace) -> str:
    """Decide by the error's class when to try again. Returns the outcome's name."""
    match error:
        case NotLeaderError():
            # Whoever leads next looks at every key anyway.
            queue.forget(key)
            log.debug("reconcile.not_leader")
            return "not_leader"
        case ConflictError():
            first = queue.failures(key) == 0
            delay = queue.retry(key, after=pace.conflict_seconds if first else None)
            log.debug("reconcile.conflict", error=str(error), retry_seconds=delay)
            return "requeue"
        case TerminalError():
            queue.forget(key)
            log.warning("reconcile.refused", reason=error.reason, error=str(error))
        case _:
            delay = queue.retry(key, after=error.retry_after)
            log.warning("reconcile.failed", reason=error.reason, error=str(error), retry_seconds=delay)
    return "error"
