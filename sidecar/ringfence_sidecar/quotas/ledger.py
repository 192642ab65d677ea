"""What this process holds and has used, whether the store knows of it or not: what it says after the store was away."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ringfence_sidecar.quotas.buckets import Bucket, Grants
from ringfence_sidecar.quotas.windows import Slots, exact


class Clock:
    """The store's time, as far as is known; this machine's until then. Milliseconds since the epoch."""

    def __init__(self, read: Callable[[], float] = time.time) -> None:
        self._read = read
        self._ahead = 0.0

    def now(self) -> int:
        """Return the present moment."""
        return int(self._read() * 1000 + self._ahead)

    def set(self, now: int) -> None:
        """Take over what the store said just now."""
        self._ahead = now - self._read() * 1000


@dataclass(slots=True)
class News:
    """What is to be told: lots by what is left of them, buckets of which more has been used, refusals and warnings."""

    lots: dict[str, Grants] = field(default_factory=dict)
    totals: dict[str, Bucket] = field(default_factory=dict)
    refused: dict[Bucket, int] = field(default_factory=dict)
    """Calls that gave up where the store was not asked for them."""
    warned: set[tuple[Bucket, int]] = field(default_factory=set)
    """Percentages of `warnAt` that use has come to."""

    def __bool__(self) -> bool:
        return bool(self.lots or self.totals or self.refused or self.warned)

    def buckets(self) -> Iterable[Bucket]:
        """Return what it is about; one may come twice."""
        return itertools.chain(
            *self.lots.values(), self.totals.values(), self.refused, (each for each, _ in self.warned)
        )


class Ledger:
    """Lots that are open, and totals that only grow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lots: dict[str, Grants] = {}
        """By id: what each has been granted."""
        self.totals: dict[str, float] = {}
        """By bucket's key: what was used since the process began."""
        self.slots: dict[str, tuple[Bucket, Slots]] = {}
        """By bucket's key: what of it counts now."""
        self.news = News()
        self._own: set[str] = set()

    def open(self, lot: str, grants: Grants, *, is_known: bool = True) -> None:
        """Keep what was granted; `is_known` if the store has granted it."""
        self.lots[lot] = grants
        if not is_known:
            self._own.add(lot)

    def abandon(self, lot: str) -> None:
        """Have the store take back a lot of which nobody knows whether it was granted."""
        self.news.lots[lot] = {}

    def tell_all(self) -> News:
        """Return the news, and count every lot as known: all are being told. Refusals and warnings are news still."""
        self._own.clear()
        taken = self.take_news()
        self.news.refused, taken.refused = taken.refused, {}
        self.news.warned, taken.warned = taken.warned, set()
        return taken

    def settle(self, lot: str, stays: Grants, used: Mapping[Bucket, float]) -> None:
        """Close a lot, or leave in it what stays held; count what was used."""
        granted = self.lots.pop(lot, {})
        left = {bucket: min(amount, granted.get(bucket, 0.0)) for bucket, amount in stays.items() if amount > 0}
        if left:
            self.lots[lot] = left
        if lot not in self._own:
            self.news.lots[lot] = left
        elif not left:
            self._own.discard(lot)
        now = self._clock.now()
        for bucket, amount in used.items():
            if amount > 0 and not bucket.shape.is_held:
                self._use(bucket, amount, now)

    def release(self, lot: str, amount: float) -> None:
        """Give back some of what a lot holds, in all its buckets."""
        if lot in self.lots:
            self.settle(lot, {bucket: exact(had - amount) for bucket, had in self.lots[lot].items()}, {})

    def refuse(self, bucket: Bucket) -> None:
        """Count a call that gave up."""
        self.news.refused[bucket] = self.news.refused.get(bucket, 0) + 1

    def warn(self, bucket: Bucket, percent: int) -> None:
        """Note that use has come to a percentage of `warnAt`."""
        self.news.warned.add((bucket, percent))

    def held(self, bucket: Bucket) -> float:
        """Return what of a bucket is in open lots."""
        return exact(sum(grants.get(bucket, 0.0) for grants in self.lots.values()))

    def used(self, bucket: Bucket) -> float:
        """Return what this process has used of a bucket, as far as it counts now."""
        found = self.slots.get(bucket.key)
        return found[1].used(self._clock.now()) if found else 0.0

    @property
    def counts(self) -> bool:
        """Whether a store that has lost everything would need to hear from this process."""
        if self.lots:
            return True
        now = self._clock.now()
        return any(slots.used(now) > 0 for _, slots in self.slots.values())

    def take_news(self) -> News:
        """Return what is to be told, and count it as told."""
        taken, self.news = self.news, News()
        return taken

    def return_news(self, taken: News) -> None:
        """Keep what could not be told."""
        for bucket, times in taken.refused.items():
            self.news.refused[bucket] = self.news.refused.get(bucket, 0) + times
        lots, totals = {**taken.lots, **self.news.lots}, {**taken.totals, **self.news.totals}
        self.news = News(lots, totals, self.news.refused, self.news.warned | taken.warned)

    def forget(self) -> None:
        """Begin at nothing: the store knows it all, and has forgotten who said it."""
        self.lots.clear()
        self.totals.clear()
        self.slots.clear()
        self.news = News()

    def keep_only(self, keys: frozenset[str]) -> None:
        """Forget buckets that no limit asks for any more, once nothing of them is open or to be told."""
        kept = keys | self.news.totals.keys() | {each.key for grants in self.lots.values() for each in grants}
        for key in self.slots.keys() - kept:
            del self.slots[key]

    def _use(self, bucket: Bucket, amount: float, now: int) -> None:
        key = bucket.key
        self.totals[key] = exact(self.totals.get(key, 0.0) + amount)
        if key not in self.slots:
            self.slots[key] = bucket, Slots(bucket.shape)
        self.slots[key][1].add(now, amount)
        self.news.totals[key] = bucket
