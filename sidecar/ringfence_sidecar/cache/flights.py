"""One question at a time: whoever asks what is being asked already waits for that answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from ringfence_sidecar.errors import DeadlineError

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self, task: "asyncio.Task[T]") -> None:
        self.task = task
        self.waiting = 0


class Flights(Generic[T]):
    """Runs at most one task under a name. It goes on while anybody waits for it, and is cancelled when nobody does."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def join(self, name: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """Return the answer, and whether somebody else had asked already.

        What `ask` raises goes to all who wait; but whoever joined one that ran out of time asks anew.
        """
        while True:
            flight = self._flights.get(name)
            joined = flight is not None
            if flight is None:
                flight = self._begin(name, ask)
            try:
                return await self._wait(flight), joined
            except DeadlineError:
                if not joined:
                    raise

    def begin(self, name: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Have it asked, with nobody waiting: for what is served stale meanwhile."""
        if name not in self._flights:
            flight = self._begin(name, ask)
            flight.waiting += 1
            flight.task.add_done_callback(_forget_outcome)

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def landed(self) -> None:
        """Return once nothing is under way."""
        while self._flights:
            await asyncio.wait([flight.task for flight in self._flights.values()])

    def _begin(self, name: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        flight = _Flight(asyncio.create_task(ask()))
        self._flights[name] = flight

        def forget(_: Awaitable[T]) -> None:
            if self._flights.get(name) is flight:
                del self._flights[name]

        flight.task.add_done_callback(forget)
        return flight

    async def _wait(self, flight: _Flight[T]) -> T:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._abandon(flight)

    def _abandon(self, flight: _Flight[T]) -> None:
        for name, each in list(self._flights.items()):
            if each is flight:
                del self._flights[name]
        flight.task.add_done_callback(_forget_outcome)
        flight.task.cancel()


def _forget_outcome(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
