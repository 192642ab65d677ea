"""The audit trail of this process: a bounded queue between calls and exporters.

A call takes its place in the queue before anything is done for it. If the queue is full because exporters are slow or
away, the call waits for `patience` seconds and is then refused: rather no call than one that nobody can account for.
Writing a line afterwards never waits, and each exporter takes it as soon as it can: a place is free again once the
slowest has. How many calls were refused so is itself a line of the chain.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence

import structlog

from ringfence_sidecar.audit.chain import Chain
from ringfence_sidecar.audit.exporter import Exporter
from ringfence_sidecar.audit.feed import Feed
from ringfence_sidecar.audit.record import Record, Who
from ringfence_sidecar.errors import UnavailableError

CAPACITY = 4096
PATIENCE_SECONDS = 1.0
FLUSH_SECONDS = 5.0

log = structlog.get_logger()


class Place:
    """One call's place in the queue; give it back by `write`, once."""

    def __init__(self, trail: "Trail") -> None:
        self._trail = trail

    def write(self, record: Record, event: str = "call") -> None:
        """Put the line into the chain. Never waits."""
        self._trail.append(event, record)


class Trail:
    """Links lines, and hands them to every exporter, each in order and at its own pace."""

    def __init__(
        self,
        exporters: Sequence[Exporter],
        who: Who,
        *,
        capacity: int = CAPACITY,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._feeds = tuple(Feed(exporter, self._settle) for exporter in exporters)
        self._capacity = capacity
        self._patience = patience
        self._chain = Chain(str(uuid.uuid4()))
        self._who = who
        self._taken = 0
        self._exported = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._tasks: dict[asyncio.Task[None], Feed] = {}
        self._unreported = 0
        self.refused = 0
        """Calls that were not served, for want of room."""

    @property
    def queued(self) -> int:
        """Places taken: by calls at work, and by lines that some exporter does not have yet."""
        return self._taken

    def start(self) -> None:
        """Begin the chain, and export."""
        self._taken += 1
        self._put(self._chain.link("start", {"who": self._who}))
        self._tasks = {asyncio.create_task(feed.run()): feed for feed in self._feeds}

    async def reserve(self) -> Place:
        """Take a place for a call. Raises UnavailableError if there is none for as long as the trail's patience."""
        if self._taken < self._capacity and not self._waiters:
            self._taken += 1
            return Place(self)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._patience):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._free(1)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                self.refused += 1
                self._unreported += 1
                raise UnavailableError(
                    "the audit trail takes no more lines, and no call is served without one: ask again later",
                    code="AuditUnavailable",
                    retry_after=5.0,
                ) from None
            raise
        return Place(self)

    def append(self, event: str, record: Record) -> None:
        """Put a line into the chain, in a place that was reserved."""
        if self._unreported:
            # A line beyond the capacity, at most one for each place that was given back.
            self._taken += 1
            self._put(self._chain.link("unaudited", {"who": self._who, "refusedCalls": self._unreported}))
            self._unreported = 0
        self._put(self._chain.link(event, record))

    async def close(self) -> None:
        """End the chain; wait for the exporters, within a bound."""
        self._taken += 1
        self._put(self._chain.link("end", {"who": self._who}))
        for feed in self._feeds:
            feed.end()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=FLUSH_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for task in late:
                feed = self._tasks[task]
                log.error("audit lines lost", exporter=feed.exporter.name, lines=feed.left)
        for feed in self._feeds:
            await feed.exporter.close()

    def _put(self, line: bytes) -> None:
        for feed in self._feeds:
            feed.put(line)

    def _settle(self) -> None:
        """Free the places of the lines that every exporter has by now."""
        exported = min(feed.taken for feed in self._feeds)
        done, self._exported = exported - self._exported, exported
        self._free(done)

    def _free(self, places: int) -> None:
        """Hand freed places to who waits, in order."""
        self._taken -= places
        while self._waiters and self._taken < self._capacity:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._taken += 1
                waiter.set_result(None)
