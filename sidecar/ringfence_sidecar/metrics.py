"""What Prometheus reads. Labels are bounded: names from the configuration, and closed lists."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence_sidecar.errors import Status
from ringfence_sidecar.quota_metrics import QuotaMetrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OWN_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFigures:
    """An endpoint at this moment."""

    connector: str
    endpoint: str
    healthy: bool
    check_seconds: float
    breaker: str
    served: int
    lost: int
    backend_seconds: float
    sessions_in_use: int
    sessions_idle: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What is read when Prometheus asks."""

    endpoints: tuple[EndpointFigures, ...] = ()
    own: tuple[tuple[str, str, float], ...] = ()
    """Connector, name and value of the kinds' own gauges."""
    audit_queued: int = 0
    audit_refused: int = 0


class Metrics:
    """The sidecar's metrics, in a registry of their own.

    `read` is asked at each scrape. A call whose connector or operation does not exist is counted under empty names, so
    that an agent cannot make labels.
    """

    def __init__(self, read: Callable[[], Figures] = Figures) -> None:
        self.registry = CollectorRegistry()
        self.read = read
        self._calls = Counter(
            "ringfence_sidecar_calls",
            "Calls, by how they ended.",
            ["connector", "operation", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ringfence_sidecar_call_seconds",
            "How long calls took.",
            ["connector", "operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._own = Histogram(
            "ringfence_sidecar_own_seconds",
            "How long calls took besides what they waited for backends.",
            buckets=_OWN_SECONDS,
            registry=self.registry,
        )
        self._cache = Counter(
            "ringfence_sidecar_cache",
            "Answers that may be kept, by the layer that they came from.",
            ["connector", "layer"],
            registry=self.registry,
        )
        self.quotas = QuotaMetrics(self.registry)
        # Looking children up by labels costs more than the rest of the pipeline's bookkeeping.
        self._call_children: dict[tuple[str, str, Status], Counter] = {}
        self._second_children: dict[tuple[str, str], Histogram] = {}
        self._cache_children: dict[tuple[str, str], Counter] = {}
        self.registry.register(_AtScrape(self))

    def observe(self, connector: str, operation: str, status: Status, *, seconds: float, backend: float) -> None:
        """Count a call; `backend` is how much of its `seconds` it waited for backends."""
        key = (connector, operation, status)
        if key not in self._call_children:
            self._call_children[key] = self._calls.labels(connector, operation, status.value)
            self._second_children[key[:2]] = self._seconds.labels(connector, operation)
        self._call_children[key].inc()
        self._second_children[key[:2]].observe(seconds)
        self._own.observe(max(0.0, seconds - backend))

    def observe_cache(self, connector: str, layer: str) -> None:
        """Count an answer that may be kept: `local`, `redis`, or `none` for one that the backend gave."""
        key = (connector, layer)
        if key not in self._cache_children:
            self._cache_children[key] = self._cache.labels(connector, layer)
        self._cache_children[key].inc()

    def forget(self, connectors: Iterable[str]) -> None:
        """Drop the series of connectors that are gone, so that a life of changes does not add up."""
        gone = set(connectors)
        for connector, operation, status in [key for key in self._call_children if key[0] in gone]:
            del self._call_children[connector, operation, status]
            self._calls.remove(connector, operation, status.value)
        for connector, operation in [key for key in self._second_children if key[0] in gone]:
            del self._second_children[connector, operation]
            self._seconds.remove(connector, operation)
        for connector, layer in [key for key in self._cache_children if key[0] in gone]:
            del self._cache_children[connector, layer]
            self._cache.remove(connector, layer)


class _AtScrape(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        """Return nothing: what is read at a scrape must not be read to learn its names."""
        return []

    def collect(self) -> Iterable[Metric]:
        figures = self._metrics.read()
        yield from _endpoints(figures.endpoints)
        own = GaugeMetricFamily("ringfence_connector_gauge", "A kind's own gauges.", labels=["connector", "name"])
        for connector, name, value in figures.own:
            own.add_metric([connector, name], value)
        yield own
        yield GaugeMetricFamily(
            "ringfence_sidecar_audit_queued", "Places taken in the audit queue.", figures.audit_queued
        )
        yield CounterMetricFamily(
            "ringfence_sidecar_audit_refused", "Calls refused because the audit queue was full.", figures.audit_refused
        )


def _endpoints(endpoints: tuple[EndpointFigures, ...]) -> Iterable[Metric]:
    labels = ["connector", "endpoint"]
    healthy = GaugeMetricFamily("ringfence_endpoint_healthy", "1 if the last health check was served.", labels=labels)
    check = GaugeMetricFamily("ringfence_endpoint_check_seconds", "How long that check took.", labels=labels)
    breaker = GaugeMetricFamily("ringfence_endpoint_breaker", "1 for its state.", labels=[*labels, "state"])
    attempts = CounterMetricFamily("ringfence_endpoint_attempts", "Attempts, by result.", labels=[*labels, "result"])
    seconds = CounterMetricFamily("ringfence_endpoint_seconds", "Time that the backend took to serve.", labels=labels)
    sessions = GaugeMetricFamily("ringfence_endpoint_sessions", "Sessions.", labels=[*labels, "state"])
    for each in endpoints:
        at = [each.connector, each.endpoint]
        healthy.add_metric(at, each.healthy)
        check.add_metric(at, each.check_seconds)
        breaker.add_metric([*at, each.breaker], 1)
        attempts.add_metric([*at, "served"], each.served)
        attempts.add_metric([*at, "lost"], each.lost)
        seconds.add_metric(at, each.backend_seconds)
        sessions.add_metric([*at, "inUse"], each.sessions_in_use)
        sessions.add_metric([*at, "idle"], each.sessions_idle)
    return healthy, check, breaker, attempts, seconds, sessions
