"""What Prometheus reads of quotas. Labels are bounded: quotas' names and resources come from the configuration."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError

_LABELS = ("quota", "resource", "enforcement")
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5, 15, 30, 60)


class QuotaMetrics:
    """Refusals, warnings, and how long calls waited."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "ringfence_sidecar_quota_refused",
            "Calls that a quota refused.",
            _LABELS,
            registry=registry,
        )
        self._warned = Counter(
            "ringfence_sidecar_quota_warned",
            "Warnings of quotas in calls that were served.",
            ["quota", "resource"],
            registry=registry,
        )
        self._waited = Histogram(
            "ringfence_sidecar_quota_waited_seconds",
            "How long calls waited for quotas: for the counters, and in the queues of Soft limits.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._refusals: set[tuple[str, ...]] = set()
        self._warnings: set[tuple[str, str]] = set()

    def refused(self, error: LimitedError) -> None:
        """Count a refusal, if it is a quota's."""
        key = tuple(str(error.details.get(each, "")) for each in _LABELS)
        if not key[0]:
            return
        self._refusals.add(key)
        self._refused.labels(*key).inc()

    def warned(self, notice: Notice) -> None:
        """Count a warning, if it is a quota's."""
        if notice.quota:
            self._warnings.add((notice.quota, notice.resource))
            self._warned.labels(notice.quota, notice.resource).inc()

    def tell(self, told: LimitedError | Notice) -> None:
        """Count a refusal or a warning."""
        if isinstance(told, LimitedError):
            self.refused(told)
        else:
            self.warned(told)

    def waited(self, seconds: float) -> None:
        """Count the time that a call waited."""
        self._waited.observe(seconds)

    def keep(self, limits: set[tuple[str, str]]) -> None:
        """Drop the series of limits that are not among these, by quota and resource."""
        for key in [key for key in self._refusals if key[:2] not in limits]:
            self._refusals.discard(key)
            self._refused.remove(*key)
        for pair in self._warnings - limits:
            self._warnings.discard(pair)
            self._warned.remove(*pair)
