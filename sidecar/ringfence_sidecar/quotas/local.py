"""Counts in the process: limits of one agent without Redis, and a pod's share of what was left while Redis is away."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from ringfence_sidecar.quota import LEAST
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Figures, Grants, Refused, Short
from ringfence_sidecar.quotas.ledger import Clock, Ledger
from ringfence_sidecar.quotas.windows import exact


class DeniedError(Exception):
    """A limit lets nothing through while the store is away."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket.key)
        self.bucket = bucket


class Alone:
    """Decides for one pod while nobody tells what others use. `ledger` is all that the pod holds and has used."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._since: Ledger | None = None
        self._known: dict[str, Figures] = {}
        """By bucket's key: where it stood as `_since` began. What the store says later has counted that, too."""

    def end(self) -> None:
        """Others can be heard again."""
        self._since = None
        self._known.clear()

    def decide(
        self, lot: str, asked: Sequence[Asked], *, writes: bool, known: Mapping[str, Figures] | None
    ) -> Grants | Refused:
        """Take a lot, or nothing. `known` is what the store last said; None if there is no store. Raises DeniedError.

        A limit of one agent needs no store: then the pod's own count is all there is.
        """
        ways = {each.bucket: _way(each.bucket, writes=writes, known=known) for each in asked}
        for bucket, way in ways.items():
            if way == "Deny":
                raise DeniedError(bucket)
        if known is not None and self._since is None:
            # A share is of what was left: what was used before is no part of it.
            self._since = Ledger(self._clock)
        for bucket in ways:
            if known is not None and bucket.key in known:
                self._known.setdefault(bucket.key, known[bucket.key])
        now, monotonic = self._clock.now(), time.monotonic()

        def most(bucket: Bucket) -> float:
            if ways[bucket] == "Allow":
                return math.inf
            return share_of(bucket, self._known.get(bucket.key), now=now, monotonic=monotonic)

        found = judge(self._since or self._ledger, self._clock, asked, most)
        if not isinstance(found, Refused):
            self._ledger.open(lot, found, is_known=False)
            if self._since is not None:
                self._since.open(lot, found, is_known=False)
        return found

    def settle(self, lot: str, stays: Grants, spent: Grants) -> None:
        """Count what was used of the share."""
        if self._since is not None and lot in self._since.lots:
            self._since.settle(lot, stays, spent)

    def release(self, lot: str, amount: float) -> None:
        """Give back some of the share that is held."""
        if self._since is not None:
            self._since.release(lot, amount)


def _way(bucket: Bucket, *, writes: bool, known: Mapping[str, Figures] | None) -> str:
    if known is None and not bucket.limit.shared:
        return "Local"
    way = bucket.when_away(writes=writes)
    if way == "Local" and known is not None and bucket.key not in known and bucket.limit.enforcement != "Warn":
        # A share of what nobody knows would be had again by each process that starts meanwhile.
        return "Deny"
    return way


def share_of(bucket: Bucket, known: Figures | None, *, now: int, monotonic: float) -> float:
    """Return what one pod may use while the store is away.

    `known` is the last answer: its share of what was left then; of the whole, once that window is over, or if there is
    no store that could have answered.
    """
    pods = max(1, bucket.limit.agents) if bucket.limit.shared else 1
    most = bucket.limit.max
    if known is not None and not _is_over(bucket, now=now, seconds=monotonic - known.at):
        most = max(0.0, most - known.taken)
    share = most / pods
    return share if bucket.limit.resource in LEAST else float(math.floor(share))


def _is_over(bucket: Bucket, *, now: int, seconds: float) -> bool:
    shape = bucket.shape
    if shape.is_held:
        return False
    if shape.calendar:
        return shape.slot(now) != shape.slot(now - int(seconds * 1000))
    return seconds >= shape.seconds


def judge(ledger: Ledger, clock: Clock, asked: Sequence[Asked], most: Callable[[Bucket], float]) -> Grants | Refused:
    """Return what of each is granted if no more than `most` is used, all or nothing; nothing is taken yet."""
    grants: Grants = {}
    short = []
    for each in asked:
        bucket = each.bucket
        figures = figures_of(ledger, clock, bucket)
        left = exact(most(bucket) - figures.taken)
        if bucket.limit.enforcement == "Warn" or each.amount <= left:
            grants[bucket] = each.amount
        elif left <= 0 or left < each.least:
            short.append(Short(each, figures, _wait(ledger, clock, bucket, max(each.least, 0.000001) - left)))
        else:
            grants[bucket] = left
    return Refused(tuple(short)) if short else grants


def figures_of(ledger: Ledger, clock: Clock, bucket: Bucket) -> Figures:
    """Return where the process itself stands."""
    now = time.monotonic()
    resets = None if bucket.shape.is_held else now + (_wait(ledger, clock, bucket, 0.000001) or 0.0)
    return Figures(ledger.used(bucket), ledger.held(bucket), resets, now)


def _wait(ledger: Ledger, clock: Clock, bucket: Bucket, need: float) -> float | None:
    found = ledger.slots.get(bucket.key)
    return found[1].wait(clock.now(), need) if found else None
