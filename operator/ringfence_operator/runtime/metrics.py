"""What Prometheus sees, under the names that dashboards know from controller-runtime and client-go."""

from collections.abc import Callable, Iterable, Mapping
from math import nan
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ringfence_operator.runtime.pool_metrics import PoolCollector, PoolMetrics, Pools

_SECONDS = (0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Depth(Protocol):
    """A queue, as far as it is measured when somebody asks."""

    def __len__(self) -> int:
        """Return the number of ready keys."""

    def unfinished_seconds(self) -> float:
        """Return the sum of the ages of the passes under way."""

    def longest_seconds(self) -> float:
        """Return the age of the oldest pass under way."""


class Quotas(Protocol):
    """What is known of quotas, as far as it is measured when somebody asks."""

    def series(self) -> Iterable[tuple[tuple[str, ...], float, int, int]]:
        """Yield each limit's labels, used of max, how often it came to a warnAt, and how often it refused."""


class QueueMetrics:
    """Counts for one queue; a `QueueObserver`."""

    def __init__(self, adds: Counter, retries: Counter, waited: Histogram, worked: Histogram) -> None:
        self.added = adds.inc
        self.retried = retries.inc
        self.started = waited.observe
        self.finished = worked.observe


class PassMetrics:
    """Counts for one controller's passes; a `PassObserver`."""

    def __init__(self, results: Counter, errors: Counter, seconds: Histogram, *, controller: str) -> None:
        self._results = {
            result: results.labels(controller, result)
            for result in ("success", "requeue_after", "requeue", "error", "not_leader", "cancelled")
        }
        self._errors = errors.labels(controller)
        self._seconds = seconds.labels(controller)

    def finished(self, result: str, seconds: float) -> None:
        """A pass ended."""
        self._results[result].inc()
        self._seconds.observe(seconds)
        if result == "error":
            self._errors.inc()


class Metrics:
    """All metrics of the process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._adds = self._counter("workqueue_adds_total", "Keys put into the queue", "name")
        self._retries = self._counter("workqueue_retries_total", "Keys that came back after a failure", "name")
        self._waited = self._seconds("workqueue_queue_duration_seconds", "How long keys were ready", "name")
        self._worked = self._seconds("workqueue_work_duration_seconds", "How long a pass took", "name")
        self._depth = self._gauge("workqueue_depth", "Ready keys", "name")
        self._unfinished = self._gauge("workqueue_unfinished_work_seconds", "Ages of passes under way", "name")
        self._longest = self._gauge("workqueue_longest_running_processor_seconds", "Oldest pass under way", "name")
        reconcile = "controller_runtime_reconcile"
        self._results = self._counter(f"{reconcile}_total", "Passes by result", "controller", "result")
        self._errors = self._counter(f"{reconcile}_errors_total", "Failed passes", "controller")
        self._passes = self._seconds(f"{reconcile}_time_seconds", "How long a pass took", "controller")
        self._requests = self._counter("rest_client_requests_total", "Requests to the API server", "method", "code")
        self._latency = self._seconds("rest_client_request_duration_seconds", "How long they took", "verb")
        self._leader = self._gauge("leader_election_master_status", "1 if this replica leads", "name")
        self.pools = PoolMetrics(self.registry)
        """Counts what happens in pools."""

    def queue(self, name: str) -> QueueMetrics:
        """Return the observer to make the queue `name` with."""
        return QueueMetrics(
            self._adds.labels(name), self._retries.labels(name), self._waited.labels(name), self._worked.labels(name)
        )

    def expose_queue(self, name: str, queue: Depth) -> None:
        """Measure `queue` whenever the metrics are read."""
        self._depth.labels(name).set_function(queue.__len__)
        self._unfinished.labels(name).set_function(queue.unfinished_seconds)
        self._longest.labels(name).set_function(queue.longest_seconds)

    def passes(self, controller: str) -> PassMetrics:
        """Return the observer for the workers of `controller`."""
        return PassMetrics(self._results, self._errors, self._passes, controller=controller)

    def request(self, verb: str, code: str, seconds: float | None) -> None:
        """Count a request to the API server; a watch has no duration."""
        self._requests.labels(verb, code).inc()
        if seconds is not None:
            self._latency.labels(verb).observe(seconds)

    def expose_leader(self, name: str, is_leader: Callable[[], bool]) -> None:
        """Say whether this replica leads whenever the metrics are read."""
        self._leader.labels(name).set_function(lambda: float(is_leader()))

    def expose_network(self, enforced: Callable[[], bool | None]) -> None:
        """Say whether NetworkPolicies are enforced whenever the metrics are read: 1, 0, or NaN while nobody knows."""
        gauge = self._gauge("ringfence_network_enforced", "1 if the cluster enforces NetworkPolicies, NaN if unknown")

        def value() -> float:
            found = enforced()
            return nan if found is None else float(found)

        gauge.set_function(value)

    def expose_agents(self, counts: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Publish agents by namespace and state, counted whenever the metrics are read."""
        self.registry.register(_Agents(counts))

    def expose_quotas(self, quotas: Quotas) -> None:
        """Publish where limits of quotas stand, whenever the metrics are read."""
        self.registry.register(_QuotaFigures(quotas))

    def expose_pools(self, pools: Pools) -> None:
        """Publish how pools stand, whenever the metrics are read."""
        self.registry.register(PoolCollector(pools))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)


class _Agents(Collector):
    def __init__(self, counts: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("ringfence_agents", "Agents by state", labels=["namespace", "state"])
        for (namespace, state), number in self._counts().items():
            family.add_metric([namespace, state], number)
        yield family


class _QuotaFigures(Collector):
    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        names = ["namespace", "quota", "resource", "window", "scope"]
        ratio = GaugeMetricFamily("ringfence_quota_used_ratio", "Used of max; of the agent with the most", labels=names)
        warnings = CounterMetricFamily("ringfence_quota_warnings", "How often use came to a warnAt", labels=names)
        refusals = CounterMetricFamily("ringfence_quota_refusals", "How often the limit refused", labels=names)
        for labels, used, warned, refused in self._quotas.series():
            ratio.add_metric(labels, used)
            warnings.add_metric(labels, warned)
            refusals.add_metric(labels, refused)
        yield from (ratio, warnings, refusals)
