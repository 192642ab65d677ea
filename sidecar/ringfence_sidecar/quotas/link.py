"""A process's place in the namespace's Redis: connected, joined, and heard of as long as its lease needs it.

A call waits for it 50 ms in all, of time in which its process can run, and only the first one does: from then on it is
away until it has answered a question that no call waits for. It counts as away, too, while it hears from pods again
that it has lost, and if it may throw counters away.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

import structlog

from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.patience import SLICE_SECONDS, TURNS, counted
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.ledger import Clock, Ledger
from ringfence_sidecar.quotas.packing import Packer
from ringfence_sidecar.quotas.server import Server, connected
from ringfence_sidecar.quotas.wire import RedisError, Wire

_BACK_OFF = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds from one attempt to the next; the last one repeats."""
_RECOVERING_SECONDS = 0.2
_JOIN_SECONDS = 1.0
_SILENT = "Redis does not answer"

_log = structlog.get_logger()


class Speaker(Protocol):
    """Whoever has something to say over the link."""

    @property
    def has_news(self) -> bool:
        """Whether `beat` is to be called, if nothing else makes the process heard."""

    async def beat(self) -> None:
        """Tell whatever there is to tell, and that the process is there."""

    async def look(self) -> None:
        """Ask what has to be known before calls are judged; it has joined."""

    def lost(self) -> None:
        """Hear that it cannot be counted on any more."""


