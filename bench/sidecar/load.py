"""Calls at a steady rate: each at its time, whether the one before has ended or not."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.sidecar.client import Answer

Call = Callable[[int], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call: seconds of the monotonic clock, and what it came to."""

    began: float
    ended: float
    endpoint: str
    fault: str
    """Empty if it was served."""
    warned: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


class Load:
    """Calls so many times a second from `begin` to `end`."""

    def __init__(self, call: Call, *, rate: float) -> None:
        self.attempts: list[Attempt] = []
        self._call = call
        self._rate = rate
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin."""
        self._running = asyncio.create_task(self._run())

    async def end(self) -> list[Attempt]:
        """Begin no more calls, wait for those under way, and return all."""
        self._stop.set()
        assert self._running is not None
        await self._running
        return sorted(self.attempts, key=lambda each: each.began)

    async def _run(self) -> None:
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                group.create_task(self._one(number))
                number += 1
                await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))

    async def _one(self, number: int) -> None:
        began = time.monotonic()
        try:
            answer = await self._call(number)
        except (OSError, TimeoutError) as error:
            self.attempts.append(Attempt(began, time.monotonic(), "", type(error).__name__))
            return
        ended, said = time.monotonic(), answer.envelope
        fault = "" if answer.is_served else f"{answer.status} {said.get('code')}"
        self.attempts.append(Attempt(began, ended, said["metadata"].get("endpoint", ""), fault, bool(said["warnings"])))


async def steady(call: Call, *, rate: float, seconds: float) -> list[Attempt]:
    """Return what calls at that rate came to, for so long."""
    load = Load(call, rate=rate)
    load.begin()
    await asyncio.sleep(seconds)
    return await load.end()
