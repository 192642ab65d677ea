"""An agent takes a warm pod of its pool."""

from contextlib import suppress
from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from ringfence_operator.reconcile.starter import HANDOVER_SECONDS
from ringfence_operator.reconcile.starters import Heard
from tests.operator.reconcile.pool_wire import Fault, Lands
from tests.operator.reconcile.pool_world import PoolWorld
from tests.operator.resources.objects import policy_body

Raw = dict[str, Any]
CLAIM = ["patch pods", "replace agents/status"]


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


async def test_a_warm_claim_costs_two_writes(world: PoolWorld) -> None:
    await world.warm(3)
    before = len(world.api.writes)
    world.agent("a")

    await world.look("a")

    assert world.api.writes[before:] == CLAIM
    assert len(world.pods_of("a")) == 1


async def test_a_claimed_pod_is_the_agents_and_no_longer_the_pools(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a", podMetadata={"labels": {"team": "x"}})

    await world.look("a")

    meta = world.raw(pod)["metadata"]
    assert [(each["kind"], each["uid"]) for each in meta["ownerReferences"]] == [("Agent", "a-uid")]
    assert meta["labels"][labels.AGENT] == "a"
    assert meta["labels"][labels.CONFINED] == "true"
    assert meta["labels"]["team"] == "x"
    assert meta["annotations"][labels.SPEC_HASH] == world.status()["specHash"]
    assert world.status()["podName"] == pod


async def test_a_claimed_pod_is_assigned_at_once_and_ready_when_its_starter_has_handed_over(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")

    (again,) = await world.look("a")
    assigned, ready = world.condition("Assigned"), world.condition("Ready")
    world.starters.carry_out(world.uid(pod))
    world.deliver()
    await world.look("a")

    assert again is None, "nobody asks again and again on a node where no starter runs"
    assert assigned == ("True", "PodAssigned")
    assert ready == ("False", "StarterPending")
    assert world.condition("Ready") == ("True", "Running")
    assert world.condition("Enforced") == ("True", "InForce")


async def test_where_a_starter_waits_assigned_and_ready_are_one_write(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.starters.ask(world.uid(pod))
    before = len(world.api.writes)
    world.agent("a")

    (again,) = await world.look("a")
    world.starters.carry_out(world.uid(pod))
    world.deliver()
    await world.look("a")

    assert again == HANDOVER_SECONDS
    assert world.api.writes[before:] == CLAIM
    assert world.condition("Assigned") == ("True", "PodAssigned")
    assert world.condition("Ready") == ("True", "Running")


async def test_a_starter_that_says_nothing_keeps_the_status_waiting_for_a_moment_only(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.starters.ask(world.uid(pod))
    world.agent("a")

    await world.look("a")
    world.wait(HANDOVER_SECONDS)
    await world.look("a")

    assert world.condition("Assigned") == ("True", "PodAssigned")
    assert world.condition("Ready") == ("False", "StarterPending")


async def test_what_the_starter_refuses_is_the_agents_reason(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    await world.look("a")

    world.starters.said[world.uid(pod)] = Heard(agent_uid="another")
    await world.settle()
    of_another = world.condition("Ready")
    world.starters.said[world.uid(pod)] = Heard(agent_uid="a-uid", refused="/x cannot be written")
    await world.look("a")

    assert of_another == world.condition("Ready") == ("False", "StarterRefused")
    assert "/x cannot be written" in str(world.status()["conditions"])


async def test_the_oldest_ready_pod_of_the_present_template_goes_first(world: PoolWorld) -> None:
    world.pool(4)
    await world.look_at_pool()
    world.deliver()
    first, second, third, fourth = world.pods
    for age, pod in enumerate((fourth, second, third, first)):
        world.raw(pod)["metadata"]["creationTimestamp"] = f"2026-11-23T11:0{age}:00Z"
    world.start_pods()
    world.set_pod(fourth, conditions=[{"type": "Ready", "status": "False"}])
    stale = {labels.TEMPLATE_HASH: "of another"}
    world.api.change(("pods", "team", second), lambda raw: raw["metadata"]["annotations"].update(stale))
    world.agent("a")

    await world.look("a")

    assert world.pods_of("a") == [third]


async def test_agents_at_once_get_a_pod_each(world: PoolWorld) -> None:
    await world.warm(5)
    names = [world.agent(name) for name in "abcde"]

    await world.look(*names)

    assert sorted(pod for name in names for pod in world.pods_of(name)) == world.pods


async def test_a_pod_that_somebody_changed_meanwhile_is_claimed_as_it_is_now(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    world.set_pod(pod, message="changed, and the watch is late")

    await world.look("a")

    assert world.pods_of("a") == [pod]


@pytest.mark.parametrize("how", ["gone", "another's"])
async def test_a_pod_that_is_none_any_more_is_passed_over(world: PoolWorld, how: str) -> None:
    first, second = await world.warm(2)
    world.agent("a")
    if how == "gone":
        world.api.remove(("pods", "team", first), grace_seconds=0)
    else:
        change = {"labels": {labels.AGENT: "x", labels.POOL: "p"}, "ownerReferences": []}
        world.api.change(("pods", "team", first), lambda raw: raw["metadata"].update(change))

    await world.look("a")

    assert world.pods_of("a") == [second]


async def test_an_operator_that_is_killed_after_the_patch_goes_on_with_that_pod(world: PoolWorld) -> None:
    await world.warm(3)
    world.agent("a")
    world.api.refuse["replace agents/status"] = UnavailableError("killed")
    with pytest.raises(UnavailableError):
        await world.look("a")
    (pod,) = world.pods_of("a")

    del world.api.refuse["replace agents/status"]
    world.start_operator()
    await world.settle()

    assert world.pods_of("a") == [pod]
    assert world.status()["podName"] == pod


async def test_a_new_leader_whose_watches_are_late_sees_what_its_predecessor_claimed(world: PoolWorld) -> None:
    await world.warm(3)
    world.agent("a")
    seen = len(world.api.log)
    await world.look("a")
    (pod,) = world.pods_of("a")
    world.start_operator(late=len(world.api.log) - seen)
    world.deliver("warmpods")

    with suppress(ConflictError):  # of the status: of the agent its view is late, too
        await world.look("a")

    assert world.pods_of("a") == [pod]


@pytest.mark.parametrize("takes_effect", [True, False])
async def test_a_claim_without_an_answer_is_followed_up_and_not_made_twice(
    world: PoolWorld, takes_effect: bool
) -> None:
    await world.warm(3)
    world.agent("a")
    world.api.fuse = (0, takes_effect, UnavailableError("connection lost"))
    with pytest.raises(UnavailableError):
        await world.look("a")

    await world.look("a")
    world.deliver()
    await world.look("a")

    assert len(world.pods_of("a")) == 1
    assert len(world.free) == 2


async def lose_answer(world: PoolWorld) -> str:
    """Have agent `a` claim a pod, with a request that arrives only when `world.land` lets it; return the pod."""
    world.agent("a")
    world.wire.fault = Fault(1, Lands.LATE, is_kill=False)  # the first reads what pods there are
    with pytest.raises(UnavailableError):
        await world.look("a")
    doubted = world.view.pooling.doubt("a-uid")
    assert doubted is not None
    return doubted.meta.name


@pytest.mark.parametrize("how", ["deleting", "failed", "of another template"])
async def test_a_doubted_pod_that_has_changed_since_is_not_the_agents(world: PoolWorld, how: str) -> None:
    await world.warm(2)
    doubted = await lose_answer(world)
    if how == "deleting":
        world.api.remove(("pods", "team", doubted), grace_seconds=30)
    elif how == "failed":
        world.set_pod(doubted, phase="Failed", conditions=[])
    else:
        stale = {labels.TEMPLATE_HASH: "of another"}
        world.api.change(("pods", "team", doubted), lambda raw: raw["metadata"]["annotations"].update(stale))

    await world.look("a")
    await world.land()

    (pod,) = world.pods_of("a")
    assert pod != doubted


async def test_a_doubted_pod_of_what_is_an_earlier_template_now_goes_and_the_claim_that_arrives_later_has_lost(
    world: PoolWorld,
) -> None:
    await world.warm(2)
    doubted = await lose_answer(world)
    world.set_pool(image="agent:2")

    await world.look("a")
    await world.land()
    early = world.pods_of("a")
    await world.settle()
    world.stop_pods()
    world.start_pods()
    await world.settle()

    assert early == []
    assert doubted not in world.pods
    assert [world.raw(pod)["spec"]["containers"][0]["image"] for pod in world.pods_of("a")] == ["agent:2"]


async def test_a_refused_claim_is_said_and_leaves_the_pod_to_others(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    world.api.refuse["patch pods"] = ForbiddenError("admission webhook says no")

    await world.look("a")

    assert world.condition("Ready") == ("False", "AdmissionRefused")
    assert not world.view.pooling.is_handed_out(world.view.warm.cache["team", pod])


async def test_who_finds_no_warm_pod_waits_and_is_served_in_the_order_of_age(world: PoolWorld) -> None:
    world.pool(2)
    names = [world.agent(name) for name in "cab"]
    await world.settle()

    world.start_pods(world.pods[0])
    await world.settle()
    first = [name for name in names if world.pods_of(name)]
    world.start_pods()
    await world.settle()

    assert first == ["c"]
    assert [name for name in names if world.pods_of(name)] == ["c", "a", "b"][: len(world.pods)]
    assert world.condition("Ready", "b")[1] in ("NoWarmPod", "StarterPending")


async def test_who_comes_later_does_not_overtake_who_waits(world: PoolWorld) -> None:
    world.pool(1)
    world.agent("early")
    await world.settle()
    world.start_pods()
    world.agent("late")

    await world.look("late")
    late = world.pods_of("late")
    await world.settle()

    assert late == []
    assert len(world.pods_of("early")) == 1


async def test_a_pod_is_free_for_the_next_when_who_waits_is_deleted(world: PoolWorld) -> None:
    world.pool(1)
    world.agent("early")
    world.agent("late")
    await world.settle()
    world.delete_agent("early")
    world.start_pods()

    await world.settle()

    assert len(world.pods_of("late")) == 1


async def test_without_a_warm_pod_an_agent_that_says_so_starts_cold_from_the_template(world: PoolWorld) -> None:
    world.pool(0, image="tools:7", env=[{"name": "A", "value": "1"}])
    world.agent("a", onMiss="Cold", env=[{"name": "B", "value": "2"}])

    await world.settle()
    world.start_pods()
    await world.settle()

    container = world.raw("a")["spec"]["containers"][0]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert (container["image"], container["command"]) == ("tools:7", ["run", "a"])
    assert given["A"], given["B"] == ("1", "2")
    assert world.condition("Ready") == ("True", "Running")


async def test_without_a_warm_pod_an_agent_that_says_so_fails(world: PoolWorld) -> None:
    world.pool(0)
    world.agent("a", onMiss="Fail")

    await world.settle()

    assert world.status()["state"] == "Failed"
    assert world.condition("Ready") == ("False", "NoWarmPod")
    assert world.pods == []
    assert world.view.pooling.line(("team", "p")) == []


async def test_execution_time_counts_from_the_claim(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.wait(1000)
    world.agent("a", maxExecutionTime="60s")

    await world.look("a")
    world.starters.carry_out(world.uid(pod))
    world.deliver()
    await world.look("a")

    claimed = world.raw(pod)["metadata"]["annotations"][labels.CLAIMED_AT]
    assert world.status()["startedAt"] == claimed == format_timestamp(world.now)
    # The kubelet counts from when the pod started.
    assert 1060 <= world.raw(pod)["spec"]["activeDeadlineSeconds"] <= 1070


async def test_suspension_gives_the_pod_up_and_going_on_takes_a_fresh_one(world: PoolWorld) -> None:
    await world.warm(2)
    world.agent("a")
    await world.settle()
    (first,) = world.pods_of("a")

    world.set_agent("a", suspend=True)
    await world.settle()
    world.stop_pods()
    world.set_agent("a", suspend=False)
    await world.settle()

    assert first not in world.pods
    assert len(world.pods_of("a")) == 1


async def test_another_template_leaves_claimed_pods_alone(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    await world.settle()
    uid = world.uid(pod)

    world.set_pool(image="agent:2", resources={"limits": {"memory": "64Mi"}}, isolation="Basic")
    await world.settle()

    assert world.pods_of("a") == [pod]
    assert world.uid(pod) == uid
    assert "deletionTimestamp" not in world.raw(pod)["metadata"]
    assert {each["name"]: each["value"] for each in world.status()["effective"]}["isolation"] == "Container"


async def test_another_command_takes_another_pod(world: PoolWorld) -> None:
    await world.warm(2)
    world.agent("a")
    await world.settle()
    (first,) = world.pods_of("a")

    world.set_agent("a", command=["other"])
    await world.settle()
    world.stop_pods()
    await world.settle()

    assert first not in world.pods
    assert len(world.pods_of("a")) == 1


async def test_the_pools_end_leaves_claimed_agents_running(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    await world.settle()
    world.starters.carry_out(world.uid(pod))
    await world.look("a")

    world.api.remove(("agentpools", "team", "p"))
    await world.settle()

    assert world.pods_of("a") == [pod]
    assert world.condition("Ready") == ("True", "Running")


async def test_a_pod_that_lost_the_agents_label_is_found_by_the_status_and_has_it_again(world: PoolWorld) -> None:
    await world.warm(2)
    world.agent("a")
    await world.settle()
    (pod,) = world.pods_of("a")
    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"]["labels"].pop(labels.AGENT))

    await world.settle()

    assert world.pods_of("a") == [pod]


@pytest.mark.parametrize("label", [labels.POOL, labels.STARTER, labels.CONFINED])
async def test_a_label_that_somebody_takes_off_a_claimed_pod_comes_back(world: PoolWorld, label: str) -> None:
    await world.warm(1)
    world.agent("a")
    await world.settle()
    (pod,) = world.pods_of("a")
    value = world.raw(pod)["metadata"]["labels"][label]

    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"]["labels"].pop(label))
    await world.settle()

    assert world.raw(pod)["metadata"]["labels"][label] == value


@pytest.mark.parametrize(
    ("template", "spec", "reason"),
    [
        ({}, {"poolRef": {"name": "none"}}, "PoolNotFound"),
        ({}, {"mode": "Task"}, "PoolRestartsOtherwise"),
        ({}, {"restartPolicy": "OnFailure"}, "PoolRestartsOtherwise"),
        ({"restartPolicy": "Never"}, {}, "PoolRestartsOtherwise"),
        ({"isolation": "Basic"}, {}, "PoolIsolationWeaker"),
        ({}, {"files": [{"path": "/etc/x", "content": "y"}]}, "FileNotWritable"),
        ({}, {"quotaRef": {"name": "disk"}}, "NotSupported"),
        ({}, {"quotaRef": {"name": "calls"}}, "NotSupported"),
    ],
)
async def test_what_a_pools_pod_cannot_give_is_a_reason_and_takes_no_pod(
    world: PoolWorld, template: Raw, spec: Raw, reason: str
) -> None:
    add_others(world)
    await world.warm(1, **template)
    world.agent("a", **spec)

    world.wait(10)
    await world.settle()

    assert world.condition("Ready") == ("False", reason)
    assert world.pods_of("a") == []


def add_others(world: PoolWorld) -> None:
    world.api.add("securitypolicies", policy_body("web"), "team")
    for name, limit in (
        ("disk", {"resource": "ephemeralStorage", "max": "128Mi"}),
        ("calls", {"resource": "apiCalls", "max": 9, "window": "Hour"}),
        ("memory", {"resource": "memory", "max": "64Mi"}),
    ):
        world.api.add("quotas", {"metadata": {"name": name, "namespace": "team"}, "spec": {"limits": [limit]}}, "team")


@pytest.mark.parametrize(
    ("template", "spec"),
    [
        ({"isolation": "Basic"}, {"isolation": "Basic"}),
        ({"securityPolicyRef": {"name": "web"}}, {"securityPolicyRef": {"name": "web"}}),
        ({}, {"files": [{"path": "/tmp/x", "content": "y"}]}),
        ({}, {"quotaRef": {"name": "memory"}}),
    ],
)
async def test_what_a_pools_pod_can_give_is_given(world: PoolWorld, template: Raw, spec: Raw) -> None:
    add_others(world)
    await world.warm(1, **template)
    world.agent("a", **spec)

    await world.settle()

    assert len(world.pods_of("a")) == 1


async def test_a_quota_on_memory_holds_in_the_claimed_pod_before_anything_runs_in_it(world: PoolWorld) -> None:
    add_others(world)
    (pod,) = await world.warm(1)
    world.agent("a", quotaRef={"name": "memory"})

    await world.look("a")

    assert world.raw(pod)["spec"]["containers"][0]["resources"]["limits"]["memory"] == "64Mi"


def carry_out_resize(world: PoolWorld, pod: str) -> None:
    """The node gives the container what its spec says."""
    (status,) = world.ready_status(pod)["containerStatuses"]
    has = world.raw(pod)["spec"]["containers"][0]["resources"]
    world.set_pod(pod, containerStatuses=[status | {"resources": has}])


async def test_the_command_waits_until_the_node_has_what_a_quota_leaves(world: PoolWorld) -> None:
    add_others(world)
    (pod,) = await world.warm(1)
    carry_out_resize(world, pod)
    world.agent("a", quotaRef={"name": "memory"})
    await world.settle()
    before, assigned = world.uid(pod) in world.starters.orders, world.condition("Assigned")

    carry_out_resize(world, pod)
    await world.settle()

    assert (before, assigned) == (False, ("True", "PodAssigned"))
    assert world.uid(pod) in world.starters.orders


async def test_a_quota_that_leaves_what_the_pool_gives_keeps_nobody_waiting(world: PoolWorld) -> None:
    add_others(world)
    (pod,) = await world.warm(1, resources={"limits": {"memory": "32Mi"}})
    world.agent("a", quotaRef={"name": "memory"})

    await world.look("a")

    assert world.uid(pod) in world.starters.orders


async def test_a_resize_that_is_refused_is_why_the_command_does_not_start(
    world: PoolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Raw:
        raise InvalidError("memory limits cannot be decreased")

    monkeypatch.setattr(type(world.api), "strategic_patch", refuse)
    add_others(world)
    (pod,) = await world.warm(1)
    carry_out_resize(world, pod)
    world.starters.ask(world.uid(pod))
    world.agent("a", quotaRef={"name": "memory"})

    await world.settle()

    assert world.uid(pod) not in world.starters.orders
    assert world.condition("Assigned") == ("True", "PodAssigned")
    assert world.condition("Ready") == ("False", "ResizeRefused")


async def test_a_quota_that_comes_to_be_less_leaves_who_runs_running(world: PoolWorld) -> None:
    add_others(world)
    (pod,) = await world.warm(1)
    carry_out_resize(world, pod)
    world.agent("a")
    await world.settle()
    world.starters.carry_out(world.uid(pod))
    await world.look("a")

    limit = {"resource": "memory", "max": "64Mi"}
    world.api.add("quotas", {"metadata": {"name": "q", "namespace": "team"}, "spec": {"limits": [limit]}}, "team")
    await world.settle()

    assert world.condition("Ready") == ("True", "Running")
    assert world.uid(pod) in world.starters.orders


async def test_a_claimed_pod_is_under_the_policy_and_a_warm_one_under_none(world: PoolWorld) -> None:
    add_others(world)
    (pod,) = await world.warm(1, securityPolicyRef={"name": "web"})
    before = dict(world.raw(pod)["metadata"]["labels"])
    world.agent("a", securityPolicyRef={"name": "web"})

    await world.look("a")

    assert labels.POLICY not in before
    assert world.raw(pod)["metadata"]["labels"][labels.POLICY] == "web"


def at_most(world: PoolWorld, agents: int) -> None:
    limit = {"resource": "agents", "max": agents, "scope": "Shared"}
    world.api.add("quotas", {"metadata": {"name": "q", "namespace": "team"}, "spec": {"limits": [limit]}}, "team")


async def test_an_agent_that_waits_for_a_warm_pod_keeps_no_place_of_a_quota(world: PoolWorld) -> None:
    at_most(world, 1)
    world.pool(0)
    world.agent("a", quotaRef={"name": "q"})
    world.agent("b", quotaRef={"name": "q"}, poolRef=None, image="i")

    await world.settle()

    assert world.pods == ["b"]


async def test_an_agent_that_a_quota_leaves_no_place_keeps_no_other_from_a_warm_pod(world: PoolWorld) -> None:
    at_most(world, 1)
    await world.warm(2)
    world.agent("a", quotaRef={"name": "q"})
    world.agent("b", quotaRef={"name": "q"})
    world.agent("c")

    await world.settle()

    assert [len(world.pods_of(name)) for name in "abc"] == [1, 0, 1]
    assert world.condition("Ready", "b") == ("False", "QuotaExceeded")
    assert world.raw(world.pods_of("a")[0])["metadata"]["labels"]["quota.ringfence.dev/q"] == "true"
