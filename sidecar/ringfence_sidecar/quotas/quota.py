"""What the pipeline asks: grants of every limit that holds for the agent, counted in Redis or, without one, here."""

import secrets
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import Agent, Limit, LimitUse, Redis
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import CallError, LimitedError
from ringfence_sidecar.quota import Ask, Budget, Left, Nothing, Policy, Reservation
from ringfence_sidecar.quotas import words
from ringfence_sidecar.quotas.away import StoreAwayError, Times
from ringfence_sidecar.quotas.buckets import Asked, Bucket, Figures, Grants, Refused, Short, least_of, outcome
from ringfence_sidecar.quotas.in_force import InForce
from ringfence_sidecar.quotas.ledger import Clock, Ledger
from ringfence_sidecar.quotas.local import Alone, DeniedError, Last, figures_of
from ringfence_sidecar.quotas.lots import Lot
from ringfence_sidecar.quotas.notices import Warnings
from ringfence_sidecar.quotas.soft import Lines
from ringfence_sidecar.quotas.standing import budget_of, left_of, use_of
from ringfence_sidecar.quotas.store import Store

NO_STORE: Final = "there is no Redis in which agents could count together"
_NO_STORE_SECONDS = 30.0
_NEVER = 0, 0.0
_USUAL: Final[Mapping[str, float]] = {}
_UNKNOWN: Final[Mapping[str, Figures]] = {}


