"""Rows of the values that tell Prometheus and Grafana of us."""

from collections.abc import Iterator

import yaml

from tests.chart.chart import NAMESPACE
from tests.chart.row import Row, at
from tools.chart import CHART
from tools.dashboards import DASHBOARDS


def monitoring() -> Iterator[Row]:
    """Yield the rows of what scrapes, shows and warns."""
    yield from _metrics()
    yield from _dashboards()


def _metrics() -> Iterator[Row]:
    peers = [{"namespaceSelector": {"matchLabels": {"team": "observability"}}}]
    for policy in ("ringfence-operator", "gateway-base"):
        scraping = at(f"NetworkPolicy/{policy}", "spec", "ingress", 0, "from")
        yield Row("metrics.scrapers", peers, scraping, peers)
    for value, kind, endpoints in (
        ("podMonitor", "PodMonitor", "podMetricsEndpoints"),
        ("serviceMonitor", "ServiceMonitor", "endpoints"),
    ):
        here = {"metrics": {value: {"enabled": True}}}
        for name, ports in (("ringfence-operator", ["http", "control-http"]), ("ringfence-gateway", ["http"])):
            monitor = f"{kind}/{name}"
            found = [{"port": port, "honorLabels": True} for port in ports]
            yield Row(f"metrics.{value}.enabled", True, at(monitor, "spec", endpoints), found)
            yield Row(f"metrics.{value}.labels", {"of": "x"}, at(monitor, "metadata", "labels", "of"), "x", here)
            first = at(monitor, "spec", endpoints, 0, "interval")
            yield Row(f"metrics.{value}.interval", "15s", first, "15s", here)
            first = at(monitor, "spec", endpoints, 0, "scrapeTimeout")
            yield Row(f"metrics.{value}.scrapeTimeout", "5s", first, "5s", here)
        sidecars = "PodMonitor/ringfence-sidecar"
        yield Row(f"metrics.{value}.enabled", True, at(sidecars, "spec", "namespaceSelector"), {"any": True})
        yield Row(f"metrics.{value}.labels", {"of": "x"}, at(sidecars, "metadata", "labels", "of"), "x", here)
        first = at(sidecars, "spec", "podMetricsEndpoints", 0, "interval")
        yield Row(f"metrics.{value}.interval", "15s", first, "15s", here)
    service = at("Service/ringfence-gateway-metrics", "spec", "ports", "http", "port", namespace=NAMESPACE)
    yield Row("metrics.serviceMonitor.enabled", True, service, 8082)


def _dashboards() -> Iterator[Row]:
    shown, alerts = "ConfigMap/ringfence-fleet-dashboard", "PrometheusRule/ringfence"
    for dashboard in DASHBOARDS:
        name = f"{dashboard.uid}.json"
        look = at(f"ConfigMap/{dashboard.uid}-dashboard", "data", name)
        yield Row("dashboards.enabled", True, look, (CHART / "dashboards" / name).read_text())
    here = {"dashboards": {"enabled": True}}
    labels = at(shown, "metadata", "labels", "shown")
    yield Row("dashboards.labels", {"shown": "yes"}, labels, "yes", here)
    folder = at(shown, "metadata", "annotations")
    yield Row("dashboards.annotations", {"folder": "x"}, folder, {"folder": "x", "grafana_folder": "Ringfence"}, here)
    written = yaml.safe_load((CHART / "rules/ringfence.yaml").read_text())
    yield Row("prometheusRule.enabled", True, at(alerts, "spec"), written)
    here = {"prometheusRule": {"enabled": True}}
    yield Row("prometheusRule.labels", {"of": "x"}, at(alerts, "metadata", "labels", "of"), "x", here)
    first = at(alerts, "spec", "groups", 0, "rules", 0, "annotations", "runbook_url")
    page = "https://wiki.example/RingfenceOperatorAbsent.md?plain=1"
    yield Row("prometheusRule.runbookUrl", "https://wiki.example/ALERT.md?plain=1", first, page, here)
