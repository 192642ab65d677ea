"""A pool keeps as many pods waiting as it asks for."""

import asyncio
from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.errors import ForbiddenError, InvalidError
from ringfence_operator.reconcile.agent_pool import BATCH, YIELD_SECONDS
from ringfence_operator.reconcile.pool_plan import FAILED_SECONDS, UNREADY_SECONDS
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.connectors import connector_body, rabbitmq
from tests.operator.resources.objects import container_status, policy_body

Raw = dict[str, Any]
UNREADY = [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T12:00:00Z"}]


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


def ready(world: PoolWorld) -> tuple[str, str]:
    found = (each for each in world.pool_status().get("conditions", ()) if each["type"] == "Ready")
    return next(((each["status"], each["reason"]) for each in found), ("", ""))


async def test_a_new_pool_is_closed_before_its_first_pod_is_made(world: PoolWorld) -> None:
    world.pool(2)

    await world.look_at_pool()

    made = [each for each in world.api.writes if each.startswith("create")]
    assert made == ["create configmaps", *["create networkpolicies"] * 2, "create pods", "create pods"]
    assert ("networkpolicies", "team", labels.DEFAULT_DENY) in world.api.objects
    assert ("networkpolicies", "team", labels.STARTERS) in world.api.objects


async def test_the_status_answers_whether_the_next_claim_is_warm(world: PoolWorld) -> None:
    world.pool(2)
    await world.settle()
    cold = ready(world), world.pool_status()["starting"], kstatus(1, world.pool_status())

    world.start_pods()
    await world.settle()

    status = world.pool_status()
    assert cold == (("False", "PoolEmpty"), 2, "InProgress")
    assert ready(world) == ("True", "PoolWarm")
    assert kstatus(1, status) == "Current"
    assert (status["warm"], status["starting"], status["claimed"], status["replicas"]) == (2, 0, 0, 2)
    assert status["selector"] == "ringfence.dev/pool=p,!ringfence.dev/agent"


async def test_nothing_is_written_in_steady_state_or_after_a_restart(world: PoolWorld) -> None:
    await world.warm(3)
    before = len(world.api.writes)

    await world.settle()
    world.start_operator()
    await world.settle()

    assert world.api.writes[before:] == []


async def test_a_new_leader_says_nothing_before_it_knows_the_control_server(world: PoolWorld) -> None:
    await world.warm(3)
    before = len(world.api.writes)

    world.start_operator()
    world.view.control.authority = ""
    await world.settle()
    unknown = world.api.writes[before:]
    world.view.control.authority = "PEM"
    world.caches.changes.all_with_sidecars()
    await world.settle()

    assert unknown == []
    assert world.api.writes[before:] == []
    assert len(world.starters.admitted) == 3


@pytest.mark.parametrize("has_started", [True, False])
async def test_nothing_is_written_of_claimed_pods_either_where_a_starter_speaks_and_where_none_does(
    world: PoolWorld, has_started: bool
) -> None:
    await world.warm(2)
    world.agent("a")
    await world.settle()
    if has_started:
        world.starters.carry_out(world.uid(world.pods_of("a")[0]))
        await world.look("a")
    world.start_pods()
    await world.settle()
    before, state = len(world.api.writes), world.condition("Ready")

    await world.settle(20)
    world.start_operator()
    await world.settle(20)

    assert world.api.writes[before:] == []
    assert world.condition("Ready") == state


async def test_a_claimed_pod_is_replaced_and_counted(world: PoolWorld) -> None:
    await world.warm(2)
    world.agent("a")

    await world.settle()

    status = world.pool_status()
    assert len(world.pods) == 3
    assert (status["warm"], status["starting"], status["claimed"], status["hits"], status["misses"]) == (1, 1, 1, 1, 0)


async def test_a_burst_of_claims_costs_the_pool_few_statuses(world: PoolWorld) -> None:
    await world.warm(10)
    before = len(world.api.writes)
    for number in range(8):
        world.agent(f"a{number}", seconds=0)

    await world.settle()

    writes = world.api.writes[before:]
    assert writes.count("patch pods") == writes.count("replace agents/status") == writes.count("create pods") == 8
    assert writes.count("replace agentpools/status") <= 3
    assert world.pool_status()["hits"] == 8


async def test_an_agent_that_finds_none_is_a_miss_once(world: PoolWorld) -> None:
    world.pool(1)
    await world.settle()
    world.agent("a")
    await world.settle()
    world.start_pods()

    await world.settle()

    assert (world.pool_status()["hits"], world.pool_status()["misses"]) == (0, 1)


async def test_an_agent_that_waits_is_no_second_miss_and_no_hit_under_another_leader(world: PoolWorld) -> None:
    world.pool(1)
    await world.settle()
    world.agent("a")
    await world.settle(10)
    world.start_operator()
    await world.settle()
    missed = world.pool_status()["misses"]
    world.start_operator()
    world.start_pods()

    await world.settle()

    assert len(world.pods_of("a")) == 1
    assert (missed, world.pool_status()["hits"], world.pool_status()["misses"]) == (1, 0, 1)


async def test_a_smaller_size_takes_away_what_is_farthest_from_warm(world: PoolWorld) -> None:
    first, second = await world.warm(2)
    world.set_pool(size=4)
    await world.settle()

    world.set_pool(size=1)
    await world.settle()
    world.stop_pods()

    assert world.pods in ([first], [second])


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", "reason": "Evicted", "conditions": []},
        {"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByAPI"}]},
    ],
)
async def test_a_pod_that_is_evicted_is_replaced(world: PoolWorld, status: Raw) -> None:
    (pod,) = await world.warm(1)

    world.set_pod(pod, **status)
    await world.settle()
    world.stop_pods()
    await world.settle()

    assert pod not in world.pods
    assert len(world.pods) == 1