class Quotas:
    """A `ringfence_sidecar.quota.Quota`. Nothing holds before the first `apply`; close it."""

    def __init__(self, times: Times | None = None) -> None:
        self._times: Final = times or Times()
        self._clock: Final = Clock()
        self._ledger: Final = Ledger(self._clock)
        self._warnings: Final = Warnings(self._clock, self._warned)
        self._alone: Final = Alone(self._ledger, self._clock)
        self._lines: Final = Lines()
        self._pod: Final = secrets.token_hex(8)
        self._number = 0
        self._made_from: object = None
        self._store: Store | None = None
        self._in_force = InForce((), "")
        self._refusals: dict[str, tuple[int, float]] = {}
        self._reached: dict[str, tuple[int, float]] = {}
        """By bucket's key: the percentage of `warnAt` that was said last, and when."""

    async def apply(self, limits: Sequence[Limit], agent: Agent, redis: Redis | None) -> None:
        """Put limits in force. What is under way goes on, and is settled in the buckets that it was granted by."""
        before = frozenset(bucket.key for bucket in self._all())
        self._in_force = InForce(limits, agent.uid)
        keys = frozenset(bucket.key for bucket in self._all())
        self._ledger.keep_only(keys)
        self._refusals = {key: each for key, each in self._refusals.items() if key in keys}
        self._reached = {key: each for key, each in self._reached.items() if key in keys}
        wanted = (redis, agent.uid) if limits or self._ledger.lots else None
        if wanted != self._made_from:
            self._made_from = wanted
            await self._count_in(None if wanted is None else redis, agent, leave=wanted is None)
        if self._store is not None:
            self._store.learn(self._all())
        # Whoever waits is judged by the limits that hold now.
        self._lines.tell(before | keys)

    @property
    def trouble(self) -> str:
        """Why limits cannot be counted with other pods now, in words; empty if they can, or none needs it."""
        if self._store is not None:
            return self._store.trouble
        return NO_STORE if any(bucket.limit.shared for bucket in self._all()) else ""

    def limits(self, resource: str) -> bool:
        """Return True if any limit holds for the resource."""
        return resource in self._in_force.by_resource

    async def reserve(self, ask: Ask) -> Reservation:
        """Grant all of what is asked, or raise LimitedError and grant nothing."""
        asked = self._asked(ask.amounts, ask.least)
        if not asked:
            return Nothing()
        lot = self._next()
        return self._reserved(lot, await self._take(lot, asked, ask))

    async def hold(self, resource: str, amount: float) -> Reservation:
        """Take some of what is held outside a call. Raises LimitedError."""
        asked = self._asked({resource: amount})
        if not asked:
            return Nothing()
        lot, ask = self._next(), Ask(amounts={resource: amount}, writes=False, deadline=Deadline.after(0))
        found = await self._try(lot, asked, ask, final=True, counts=False)
        if isinstance(found, Refused):
            raise self._refusal(found)
        return self._reserved(lot, found, is_settled=True)

    def refused(self, error: LimitedError) -> None:
        """Count a refusal by a limit that had not been asked: its `details` say which."""
        for bucket in self._in_force.by_resource.get(str(error.details.get("resource")), ()):
            if words.names(error.details, bucket):
                self._count(bucket)

    async def budgets(self) -> tuple[Budget, ...]:
        """Return where every limit stands for this agent; as of the last answer, while the store is away."""
        if self._store is not None:
            with suppress(StoreAwayError):
                await self._store.flush(self._all())
        return self.known()

    def known(self) -> tuple[Budget, ...]:
        """Return the same as of the last answer, without asking."""
        return tuple(budget_of(bucket, self._figures(bucket)) for bucket in self._all())

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What of the limits stays as it is; another object as soon as any has changed."""
        return self._in_force.policies

    def left(self) -> Sequence[Left]:
        """Return where each of the `policies` stands as of the last answer."""
        known = self._store.known if self._store is not None else _UNKNOWN
        now = time.monotonic()
        return [left_of(bucket, known.get(bucket.key) or self._figures(bucket), now) for bucket in self._in_force.every]

    def uses(self) -> tuple[LimitUse, ...]:
        """Return what this pod has used, for the operator; nothing with Redis, where it reads for itself."""
        if self._store is not None:
            return ()
        return tuple(
            use_of(
                each,
                self._figures(each),
                refused=self._refusals.get(each.key, _NEVER),
                warned=self._reached.get(each.key, _NEVER),
            )
            for each in self._all()
        )

    async def close(self) -> None:
        """End, and give back what this pod holds."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def release(self, lot: str, amount: float) -> None:
        """Give back some of what a lot holds, in the buckets that granted it."""
        buckets = tuple(self._ledger.lots.get(lot, ()))
        self._ledger.release(lot, amount)
        self._alone.release(lot, amount)
        if buckets:
            await self._flush()
            self._lines.tell(bucket.key for bucket in buckets)

    def settle(
        self, lot: str, used: Mapping[str, float], *, may_warn: bool, released: float = 0.0
    ) -> Coroutine[Any, Any, tuple[Notice, ...]]:
        """Replace what a lot was granted by what was used; what is returned tells the store, and must be awaited.

        Of what stays held, `released` has been given back already.
        """
        grants = self._ledger.lots.get(lot, {})
        stays, spent = outcome(grants, used, released)
        self._ledger.settle(lot, stays, spent)
        self._alone.settle(lot, stays, spent)
        # What is said to nobody would be said to nobody else.
        return self._told(grants, [bucket for bucket in spent | stays if may_warn and bucket.warns])

    async def _count_in(self, redis: Redis | None, agent: Agent, *, leave: bool) -> None:
        before, self._store = self._store, None
        if before is not None:
            # One that goes on, elsewhere, does so under the same name: nothing of it is given back.
            await before.close(leave=leave)
        if redis is not None:
            self._store = Store(
                redis,
                pod=self._pod,
                agent=agent.uid,
                ledger=self._ledger,
                clock=self._clock,
                times=self._times,
            )

    async def _take(self, lot: str, asked: Sequence[Asked], ask: Ask) -> Grants:
        waits = self._lines.joined_by(asked)
        if waits is None:
            found = await self._try(lot, asked, ask, final=False)
            if not isinstance(found, Refused):
                return found
            if found.is_final:
                raise self._refusal(found)
            waits = found.short[0].asked
        return await self._wait(lot, asked, ask, waits)

    async def _wait(self, lot: str, asked: Sequence[Asked], ask: Ask, waits: Asked) -> Grants:
        """Wait in one line after the other until all of them let the call through."""
        begun = time.monotonic()
        soft = [each.bucket.limit.soft_deadline_seconds for each in asked if each.bucket.limit.enforcement == "Soft"]
        deadline = min(ask.deadline.at, begun + min(soft))
        while True:
            found = await self._wait_at(waits, lot, ask, deadline)
            if not isinstance(found, Refused):
                return found
            if found.is_final or time.monotonic() >= deadline:
                raise self._refusal(found, waited=time.monotonic() - begun)
            waits = found.short[0].asked

    async def _wait_at(self, waits: Asked, lot: str, ask: Ask, deadline: float) -> Grants | Refused:
        """Wait in one line: until the call is granted, its time is up, or something else refuses it."""
        async with self._lines.at(waits, deadline) as line:
            if line is None:
                # Those before it still wait: it would only overtake them.
                self._count(waits.bucket)
                await self._flush()
                return Refused((Short(waits, self._figures(waits.bucket), None),))
            while True:
                is_over = time.monotonic() >= deadline
                asked = self._asked(ask.amounts, ask.least)
                if not asked:
                    return {}
                found = await self._try(lot, asked, ask, final=is_over)
                if not isinstance(found, Refused) or found.is_final or is_over:
                    return found
                if found.short[0].asked.bucket != waits.bucket:
                    return found
                await line.pause(found.short[0].wait, deadline)

    async def _try(
        self, lot: str, asked: Sequence[Asked], ask: Ask, *, final: bool, counts: bool = True
    ) -> Grants | Refused:
        for each in asked:
            if each.bucket.is_missing:
                raise words.missing(each.bucket)
        away: StoreAwayError | None = None
        last: Last | None = None
        if self._store is not None:
            try:
                found = await self._store.reserve(lot, asked, final=final, counts=counts)
            except StoreAwayError as error:
                away, last = error, self._store.last
            else:
                self._alone.end()
                return found
        try:
            own = self._alone.decide(lot, asked, writes=ask.writes, last=last)
        except DeniedError as error:
            if counts:
                self._count(error.bucket)
            away, used = (
                away or StoreAwayError(NO_STORE, retry_after=_NO_STORE_SECONDS),
                self._figures(error.bucket).taken,
            )
            raise words.denial(error.bucket, str(away), used=used, retry_after=away.retry_after) from None
        if isinstance(own, Refused) and counts:
            for bucket in own.counted(final=final):
                self._count(bucket)
        return own

    async def _told(self, grants: Grants, changed: Sequence[Bucket]) -> tuple[Notice, ...]:
        await self._flush()
        self._lines.tell(bucket.key for bucket in grants)
        return self._warnings.at_settlement((each, self._figures(each)) for each in changed)

    async def _flush(self) -> None:
        # Whoever has asked since has told it all.
        if self._store is None or not self._ledger.news:
            return
        with suppress(StoreAwayError):
            await self._store.flush()

    def _reserved(self, lot: str, grants: Grants, *, is_settled: bool = False) -> Lot:
        figures = [(bucket, self._figures(bucket)) for bucket in grants if bucket.warns]
        if not figures:
            return Lot(self, lot, least_of(grants.items()), is_settled=is_settled)
        warnings = self._warnings.at_grant(figures)
        may_warn = not is_settled and self._warnings.may_come(figures)
        return Lot(self, lot, least_of(grants.items()), warnings, may_warn=may_warn, is_settled=is_settled)

    def _refusal(self, refused: Refused, *, waited: float | None = None) -> CallError:
        share = "" if self._store is None or self._store.is_reachable else ", of this pod's share while Redis is away"
        return words.refusal(refused, waited=waited, share=share)

    def _count(self, bucket: Bucket) -> None:
        """Count a refusal that was not the store's own."""
        if self._store is not None:
            self._store.refused(bucket)
            return
        count, _ = self._refusals.get(bucket.key, (0, 0.0))
        self._refusals[bucket.key] = count + 1, time.time()

    def _warned(self, bucket: Bucket, percent: int) -> None:
        if self._store is not None:
            self._store.warned(bucket, percent)
        else:
            self._reached[bucket.key] = percent, time.time()

    def _figures(self, bucket: Bucket) -> Figures:
        known = self._store.known.get(bucket.key) if self._store is not None else None
        return known or figures_of(self._ledger, self._clock, bucket)

    def _asked(self, amounts: Mapping[str, float], least: Mapping[str, float] = _USUAL) -> tuple[Asked, ...]:
        return self._in_force.asked(amounts, least)

    def _all(self) -> tuple[Bucket, ...]:
        return self._in_force.every

    def _next(self) -> str:
        self._number += 1
        return f"{self._number:x}"
