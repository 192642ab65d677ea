"""Soft limits: calls wait in the pod, in the order in which they came, until enough is free."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from ringfence_sidecar.quotas.buckets import Asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PACES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds from one look to the next where nothing tells when something is free; the last one repeats."""


class Line:
    """Who waits at one bucket. A lock of asyncio is handed on in order."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._first = asyncio.Lock()
        self._news = asyncio.Event()
        self._looks = 0
        self.waiting = 0

    @asynccontextmanager
    async def first(self, deadline: float) -> "AsyncIterator[bool]":
        """Be first while the block runs: False if it was not this call's turn until the deadline."""
        self.waiting += 1
        is_first = False
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._first.acquire()
                    is_first = True
            self._looks = 0
            yield is_first
        finally:
            self.waiting -= 1
            if is_first:
                self._first.release()

    async def pause(self, wait: float | None, deadline: float) -> None:
        """Wait until there may be more: something was given back in this pod, time has freed something, or a while."""
        pace = _PACES[min(self._looks, len(_PACES) - 1)] * (0.75 + 0.5 * self._draw())
        self._looks += 1
        seconds = min(pace if wait is None else min(wait, 2 * _PACES[-1]), max(0.0, deadline - time.monotonic()))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.001, seconds)):
                await self._news.wait()
        self._news.clear()

    def tell(self) -> None:
        """Have whoever is first look again."""
        self._news.set()


class Lines:
    """The lines of a pod's buckets, as long as somebody waits in them."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._lines: dict[str, Line] = {}

    def joined_by(self, asked: Iterable[Asked]) -> Asked | None:
        """Return what a call has to wait in line for, since others do; None if it may try."""
        if not self._lines:
            return None
        return next((each for each in asked if _is_soft(each) and each.bucket.key in self._lines), None)

    @asynccontextmanager
    async def at(self, asked: Asked, deadline: float) -> "AsyncIterator[Line | None]":
        """Be first in the bucket's line while the block runs; None if that was not to be until the deadline."""
        key = asked.bucket.key
        line = self._lines.setdefault(key, Line(self._draw))
        try:
            async with line.first(deadline) as is_first:
                yield line if is_first else None
        finally:
            if not line.waiting:
                self._lines.pop(key, None)

    def tell(self, keys: Iterable[str]) -> None:
        """Say that something of these was given back."""
        if self._lines:
            for key in keys:
                if key in self._lines:
                    self._lines[key].tell()


def _is_soft(asked: Asked) -> bool:
    return asked.bucket.limit.enforcement == "Soft"
