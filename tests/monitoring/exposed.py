"""Which metrics the code exposes, asked of its own registries."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from ringfence_gateway.process import build_registry
from ringfence_gateway.record import Record
from ringfence_operator.control.metrics import ControlMetrics
from ringfence_operator.runtime.metrics import Metrics as OperatorMetrics
from ringfence_sidecar.cache_metrics import CacheMetrics
from ringfence_sidecar.configuration import Agent, Configuration, Redis
from ringfence_sidecar.kept import Kept
from ringfence_sidecar.metrics import Metrics as SidecarMetrics

_PARTS: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}


class _NoQuotas:
    def series(self) -> Iterator[tuple[tuple[str, ...], float, int, int]]:
        return iter(())


class _NoQueue:
    def __len__(self) -> int:
        return 0

    def unfinished_seconds(self) -> float:
        return 0.0

    def longest_seconds(self) -> float:
        return 0.0


async def exposed() -> dict[str, Metric]:
    """Return every metric by the names of its series, those aside that tell when a counter was made."""
    registries = (_operator(), ControlMetrics().registry, build_registry(Record()), await _sidecar())
    metrics = [metric for registry in registries for metric in registry.collect()]
    return {name: metric for metric in metrics for name in names_of(metric)}


def names_of(metric: Metric) -> Iterator[str]:
    """Yield the names of a metric's series."""
    return (f"{metric.name}{part}" for part in _PARTS.get(metric.type, ("",)))


def _operator() -> CollectorRegistry:
    metrics = OperatorMetrics()
    metrics.expose_queue("ringfence", _NoQueue())
    metrics.expose_leader("ringfence-operator", lambda: True)
    metrics.expose_network(lambda: True)
    metrics.expose_agents(dict)
    metrics.expose_quotas(_NoQuotas())
    return metrics.registry


async def _sidecar() -> CollectorRegistry:
    registry, kept = SidecarMetrics().registry, Kept()
    nobody = Redis(url="redis://127.0.0.1:1", username="a", password="b", prefix="rf:{team}:")
    await kept.apply(Configuration(version="1", agent=Agent(namespace="team", name="a", uid="u"), redis=nobody))
    # A connector that was never asked has no figures, and its metrics are there all the same.
    registry.register(CacheMetrics(kept))
    try:
        found = CollectorRegistry()
        for metric in list(registry.collect()):
            found.register(_As(metric))
        return found
    finally:
        await kept.close()


class _As:
    """A collector of one metric as it was."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric
