"""What Prometheus sees of the control process."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.process_collector import ProcessCollector


class ControlMetrics:
    """All metrics of the process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._sent = Counter(
            "ringfence_control_sent_bytes_total", "Configuration sent to gateways, in bytes", registry=self.registry
        )
        self._answers = Counter(
            "ringfence_control_sidecar_answers_total",
            "Answers to sidecars by HTTP code; code 0 is a connection that was refused",
            labelnames=("code",),
            registry=self.registry,
        )
        self._sidecars = Gauge(
            "ringfence_control_sidecar_connections", "Open connections of sidecars", registry=self.registry
        )
        self._gateways = Gauge("ringfence_control_gateways", "Connected gateway pods", registry=self.registry)

    def sent(self, size: int) -> None:
        """Count bytes sent to a gateway."""
        self._sent.inc(size)

    def answered(self, code: int) -> None:
        """Count an answer to a sidecar."""
        self._answers.labels(str(code)).inc()

    def expose(self, *, sidecars: Callable[[], int], gateways: Callable[[], int]) -> None:
        """Count connections whenever the metrics are read."""
        self._sidecars.set_function(sidecars)
        self._gateways.set_function(gateways)
