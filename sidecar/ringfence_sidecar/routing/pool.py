"""Sessions that serve one call at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.errors import CallError, DeadlineError, LimitedError, UnavailableError
from ringfence_sidecar.routing.session import Closing, EndpointLeftError, Held, connect

S = TypeVar("S")

DOUBTFUL_AFTER_SECONDS = 60.0
"""A session that has been idle for longer is checked before it is given out."""
CHECK_SECONDS = 2.0
_MOMENT_SECONDS = 0.1


class Pool(Generic[S]):
    """At most `size` sessions with an endpoint, the last used first; who waits is served in order."""

    def __init__(
        self,
        connector: Connector[S],
        endpoint: Endpoint,
        *,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = connector
        self._endpoint = endpoint
        self._size = size
        self._clock = clock
        self._idle: deque[Held[S]] = deque()
        self._taken = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._short: deque[asyncio.Future[None]] = deque()
        """Those whom quotas have left no connection: each has its slot, and waits for another's session."""
        self._epoch = 0
        self._closed = False
        self._closing = Closing(connector)

    async def acquire(self, deadline: Deadline) -> Held[S]:
        """See Sessions."""
        await self._take_slot(deadline)
        try:
            while True:
                while self._idle:
                    held = self._idle.pop()
                    if await self._is_fit(held, deadline):
                        return held
                    self._closing.add(held.session)
                try:
                    return await self._open(deadline)
                except LimitedError:
                    # Nobody is at work whose session could come back, or none has in time.
                    if self._taken <= len(self._short) + 1 or not await self._has_returned(deadline):
                        raise
        except BaseException:
            self._free_slot()
            raise

    async def acquire_for_check(self, deadline: Deadline) -> Held[S] | None:
        """See Sessions."""
        if self._closed or self._taken >= self._size:
            return None
        self._taken += 1
        try:
            return self._idle.popleft() if self._idle else await self._open(deadline)
        except BaseException:
            self._free_slot()
            raise

    def release(self, held: Held[S], *, broken: bool) -> None:
        """See Sessions."""
        if broken or self._closed or held.epoch != self._epoch or not self._connector.is_usable(held.session):
            # Its connection comes free: who could open no session may try again then.
            self._closing.add(held.session, then=self._wake_one)
        else:
            held.idle_since = self._clock()
            self._idle.append(held)
            self._wake_one()
        self._free_slot()

    def sweep(self, longest_idle: float) -> None:
        """See Sessions."""
        while len(self._idle) > 1 and self._clock() - self._idle[0].idle_since > longest_idle:
            self._closing.add(self._idle.popleft().session)

    def doubt(self) -> None:
        """See Sessions."""
        self._drop_idle()

    def disperse(self) -> None:
        """See Sessions."""
        self._dismiss(EndpointLeftError(f"endpoint {self._endpoint.name} was found dead"))

    def renew(self) -> None:
        """See Sessions."""
        self._epoch += 1
        self._drop_idle()

    def count(self) -> tuple[int, int]:
        """See Sessions."""
        return self._taken, len(self._idle)

    @property
    def is_busy(self) -> bool:
        """See Sessions. What outlives a call is its kind's own to look after."""
        return False

    async def close(self) -> None:
        """See Sessions."""
        self._closed = True
        self._drop_idle()
        self._dismiss(self._gone())
        await self._closing.wait()

    async def _open(self, deadline: Deadline) -> Held[S]:
        # The credentials may change while it logs in: it counts as opened with those of before.
        epoch = self._epoch
        return Held(await connect(self._connector, self._endpoint, deadline), epoch)

    async def _is_fit(self, held: Held[S], deadline: Deadline) -> bool:
        if held.epoch != self._epoch or not self._connector.is_usable(held.session):
            return False
        if self._clock() - held.idle_since < DOUBTFUL_AFTER_SECONDS:
            return True
        try:
            async with asyncio.timeout(min(CHECK_SECONDS, deadline.remaining)):
                await self._connector.health_check(held.session)
        except (CallError, OSError):
            return False
        except BaseException:
            self._closing.add(held.session)
            raise
        return True

    async def _has_returned(self, deadline: Deadline) -> bool:
        """Return True once another call has given its session back, or its connection; False if none has in time."""
        returned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._short.append(returned)
        try:
            # A moment before the call's own end: else it would hear of that, and not of the limit.
            async with asyncio.timeout(deadline.remaining - _MOMENT_SECONDS):
                await returned
        except TimeoutError:
            return False
        else:
            return True
        finally:
            if returned in self._short:
                self._short.remove(returned)

    def _wake_one(self) -> None:
        """Have one who could open no session look again."""
        while self._short:
            returned = self._short.popleft()
            if not returned.done():
                returned.set_result(None)
                return

    async def _take_slot(self, deadline: Deadline) -> None:
        if self._closed:
            raise self._gone()
        if self._taken < self._size and not self._waiters:
            self._taken += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(deadline.remaining):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._free_slot()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise DeadlineError(
                    "every session was at work until the call's deadline: ask for less at once"
                ) from None
            raise

    def _free_slot(self) -> None:
        """Hand the slot to who has waited longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken -= 1

    def _dismiss(self, error: CallError) -> None:
        for queue in (self._waiters, self._short):
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    waiter.set_exception(error)

    def _drop_idle(self) -> None:
        while self._idle:
            self._closing.add(self._idle.pop().session)

    def _gone(self) -> UnavailableError:
        return UnavailableError(
            f"connector {self._connector.configuration.name} is being changed: ask again", retry_after=0.1
        )
