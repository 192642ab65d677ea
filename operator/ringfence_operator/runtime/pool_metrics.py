"""Metrics of pools: how they stand, and how long agents wait for a pod."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Key = tuple[str, str]
MOST_POOLS = 200
"""So many pools have histograms of their own; of those beyond, no times are kept."""
_STATES = ("warm", "starting", "failed", "claimed")
_LABELS = ("namespace", "pool")
_CLAIM_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_START_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Pools(Protocol):
    """What is known of pools, as far as it is measured when somebody asks."""

    def series(self) -> Iterable[tuple[Key, dict[str, int], int | None]]:
        """Yield each pool's namespace and name, its numbers by their names, and how many wait, where that is known."""


class PoolMetrics:
    """Counts what happens in pools; a `PoolObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._assigned = Histogram(
            "ringfence_pool_assigned_seconds",
            "From when the operator saw a new agent to its status naming a pod of its pool",
            _LABELS,
            registry=registry,
            buckets=_CLAIM_SECONDS,
        )
        self._started = Histogram(
            "ringfence_pool_started_seconds",
            "From when the operator saw a new agent to its status saying that its command runs in a pod of its pool",
            _LABELS,
            registry=registry,
            buckets=_CLAIM_SECONDS,
        )
        self._made = Counter("ringfence_pool_pods_made_total", "Pods made to refill a pool", _LABELS, registry=registry)
        self._warm = Histogram(
            "ringfence_pool_pod_start_seconds",
            "From a pod's creation for a pool to its being ready",
            _LABELS,
            registry=registry,
            buckets=_START_SECONDS,
        )
        self._known: set[Key] = set()

    def assigned(self, pool: Key, seconds: float) -> None:
        """An agent's status names a pod of the pool, so long after the agent was seen."""
        self._observe(self._assigned, pool, seconds)

    def started(self, pool: Key, seconds: float) -> None:
        """The agent's command runs in it."""
        self._observe(self._started, pool, seconds)

    def pod_made(self, pool: Key) -> None:
        """A pod was made for the pool."""
        if self._has_place(pool):
            self._made.labels(*pool).inc()

    def pod_warm(self, pool: Key, seconds: float) -> None:
        """A pod of the pool is ready, so long after it was made."""
        self._observe(self._warm, pool, seconds)

    def forget(self, pool: Key) -> None:
        """The pool is gone, and its series with it."""
        if pool in self._known:
            self._known.discard(pool)
            for each in (self._assigned, self._started, self._made, self._warm):
                each.remove(*pool)

    def _observe(self, histogram: Histogram, pool: Key, seconds: float) -> None:
        if self._has_place(pool):
            histogram.labels(*pool).observe(seconds)

    def _has_place(self, pool: Key) -> bool:
        if pool not in self._known and len(self._known) >= MOST_POOLS:
            return False
        self._known.add(pool)
        return True


class PoolCollector(Collector):
    """How pools stand, asked for whenever the metrics are read."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Return the families with a series for each pool."""
        pods = GaugeMetricFamily("ringfence_pool_pods", "Pods of a pool by state", labels=[*_LABELS, "state"])
        size = GaugeMetricFamily("ringfence_pool_size", "Pods of a pool that are to be warm", labels=_LABELS)
        lines = GaugeMetricFamily(
            "ringfence_pool_waiting_agents", "Agents that wait for a warm pod; of the leader only", labels=_LABELS
        )
        hits = CounterMetricFamily("ringfence_pool_hits", "Agents that found a warm pod at once", labels=_LABELS)
        misses = CounterMetricFamily("ringfence_pool_misses", "Agents that found none", labels=_LABELS)
        for pool, numbers, waiting in self._pools.series():
            for state in _STATES:
                pods.add_metric([*pool, state], numbers[state])
            size.add_metric(pool, numbers["size"])
            hits.add_metric(pool, numbers["hits"])
            misses.add_metric(pool, numbers["misses"])
            if waiting is not None:
                lines.add_metric(pool, waiting)
        yield from (pods, size, lines, hits, misses)
