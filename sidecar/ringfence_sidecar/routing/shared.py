"""A session that serves many calls at once."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.errors import CallError, HurriedError, UnavailableError
from ringfence_sidecar.routing.session import (
    CONNECT_SHARE,
    LONGEST_CONNECT_SECONDS,
    LONGEST_RETIREMENT_SECONDS,
    RETIREMENT_TICK_SECONDS,
    Closing,
    EndpointLeftError,
    Held,
    connect,
)

S = TypeVar("S")

CHECK_SECONDS = 2.0


class Shared(Generic[S]):
    """One session with an endpoint, opened once for all who wait for it.

    A session that is replaced is closed when its last call is over and nothing lives on it any longer.
    """

    def __init__(
        self, connector: Connector[S], endpoint: Endpoint, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._endpoint = endpoint
        self._clock = clock
        self._current: Held[S] | None = None
        self._opening: asyncio.Task[Held[S]] | None = None
        self._old: set[Held[S]] = set()
        self._users = 0
        self._epoch = 0
        self._closed = False
        self._closing = Closing(connector)

    async def acquire(self, deadline: Deadline) -> Held[S]:
        """See Sessions."""
        if self._closed:
            raise UnavailableError(
                f"connector {self._connector.configuration.name} is being changed: ask again", retry_after=0.1
            )
        held = self._current
        if held is not None and not self._connector.is_usable(held.session):
            self._replace()
            held = None
        if held is None:
            held = await self._opened(deadline)
        held.users += 1
        self._users += 1
        return held

    async def acquire_for_check(self, deadline: Deadline) -> Held[S] | None:
        """See Sessions."""
        return None if self._closed else await self.acquire(deadline)

    def release(self, held: Held[S], *, broken: bool) -> None:
        """See Sessions. One call's cancellation breaks nothing for the others; doubt is settled by a health check."""
        held.users -= 1
        self._users -= 1
        if held is not self._current:
            return
        if not self._connector.is_usable(held.session):
            self._replace()
        elif broken:
            self._closing.watch(asyncio.create_task(self._check(held)))

    def sweep(self, longest_idle: float) -> None:
        """See Sessions. The only one stays."""

    def doubt(self) -> None:
        """See Sessions."""
        if self._current is not None and not self._connector.is_usable(self._current.session):
            self._replace()

    def disperse(self) -> None:
        """See Sessions."""
        if self._opening is not None:
            self._opening.cancel()

    def renew(self) -> None:
        """See Sessions."""
        self._epoch += 1
        self._opening = None
        self._replace()

    def count(self) -> tuple[int, int]:
        """See Sessions."""
        return self._users, int(self._current is not None and self._current.users == 0)

    @property
    def is_busy(self) -> bool:
        """See Sessions."""
        held = self._old if self._current is None else {self._current, *self._old}
        return any(self._connector.is_busy(each.session) for each in held)

    async def close(self) -> None:
        """See Sessions."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        self._replace()
        await self._closing.wait()

    async def _opened(self, deadline: Deadline) -> Held[S]:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(self._epoch))
            self._opening.add_done_callback(self._is_open)
        opening = self._opening
        try:
            async with asyncio.timeout(deadline.remaining * CONNECT_SHARE):
                # One who goes away must not take the connection from those who wait with him.
                return await asyncio.shield(opening)
        except TimeoutError:
            raise HurriedError(f"endpoint {self._endpoint.name} was not reached in time") from None
        except asyncio.CancelledError:
            if opening.cancelled():
                raise EndpointLeftError(f"endpoint {self._endpoint.name} was given up") from None
            raise

    async def _open(self, epoch: int) -> Held[S]:
        return Held(await connect(self._connector, self._endpoint, Deadline.after(LONGEST_CONNECT_SECONDS)), epoch)

    def _is_open(self, opening: asyncio.Task[Held[S]]) -> None:
        if self._opening is opening:
            self._opening = None
        if opening.cancelled() or opening.exception() is not None:
            return
        held = opening.result()
        if self._closed or held.epoch != self._epoch:
            self._retire(held)
        else:
            self._current = held

    async def _check(self, held: Held[S]) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._connector.health_check(held.session)
        except (CallError, OSError):
            if held is self._current:
                self._replace()

    def _replace(self) -> None:
        if self._current is not None:
            held, self._current = self._current, None
            self._retire(held)

    def _retire(self, held: Held[S]) -> None:
        self._old.add(held)
        self._closing.watch(asyncio.create_task(self._end(held)))

    async def _end(self, held: Held[S]) -> None:
        """Close it once its calls are over and nothing lives on it; at once, where the connector itself goes."""
        latest = self._clock() + LONGEST_RETIREMENT_SECONDS
        while self._clock() < latest and self._connector.is_usable(held.session):
            if self._closed or (not held.users and not self._connector.is_busy(held.session)):
                break
            await asyncio.sleep(RETIREMENT_TICK_SECONDS)
        self._old.discard(held)
        self._closing.add(held.session)
