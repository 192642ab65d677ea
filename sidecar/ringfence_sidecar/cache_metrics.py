"""What the cache has done, for Prometheus.

Labels are the cache's two layers and connectors' names, `cache` for the agent's own values.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence_sidecar.builtin import CACHE
from ringfence_sidecar.cache.statistics import Statistics
from ringfence_sidecar.kept import Kept

_COUNTERS: Final = {
    "misses": "Answers that were not kept, so that the backend was asked; own values that are not there.",
    "stale": "Answers served past their ttl.",
    "joined": "Callers that waited for another's question to the backend.",
    "loads": "Questions to the backend.",
    "kept_bytes": "Bytes of all answers and values that were kept.",
    "age_seconds": "Ages of all answers and values served, added up.",
    "invalidations": "Times that tags were invalidated.",
}


class CacheMetrics(Collector):
    """Reads the cache in force when Prometheus asks; a cache that is made anew counts from 0."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def describe(self) -> list[Metric]:
        """Return nothing: what is read at a scrape must not be read to learn its names."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield the figures."""
        answers = self._kept.answers
        if answers is None:
            return
        hits = CounterMetricFamily(
            "ringfence_sidecar_cache_hits", "Answers and values that were kept.", labels=["connector", "layer"]
        )
        counters = {
            name: CounterMetricFamily(f"ringfence_sidecar_cache_{name}", text, labels=["connector"])
            for name, text in _COUNTERS.items()
        }
        mine = self._kept.values
        # As in audit lines; a connector may have the same name.
        own = {CACHE: answers.statistics.get(CACHE, Statistics()) + mine.statistics}
        for connector, statistics in {**answers.statistics, **own}.items():
            for layer, count in statistics.hits.items():
                hits.add_metric([connector, layer], count)
            values = asdict(statistics)
            for name, counter in counters.items():
                counter.add_metric([connector], values[name])
        yield hits
        yield from counters.values()
        yield GaugeMetricFamily(
            "ringfence_sidecar_cache_local_bytes",
            "Bytes in the in-process layer.",
            answers.local_bytes + mine.local_bytes,
        )
        if self._kept.is_reachable is not None:
            yield GaugeMetricFamily(
                "ringfence_sidecar_cache_reachable", "1 if Redis answers.", float(self._kept.is_reachable)
            )
