from ringfence_operator.runtime.metrics import Metrics
from ringfence_operator.runtime.pool_metrics import MOST_POOLS

POOL = ("team", "p")
NUMBERS = {"warm": 3, "starting": 1, "failed": 2, "claimed": 4, "size": 6, "hits": 9, "misses": 5}


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"ringfence_pool_{sample}", {"namespace": "team", "pool": "p"} | labels)


class Known:
    def __init__(self, waiting: int | None) -> None:
        self.waiting = waiting

    def series(self) -> list[tuple[tuple[str, str], dict[str, int], int | None]]:
        return [(POOL, NUMBERS, self.waiting)]


def test_each_number_of_a_pool_is_told() -> None:
    metrics = Metrics()

    metrics.expose_pools(Known(7))

    assert {state: value(metrics, "pods", state=state) for state in ("warm", "starting", "failed", "claimed")} == {
        "warm": 3,
        "starting": 1,
        "failed": 2,
        "claimed": 4,
    }
    assert value(metrics, "size") == 6
    assert value(metrics, "hits_total") == 9
    assert value(metrics, "misses_total") == 5
    assert value(metrics, "waiting_agents") == 7


def test_who_waits_is_not_told_by_a_replica_that_does_not_know() -> None:
    metrics = Metrics()

    metrics.expose_pools(Known(None))

    assert value(metrics, "waiting_agents") is None
    assert value(metrics, "size") == 6


def test_what_happens_in_a_pool_is_counted_under_its_name() -> None:
    metrics = Metrics()

    metrics.pools.assigned(POOL, 0.015)
    metrics.pools.started(POOL, 0.06)
    metrics.pools.pod_made(POOL)
    metrics.pools.pod_warm(POOL, 2.5)

    assert value(metrics, "assigned_seconds_bucket", le="0.01") == 0
    assert value(metrics, "assigned_seconds_bucket", le="0.02") == 1
    assert value(metrics, "started_seconds_sum") == 0.06
    assert value(metrics, "pods_made_total") == 1
    assert value(metrics, "pod_start_seconds_bucket", le="3.0") == 1


def test_series_of_a_pool_end_with_it() -> None:
    metrics = Metrics()
    metrics.pools.assigned(POOL, 0.015)

    metrics.pools.forget(POOL)
    metrics.pools.forget(POOL)

    assert value(metrics, "assigned_seconds_count") is None


def test_pools_beyond_a_number_have_no_series_of_their_own_until_others_are_gone() -> None:
    metrics = Metrics()
    for number in range(MOST_POOLS):
        metrics.pools.assigned(("team", f"p{number}"), 0.01)

    metrics.pools.assigned(POOL, 0.01)
    before = value(metrics, "assigned_seconds_count")
    metrics.pools.forget(("team", "p0"))
    metrics.pools.assigned(POOL, 0.01)

    assert before is None
    assert value(metrics, "assigned_seconds_count") == 1
