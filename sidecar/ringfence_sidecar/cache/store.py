"""The Redis that a namespace's sidecars share: a few commands, a time limit, and a breaker.

A call waits for Redis for 50 ms in all, of time in which its process can run, and only the first one does: from then on
it is taken to be away until it has answered a question that no call waits for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import structlog

from ringfence_sidecar.cache.connection import CONNECT_SECONDS, connect, evicting
from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.patience import SLICE_SECONDS, TURNS, counted

T = TypeVar("T")

log = structlog.get_logger()

PATIENCE_SECONDS = 0.040
"""Seconds that a call may spend waiting for Redis, as `patience` counts them: with what surrounds it, 50 ms."""
_USUAL = 0.01
"""A question that takes no longer costs no patience: a busy process is no slow Redis."""
_BACK_OFF = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds from one probe to the next; the last one repeats."""
LOOK_SECONDS = 30.0
"""How often Redis is asked what it throws away."""


class StoreAwayError(Exception):
    """Redis does not answer, or not in time."""


class StoreFullError(StoreAwayError):
    """Redis answers, and has no memory left to keep anything in."""


class _Patience:
    """What is left of a call's."""

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left = seconds


_patience: ContextVar[_Patience | None] = ContextVar("patience", default=None)


class Store:
    """Speaks to Redis while it answers. Make it where an event loop runs, and close it."""

    def __init__(
        self,
        configuration: Redis,
        *,
        on_back: Callable[[], Awaitable[None]] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._configuration = configuration
        self._patience = patience
        self._client, *beneath = connect(configuration)
        self._to_close = (self._client, *beneath)
        self._on_back = on_back
        # Whoever asks first need not pay for the connection.
        self._probing: asyncio.Task[None] = asyncio.create_task(self._probe())
        self._looking = asyncio.create_task(self._look())
        self.is_reachable = True
        self.evicts = ""
        """The policy by which Redis throws counters away when its memory is full; empty if it does not, or says not."""

    @property
    def prefix(self) -> str:
        """What every key begins with."""
        return self._configuration.prefix

    def begin_call(self) -> None:
        """Begin a call: what it asks from now on, and what the tasks ask that it starts, share one patience."""
        _patience.set(_Patience(self._patience))

    async def close(self) -> None:
        """Let go of every connection."""
        self._probing.cancel()
        self._looking.cancel()
        for each in self._to_close:
            with suppress(Exception):
                await each.aclose()

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is under each of `keys`."""
        return await self._ask(lambda: self._client.mget(keys))

    async def begin(self, key: str, value: bytes, *, seconds: float) -> bool:
        """Keep `value` if nothing is there; return whether it was kept."""
        return bool(await self._ask(lambda: self._client.set(key, value, nx=True, px=_milliseconds(seconds))))

    async def keep(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keep `value` for so long."""
        await self._ask(lambda: self._client.set(key, value, px=_milliseconds(seconds)))

    async def fields(self, key: str) -> dict[bytes, bytes]:
        """Return what is in the hash under `key`."""
        return dict(await self._ask(lambda: self._client.hgetall(key)))

    async def drop(self, keys: Sequence[str]) -> int:
        """Delete `keys`; return how many were there."""
        return int(await self._ask(lambda: self._client.delete(*keys)))

    async def run(self, script: str, keys: Sequence[str], *arguments: str | int) -> int:
        """Run one of `scripts`, in one round trip."""
        return int(await self._eval(script, keys, arguments))

    async def ask(self, script: str, keys: Sequence[str], *arguments: str | bytes) -> list[bytes]:
        """Run a script that returns a list, in one round trip."""
        return list(await self._eval(script, keys, arguments))

    async def _eval(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        return await self._ask(lambda: self._client.eval(script, len(keys), *keys, *arguments))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if not self.is_reachable:
            raise StoreAwayError("Redis was away a moment ago")
        patience = _patience.get() or _Patience(self._patience)
        asking = asyncio.ensure_future(question())
        try:
            return await self._answer(asking, patience)
        except _full_error() as error:
            raise StoreFullError("Redis has no memory left") from error
        except (TimeoutError, OSError, _redis_errors()) as error:
            self._away()
            raise StoreAwayError(f"Redis does not answer: {type(error).__name__}") from error
        finally:
            asking.cancel()

    @staticmethod
    async def _answer(asking: "asyncio.Future[T]", patience: _Patience) -> T:
        left, spent = patience.left, 0.0
        try:
            while spent < left and not asking.done():
                begun = time.monotonic()
                await asyncio.wait({asking}, timeout=min(SLICE_SECONDS, left - spent))
                spent += counted(time.monotonic() - begun)
        finally:
            patience.left = max(0.001, left - max(0.0, spent - _USUAL))
        for _ in range(TURNS):
            if asking.done():
                return asking.result()
            await asyncio.sleep(0)
        raise TimeoutError

    async def _look(self) -> None:
        """Have `evicts` say what is so; nobody waits for it."""
        await asyncio.wait({self._probing})
        while True:
            found = ""
            with suppress(TimeoutError, OSError, _redis_errors()):
                async with asyncio.timeout(CONNECT_SECONDS):
                    found = await evicting(self._client, self.prefix)
            if found and found != self.evicts:
                log.warning("cache.counters_may_go", policy=found)
            self.evicts = found
            await asyncio.sleep(LOOK_SECONDS)

    def _away(self) -> None:
        self.is_reachable = False
        if self._probing.done():
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Ask until there is an answer; nobody waits for it."""
        attempt = 0
        while True:
            await asyncio.sleep(_BACK_OFF[min(attempt, len(_BACK_OFF) - 1)])
            attempt += 1
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    # A key of ours: on a cluster, what matters is the node that has the namespace.
                    await self._client.get(f"{self.prefix}probe")
            except (TimeoutError, OSError, _redis_errors()):
                continue
            self.is_reachable = True
            if self._on_back is not None:
                with suppress(StoreAwayError):
                    await self._on_back()
            if self.is_reachable:
                return
            # It has faltered since, while this task was under way, so that no other one looks for it.


def _full_error() -> type[Exception]:
    from redis.exceptions import OutOfMemoryError  # noqa: PLC0415 - only where there is a Redis

    return OutOfMemoryError


def _redis_errors() -> type[Exception]:
    from redis.exceptions import RedisError  # noqa: PLC0415

    return RedisError


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
