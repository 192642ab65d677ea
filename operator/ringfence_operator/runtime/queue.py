"""The queue of keys to reconcile: no key twice at once, urgent ones first, none starved."""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

PATIENCE = 5.0
"""Seconds that a key of the next priority lets more urgent ones pass, so that no flood starves it."""

_COMPACT_AT_LEAST = 64


class QueueClosedError(Exception):
    """Nothing more will come out of this queue."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Make the callback not happen."""


class Backoff(NamedTuple):
    """Delays that double from `base` to `ceiling` seconds, each shortened by up to half at random."""

    base: float = 0.1
    ceiling: float = 60.0
    jitter: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after the given number of failures in a row (1 is the first)."""
        full = min(self.ceiling, self.base * 2.0 ** min(failures - 1, 30))
        return full * (1.0 - self.jitter() / 2.0)


class QueueObserver(Protocol):
    """Counts what happens to keys (see `metrics.QueueMetrics`)."""

    def added(self) -> None:
        """A key was put among the ready ones."""

    def retried(self) -> None:
        """A key comes back because its pass failed."""

    def started(self, waited: float) -> None:
        """A pass begins; the key had been ready for `waited` seconds."""

    def finished(self, worked: float) -> None:
        """A pass has ended after `worked` seconds."""


class _Unobserved:
    def added(self) -> None: ...
    def retried(self) -> None: ...
    def started(self, waited: float) -> None: ...
    def finished(self, worked: float) -> None: ...


class _Ready(NamedTuple):
    rank: float
    sequence: int
    since: float


class _Due(NamedTuple):
    at: float
    sequence: int
    priority: int


def _call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, callback)


class WorkQueue(Generic[K]):
    """Keys waiting to be worked on; every operation is O(log n) and only `get` waits.

    Lower priority numbers come out first, equal ones in the order of arrival. A key is out with one
    worker at most: added meanwhile, it comes again after `done`. Whoever takes a key must call `done`.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        observer: QueueObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], Timer] = _call_later,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._observer: QueueObserver = observer or _Unobserved()
        self._clock = clock
        self._call_later = call_later
        self._ready: dict[K, _Ready] = {}
        self._ready_heap: list[tuple[float, int, K]] = []
        self._due: dict[K, _Due] = {}
        self._due_heap: list[tuple[float, int, K]] = []
        self._working: dict[K, float] = {}
        self._again: dict[K, int] = {}
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: tuple[float, Timer] | None = None
        self._sequence = 0
        self._closed = False

    def __len__(self) -> int:
        """Return the number of keys that could be worked on now."""
        return len(self._ready)

    def add(self, key: K, priority: int = 0) -> None:
        """Make `key` ready now; ready already, it keeps its place or moves up to that of `priority`."""
        if self._closed:
            return
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        now = self._clock()
        rank = now + priority * PATIENCE
        present = self._ready.get(key)
        if present is not None and present.rank <= rank:
            return
        self._sequence += 1
        self._ready[key] = _Ready(rank, self._sequence, now if present is None else present.since)
        heapq.heappush(self._ready_heap, (rank, self._sequence, key))
        if present is None:
            self._observer.added()
            self._wake_one()

    def add_after(self, key: K, seconds: float, priority: int = 0) -> None:
        """Make `key` ready in `seconds`; of several such calls the earliest time holds."""
        if seconds <= 0:
            self.add(key, priority)
            return
        if self._closed:
            return
        at = self._clock() + seconds
        present = self._due.get(key)
        if present is not None and present.at <= at:
            return
        self._sequence += 1
        self._due[key] = _Due(at, self._sequence, priority)
        heapq.heappush(self._due_heap, (at, self._sequence, key))
        if len(self._due_heap) > 2 * len(self._due) + _COMPACT_AT_LEAST:
            self._due_heap = [(due.at, due.sequence, k) for k, due in self._due.items()]
            heapq.heapify(self._due_heap)
        self._set_timer()

    def retry(self, key: K, priority: int = 0, *, after: float | None = None) -> float:
        """Make `key` ready after its next backoff delay, or `after` seconds; return that time."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = self._backoff.delay(failures) if after is None else after
        self._observer.retried()
        self.add_after(key, delay, priority)
        return delay

    def forget(self, key: K) -> None:
        """Begin the key's backoff anew: its pass went well."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Return how often in a row the key's pass failed."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Take the key that is first in line, waiting for one. Raises QueueClosedError after `close`."""
        while True:
            if self._closed:
                raise QueueClosedError
            key = self.get_nowait()
            if key is not None:
                return key
            await self._wait()

    def get_nowait(self) -> K | None:
        """Take the key that is first in line, or return None."""
        self._release_due()
        while self._ready_heap:
            _, sequence, key = heapq.heappop(self._ready_heap)
            ready = self._ready.get(key)
            if ready is None or ready.sequence != sequence:
                continue
            del self._ready[key]
            now = self._clock()
            self._working[key] = now
            self._observer.started(now - ready.since)
            return key
        return None

    def done(self, key: K) -> None:
        """Give `key` back after its pass; it is ready again if it was added meanwhile."""
        self._observer.finished(self._clock() - self._working.pop(key))
        priority = self._again.pop(key, None)
        if priority is not None:
            self.add(key, priority)

    def close(self) -> None:
        """Let no more keys in or out."""
        self._closed = True
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        while self._waiters:
            self._wake_one()

    def unfinished_seconds(self) -> float:
        """Return the sum of the ages of the passes under way."""
        now = self._clock()
        return sum(now - since for since in self._working.values())

    def longest_seconds(self) -> float:
        """Return the age of the oldest pass under way."""
        now = self._clock()
        return now - min(self._working.values(), default=now)

    def _release_due(self) -> None:
        """Make those keys ready whose time has come."""
        if not self._due_heap:
            return
        now = self._clock()
        while self._due_heap and self._due_heap[0][0] <= now:
            _, sequence, key = heapq.heappop(self._due_heap)
            due = self._due.get(key)
            if due is not None and due.sequence == sequence:
                del self._due[key]
                self.add(key, due.priority)

    def _set_timer(self) -> None:
        """Have `_on_timer` called when the first key is due."""
        if not self._due_heap:
            return
        at = self._due_heap[0][0]
        if self._timer is not None:
            if self._timer[0] <= at:
                return
            self._timer[1].cancel()
        self._timer = (at, self._call_later(max(0.0, at - self._clock()), self._on_timer))

    def _on_timer(self) -> None:
        self._timer = None
        self._release_due()
        self._set_timer()

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()  # the call was meant for whoever could still come
            raise

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
