from datetime import datetime, timedelta
from typing import Any

import pytest

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.reconcile.context import build_context
from ringfence_operator.reconcile.run_time_watch import RunTimeWatch
from ringfence_operator.reconcile.shared_run_time import frames_of
from ringfence_operator.resources.run_time import total
from tests.operator.reconcile.fleet import Fleet, quota_body
from tests.operator.resources.objects import node_body

Raw = dict[str, Any]


def seconds(most: int, **more: Any) -> Raw:
    return quota_body(resource="podSeconds", max=most, window="Hour", **more)


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    fleet.view.run_times.begin()
    return fleet


async def start(fleet: Fleet, *names: str, **spec: Any) -> None:
    """Have these agents run, and their statuses written."""
    await fleet.look(*(fleet.agent(name, **spec) for name in names))
    for name in names:
        fleet.run_pod(name, fleet.now)
    await fleet.look(*names)
    fleet.deliver()


async def after(fleet: Fleet, span: float, *names: str) -> None:
    """Let time pass, then look at the agents."""
    fleet.now += timedelta(seconds=span)
    await fleet.look(*names)
    fleet.deliver()


def watch(fleet: Fleet) -> list[tuple[str, str]]:
    """Have the leader count, and return the quotas of which there is news."""
    told: list[tuple[str, str]] = []
    found = RunTimeWatch(fleet.view, on_use=told.append, clock=lambda: fleet.now)
    found._turn = 1
    found.look()
    return told


def finish(fleet: Fleet, at: datetime, *, phase: str = "Succeeded") -> None:
    """The process of agent a's pod has ended; the kubelet tells whole seconds."""
    ended = {"exitCode": 0 if phase == "Succeeded" else 143, "reason": "Ended", "finishedAt": format_timestamp(at)}
    status = {"phase": phase, "containerStatuses": [{"name": "agent", "state": {"terminated": ended}}]}
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["status"].update(status))
    fleet.deliver()


def stop(fleet: Fleet, name: str) -> None:
    """The kubelet has stopped a pod that is to be deleted."""
    pod = fleet.view.pods.get("team", name)
    assert pod is not None
    fleet.end(name)
    fleet.view.run_times.pod_gone(pod, fleet.now)


