from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.reconcile import quota_sources
from ringfence_operator.reconcile.quota_sources import OperatorLimits
from ringfence_operator.reconcile.quota_use import Use
from tests.operator.reconcile.fleet import Fleet, at_most, quota_body

Raw = dict[str, Any]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    fleet = Fleet()
    fleet.view.run_times.begin()
    monkeypatch.setattr(quota_sources, "utc_now", lambda: fleet.now)
    return fleet


def use(fleet: Fleet, limit: str) -> Use:
    quota = fleet.view.quotas.get("team", "q")
    assert quota is not None
    return OperatorLimits(fleet.view).uses(quota)[limit]


async def run_for(fleet: Fleet, seconds: float, *names: str) -> None:
    await fleet.look(*(fleet.agent(name) for name in names))
    for name in names:
        fleet.run_pod(name, fleet.now)
    fleet.now += timedelta(seconds=seconds)


async def test_agents_that_run_are_used_and_who_was_refused_is_named(fleet: Fleet) -> None:
    fleet.quota(at_most(2))
    for name in "abc":
        await fleet.look(fleet.agent(name))

    found = use(fleet, "agents/None/Shared")

    assert (found.used, found.seen_refusals, found.refused_agent, found.refused_at) == (2, 1, "c", fleet.now)


async def test_seconds_of_each_agent_are_told_and_the_most_of_them_is_the_quotas(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=1000, window="Hour"))
    await run_for(fleet, 200, "a")
    await run_for(fleet, 100, "b")

    found = use(fleet, "podSeconds/Hour/PerAgent")

    assert found.per_agent == {"a": 300, "b": 100}
    assert found.used == 300
    assert found.resets_at is not None


@pytest.mark.parametrize("scope", ["PerAgent", "Shared"])
async def test_whom_a_limit_on_seconds_has_ended_or_kept_from_running_is_told_once_each(
    fleet: Fleet, scope: str
) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=100, window="Hour", scope=scope))
    heard: list[tuple[str, str]] = []
    fleet.view.places.on_use = heard.append
    await run_for(fleet, 101, "a")
    fleet.view.run_times.settle(fleet.view.quotas.cache.values(), fleet.now)

    for _ in range(3):
        await fleet.look("a")
        fleet.deliver()
    if scope == "Shared":
        await fleet.look(fleet.agent("b"))

    found = use(fleet, f"podSeconds/Hour/{scope}")
    ended = ["a", "b"] if scope == "Shared" else ["a"]
    assert (found.seen_refusals, found.refused_agent, found.refused_at) == (len(ended), ended[-1], fleet.now)
    assert sorted(found.refused) == ended
    assert found.refused[ended[-1]] == fleet.now
    assert heard == [("team", "q")] * len(ended)


async def test_seconds_that_are_shared_are_told_together(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=1000, window="Hour", scope="Shared"))
    await run_for(fleet, 100, "a", "b")

    found = use(fleet, "podSeconds/Hour/Shared")

    assert found.used == 200
    assert found.resets_at is not None


async def test_of_seconds_that_are_shared_it_is_told_whose_they_are(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=1000, window="Hour", scope="Shared"))
    await run_for(fleet, 100, "a", "b")
    pod = fleet.view.pods.get("team", "a")
    assert pod is not None
    fleet.view.run_times.pod_gone(pod, fleet.now)
    fleet.api.remove(("pods", "team", "a"), grace_seconds=0)
    fleet.deliver()
    fleet.now += timedelta(seconds=50)

    told = use(fleet, "podSeconds/Hour/Shared").per_agent
    fleet.now += timedelta(seconds=9)
    within_a_step = use(fleet, "podSeconds/Hour/Shared").per_agent
    fleet.now += timedelta(seconds=2)
    beyond = use(fleet, "podSeconds/Hour/Shared").per_agent

    assert told == within_a_step == {"a": 100.0, "b": 150.0}
    assert beyond == {"a": 100.0, "b": 161.0}


async def test_what_a_pod_ran_before_the_quota_is_nobodys_use(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=1000, window="Hour", scope="Shared"))
    await fleet.look(fleet.agent("a"))
    fleet.run_pod("a", fleet.now - timedelta(seconds=100))
    fleet.now += timedelta(seconds=50)

    found = use(fleet, "podSeconds/Hour/Shared")

    quota = fleet.view.quotas.get("team", "q")
    assert quota is not None
    assert quota.metadata.creation_timestamp is not None
    assert found.per_agent == {"a": (fleet.now - quota.metadata.creation_timestamp).total_seconds()}


async def test_what_is_used_is_never_told_to_be_less_than_it_is_by_a_hundredth_of_the_limit(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="podSeconds", max=1000, window="Hour"))
    await run_for(fleet, 129, "a")

    assert use(fleet, "podSeconds/Hour/PerAgent").used == 120


def test_of_limits_that_others_keep_the_operator_says_nothing(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="memory", max="1Gi"))
    quota = fleet.view.quotas.get("team", "q")
    assert quota is not None

    assert OperatorLimits(fleet.view).uses(quota) == {}
