"""Warnings: each percentage of `warnAt` once in a window and pod; a Warn limit that is passed, at every call.

Of what a call may be granted less than it asks for, it asks for the most that it may use: what it has used says whether
it passes a limit. Of all else, the call is told as it begins.
"""

import time
from collections.abc import Callable, Iterable

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.quota import DIVISIBLE
from ringfence_sidecar.quotas import words
from ringfence_sidecar.quotas.buckets import Bucket, Figures
from ringfence_sidecar.quotas.ledger import Clock


class Warnings:
    """What has been said already."""

    def __init__(self, clock: Clock, on_reached: Callable[[Bucket, int], None] = lambda *_: None) -> None:
        self._clock = clock
        self._on_reached = on_reached
        """Hears of each percentage that is said."""
        self._said: dict[tuple[str, int], float] = {}

    def at_grant(self, figures: Iterable[tuple[Bucket, Figures]]) -> tuple[Notice, ...]:
        """Return what a call is told that was granted: Warn limits that it passes, and percentages."""
        found: list[Notice] = []
        for bucket, each in figures:
            if not _is_guess(bucket) and _passes(bucket, each.taken):
                found.append(words.over(bucket, each.taken))
            # What is handed out of leases is known once the call has ended.
            found += self._reached(bucket, each, may_say=not (bucket.shape.is_held and _is_guess(bucket)))
        return tuple(found)

    def at_settlement(self, figures: Iterable[tuple[Bucket, Figures]]) -> tuple[Notice, ...]:
        """Return what a call is told that has used something."""
        found: list[Notice] = []
        for bucket, each in figures:
            if _is_guess(bucket) and _passes(bucket, _used(bucket, each)):
                found.append(words.over(bucket, _used(bucket, each)))
            found += self._reached(bucket, each)
        return tuple(found)

    def may_come(self, figures: Iterable[tuple[Bucket, Figures]]) -> bool:
        """Return True if a limit is passed, or a percentage reached, once all has been used that was granted."""
        figures = tuple(figures)
        return any(_is_guess(bucket) and _passes(bucket, each.taken) for bucket, each in figures) or any(
            each.taken * 100 >= percent * bucket.limit.max and self._is_new((bucket.key, percent), bucket)[0]
            for bucket, each in figures
            for percent in bucket.limit.warn_at
        )

    def _reached(self, bucket: Bucket, figures: Figures, *, may_say: bool = True) -> Iterable[Notice]:
        if not bucket.limit.warn_at:
            return
        used = _used(bucket, figures)
        highest = None
        for percent in sorted(bucket.limit.warn_at):
            key = (bucket.key, percent)
            if used * 100 < percent * bucket.limit.max:
                if bucket.shape.is_held:
                    self._said.pop(key, None)
            elif may_say:
                is_new, mark = self._is_new(key, bucket)
                if is_new:
                    self._said[key] = mark
                    self._on_reached(bucket, percent)
                    highest = percent
        if highest is not None:
            yield words.reached(bucket, figures, highest)

    def _is_new(self, key: tuple[str, int], bucket: Bucket) -> tuple[bool, float]:
        """Return whether it was not said in this window, and what to remember if it is said now."""
        shape, now = bucket.shape, time.monotonic()
        said = self._said.get(key)
        if shape.is_held:
            return said is None, 0.0
        if shape.calendar:
            mark = float(shape.slot(self._clock.now()))
            return said != mark, mark
        return said is None or now - said >= shape.seconds, now


def _is_guess(bucket: Bucket) -> bool:
    return bucket.limit.resource in DIVISIBLE


def _used(bucket: Bucket, figures: Figures) -> float:
    """Return what counts: what is granted may yet be given back, so it is only what was used, and what is held."""
    return figures.reserved if bucket.shape.is_held else figures.used


def _passes(bucket: Bucket, used: float) -> bool:
    return bucket.limit.enforcement == "Warn" and used > bucket.limit.max