async def test_an_agent_that_has_used_up_its_seconds_is_ended_and_says_when_it_goes_on(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")

    await after(fleet, 599, "a")
    before = fleet.pods
    await after(fleet, 2, "a")

    assert (before, fleet.pods) == (["a"], [])
    assert fleet.status("a")["state"] == "Suspended"
    ready = fleet.condition("a", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
    assert fleet.condition("a", "Suspended")["reason"] == "QuotaExceeded"
    assert "Quota q: podSeconds 601/600 per Hour each are used up" in ready["message"]
    assert "it goes on at 2026-11-23T13:03:00Z" in ready["message"]


async def test_it_goes_on_by_itself_when_the_oldest_of_it_counts_no_more(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    await after(fleet, 601, "a")
    await after(fleet, 60, "a")
    while_paused = fleet.pods

    await after(fleet, 3600 - 601 - 60 + 180, "a")

    assert (while_paused, fleet.pods) == ([], ["a"])


async def test_the_pass_asks_to_be_called_when_the_time_will_be_over(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    context = await _context(fleet, "a")

    assert [each.lasts for each in context.allowances] == [600]


async def _context(fleet: Fleet, name: str) -> Any:
    agent = fleet.view.agent("team", name)
    assert agent is not None
    return build_context(agent, fleet.view, now=fleet.now)


async def test_a_limit_for_each_agent_is_for_each_agent(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    await after(fleet, 400, "a")
    await start(fleet, "b")

    await after(fleet, 250, "a", "b")

    assert fleet.pods == ["b"]


async def test_the_pods_before_the_present_one_count_as_well(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    await after(fleet, 400, "a")
    fleet.end("a")
    await fleet.look("a")
    fleet.deliver()
    fleet.run_pod("a", fleet.now)
    await fleet.look("a")
    fleet.deliver()

    await after(fleet, 250, "a")

    assert fleet.pods == []


async def test_an_operator_that_starts_anew_knows_what_was_used(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    await after(fleet, 400, "a")
    fleet.end("a")
    await fleet.look("a")
    fleet.deliver()
    fleet.run_pod("a", fleet.now)
    await fleet.look("a")

    fleet.start_operator()
    fleet.deliver()
    await after(fleet, 250, "a")

    assert fleet.pods == []


async def test_a_pod_that_went_while_no_operator_was_there_counts_until_it_was_missed(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    fleet.now += timedelta(seconds=100)
    fleet.api.remove(("pods", "team", "a"), grace_seconds=0)

    fleet.start_operator()
    fleet.deliver()
    await after(fleet, 100, "a")

    slots = fleet.status("a")["runTime"]["slots"]
    assert sum(each["seconds"] for each in slots) == 200


async def test_a_run_is_counted_once_however_often_it_is_looked_at(fleet: Fleet) -> None:
    fleet.quota(seconds(6000))
    await start(fleet, "a", mode="Task", restartPolicy="Never")
    fleet.now += timedelta(seconds=100)
    finish(fleet, fleet.now - timedelta(seconds=10))

    for _ in range(3):
        await after(fleet, 50, "a")

    slots = fleet.status("a")["runTime"]["slots"]
    # The second that it ended in counts whole.
    assert sum(each["seconds"] for each in slots) == 91


async def test_a_task_that_has_ended_in_time_has_succeeded_though_nothing_is_left(fleet: Fleet) -> None:
    fleet.quota(seconds(100))
    await start(fleet, "a", mode="Task", restartPolicy="Never")
    finish(fleet, fleet.now)

    await after(fleet, 1000, "a")

    assert fleet.status("a")["state"] == "Succeeded"


async def test_a_task_that_is_paused_has_not_succeeded_though_it_ends_with_zero(fleet: Fleet) -> None:
    fleet.quota(seconds(100))
    fleet.api.add("nodes", node_body())
    await start(fleet, "a", mode="Task", restartPolicy="OnFailure")
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["spec"].update(nodeName="n1"))
    fleet.deliver()
    await after(fleet, 101, "a")
    finish(fleet, fleet.now)
    fleet.api.change(("quotas", "team", "q"), lambda raw: raw["spec"]["limits"][0].update(max=100_000), is_spec=True)
    fleet.deliver()

    await after(fleet, 1, "a")

    assert fleet.status("a")["state"] == "Restarting"


async def test_a_limit_that_only_warns_ends_nobody(fleet: Fleet) -> None:
    fleet.quota(seconds(600, enforcement="Warn"))
    await start(fleet, "a")

    await after(fleet, 3000, "a")

    assert fleet.pods == ["a"]


async def test_without_such_a_limit_nothing_is_kept(fleet: Fleet) -> None:
    await start(fleet, "a")

    assert "runTime" not in fleet.status("a")


async def test_a_raised_limit_lets_the_agent_go_on(fleet: Fleet) -> None:
    fleet.quota(seconds(600))
    await start(fleet, "a")
    await after(fleet, 601, "a")
    fleet.api.change(("quotas", "team", "q"), lambda raw: raw["spec"]["limits"][0].update(max=6000), is_spec=True)
    fleet.deliver()

    await after(fleet, 1, "a")
    await after(fleet, 1, "a")

    assert fleet.pods == ["a"]


# Shared


async def test_agents_that_share_seconds_are_all_ended_when_these_are_used_up(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a", "b")
    fleet.now += timedelta(seconds=290)
    watch(fleet)
    early = list(fleet.woken)
    fleet.now += timedelta(seconds=20)

    watch(fleet)
    await fleet.look("a", "b")

    assert (early, sorted(fleet.woken)) == ([], ["a", "b"])
    assert fleet.pods == []
    assert "per Hour together are used up" in fleet.condition("a", "Ready")["message"]


async def test_what_is_shared_and_used_up_lets_no_other_agent_start(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a")
    fleet.api.add("nodes", node_body())
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["spec"].update(nodeName="n1"))
    fleet.deliver()
    await after(fleet, 700, "a")
    stop(fleet, "a")

    await fleet.look(fleet.agent("b"))

    assert fleet.pods == []
    assert fleet.condition("b", "Ready")["reason"] == "QuotaExceeded"


async def test_a_pod_that_is_gone_keeps_what_it_used_of_the_shared_seconds(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a")
    fleet.now += timedelta(seconds=100)
    watch(fleet)
    fleet.now += timedelta(seconds=50)
    fleet.delete("a")
    stop(fleet, "a")

    told = watch(fleet)

    assert told == [("team", "q")]
    assert _shared(fleet) == pytest.approx(150)


async def test_a_pod_that_has_ended_and_is_gone_before_the_next_count_keeps_what_it_used(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a")
    fleet.now += timedelta(seconds=100)
    watch(fleet)
    fleet.now += timedelta(seconds=4, milliseconds=700)
    finish(fleet, fleet.now, phase="Failed")
    fleet.delete("a")
    stop(fleet, "a")

    watch(fleet)

    assert _shared(fleet) >= 104.7


async def test_what_an_agent_has_used_up_is_used_up_though_its_end_is_told_in_whole_seconds(fleet: Fleet) -> None:
    fleet.quota(seconds(10))
    await start(fleet, "a")
    fleet.api.add("nodes", node_body())
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["spec"].update(nodeName="n1"))
    fleet.deliver()
    await after(fleet, 10.6, "a")
    finish(fleet, fleet.now - timedelta(seconds=0.8), phase="Failed")
    await after(fleet, 0.2, "a")
    fleet.end("a")

    await after(fleet, 1, "a")

    assert fleet.pods == []


async def test_a_new_leader_goes_on_from_what_the_status_says(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a")
    fleet.now += timedelta(seconds=100)
    watch(fleet)
    said = fleet.view.run_times.said(_quota(fleet))
    assert said is not None
    fleet.api.change(("quotas", "team", "q"), lambda raw: raw.update(status={"runTime": said.to_body()}))
    fleet.now += timedelta(seconds=30)

    fleet.start_operator()
    fleet.deliver()
    fleet.view.run_times.begin()
    watch(fleet)

    assert _shared(fleet) == pytest.approx(130, abs=1)


async def test_shared_seconds_are_told_by_the_hundredth(fleet: Fleet) -> None:
    fleet.quota(seconds(1000, scope="Shared"))
    await start(fleet, "a")
    watch(fleet)
    told = []
    for _ in range(6):
        fleet.now += timedelta(seconds=5)
        told += watch(fleet)

    assert len(told) == 3


async def test_a_replica_that_does_not_lead_remembers_no_pods(fleet: Fleet) -> None:
    fleet.quota(seconds(600, scope="Shared"))
    await start(fleet, "a")
    fleet.view.run_times.rest()
    fleet.now += timedelta(seconds=100)

    stop(fleet, "a")

    assert fleet.view.run_times._gone == []


def _quota(fleet: Fleet) -> Any:
    found = fleet.view.quotas.get("team", "q")
    assert found is not None
    return found


def _shared(fleet: Fleet) -> float:
    quota = _quota(fleet)
    frame = frames_of(quota)[0]
    return total(fleet.view.run_times.slots(quota, frame, fleet.now), frame, fleet.now.timestamp())
