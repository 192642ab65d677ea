"""Counts in the namespace's Redis. What it cannot be told now, it is told when it is there again."""

import asyncio
import time
from collections import ChainMap
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Figures, Grants, Refused, Short
from ringfence_sidecar.quotas.ledger import Clock, Ledger, News
from ringfence_sidecar.quotas.link import Link
from ringfence_sidecar.quotas.local import Last

__all__ = ["Store", "StoreAwayError", "Times"]

_LOOK_SECONDS = 1.0
_FIGURES = msgspec.msgpack.Decoder(list[float])
T = TypeVar("T")


class Store:
    """Counts for one process. Make it where an event loop runs, and close it."""

    def __init__(self, redis: Redis, *, pod: str, agent: str, ledger: Ledger, clock: Clock, times: Times) -> None:
        self._ledger, self._times = ledger, times
        self._telling: set[asyncio.Task[None]] = set()
        self.known: dict[str, Figures] = {}
        """By bucket's key: where it stood at the last answer."""
        self.last = Last(self.known, time.monotonic(), times.lease)
        """What shares are of while it is away."""
        self._unknown: tuple[Bucket, ...] = ()
        self._watched: tuple[Bucket, ...] = ()
        """Those of which this pod may have to use its share: it goes by figures that are as old as its last beat."""
        self.link = Link(redis, pod=pod, agent=agent, ledger=ledger, clock=clock, times=times, speaker=self)

    @property
    def is_reachable(self) -> bool:
        """Whether it can be counted on now."""
        return self.link.is_ready

    @property
    def trouble(self) -> str:
        """Why it cannot, in words; empty if it can."""
        return self.link.trouble

    @property
    def has_news(self) -> bool:
        """Whether there is something to say, or to ask, beside any call; a lease to keep, among it."""
        return bool(self._ledger.counts or self._ledger.news or self._unknown or self._watched)

    def learn(self, buckets: Iterable[Bucket]) -> None:
        """Ask where these stand as soon as that can be asked: while it is away, its last answer is what there is.

        Of those that are shared out then, it is asked at each beat: others use them, too.
        """
        buckets = tuple(buckets)
        self._unknown = tuple(bucket for bucket in buckets if bucket.key not in self.known)
        self._watched = tuple(bucket for bucket in buckets if bucket.is_shared_out)
        self.link.wake()

    def refused(self, bucket: Bucket) -> None:
        """Tell, as soon as it can be told, of a refusal that was not the store's."""
        self._ledger.refuse(bucket)
        self._tell_soon()

    def warned(self, bucket: Bucket, percent: int) -> None:
        """Tell, as soon as it can be told, that use has come to a percentage of `warnAt`."""
        self._ledger.warn(bucket, percent)
        self._tell_soon()

    async def beat(self) -> None:
        """Say what there is to say, and that the process is there. Raises StoreAwayError."""
        await self.flush((*self._unknown, *self._watched))
        self._unknown = tuple(bucket for bucket in self._unknown if bucket.key not in self.known)

    async def look(self) -> None:
        """Learn before anybody goes on: while it hears from others, calls are judged by it. Raises StoreAwayError."""
        self._unknown = tuple(dict.fromkeys((*self._unknown, *self._watched)))
        if not self._unknown:
            return
        told = await self.link.ask(self.link.packer.tell(News(), {}, self._unknown), time.monotonic() + _LOOK_SECONDS)
        if told[0] == b"ok":
            self._learn_all(self._unknown, told)
            self._unknown = ()

    def lost(self) -> None:
        """Remember where limits stand: what it says until it is ready again may be less than it knew."""
        self.last = Last(ChainMap(self.known.copy(), self.known), time.monotonic(), self._times.lease)

    async def reserve(
        self, lot: str, asked: Sequence[Asked], *, final: bool = True, counts: bool = True
    ) -> Grants | Refused:
        """Take a lot of all that is asked, or nothing; if `counts`, that is a refusal. Raises StoreAwayError."""
        link, deadline = self.link, self._deadline()
        while True:
            if not link.is_ready:
                await link.until_ready(deadline)
            if self._ledger.news:
                # Who asks again after an answer finds given back what that call had not used.
                self._tell_before()
            try:
                answer = await link.ask(link.packer.reserve(lot, asked, final=final, counts=counts), deadline)
            except asyncio.CancelledError:
                self._ledger.abandon(lot)
                link.wake()
                raise
            if answer[0] == b"no":
                return self._refused(asked, answer[2].split())
            if answer[0] == b"ok":
                break
        grants: Grants = {}
        now = time.monotonic()
        for each, (grant, used, reserved, resets) in zip(asked, _rows(_FIGURES.decode(answer[2]), 4), strict=True):
            bucket = each.bucket
            grants[bucket] = grant
            # As `_learn` does it: in every call, for each bucket, so without asking it.
            self.known[bucket.key] = Figures(used, reserved, now + resets / 1000 if resets >= 0 else None, now)
        self._ledger.open(lot, grants)
        link.begin_to_beat()
        return grants

    async def flush(self, wanted: Sequence[Bucket] = ()) -> None:
        """Tell what has changed, and learn where it stands; and where `wanted` do. Raises StoreAwayError."""
        deadline = self._deadline()
        while True:
            if not self.link.is_joined:
                # Whoever has joined has said all.
                await self.link.until_ready(deadline)
            if await self._send(wanted, deadline):
                return

    async def close(self, *, leave: bool = True) -> None:
        """Let go of it; `leave` gives back at once what this process holds."""
        if leave and self.link.is_joined:
            with suppress(StoreAwayError):
                await self.flush()
                await self.link.ask(self.link.packer.leave(), self._deadline())
                self._ledger.forget()
        await self.link.close()
        if self._telling:
            await asyncio.wait(self._telling)

    def _deadline(self) -> float:
        return time.monotonic() + self._times.patience

    def _tell_soon(self) -> None:
        if self.link.is_ready:
            self.link.wake()

    def _tell_before(self) -> None:
        """Tell what has changed, before whatever is asked next; nobody waits for it."""
        task = asyncio.create_task(_quietly(self._send((), self._deadline())))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _send(self, wanted: Iterable[Bucket], deadline: float) -> Coroutine[Any, Any, bool]:
        """Send the news; what is returned must be awaited. Raises StoreAwayError, both do."""
        packer, news = self.link.packer, self._ledger.take_news()
        buckets = list(dict.fromkeys((*news.buckets(), *wanted)))
        return self._sent(news, buckets, self.link.ask(packer.tell(news, self._ledger.totals, buckets), deadline))

    async def _sent(self, news: News, buckets: list[Bucket], asked: Coroutine[Any, Any, list[bytes]]) -> bool:
        """Return whether the news has been taken; if not, then all of it has to be said first."""
        is_told = False
        try:
            answer = await asked
            is_told = answer[0] == b"ok"
        finally:
            if not is_told:
                self._ledger.return_news(news)
        if is_told:
            self._learn_all(buckets, answer)
        return is_told

    def _refused(self, asked: Sequence[Asked], words: list[bytes]) -> Refused:
        short = []
        for index, used, reserved, frees, resets in _rows(words, 5):
            each, wait = asked[int(index)], float(frees)
            now = time.monotonic()
            figures = self._learn(each.bucket, float(used), float(reserved), float(resets), now)
            short.append(Short(each, figures, wait / 1000 if wait >= 0 else None))
        return Refused(tuple(short))

    def _learn_all(self, buckets: Iterable[Bucket], told: list[bytes]) -> None:
        now = time.monotonic()
        for bucket, (used, reserved, resets) in zip(buckets, _rows(_FIGURES.decode(told[2]), 3), strict=True):
            self._learn(bucket, used, reserved, resets, now)

    def _learn(self, bucket: Bucket, used: float, reserved: float, resets: float, now: float) -> Figures:
        resets_at = now + resets / 1000 if resets >= 0 else None
        figures = self.known[bucket.key] = Figures(used, reserved, resets_at, now)
        return figures


def _rows(words: Iterable[T], width: int) -> Iterable[tuple[T, ...]]:
    return zip(*[iter(words)] * width, strict=True)


async def _quietly(sent: Coroutine[Any, Any, bool]) -> None:
    with suppress(StoreAwayError):
        await sent
