"""A quota in the process: real counters, without windows, for tests of what asks them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quota import CALLS, DIVISIBLE, HELD, Ask, Budget, Nothing, Reservation


def budget(resource: str, limit: float, **changes: object) -> Budget:
    """A limit of the quota `team`, of which nothing is used."""
    window = "None" if resource in HELD else "Hour"
    made = Budget(
        quota="team",
        resource=resource,
        window=window,
        scope="PerAgent",
        enforcement="Hard",
        limit=limit,
        used=0,
        remaining=limit,
        reset_seconds=None if window == "None" else 60,
        as_of=0,
    )
    return msgspec.structs.replace(made, **changes)


class Counters:
    """What is used of each limit. `settled` has what each reservation was told, in that order."""

    def __init__(self, *budgets: Budget) -> None:
        self.limited = {each.resource: each for each in budgets}
        self.used: defaultdict[str, float] = defaultdict(float)
        self.asked: list[Mapping[str, float]] = []
        self.least: list[Mapping[str, float]] = []
        self.writes: list[bool] = []
        self.settled: list[Mapping[str, float]] = []
        self.refusals: list[str] = []
        """What refused without having been asked."""
        self.is_settling = False
        self.may_settle = asyncio.Event()
        self.may_settle.set()
        self.may_warn = True
        """Whether settlements may have something to say: then answers wait for them."""

    def limits(self, resource: str) -> bool:
        return resource in self.limited

    async def reserve(self, ask: Ask) -> Reservation:
        self.asked.append(ask.amounts)
        self.least.append(ask.least)
        self.writes.append(ask.writes)
        granted: dict[str, float] = {}
        warnings: list[Notice] = []
        for resource, amount in ask.amounts.items():
            granted[resource], said = self._granted(resource, amount)
            warnings += said
        self.add(granted)
        return Reserved(self, granted, tuple(warnings))

    async def hold(self, resource: str, amount: float) -> Reservation:
        if not self.limits(resource):
            return Nothing()
        _, warnings = self._granted(resource, amount)
        self.used[resource] += amount
        return Reserved(self, {resource: amount}, tuple(warnings))

    def refused(self, error: LimitedError) -> None:
        self.refusals.append(str(error.details["resource"]))

    async def budgets(self) -> tuple[Budget, ...]:
        return self.known()

    def known(self) -> tuple[Budget, ...]:
        return tuple(self._now(each) for each in self.limited.values())

    def add(self, amounts: Mapping[str, float]) -> None:
        for resource, amount in amounts.items():
            self.used[resource] += amount

    def _now(self, limit: Budget) -> Budget:
        used = self.used[limit.resource]
        return msgspec.structs.replace(limit, used=used, remaining=max(0, limit.limit - used))

    def _granted(self, resource: str, amount: float) -> tuple[float, list[Notice]]:
        limit = self._now(self.limited[resource])
        if limit.enforcement == "Warn":
            over = limit.used + amount > limit.limit
            said = Notice("QuotaWarning", f"quota {limit.quota}: {resource} is used up", limit.quota, resource)
            return amount, [said] if over else []
        least = min(amount, 1) if resource in DIVISIBLE else amount
        if limit.remaining < least:
            raise LimitedError(
                f"quota {limit.quota} leaves no {resource}",
                rule=f"{resource}/{limit.window}/{limit.scope}",
                retry_after=limit.reset_seconds,
                details=msgspec.structs.asdict(limit),
            )
        return min(amount, limit.remaining), []


class Reserved:
    def __init__(self, counters: Counters, granted: Mapping[str, float], warnings: tuple[Notice, ...]) -> None:
        self.grants = granted
        self.warnings = warnings
        self.may_warn = counters.may_warn
        self._counters = counters

    async def settle(self, used: Mapping[str, float]) -> tuple[Notice, ...]:
        self._counters.is_settling = True
        await self._counters.may_settle.wait()
        self._counters.settled.append({each: amount for each, amount in used.items() if amount})
        self._counters.add(used)
        self._counters.add({each: -amount for each, amount in self.grants.items()})
        return ()

    async def release(self, amount: float) -> None:
        self._counters.add({each: -amount for each in self.grants if each in HELD - CALLS})
