"""Limits that node, cluster and gateway keep: an agent reads them beside its own, with what the operator knows of them.

The operator is asked when the agent looks, and not again for a while: as long as nobody does, nobody is told anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from ringfence_sidecar.configuration import Limit, Standing, Used
from ringfence_sidecar.quota import LimitStanding

SECONDS = 5.0
"""How long an answer is good for, and how long none is waited for again."""

Ask = Callable[[], Awaitable[Standing | None]]


class Elsewhere:
    """Tells of these limits. `ask` returns what is used, None if nobody can say; without it, nobody ever says."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.ask: Ask | None = None
        self._clock = clock
        self._limits: tuple[Limit, ...] = ()
        self._known: dict[tuple[str, str, str, bool], Used] = {}
        self._next = 0.0
        self._turn = asyncio.Lock()

    def apply(self, limits: tuple[Limit, ...]) -> None:
        """Tell of these from now on."""
        self._limits = limits

    async def standing(self) -> tuple[LimitStanding, ...]:
        """Return where they stand: as of the operator's last answer, if it gives none now."""
        if self._limits and self.ask is not None:
            async with self._turn:
                await self._look(self.ask)
        return tuple(self._standing(each) for each in self._limits)

    async def _look(self, ask: Ask) -> None:
        if self._clock() < self._next:
            return
        found = await ask()
        self._next = self._clock() + SECONDS
        if found is not None:
            self._known = {(each.quota_uid, each.resource, each.window, each.shared): each for each in found.used}

    def _standing(self, limit: Limit) -> LimitStanding:
        found = self._known.get((limit.quota_uid, limit.resource, limit.window, limit.shared))
        resets_at = found.resets_at if found else None
        return LimitStanding(
            quota=limit.quota,
            resource=limit.resource,
            window=limit.window,
            scope="Shared" if limit.shared else "PerAgent",
            enforcement=limit.enforcement,
            limit=limit.max,
            used=found.used if found else None,
            remaining=max(0.0, limit.max - found.used) if found else None,
            reset_seconds=None if resets_at is None else max(0.0, round(resets_at - time.time(), 3)),
            as_of=found.as_of if found else None,
        )
