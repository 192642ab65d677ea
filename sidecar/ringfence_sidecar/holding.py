"""What is held of quotas outside of calls: sessions with backends, and messages that an agent has not settled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.grants import Held
from ringfence_sidecar.quota import Quota
from ringfence_sidecar.quota_metrics import QuotaMetrics

CLOSE_SECONDS = 2.0
CONNECTIONS = "connectorConnections"
_MOST_WARNINGS = 7

log = structlog.get_logger()


class Holding:
    """Takes and gives back. Without a quota, or where no limit holds, it does nothing."""

    def __init__(self, quota: Quota | None = None, metrics: QuotaMetrics | None = None) -> None:
        self._quota = quota
        self._metrics = metrics
        self._sessions: dict[int, Held] = {}
        self._warnings: list[Notice] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def connecting(self) -> Held | None:
        """Take a connection, and return it; None if no limit counts it. Raises LimitedError."""
        quota = self._quota
        if quota is None or not quota.limits(CONNECTIONS):
            return None
        held = await quota.hold(CONNECTIONS, 1)
        for each in held.warnings:
            self._warn(each)
        return held

    def warnings(self) -> list[Notice]:
        """Return what limits have said since, for a call to pass on: Warn limits, and percentages of `warnAt`."""
        said, self._warnings = self._warnings, []
        return said

    def connected(self, session: object, held: Held) -> None:
        """Remember that the session has this connection, which was taken for it."""
        self._sessions[id(session)] = held

    def disconnected(self, session: object) -> None:
        """Give its connection back, if it has one."""
        if (held := self._sessions.pop(id(session), None)) is not None:
            self.give_back(held)

    def give_back(self, held: Held, amount: float = 1) -> None:
        """Give back some of what is held, in the background."""
        self._begin(self._release(held, amount))

    async def close(self) -> None:
        """Wait for what is being given back, within a bound."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    async def _release(self, held: Held, amount: float) -> None:
        try:
            await held.release(amount)
        except Exception as error:  # noqa: BLE001 - the quota gives back what a process that has ended held
            log.warning("quota not given back", amount=amount, error=type(error).__name__)

    def _warn(self, notice: Notice) -> None:
        if self._metrics is not None:
            self._metrics.warned(notice)
        if notice not in self._warnings:
            self._warnings = [*self._warnings[-_MOST_WARNINGS:], notice]

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
