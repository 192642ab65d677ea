"""Which metrics the code exposes, asked of its own registries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
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


class _NoPools:
    def series(self) -> Iterator[tuple[tuple[str, str], dict[str, int], int | None]]:
        return iter(())


class _NoQueue:
    def __len__(self) -> int:
        return 0

    def unfinished_seconds(self) -> float:
        return 0.0

    def longest_seconds(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Exposed:
    """A metric of one of the processes."""

    process: str
    metric: Metric
    labels: tuple[str, ...]


async def exposed() -> dict[str, Metric]:
    """Return every metric by the names of its series, those aside that tell when a counter was made."""
    return {name: each.metric for each in await exposed_by() for name in names_of(each.metric)}


async def exposed_by() -> list[Exposed]:
    """Return every metric of every process, with its labels."""
    return [
        *_of("operator", _operator()),
        *_of("control", ControlMetrics().registry),
        *_of("gateway", build_registry(Record())),
        *await _sidecar(),
    ]


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
    metrics.expose_pools(_NoPools())
    return metrics.registry


async def _sidecar() -> list[Exposed]:
    registry, kept = SidecarMetrics().registry, Kept()
    nobody = Redis(url="redis://127.0.0.1:1", username="a", password="b", prefix="rf:{team}:")  # noqa: S106 - nobody listens there
    await kept.apply(Configuration(version="1", agent=Agent(namespace="team", name="a", uid="u"), redis=nobody))
    # A connector that was never asked has no figures, and its metrics are there all the same.
    registry.register(CacheMetrics(kept))
    try:
        return _of("sidecar", registry)
    finally:
        await kept.close()


def _of(process: str, registry: CollectorRegistry) -> list[Exposed]:
    """Return the metrics of a registry; where there are no series yet, who makes them knows their labels."""
    makers = {maker._name: maker for maker in registry._collector_to_names if isinstance(maker, MetricWrapperBase)}  # noqa: SLF001
    return [
        Exposed(process, metric, tuple(getattr(makers.get(metric.name, metric), "_labelnames", ())))
        for metric in registry.collect()
    ]
