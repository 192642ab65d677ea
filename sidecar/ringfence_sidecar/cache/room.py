"""cacheBytes: how much of the cache the agent takes up.

It is what its own values weigh as JSON, each until it expires, is deleted, is set anew or is forgotten by its tag,
whichever process of the agent has set it (`index`); and what the answers weigh that this process keeps. Answers give
way to values, and are not kept rather than refused. It is exact here, whatever the store does, which is only told.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.grants import Held
from ringfence_sidecar.quota import Quota

RESOURCE: Final = "cacheBytes"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Value:
    size: int
    expires: float
    tags: tuple[str, ...]


class Room:
    """Counts, refuses and tells. Where no limit holds, it only counts."""

    def __init__(
        self, quota: Quota | None = None, *, tell: Callable[[LimitedError | Notice], None] = lambda _: None
    ) -> None:
        self._quota = quota
        self._tell = tell
        """Counts a refusal or a warning."""
        self._limits: tuple[Limit, ...] = ()
        self._reached: dict[Limit, int] = {}
        """The percentage of `warnAt` that was said last."""
        self._values: dict[str, _Value] = {}
        self._ends: list[tuple[float, str]] = []
        self._own = 0
        self._answers = 0
        self._told = 0.0
        self._held: list[tuple[Held, float]] = []
        """What was told, part by part."""
        self._telling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def apply(self, limits: Iterable[Limit]) -> None:
        """Keep these limits from now on: what is there stays, and no more comes in."""
        self._limits = tuple(each for each in limits if each.resource == RESOURCE)
        self._reached = {each: percent for each, percent in self._reached.items() if each in self._limits}
        self._changed()

    @property
    def is_limited(self) -> bool:
        """Whether a limit holds."""
        return bool(self._limits)

    @property
    def used(self) -> int:
        """What the agent takes up now."""
        self._expire()
        return self._own + self._answers

    def for_answers(self, otherwise: int) -> int:
        """Return how much answers may take up."""
        return max(0, min([otherwise, *(int(each.max) - self._own for each in self._limits if _refuses(each))]))

    def keeps_answers(self, size: int) -> None:
        """Say how much answers take up."""
        if size != self._answers:
            self._answers = size
            self._changed()

    def fits(self, name: str, size: int) -> bool:
        """Return whether there is room for a value, in place of the one of before."""
        own = self._own_with(name, size)
        return all(own <= each.max for each in self._limits if _refuses(each))

    def put(self, name: str, size: int, *, expires: float, tags: tuple[str, ...]) -> tuple[Notice, ...]:
        """Count a value, in place of the one of before. Raises LimitedError, and then nothing has changed."""
        self._expire()
        own = self._own_with(name, size)
        warnings = tuple(filter(None, (self._judge(each, own) for each in self._limits)))
        self._values[name] = _Value(size, expires, tags)
        heapq.heappush(self._ends, (expires, name))
        self._own = own
        self._changed()
        for each in warnings:
            self._tell(each)
        return warnings

    def restore(self, name: str, size: int, *, expires: float, tags: tuple[str, ...]) -> None:
        """Count a value that was there before, whatever the limits."""
        if name not in self._values:
            self._values[name] = _Value(size, expires, tags)
            heapq.heappush(self._ends, (expires, name))
            self._own += size
            self._changed()

    def drop(self, name: str) -> None:
        """Count a value no longer, if it is there."""
        if (found := self._values.pop(name, None)) is not None:
            self._own -= found.size
            self._changed()

    def drop_tagged(self, tag: str) -> None:
        """Count the values with a tag no longer."""
        for name in [name for name, each in self._values.items() if tag in each.tags]:
            self.drop(name)

    def clear(self) -> None:
        """Count no value of before: what kept them is another one now."""
        for name in list(self._values):
            self.drop(name)

    async def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            self._telling.cancel()
            with suppress(asyncio.CancelledError):
                await self._telling

    def _own_with(self, name: str, size: int) -> int:
        return self._own - (self._values[name].size if name in self._values else 0) + size

    def _judge(self, limit: Limit, own: int) -> Notice | None:
        if _refuses(limit) and own > limit.max:
            error = _refusal(limit, self._own, retry_after=self._next_end())
            self._tell(error)
            if self._quota is not None:
                self._quota.refused(error)
            raise error
        # Answers give way, so they never stand against a value of the agent's own.
        used = own if _refuses(limit) else own + self._answers
        is_passed, percent = used > limit.max, self._newly_reached(limit, used)
        if not is_passed and not percent:
            return None
        what = "is passed" if is_passed else f"is at {percent}% or more"
        said = f"quota {limit.quota}: cacheBytes {limit.max:.0f} {what}: {used} used"
        return Notice("QuotaWarning", said, limit.quota, RESOURCE)

    def _newly_reached(self, limit: Limit, used: int) -> int:
        """Return the highest of `warnAt` that use has come to since it was below it last; 0 for none."""
        before = self._reached.get(limit, 0)
        now = self._reached[limit] = max((each for each in limit.warn_at if used * 100 >= each * limit.max), default=0)
        return now if now > before else 0

    def _next_end(self) -> float:
        return max(0.1, round(self._ends[0][0] - time.time(), 3)) if self._ends else 1.0

    def _expire(self) -> None:
        now = time.time()
        while self._ends and self._ends[0][0] <= now:
            ends, name = heapq.heappop(self._ends)
            if (found := self._values.get(name)) is not None and found.expires <= ends:
                self.drop(name)

    def _changed(self) -> None:
        quota = self._quota
        if quota is None or not (self._limits or self._told):
            return
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_store(quota))
        if self._timer is None and self._ends:
            seconds = max(0.0, self._ends[0][0] - time.time())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._expire()
        self._changed()

    async def _tell_store(self, quota: Quota) -> None:
        """Hold of the quota what is taken up: for its status, and for the agent's own."""
        while (wanted := float(self._own + self._answers) if self._limits else 0.0) != self._told:
            more, self._told = wanted - self._told, wanted
            try:
                if more > 0:
                    self._held.append((await quota.hold(RESOURCE, more), more))
                else:
                    await self._release(-more)
            except Exception as error:  # noqa: BLE001 - what is kept here is exact, whatever the store makes of it
                self._told -= more
                log.warning("cacheBytes not told", error=type(error).__name__)
                return

    async def _release(self, amount: float) -> None:
        while amount > 0 and self._held:
            held, size = self._held.pop()
            given = min(size, amount)
            if given < size:
                self._held.append((held, size - given))
            amount -= given
            await held.release(given)


def _refuses(limit: Limit) -> bool:
    return limit.enforcement != "Warn"


def _refusal(limit: Limit, used: int, *, retry_after: float) -> LimitedError:
    return LimitedError(
        f"quota {limit.quota}: cacheBytes {limit.max:.0f} is used up: the agent's values have {used} bytes; delete"
        " some, or keep smaller ones",
        rule=f"{RESOURCE}/{limit.window}/PerAgent",
        retry_after=retry_after,
        details={
            "quota": limit.quota,
            "resource": RESOURCE,
            "window": limit.window,
            "scope": "PerAgent",
            "enforcement": limit.enforcement,
            "limit": limit.max,
            "used": float(used),
        },
    )
