import pytest
from prometheus_client.exposition import generate_latest

from ringfence_operator.runtime.metrics import Metrics
from ringfence_operator.runtime.queue import WorkQueue


def value(metrics: Metrics, sample: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(sample, labels)


def test_limits_of_quotas_are_told_with_their_labels() -> None:
    class Known:
        def series(self) -> list[tuple[tuple[str, ...], float, int, int]]:
            return [(("team", "q", "queries", "Hour", "Shared"), 0.8, 2, 5)]

    metrics = Metrics()
    metrics.expose_quotas(Known())

    labels = {"namespace": "team", "quota": "q", "resource": "queries", "window": "Hour", "scope": "Shared"}
    assert value(metrics, "ringfence_quota_used_ratio", **labels) == 0.8
    assert value(metrics, "ringfence_quota_warnings_total", **labels) == 2
    assert value(metrics, "ringfence_quota_refusals_total", **labels) == 5


def test_a_queue_is_counted_under_the_names_of_controller_runtime() -> None:
    metrics = Metrics()
    queue: WorkQueue[str] = WorkQueue(observer=metrics.queue("agents"))
    metrics.expose_queue("agents", queue)

    for key in "abc":
        queue.add(key)
    queue.get_nowait()
    queue.done("a")
    queue.get_nowait()

    assert value(metrics, "workqueue_adds_total", name="agents") == 3
    assert value(metrics, "workqueue_depth", name="agents") == 1
    assert value(metrics, "workqueue_queue_duration_seconds_count", name="agents") == 2
    assert value(metrics, "workqueue_work_duration_seconds_count", name="agents") == 1
    unfinished = value(metrics, "workqueue_unfinished_work_seconds", name="agents")
    assert unfinished is not None
    assert unfinished > 0


def test_a_failed_pass_counts_as_a_pass_and_as_an_error() -> None:
    metrics = Metrics()
    passes = metrics.passes("agent")

    passes.finished("success", 0.002)
    passes.finished("error", 0.004)

    assert value(metrics, "controller_runtime_reconcile_total", controller="agent", result="success") == 1
    assert value(metrics, "controller_runtime_reconcile_total", controller="agent", result="error") == 1
    assert value(metrics, "controller_runtime_reconcile_errors_total", controller="agent") == 1
    assert value(metrics, "controller_runtime_reconcile_time_seconds_count", controller="agent") == 2


def test_requests_are_counted_by_method_and_code_and_a_watch_has_no_duration() -> None:
    metrics = Metrics()

    metrics.request("PATCH", "200", 0.003)
    metrics.request("WATCH", "200", None)

    assert value(metrics, "rest_client_requests_total", method="PATCH", code="200") == 1
    assert value(metrics, "rest_client_requests_total", method="WATCH", code="200") == 1
    assert value(metrics, "rest_client_request_duration_seconds_count", verb="PATCH") == 1
    assert value(metrics, "rest_client_request_duration_seconds_count", verb="WATCH") is None


def test_agents_are_counted_when_somebody_reads_the_metrics() -> None:
    metrics = Metrics()
    counts = {("team-a", "Running"): 1}
    metrics.expose_agents(lambda: counts)

    counts["team-a", "Running"] = 2

    assert value(metrics, "ringfence_agents", namespace="team-a", state="Running") == 2


def test_leadership_shows() -> None:
    metrics = Metrics()
    leads = False
    metrics.expose_leader("ringfence", lambda: leads)

    leads = True

    assert value(metrics, "leader_election_master_status", name="ringfence") == 1


@pytest.mark.parametrize(("enforced", "expected"), [(True, "1.0"), (False, "0.0"), (None, "nan")])
def test_what_is_known_of_the_network_shows(enforced: bool | None, expected: str) -> None:
    metrics = Metrics()

    metrics.expose_network(lambda: enforced)

    assert str(value(metrics, "ringfence_network_enforced")) == expected


def test_the_process_shows_its_memory() -> None:
    assert b"process_resident_memory_bytes" in generate_latest(Metrics().registry)