async def test_a_pod_that_fails_right_after_it_was_made_is_not_replaced_at_once(world: PoolWorld) -> None:
    world.pool(1)
    await world.settle()
    (pod,) = world.pods
    world.set_pod(pod, phase="Failed")
    world.deliver()

    await world.settle(3)
    soon = world.pods
    await world.settle(FAILED_SECONDS)

    assert soon == [pod]
    assert pod not in world.pods
    assert len(world.pods) == 1


async def test_a_pod_that_is_not_ready_is_not_handed_out_and_replaced_after_a_while(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.set_pod(pod, conditions=[UNREADY[0] | {"lastTransitionTime": world.now.strftime("%Y-%m-%dT%H:%M:%SZ")}])
    world.agent("a")

    await world.settle(3)
    waits = world.pods_of("a")
    await world.settle(UNREADY_SECONDS)
    world.stop_pods()

    assert waits == []
    assert pod not in world.pods


async def test_a_pod_that_cannot_start_says_why_and_is_left_to_the_kubelet(world: PoolWorld) -> None:
    world.pool(1, image="no:such")
    await world.settle()
    (pod,) = world.pods
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    world.set_pod(pod, phase="Pending", containerStatuses=container_status(waiting))

    await world.settle(20)

    assert world.pods == [pod]
    assert ready(world) == ("False", "ImageNotFound")
    assert world.pool_status()["failed"] == 1


@pytest.mark.parametrize("why", ["ImagePullBackOff", "CrashLoopBackOff", "PostStartHookError"])
async def test_a_pod_whose_starter_cannot_start_says_why(world: PoolWorld, why: str) -> None:
    world.pool(1)
    await world.settle()
    starter = {"name": "starter", "ready": False, "state": {"waiting": {"reason": why, "message": "no such starter"}}}
    world.set_pod(world.pods[0], phase="Pending", initContainerStatuses=[starter])

    await world.settle()

    assert ready(world) == ("False", "StarterFailed")
    assert "no such starter" in str(world.pool_status()["conditions"])
    assert world.pool_status()["failed"] == 1


async def test_a_pod_that_lost_what_closes_it_is_replaced_and_never_handed_out(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"]["labels"].pop(labels.CONFINED))
    world.agent("a")

    await world.settle()
    world.stop_pods()

    assert pod not in world.pods


@pytest.mark.parametrize("is_seen", [True, False])
async def test_a_pod_in_which_somebody_has_run_a_container_is_replaced_and_never_handed_out(
    world: PoolWorld, is_seen: bool
) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    guests = {"ephemeralContainers": [{"name": "debugger", "image": "busybox"}]}
    world.api.change(("pods", "team", pod), lambda raw: raw["spec"].update(guests))
    if is_seen:
        world.deliver()

    await world.look("a")
    given = world.pods_of("a")
    await world.settle()
    world.stop_pods()

    assert given == []
    assert pod not in world.pods


async def test_a_pod_that_says_it_was_claimed_is_replaced_and_never_handed_out(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    claimed = {labels.CLAIMED_AT: "2026-11-23T12:00:00Z"}
    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"]["annotations"].update(claimed))
    world.agent("a")

    await world.settle()
    world.stop_pods()

    assert pod not in world.pods


async def test_pods_of_a_node_that_is_gone_are_replaced(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.wait(60)

    world.api.remove(("nodes", "", "n1"))
    await world.settle()

    assert pod not in world.pods
    assert len(world.pods) == 1


async def test_another_template_rolls_idle_pods_a_few_at_a_time(world: PoolWorld) -> None:
    before = await world.warm(20)

    world.set_pool(image="agent:2")
    most_starting, least_warm = 0, 20
    for _ in range(60):
        await world.settle(0.2)
        world.stop_pods()
        starting = [pod for pod in world.pods if not world.raw(pod)["spec"].get("nodeName")]
        most_starting = max(most_starting, len(starting))
        least_warm = min(least_warm, len(world.pods))
        world.start_pods()

    assert not set(before) & set(world.pods)
    assert {world.raw(pod)["spec"]["containers"][0]["image"] for pod in world.pods} == {"agent:2"}
    assert len(world.pods) == 20
    assert most_starting <= 2
    assert least_warm >= 18


def unbound(world: PoolWorld) -> list[str]:
    return [pod for pod in world.pods if not world.raw(pod)["spec"].get("nodeName")]


async def test_agents_that_wait_while_a_template_rolls_have_as_many_pods_made_at_once(world: PoolWorld) -> None:
    await world.warm(20)
    world.set_pool(image="agent:2")
    names = [world.agent(name) for name in "abcde"]
    await world.look(*names)

    await world.settle(0.2)
    world.stop_pods()
    await world.settle(0.2)
    made, count = unbound(world), len(world.pods)
    world.start_pods()
    await world.settle(0.2)

    assert (len(made), count) == (5, 20)
    assert [len(world.pods_of(name)) for name in names] == [1] * 5


async def test_pods_that_are_missing_anyhow_are_made_at_once_while_a_template_rolls(world: PoolWorld) -> None:
    await world.warm(10, {"refill": {"delay": "0s"}})
    world.set_pool(size=20)
    world.set_pool(image="agent:2")

    await world.settle(0.2)

    assert len(unbound(world)) == 10


async def test_a_pod_of_another_template_is_never_handed_out(world: PoolWorld) -> None:
    await world.warm(2)
    world.set_pool(image="agent:2")
    world.agent("a")

    await world.look("a")

    assert world.pods_of("a") == []


async def test_a_policy_whose_file_system_changes_rolls_idle_pods(world: PoolWorld) -> None:
    world.api.add("securitypolicies", policy_body("web"), "team")
    (pod,) = await world.warm(1, securityPolicyRef={"name": "web"})
    paths = {"fileSystem": {"writablePaths": [{"path": "/cache", "size": "1Gi"}]}}

    world.api.change(("securitypolicies", "team", "web"), lambda raw: raw["spec"].update(paths), is_spec=True)
    for _ in range(5):
        await world.settle(1)
        world.stop_pods()
        world.start_pods()

    assert pod not in world.pods
    assert "/cache" in str(world.raw(world.pods[0])["spec"]["containers"][0]["volumeMounts"])


async def test_a_pod_that_is_claimed_while_the_pool_shrinks_is_not_deleted(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    await world.look("a")
    # As another leader's view would be: it has not seen the claim.
    world.view.pooling.begin()
    world.api.change(("agentpools", "team", "p"), lambda raw: raw["spec"].update(size=0), is_spec=True)
    world.deliver("agentpools")

    await world.look_at_pool()

    assert world.pods_of("a") == [pod]
    assert "deletionTimestamp" not in world.raw(pod)["metadata"]


async def test_refill_gives_way_to_claims_after_one_write(world: PoolWorld) -> None:
    await world.warm(10)
    world.set_pool(size=20)
    world.view.pooling._claims = 1

    again = await world.look_at_pool()
    during = len(world.pods)
    world.view.pooling._claims = 0
    await world.look_at_pool()

    assert again == YIELD_SECONDS
    assert during == 11
    assert len(world.pods) == 20


async def test_refill_goes_on_beside_claims_where_an_agent_waits(world: PoolWorld) -> None:
    await world.warm(4)
    world.set_pool(size=8)
    for number in range(5):
        world.agent(f"a{number}")
    await world.look(*(f"a{number}" for number in range(5)))
    world.view.pooling._claims = 1
    before = len(world.pods)

    await world.look_at_pool()

    assert len(world.pods) - before == 8


async def test_a_large_refill_is_done_in_steps(world: PoolWorld) -> None:
    world.pool(BATCH + 5)

    again = await world.look_at_pool()

    assert again == 0.0
    assert len(world.pods) == BATCH


async def test_claims_come_out_of_the_queue_before_the_refill(world: PoolWorld) -> None:
    await world.warm(3)
    world.agent("a")
    await world.look("a")
    world.deliver()
    world.wait(2.1)
    world.agent("b", seconds=0)

    first, second = world.queue.get_nowait(), world.queue.get_nowait()
    third = world.queue.get_nowait()

    assert [each.kind for each in (first, second, third) if each] == ["Agent", "Agent", "AgentPool"]


async def test_a_pool_that_has_run_out_is_looked_at_at_once(world: PoolWorld) -> None:
    world.pool(0)
    await world.settle()
    world.agent("a")
    await world.look("a")

    marked = [world.queue.get_nowait() for _ in range(3)]

    assert "AgentPool" in [each.kind for each in marked if each]


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        (ForbiddenError("exceeded quota: q"), "QuotaExceeded", "InProgress"),
        (ForbiddenError("violates PodSecurity"), "AdmissionRefused", "InProgress"),
        (InvalidError("spec.containers[0].image: Invalid value"), "PodInvalid", "Failed"),
    ],
)
async def test_pods_that_are_refused_are_a_reason(world: PoolWorld, error: Exception, reason: str, word: str) -> None:
    world.api.refuse["create pods"] = error  # type: ignore[assignment]
    world.pool(1)

    await world.settle()

    assert ready(world) == ("False", reason)
    assert kstatus(1, world.pool_status()) == word


@pytest.mark.parametrize(
    ("template", "reason"),
    [({"securityPolicyRef": {"name": "none"}}, "PolicyNotFound"), ({"isolation": "Secure"}, "RuntimeClassNotFound")],
)
async def test_a_pool_that_can_have_no_pods_says_why(world: PoolWorld, template: Raw, reason: str) -> None:
    world.pool(1, **template)

    await world.settle()

    assert ready(world) == ("False", reason)
    assert world.pods == []


async def test_an_operator_without_a_starter_has_no_pools() -> None:
    world = PoolWorld(POOLING.model_copy(update={"starter_image": None}))
    world.pool(1)

    await world.settle()

    assert ready(world) == ("False", "StarterUnavailable")
    assert world.pods == []


async def test_a_template_may_not_read_a_connectors_secret(world: PoolWorld) -> None:
    world.api.add("connectors", connector_body(spec=rabbitmq()), "team")
    source = {"secretKeyRef": {"name": "rabbit", "key": "password"}}
    world.pool(1, env=[{"name": "A", "valueFrom": source}])

    await world.settle()

    assert ready(world) == ("False", "SecretReserved")


async def test_an_agent_of_a_pool_loses_its_pod_when_a_connector_comes_to_use_a_secret_of_the_template(
    world: PoolWorld,
) -> None:
    source = {"secretKeyRef": {"name": "rabbit", "key": "password"}}
    await world.warm(1, env=[{"name": "A", "valueFrom": source}])
    world.agent("a")
    await world.settle()
    (pod,) = world.pods_of("a")

    world.api.add("connectors", connector_body(spec=rabbitmq()), "team")
    await world.settle()

    assert "deletionTimestamp" in world.raw(pod)["metadata"]
    assert world.condition("Ready") == ("False", "SecretReserved")


async def test_pods_that_another_pool_of_the_name_has_left_are_neither_counted_nor_handed_out(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"].update(ownerReferences=[]))
    world.agent("a")

    await world.settle()

    assert world.pods_of("a") == []
    assert len(world.free) == 2


async def test_the_control_process_knows_warm_pods_and_forgets_those_that_are_gone(world: PoolWorld) -> None:
    gone: list[str] = []
    first, second = await world.warm(2)
    world.caches.changes.pools.warm_gone = gone.append
    known = set(world.starters.admitted)
    world.agent("a")
    await world.settle()
    (claimed,) = world.pods_of("a")

    other = first if claimed == second else second
    uid = world.uid(other)
    world.api.remove(("pods", "team", other), grace_seconds=0)
    await world.settle()

    assert len(known) == 2
    assert gone == [uid], "the claimed one is served further"


async def test_what_a_starter_is_told_stays_where_the_watch_of_warm_pods_is_behind(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.caches.changes.pools.warm_gone = world.starters.withdraw_warm
    world.agent("a")
    other = PoolWorld(beside=world)
    other.start_operator()
    await other.look("a")

    world.deliver(but=("warmpods",))
    await world.look("a")
    told = dict(world.starters.orders)
    await world.look_at_pool()
    world.deliver("warmpods")

    assert told.keys() == {world.uid(pod)}
    assert world.starters.orders == told


async def test_two_pools_do_not_mix(world: PoolWorld) -> None:
    world.pool(1, "p")
    world.pool(1, "q", image="other:1")
    await world.settle()
    world.start_pods()
    await world.settle()

    await asyncio.gather(*(world.look(world.agent(name, poolRef={"name": "q"})) for name in "ab"))

    assert [world.raw(pod)["spec"]["containers"][0]["image"] for pod in world.pods_of("a")] == ["other:1"]
    assert world.pods_of("b") == []
