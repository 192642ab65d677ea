"""Each setting of a pool changes what becomes of its pods, or of its agents."""

from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.model import format_timestamp
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.connectors import connector_body, rabbitmq
from tests.operator.resources.objects import node_body, policy_body

Raw = dict[str, Any]
ON_CLAIM = {"updateStrategy": {"type": "OnClaim"}}
HELD = {"deletionPolicy": "Delete"}


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


def said(world: PoolWorld, kind: str) -> tuple[str, str] | None:
    found = (each for each in world.pool_status().get("conditions", ()) if each["type"] == kind)
    return next(((each["status"], each["reason"]) for each in found), None)


def image(world: PoolWorld, pod: str) -> str:
    found: str = world.raw(pod)["spec"]["containers"][0]["image"]
    return found


async def turn_over(world: PoolWorld, rounds: int = 20) -> None:
    """Let pods start and end, as a node does."""
    for _ in range(rounds):
        await world.settle(0.5)
        world.stop_pods()
        world.start_pods()


# --- minWarm and maxSize ---


@pytest.mark.parametrize(
    ("size", "settings", "count", "condition"),
    [
        (1, {"minWarm": 3}, 3, ("True", "TooFewReplicas")),
        (0, {"minWarm": 2}, 2, ("True", "TooFewReplicas")),
        (9, {"maxSize": 4}, 4, ("True", "TooManyReplicas")),
        (4, {"minWarm": 2, "maxSize": 4}, 4, None),
    ],
)
async def test_a_size_counts_as_far_as_the_pools_bounds_let_it(
    world: PoolWorld, size: int, settings: Raw, count: int, condition: tuple[str, str] | None
) -> None:
    world.pool(size, settings=settings)
    await world.settle()
    world.start_pods()
    await world.settle()

    assert len(world.pods) == count
    assert world.pool_status()["replicas"] == count
    assert said(world, "ScalingLimited") == condition
    assert kstatus(1, world.pool_status()) == "Current"


async def test_a_size_within_its_bounds_again_is_not_limited(world: PoolWorld) -> None:
    world.pool(9, settings={"maxSize": 4})
    await world.settle()

    world.set_pool(size=3)
    await world.settle()

    assert said(world, "ScalingLimited") is None


# --- updateStrategy ---


async def test_pods_of_an_earlier_template_stay_until_they_are_claimed_and_go_first(world: PoolWorld) -> None:
    before = await world.warm(2, ON_CLAIM)
    world.set_pool(image="agent:2", size=3)
    await turn_over(world)
    waiting = world.free

    for name in ("a", "b", "c"):
        world.agent(name)
        await world.look(name)
    claimed = [world.pods_of(name)[0] for name in ("a", "b", "c")]
    await turn_over(world)

    assert set(before) < set(waiting)
    assert [image(world, pod) for pod in claimed] == ["agent:1", "agent:1", "agent:2"]
    assert {image(world, pod) for pod in world.free} == {"agent:2"}
    assert len(world.free) == 3


def revision(world: PoolWorld, pod: str) -> str:
    found: str = world.raw(pod)["metadata"]["annotations"][labels.TEMPLATE_HASH]
    return found


async def test_the_status_says_of_which_revision_the_waiting_pods_are_and_the_next_agents_is(world: PoolWorld) -> None:
    (first,) = await world.warm(1, ON_CLAIM)
    before = world.pool_status()
    world.set_pool(image="agent:2", size=3)
    await turn_over(world)
    status = world.pool_status()
    (newest, _) = (pod for pod in world.free if pod != first)

    world.agent("a")
    await world.look("a")
    await turn_over(world)

    assert before["updateRevision"] == before["currentRevision"] == revision(world, first)
    assert (before["replicas"], before["updatedReplicas"]) == (1, 1)
    assert (status["currentRevision"], status["updateRevision"]) == (revision(world, first), revision(world, newest))
    assert (status["replicas"], status["updatedReplicas"], status.get("outdatedReplicas", 0)) == (3, 2, 0)
    assert world.pods_of("a") == [first]
    assert world.pool_status()["currentRevision"] == revision(world, newest)
    assert world.pool_status()["updatedReplicas"] == 3


async def test_pods_that_are_being_replaced_are_outdated_and_no_replicas(world: PoolWorld) -> None:
    await world.warm(4)

    world.set_pool(image="agent:2")
    await world.settle()

    status = world.pool_status()
    assert (status["replicas"], status["updatedReplicas"], status["outdatedReplicas"]) == (1, 1, 3)
    assert status.get("currentRevision", "") == ""


async def test_an_agent_runs_on_with_a_pod_of_an_earlier_template(world: PoolWorld) -> None:
    await world.warm(1, ON_CLAIM)
    world.set_pool(image="agent:2")
    await world.settle()
    world.agent("a")
    await world.settle()
    (pod,) = world.pods_of("a")
    before = len(world.api.writes)

    world.start_operator()
    await world.settle(10)
    await turn_over(world)

    assert world.pods_of("a") == [pod]
    assert [each for each in world.api.writes[before:] if each in ("patch pods", "delete pods")] == []