class Link:
    """Speaks for one process. Make it where an event loop runs, and close it."""

    def __init__(
        self,
        redis: Redis,
        *,
        pod: str,
        agent: str,
        ledger: Ledger,
        clock: Clock,
        times: Times,
        speaker: Speaker,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._redis = redis
        self._pod, self._agent = pod, agent
        self._ledger, self._clock = ledger, clock
        self._times, self._speaker, self._draw = times, speaker, draw
        self._server: Server | None = None
        self._packer: Packer | None = None
        self._recovers_at = 0.0
        """Monotonic time until which it hears from others, at most; 0 if it does not."""
        self._asking = 0
        self._wake, self._ready, self._idle, self._joined = (asyncio.Event() for _ in range(4))
        self._idle.set()
        self._gave_up = self._is_quiet = False
        self._trouble = _SILENT
        self._keeping = asyncio.create_task(self._keep())

    @property
    def is_ready(self) -> bool:
        """Whether it can be counted on now."""
        return self._ready.is_set()

    @property
    def is_joined(self) -> bool:
        """Whether it has been told what this process holds and has used: then it can be told more."""
        return self._joined.is_set()

    @property
    def trouble(self) -> str:
        """Why it cannot be counted on, in words; empty if it can."""
        return "" if self._ready.is_set() else self._trouble

    @property
    def packer(self) -> Packer:
        """What packs for the server that there is. Raises StoreAwayError."""
        if self._server is None or self._packer is None:
            raise StoreAwayError(self.trouble)
        return self._packer

    async def until_ready(self, deadline: float) -> None:
        """Return once it can be counted on. Raises StoreAwayError at the monotonic time `deadline`, or at once."""
        if self._ready.is_set():
            return
        if not self._gave_up and not self._recovers_at:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, deadline - time.monotonic())):
                    await self._joined.wait()
            if self._ready.is_set():
                return
            self._gave_up = not self._joined.is_set()
        left = self._recovers_at - time.monotonic() if self._recovers_at else 1.0
        raise StoreAwayError(self.trouble, retry_after=max(0.1, left))

    def ask(self, command: bytes, deadline: float) -> Coroutine[Any, Any, list[bytes]]:
        """Send a command; what is returned must be awaited for the answer: a word, the store's time, and maybe more.

        Raises StoreAwayError, both do.

        It is sent before this returns, so commands come to the store in the order in which they are asked.
        """
        server = self._server
        if server is None:
            raise StoreAwayError(self.trouble)
        self._asking += 1
        self._idle.clear()
        return self._answer(server.wire, server.wire.ask(command), deadline)

    def wake(self) -> None:
        """Look at once at what there is to tell."""
        self._wake.set()

    def begin_to_beat(self) -> None:
        """Keep the lease from now on, if there was nothing to keep it for."""
        if self._is_quiet:
            self._wake.set()

    async def close(self) -> None:
        """Let go of it."""
        self._keeping.cancel()
        await asyncio.wait({self._keeping})
        self._drop()

    async def _answer(self, wire: Wire, answering: "asyncio.Future[Any]", deadline: float) -> list[bytes]:
        expiry = _Expiry(answering, deadline - time.monotonic())
        try:
            answer: list[bytes] = (await answering).split(b" ", 2)
        except OSError as error:
            self._gave_up = isinstance(error, TimeoutError) or self._gave_up
            if isinstance(error, RedisError):
                _log.warning("quota.store_refuses", error=str(error))
            self._lost(wire)
            raise StoreAwayError(f"Redis does not answer: {type(error).__name__}") from error
        finally:
            expiry.cancel()
            self._asking -= 1
            if not self._asking:
                self._idle.set()
        self._clock.set(int(answer[1]))
        if answer[0] == b"join":
            self._begin_anew()
        return answer

    def _begin_anew(self) -> None:
        self._joined.clear()
        self._count_as_away()
        self._wake.set()

    def _recover(self, seconds: float) -> None:
        self._recovers_at = time.monotonic() + seconds
        self._trouble = "Redis was restarted or has lost its keys, and hears from other pods what they have used"
        self._count_as_away()

    def _count_as_away(self) -> None:
        if self._ready.is_set():
            self._speaker.lost()
        self._ready.clear()

    def _lost(self, wire: Wire) -> None:
        if self._server is not None and self._server.wire is wire:
            self._drop()
            self._wake.set()

    def _drop(self) -> None:
        server, self._server = self._server, None
        self._recovers_at = 0.0
        self._joined.clear()
        self._count_as_away()
        self._trouble = _SILENT
        if server is not None:
            server.wire.close()

    async def _keep(self) -> None:
        """Connect, join and keep the lease until cancelled; nobody waits for it."""
        attempt = 0
        while True:
            self._wake.clear()
            try:
                await self._advance()
            except (OSError, StoreAwayError, ValueError) as error:
                self._drop()
                self._trouble = str(error) if isinstance(error, StoreAwayError) else self._trouble
                if attempt == 1:
                    _log.warning("quota.store_away", error=str(error) or type(error).__name__)
                # Jitter, so that the pods of a namespace do not come back all at once.
                await asyncio.sleep(_BACK_OFF[min(attempt, len(_BACK_OFF) - 1)] * (0.75 + 0.5 * self._draw()))
                attempt += 1
                continue
            attempt = 0
            pause = self._pause()
            self._is_quiet = pause is None
            # Not wait_for, which before Python 3.12 may take a cancellation for an event.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _advance(self) -> None:
        if self._server is None:
            self._server = await connected(self._redis, self._lost)
            self._packer = Packer(
                self._redis.prefix,
                pod=self._pod,
                agent=self._agent,
                run=self._server.run,
                keeps=self._server.keeps,
                lease=self._times.lease,
            )
        if self._server.evicts:
            # Somebody may set it right: that is seen on a new connection.
            policy = self._server.evicts
            raise StoreAwayError(f"Redis may throw counters away: its maxmemory-policy is {policy}, not noeviction")
        if not self._joined.is_set() or self._recovers_at:
            await self._join()
        elif self._speaker.has_news:
            with suppress(StoreAwayError):
                await self._speaker.beat()

    async def _join(self) -> None:
        # What was asked before is answered before: else a lot that was granted just now would be forgotten.
        await self._idle.wait()
        packer = self.packer
        self._joined.clear()
        news = self._ledger.tell_all()
        try:
            command = packer.join(self._ledger, secrets.token_hex(8).encode(), self._clock.now())
            answer = await self.ask(command, time.monotonic() + _JOIN_SECONDS)
        except BaseException:
            self._ledger.return_news(news)
            raise
        joined, left = answer[2].split()
        packer.join_as(joined)
        self._gave_up = False
        seconds = int(left) / 1000
        await self._speaker.look()
        if seconds > 0:
            self._recover(seconds)
        else:
            self._recovers_at = 0.0
            self._ready.set()
        self._joined.set()

    def _pause(self) -> float | None:
        if self._recovers_at:
            left = self._recovers_at - time.monotonic()
            return max(0.01, min(left, _RECOVERING_SECONDS * (0.75 + 0.5 * self._draw())))
        return self._times.beat * (0.75 + 0.25 * self._draw()) if self._speaker.has_news else None


class _Expiry:
    """Ends the wait for an answer after so many seconds, as `patience` counts them."""

    __slots__ = ("_answering", "_begun", "_handle", "_left", "_loop", "_turns")

    def __init__(self, answering: "asyncio.Future[Any]", seconds: float) -> None:
        self._answering = answering
        self._loop = asyncio.get_running_loop()
        self._left, self._turns = seconds, TURNS
        self._begun = time.monotonic()
        self._handle: asyncio.Handle = self._loop.call_later(max(0.0, min(SLICE_SECONDS, seconds)), self._go_on)

    def cancel(self) -> None:
        """It has come."""
        self._handle.cancel()

    def _go_on(self) -> None:
        if self._answering.done():
            return
        now = time.monotonic()
        self._left -= counted(now - self._begun)
        if self._left > 0:
            self._begun = now
            self._handle = self._loop.call_later(min(SLICE_SECONDS, self._left), self._go_on)
        elif self._turns:
            self._turns -= 1
            self._handle = self._loop.call_soon(self._go_on)
        else:
            self._answering.set_exception(TimeoutError())
