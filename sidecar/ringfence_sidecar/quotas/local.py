"""Counts in the process: limits of one agent without Redis, and a pod's share of what was left while Redis is away."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ringfence_sidecar.quota import LEAST
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Figures, Grants, Refused, Short
from ringfence_sidecar.quotas.ledger import Clock, Ledger
from ringfence_sidecar.quotas.windows import exact


class DeniedError(Exception):
    """A limit lets nothing through while the store is away."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket.key)
        self.bucket = bucket


class Last(NamedTuple):
    """What the store has said, before it was lost."""

    known: Mapping[str, Figures]
    """By bucket's key; what it has not said before, as of what it said since."""
    lost: float
    """Monotonic time at which it was found to be away."""
    lease: float
    """Seconds: what had been said earlier than that before it was lost says nothing of what others have used."""


class Alone:
    """Decides for one pod while nobody tells what others use. `ledger` is all that the pod holds and has used."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._since: Ledger | None = None
        self._lost = 0.0
        self._known: dict[str, Figures] = {}
        """By bucket's key: where it stood as `_since` began. What the store says later has counted that, too."""

    def end(self) -> None:
        """Others can be heard again."""
        self._since = None
        self._known.clear()

    def decide(self, lot: str, asked: Sequence[Asked], *, writes: bool, last: Last | None) -> Grants | Refused:
        """Take a lot, or nothing. `last` is what the store last said; None if there is no store. Raises DeniedError.

        A limit of one agent needs no store: then the pod's own count is all there is.
        """
        if last is not None:
            last = self._as_lost(asked, last)
        now, monotonic = self._clock.now(), time.monotonic()
        shares: Grants = {}
        for bucket, *_ in asked:
            way = _way(bucket, writes=writes, last=last)
            share = math.inf if way == "Allow" else share_of(bucket, last, now=now, monotonic=monotonic)
            if way == "Deny" or (share is None and bucket.limit.enforcement != "Warn"):
                # A share of what nobody knows would be had again by each process that starts meanwhile.
                raise DeniedError(bucket)
            shares[bucket] = share or 0.0

        found = judge(self._since or self._ledger, self._clock, asked, shares.__getitem__)
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

    def _as_lost(self, asked: Sequence[Asked], last: Last) -> Last:
        """Return what had been said as the store was lost: a share is of what was left then, and used once."""
        if self._since is None or last.lost != self._lost:
            # Where it was there in between, it has been told what was used alone, and others have used more.
            self._since, self._lost, self._known = Ledger(self._clock), last.lost, {}
        for bucket, *_ in asked:
            if bucket.key in last.known:
                self._known.setdefault(bucket.key, last.known[bucket.key])
        return last._replace(known=self._known)


def _way(bucket: Bucket, *, writes: bool, last: Last | None) -> str:
    return "Local" if last is None and not bucket.limit.shared else bucket.when_away(writes=writes)


def share_of(bucket: Bucket, last: Last | None, *, now: int, monotonic: float) -> float | None:
    """Return what one pod may use while the store is away; None if it does not know what was left.

    It is a share of what was left; of the whole, once the window is over in which the store was lost, or if there is no
    store that others could use. So all shares together are what was left, and what was used of it between a pod's last
    answer and the moment in which the store was lost.
    """
    left = bucket.limit.max if last is None else _left(bucket, last, now=now, monotonic=monotonic)
    if left is None:
        return None
    share = left / (max(1, bucket.limit.agents) if bucket.limit.shared else 1)
    return share if bucket.limit.resource in LEAST else float(math.floor(share))


def _left(bucket: Bucket, last: Last, *, now: int, monotonic: float) -> float | None:
    limit, shape, known = bucket.limit, bucket.shape, last.known.get(bucket.key)
    lost = last.lost if known is None else max(last.lost, known.at)
    if known is not None and not limit.shared:
        # Nobody else uses it.
        lost = known.at
    lost_on = now - int((monotonic - lost) * 1000)
    if not shape.is_held and now >= shape.free_at(shape.slot(lost_on)):
        return limit.max
    if known is None or lost - known.at > last.lease:
        return None
    if limit.shared and 0 < shape.seconds <= last.lease:
        # Others may have used all of it since that answer.
        return 0.0
    is_over = shape.calendar and shape.slot(now - int((monotonic - known.at) * 1000)) != shape.slot(lost_on)
    return max(0.0, limit.max - (known.reserved if is_over else known.taken))


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