async def test_pods_of_an_earlier_template_are_handed_out_before_a_new_leader_knows_the_control_server(
    world: PoolWorld,
) -> None:
    (pod,) = await world.warm(1, ON_CLAIM)
    world.set_pool(image="agent:2")
    await world.settle()
    world.start_operator()
    world.view.control.authority = ""
    world.agent("a")

    await world.settle()

    assert world.pods_of("a") == [pod]


@pytest.mark.parametrize(
    "template",
    [
        {"isolation": "Basic"},
        {"securityPolicyRef": {"name": "web"}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"podMetadata": {"labels": {"team": "x"}}},
    ],
)
async def test_pods_that_are_confined_or_counted_otherwise_are_replaced_and_not_handed_out(
    world: PoolWorld, template: Raw
) -> None:
    world.api.add("securitypolicies", policy_body("web"), "team")
    (pod,) = await world.warm(1, ON_CLAIM)
    world.set_pool(**template)
    ref, level = template.get("securityPolicyRef"), template.get("isolation")
    world.agent("a", securityPolicyRef=ref, isolation=level)
    await world.look("a")
    claimed = world.pods_of("a")

    await turn_over(world)

    assert claimed == []
    assert pod not in world.pods


async def test_pods_made_under_an_earlier_form_of_their_policy_are_replaced_and_not_handed_out(
    world: PoolWorld,
) -> None:
    world.api.add("securitypolicies", policy_body("web"), "team")
    (pod,) = await world.warm(1, ON_CLAIM, securityPolicyRef={"name": "web"})
    paths = {"fileSystem": {"writablePaths": [{"path": "/cache", "size": "1Gi"}]}}

    world.api.change(("securitypolicies", "team", "web"), lambda raw: raw["spec"].update(paths), is_spec=True)
    world.deliver()
    world.agent("a", securityPolicyRef={"name": "web"})
    await world.look("a")
    claimed = world.pods_of("a")
    await turn_over(world)

    assert claimed == []
    assert pod not in world.pods


async def test_pods_of_an_earlier_template_that_name_a_connectors_secret_are_replaced(world: PoolWorld) -> None:
    source = {"secretKeyRef": {"name": "rabbit", "key": "password"}}
    (pod,) = await world.warm(1, ON_CLAIM, env=[{"name": "A", "valueFrom": source}])
    world.set_pool(env=[])
    await world.settle()
    world.api.add("connectors", connector_body(spec=rabbitmq()), "team")

    await turn_over(world)

    assert pod not in world.pods
    assert len(world.free) == 1


async def test_a_smaller_size_takes_pods_of_an_earlier_template_first(world: PoolWorld) -> None:
    before = await world.warm(2, ON_CLAIM)
    world.set_pool(image="agent:2", size=4)
    await turn_over(world)

    world.set_pool(size=2)
    await turn_over(world)

    assert not set(before) & set(world.pods)
    assert len(world.free) == 2


# --- maxIdleTime ---


async def test_a_pod_that_has_waited_for_too_long_is_replaced_once_another_is_warm(world: PoolWorld) -> None:
    before = await world.warm(3, {"maxIdleTime": "1m"})
    await world.settle(50)
    young = world.pods

    least = 3
    for _ in range(60):
        await world.settle(0.5)
        world.stop_pods()
        least = min(least, len([pod for pod in world.free if world.raw(pod)["spec"].get("nodeName")]))
        world.start_pods()

    assert young == before
    assert not set(before) & set(world.pods)
    assert least == 3
    assert len(world.free) == 3


async def test_how_long_a_pod_waits_counts_from_when_it_is_warm(world: PoolWorld) -> None:
    world.pool(2, settings={"maxIdleTime": "1m"})
    await world.settle()
    slow = world.pods
    world.wait(120)
    world.start_pods()

    await world.settle(50)
    waits = world.pods
    await world.settle(20)

    assert waits == slow
    assert len(world.pods) == 3


async def test_a_smaller_size_takes_those_that_have_waited_for_too_long_first(world: PoolWorld) -> None:
    old = await world.warm(2, {"maxIdleTime": "10m"})
    world.wait(300)
    world.set_pool(size=3)
    await turn_over(world)
    (young,) = set(world.pods) - set(old)
    world.wait(400)
    world.set_pool(size=1)

    await turn_over(world)

    assert world.pods == [young]


async def test_without_a_longest_time_pods_wait_for_ever(world: PoolWorld) -> None:
    before = await world.warm(2)

    world.wait(10_000)
    await turn_over(world)

    assert world.pods == before


