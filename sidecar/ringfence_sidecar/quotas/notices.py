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
        found = []
        for bucket, each in figures:
            if bucket.limit.enforcement == "Warn" and each.taken > bucket.limit.max:
                found.append(words.over(bucket, each))
            found += self._reached(bucket, each)
        return tuple(found)

    def at_settlement(self, figures: Iterable[tuple[Bucket, Figures]]) -> tuple[Notice, ...]:
        """Return what a call is told that has used something."""
        return tuple(notice for bucket, each in figures for notice in self._reached(bucket, each))

    def _reached(self, bucket: Bucket, figures: Figures) -> Iterable[Notice]:
        # What is granted may yet be given back: only what was used counts, and what is held.
        used = figures.reserved if bucket.shape.is_held else figures.used
        highest = None
        for percent in sorted(bucket.limit.warn_at):
            key = (bucket.key, percent)
            if used * 100 < percent * bucket.limit.max:
                if bucket.shape.is_held:
                    self._said.pop(key, None)
            elif self._is_new(key, bucket):
                highest = percent
        if highest is not None:
            yield words.reached(bucket, figures, highest)

    def _is_new(self, key: tuple[str, int], bucket: Bucket) -> bool:
        shape, now = bucket.shape, time.monotonic()
        said = self._said.get(key)
        if shape.is_held:
            is_new, mark = said is None, 0.0
        elif shape.calendar:
            mark = float(shape.slot(self._clock.now()))
            is_new = said != mark
        else:
            is_new, mark = said is None or now - said >= shape.seconds, now
        if is_new:
            self._said[key] = mark
        return is_new
