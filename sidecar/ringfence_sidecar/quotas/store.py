"""Counts in the namespace's Redis. What it cannot be told now, it is told when it is there again.

A call waits for it 50 ms in all, and only the first one does: from then on it is away until it has answered a question
that no call waits for. It counts as away, too, while it hears from pods again that it has lost, and if it may throw
counters away.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Figures, Grants, Refused, Short
from ringfence_sidecar.quotas.ledger import Clock, Ledger, News
from ringfence_sidecar.quotas.packing import Packer
from ringfence_sidecar.quotas.server import Server, connected
from ringfence_sidecar.quotas.wire import RedisError, Wire

__all__ = ["Store", "StoreAwayError", "Times"]

_BACK_OFF = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds from one attempt to the next; the last one repeats."""
_RECOVERING_SECONDS = 0.2
_TURNS = 4
"""Turns of the event loop in which an answer that has come already is taken, although the time is up."""

_log = structlog.get_logger()


class Store:
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
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._redis = redis
        self._pod, self._agent = pod, agent
        self._ledger, self._clock = ledger, clock
        self._times, self._draw = times, draw
        self._server: Server | None = None
        self._packer: Packer | None = None
        self._recovers_at = 0.0
        """Monotonic time until which it hears from others, at most; 0 if it does not."""
        self._asking = 0
        self._telling: asyncio.Future[None] | None = None
        self._wake, self._ready, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._joined = asyncio.Event()
        self._idle.set()
        self._gave_up = self._is_quiet = False
        self._trouble = "Redis does not answer"
        self.known: dict[str, Figures] = {}
        """By bucket's key: where it stood at the last answer."""
        self._unknown: tuple[Bucket, ...] = ()
        self._keeping = asyncio.create_task(self._keep())

    @property
    def is_reachable(self) -> bool:
        """Whether it can be counted on now."""
        return self._ready.is_set()

    @property
    def trouble(self) -> str:
        """Why it cannot, in words; empty if it can."""
        return "" if self._ready.is_set() else self._trouble

    def learn(self, buckets: Iterable[Bucket]) -> None:
        """Ask where these stand as soon as that can be asked: while it is away, its last answer is what there is."""
        self._unknown = tuple(bucket for bucket in buckets if bucket.key not in self.known)
        self._wake.set()

    async def reserve(self, lot: str, asked: Sequence[Asked], *, final: bool = True) -> Grants | Refused:
        """Take a lot of all that is asked, or nothing. Raises StoreAwayError."""
        deadline = time.monotonic() + self._times.patience
        while True:
            if not self._ready.is_set():
                await self._until_ready(deadline)
            try:
                answer = await self._ask(self._packed().reserve(lot, asked, final=final), deadline)
            except asyncio.CancelledError:
                self._ledger.abandon(lot)
                self._wake.set()
                raise
            if answer[0] == b"no":
                return self._refused(asked, answer[2:])
            if answer[0] == b"ok":
                break
        grants: Grants = {}
        for each, (grant, used, reserved, resets) in zip(asked, _rows(answer[2:], 4), strict=True):
            grants[each.bucket] = float(grant)
            self._learn(each.bucket, used, reserved, resets)
        self._ledger.open(lot, grants)
        if self._is_quiet:
            self._wake.set()
        return grants

    async def flush(self, wanted: Sequence[Bucket] = ()) -> None:
        """Tell what has changed, and learn where it stands; and where `wanted` do. Raises StoreAwayError."""
        while True:
            if self._telling is None:
                await self._tell(wanted)
                return
            await asyncio.wait({self._telling})
            if not self._ledger.news and not wanted:
                return

    async def close(self, *, leave: bool = True) -> None:
        """Let go of it; `leave` gives back at once what this process holds."""
        if leave and self._joined.is_set():
            with suppress(StoreAwayError):
                await self.flush()
                await self._ask(self._packed().leave(), time.monotonic() + self._times.patience)
                self._ledger.forget()
        self._keeping.cancel()
        await asyncio.wait({self._keeping})
        self._drop()

    async def _until_ready(self, deadline: float) -> None:
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

    async def _tell(self, wanted: Iterable[Bucket]) -> None:
        deadline = time.monotonic() + self._times.patience
        self._telling = asyncio.get_running_loop().create_future()
        news = self._ledger.take_news()
        try:
            while True:
                if not self._joined.is_set():
                    self._ledger.return_news(news)
                    await self._until_ready(deadline)
                    # Whoever has joined has said all.
                    news = self._ledger.take_news()
                buckets = list(dict.fromkeys((*news.buckets(), *wanted)))
                answer = await self._ask(self._packed().tell(news, self._ledger.totals, buckets), deadline)
                if answer[0] == b"ok":
                    break
        except BaseException:
            self._ledger.return_news(news)
            raise
        finally:
            self._telling.set_result(None)
            self._telling = None
        self._learn_all(buckets, answer[2:])

    async def _ask(self, command: bytes, deadline: float) -> list[bytes]:
        """Return the answer's words; `join` is acted on. Raises StoreAwayError."""
        server = self._server
        if server is None:
            raise StoreAwayError(self.trouble)
        self._asking += 1
        self._idle.clear()
        loop = asyncio.get_running_loop()
        answering = server.wire.ask(command)
        timer = loop.call_later(max(0.0, deadline - time.monotonic()), _expire, answering, _TURNS)
        try:
            answer: list[bytes] = (await answering).split()
        except OSError as error:
            self._gave_up = isinstance(error, TimeoutError) or self._gave_up
            if isinstance(error, RedisError):
                _log.warning("quota.store_refuses", error=str(error))
            self._lost(server.wire)
            raise StoreAwayError(f"Redis does not answer: {type(error).__name__}") from error
        finally:
            timer.cancel()
            self._asking -= 1
            if not self._asking:
                self._idle.set()
        self._clock.set(int(answer[1]))
        if answer[0] == b"join":
            self._begin_anew()
        return answer

    def _packed(self) -> Packer:
        if self._server is None or self._packer is None:
            raise StoreAwayError(self.trouble)
        return self._packer

    def _begin_anew(self) -> None:
        self._joined.clear()
        self._ready.clear()
        self._wake.set()

    def _recover(self, seconds: float) -> None:
        self._recovers_at = time.monotonic() + seconds
        self._trouble = "Redis was restarted or has lost its keys, and hears from other pods what they have used"
        self._ready.clear()

    def _lost(self, wire: Wire) -> None:
        if self._server is not None and self._server.wire is wire:
            self._drop()
            self._wake.set()

    def _drop(self) -> None:
        server, self._server = self._server, None
        self._recovers_at = 0.0
        self._joined.clear()
        self._ready.clear()
        self._trouble = "Redis does not answer"
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
        elif self._ledger.counts or self._ledger.news or self._unknown:
            with suppress(StoreAwayError):
                await self.flush(self._unknown)
                self._unknown = ()

    async def _join(self) -> None:
        # What was asked before is answered before: else a lot that was granted just now would be forgotten.
        await self._idle.wait()
        packer = self._packed()
        self._joined.clear()
        news = self._ledger.tell_all()
        try:
            command = packer.join(self._ledger, secrets.token_hex(8).encode(), self._clock.now())
            answer = await self._ask(command, time.monotonic() + 1.0)
        except BaseException:
            self._ledger.return_news(news)
            raise
        packer.join_as(answer[2])
        self._gave_up = False
        seconds = int(answer[3]) / 1000
        if self._unknown:
            # Before anybody goes on: while it hears from others, calls are judged by it.
            told = await self._ask(packer.tell(News(), {}, self._unknown), time.monotonic() + 1.0)
            if told[0] == b"ok":
                self._learn_all(self._unknown, told[2:])
                self._unknown = ()
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
        return self._times.beat * (0.75 + 0.25 * self._draw()) if self._ledger.counts else None

    def _refused(self, asked: Sequence[Asked], words: list[bytes]) -> Refused:
        short = []
        for index, used, reserved, frees, resets in _rows(words, 5):
            each, wait = asked[int(index)], float(frees)
            figures = self._learn(each.bucket, used, reserved, resets)
            short.append(Short(each, figures, wait / 1000 if wait >= 0 else None))
        return Refused(tuple(short))

    def _learn_all(self, buckets: Iterable[Bucket], words: list[bytes]) -> None:
        for bucket, figures in zip(buckets, _rows(words, 3), strict=True):
            self._learn(bucket, *figures)

    def _learn(self, bucket: Bucket, used: bytes, reserved: bytes, resets: bytes) -> Figures:
        now, after = time.monotonic(), float(resets)
        resets_at = now + after / 1000 if after >= 0 else None
        figures = self.known[bucket.key] = Figures(float(used), float(reserved), resets_at, now)
        return figures


def _rows(words: list[bytes], width: int) -> Iterable[tuple[bytes, ...]]:
    return zip(*[iter(words)] * width, strict=True)


def _expire(answering: "asyncio.Future[Any]", turns: int) -> None:
    if answering.done():
        return
    if turns:
        asyncio.get_running_loop().call_soon(_expire, answering, turns - 1)
    else:
        answering.set_exception(TimeoutError())