async def test_pods_that_expire_together_are_replaced_some_at_a_time(world: PoolWorld) -> None:
    await world.warm(20, {"maxIdleTime": "1m"})
    world.wait(70)

    await world.look_at_pool()
    await world.settle(1)

    assert len(world.pods) == 22


# --- deletionPolicy ---


async def delete_pool(world: PoolWorld) -> None:
    """As the API server does where there is a finalizer."""

    def edit(raw: Raw) -> None:
        raw["metadata"]["deletionTimestamp"] = format_timestamp(world.now)

    world.api.change(("agentpools", "team", "p"), edit)
    await world.settle(3)


def finalizers(world: PoolWorld) -> list[str]:
    found: list[str] = world.api.objects["agentpools", "team", "p"]["metadata"].get("finalizers", [])
    return found


@pytest.mark.parametrize(("settings", "expected"), [({}, []), (HELD, [labels.CLAIMED_AGENTS])])
async def test_only_a_pool_that_takes_its_agents_along_is_held(
    world: PoolWorld, settings: Raw, expected: list[str]
) -> None:
    await world.warm(1, settings)

    assert finalizers(world) == expected


async def test_others_finalizers_stay_when_a_pool_lets_its_agents_live(world: PoolWorld) -> None:
    await world.warm(1, HELD)
    place = ("agentpools", "team", "p")
    world.api.change(place, lambda raw: raw["metadata"]["finalizers"].append("example.com/mine"))

    world.set_pool(settings={"deletionPolicy": "Orphan"})
    await world.settle()

    assert finalizers(world) == ["example.com/mine"]


async def test_agents_that_have_a_pod_of_the_pool_go_with_it_and_others_stay(world: PoolWorld) -> None:
    await world.warm(1, HELD)
    world.agent("claimed")
    await world.look("claimed")
    world.set_pool(size=0)
    world.agent("cold", onMiss="Cold")
    world.agent("waits")
    await world.look("cold", "waits")
    await world.settle()

    await delete_pool(world)

    agents = {name for plural, _, name in world.api.objects if plural == "agents"}
    assert agents == {"cold", "waits"}
    assert finalizers(world) == []


async def test_a_pool_is_let_go_of_only_when_no_claim_is_under_way(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, HELD)
    warm = world.view.warm.cache["team", pod]

    with world.view.pooling.claiming("a-uid", warm):
        await delete_pool(world)
        during = finalizers(world)
    await world.settle(3)

    assert during == [labels.CLAIMED_AGENTS]
    assert finalizers(world) == []


async def test_a_pool_whose_agents_stay_takes_none_along(world: PoolWorld) -> None:
    await world.warm(1)
    world.agent("a")
    await world.settle()

    await delete_pool(world)

    assert ("agents", "team", "a") in world.api.objects


# --- nodes ---


async def test_a_claim_takes_from_the_node_with_the_most_warm_pods(world: PoolWorld) -> None:
    world.api.add("nodes", node_body("n2"))
    pods = await world.warm(6)
    moved = pods[:2]
    for pod in moved:
        world.api.change(("pods", "team", pod), lambda raw: raw["spec"].update(nodeName="n2"))
    world.deliver()
    await world.look_at_pool()

    for name in ("a", "b", "c", "d"):
        world.agent(name)
        await world.look(name)

    left = [world.raw(pod)["spec"]["nodeName"] for pod in world.free if world.raw(pod)["spec"].get("nodeName")]
    assert sorted(left) == ["n1", "n2"]


# --- the cluster's ceiling ---


@pytest.mark.parametrize("settings", [{}, ON_CLAIM])
async def test_a_raised_ceiling_holds_for_pods_that_are_handed_out_afterwards(world: PoolWorld, settings: Raw) -> None:
    (before,) = await world.warm(1, settings, isolation="Basic")
    world.settings = POOLING.model_copy(update={"minimum_isolation": Isolation.CONTAINER})
    world.start_operator()
    world.agent("a", isolation="Basic")

    await turn_over(world)

    (pod,) = world.pods_of("a")
    (container,) = world.raw(pod)["spec"]["containers"]
    assert pod != before
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


async def test_a_restart_changes_no_hash(world: PoolWorld) -> None:
    world.settings = POOLING.model_copy(update={"minimum_isolation": Isolation.CONTAINER})
    world.start_operator()
    before = await world.warm(2, isolation="Basic")
    await world.settle(20)
    written = len(world.api.log)

    world.start_operator()
    await world.settle(20)

    assert world.pods == before
    assert len(world.api.log) == written


async def test_a_pool_that_lacks_a_runtime_class_is_filled_when_there_is_one(world: PoolWorld) -> None:
    world.pool(1, isolation="Secure")
    await world.settle()
    before = world.pods

    world.api.add("runtimeclasses", {"metadata": {"name": "kata"}, "handler": "kata"})
    await world.settle()

    assert before == []
    assert [world.raw(each)["spec"]["runtimeClassName"] for each in world.pods] == ["kata"]
