"""How pools stand, as metrics tell it."""

from collections.abc import Callable, Iterator

from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.reconcile.view import View

MOST_POOLS = 1_000
"""Metrics tell of so many pools at most, those first whose agents wait."""


class PoolFigures:
    """Read whenever somebody asks. What pools hold, every replica sees; who waits, only the leader knows."""

    def __init__(self, view: View, is_leading: Callable[[], bool]) -> None:
        self._view = view
        self._is_leading = is_leading

    def series(self) -> Iterator[tuple[tuple[str, str], dict[str, int], int | None]]:
        """Yield each pool's namespace and name, its numbers, and how many agents wait, where that is known."""
        pools = [(self._waiting(pool), pool) for pool in self._view.pools.cache.values()]
        for waiting, pool in sorted(pools, key=lambda it: (-(it[0] or 0), it[1].key))[:MOST_POOLS]:
            yield pool.key, _numbers(pool), waiting

    def _waiting(self, pool: AgentPool) -> int | None:
        return len(self._view.pooling.line(pool.key)) if self._is_leading() else None


def _numbers(pool: AgentPool) -> dict[str, int]:
    status = pool.status
    counted = {"warm": status.warm, "starting": status.starting, "failed": status.failed, "claimed": status.claimed}
    # Only what a status has: counts in memory would go back with the leader, which reads as a counter that starts anew.
    return {**counted, "size": pool.spec.size, "hits": status.hits, "misses": status.misses}
