"""Warnings: each percentage of `warnAt` once in a window and pod; a Warn limit that is passed, at every call."""

import time
from collections.abc import Iterable

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.quotas import words
from ringfence_sidecar.quotas.buckets import Bucket, Figures
from ringfence_sidecar.quotas.ledger import Clock


class Warnings:
    """What has been said already."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[tuple[str, int], float] = {}

    def at_grant(self, figures: Iterable[tuple[Bucket, Figures]]) -> tuple[Notice, ...]:
        """Return what a call is told that was granted: Warn limits that it passes, and percentages."""
        found: list[Notice] = []
        for bucket, each in figures:
            if bucket.limit.enforcement == "Warn" and each.taken > bucket.limit.max:
                found.append(words.over(bucket, each))
            found += self._reached(bucket, each)
        return tuple(found)

    def at_settlement(self, figures: Iterable[tuple[Bucket, Figures]]) -> tuple[Notice, ...]:
        """Return what a call is told that has used something."""
        return tuple(notice for bucket, each in figures for notice in self._reached(bucket, each))

    def may_come(self, figures: Iterable[tuple[Bucket, Figures]]) -> bool:
        """Return True if a percentage is reached once all has been used that was granted."""
        return any(
            each.taken * 100 >= percent * bucket.limit.max and self._is_new((bucket.key, percent), bucket)[0]
            for bucket, each in figures
            for percent in bucket.limit.warn_at
        )

    def _reached(self, bucket: Bucket, figures: Figures) -> Iterable[Notice]:
        if not bucket.limit.warn_at:
            return
        # What is granted may yet be given back: only what was used counts, and what is held.
        used = figures.reserved if bucket.shape.is_held else figures.used
        highest = None
        for percent in sorted(bucket.limit.warn_at):
            key = (bucket.key, percent)
            if used * 100 < percent * bucket.limit.max:
                if bucket.shape.is_held:
                    self._said.pop(key, None)
            else:
                is_new, mark = self._is_new(key, bucket)
                if is_new:
                    self._said[key] = mark
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
