"""A warm pod of which its own starter says that no agent may have it is not handed out, and does not stay."""

from typing import Any

import pytest

from ringfence_operator.reconcile.pool_plan import UNREADY_SECONDS
from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.reconcile.starters import Heard
from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.objects import container_status

OPEN, CLOSED = Heard(inside=Inside(closed=False)), Heard(inside=Inside(closed=True))
UNFIT = {"open": OPEN, "refused": Heard(refused="/x cannot be written"), "used": Heard(agent_uid="x", started=True)}


def say(world: PoolWorld, pod: str, heard: Heard) -> None:
    """The pod's starter says something, and its pool hears of it."""
    world.starters.said[world.uid(pod)] = heard
    pool = world.starters.pools[world.uid(pod)]
    assert pool is not None
    world.caches.changes.pools.fitness_changed(pool)


def run_since_now(world: PoolWorld, pod: str) -> None:
    state = {"running": {"startedAt": world.now.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    world.set_pod(pod, containerStatuses=container_status(state))
    world.deliver()


def ready(world: PoolWorld) -> dict[str, Any]:
    return next(each for each in world.pool_status()["conditions"] if each["type"] == "Ready")


@pytest.mark.parametrize("heard", UNFIT.values(), ids=UNFIT)
async def test_a_pod_that_is_not_fit_is_passed_over(heard: Heard) -> None:
    world = PoolWorld()
    first, second = await world.warm(2)
    world.starters.said[world.uid(first)] = heard
    names = [world.agent("a"), world.agent("b")]

    await world.look(*names)

    assert [world.pods_of(name) for name in names] == [[second], []]


@pytest.mark.parametrize("heard", UNFIT.values(), ids=UNFIT)
async def test_a_pod_that_is_not_fit_is_not_counted_as_warm_and_replaced_after_a_while(heard: Heard) -> None:
    world = PoolWorld()
    (pod,) = await world.warm(1)
    run_since_now(world, pod)
    say(world, pod, heard)

    await world.settle(3)
    said, soon = ready(world), world.pods
    await world.settle(UNREADY_SECONDS)
    world.stop_pods()
    world.start_pods()
    await world.settle()

    assert (said["status"], soon) == ("False", [pod])
    assert said["reason"] == ("CanaryReached" if heard is OPEN else "StarterRefused")
    assert pod not in world.pods
    assert (ready(world)["reason"], world.pool_status()["warm"]) == ("PoolWarm", 1)


async def test_who_waits_is_served_when_the_pods_network_is_closed_a_little_late() -> None:
    world = PoolWorld()
    (pod,) = await world.warm(1, {"refill": {"rate": 1}})
    run_since_now(world, pod)
    say(world, pod, OPEN)
    world.agent("a")
    await world.settle(1)
    waits = world.pods_of("a")

    say(world, pod, CLOSED)
    await world.settle(0.1)

    assert waits == []
    assert world.pods_of("a") == [pod]


async def test_where_nothing_has_to_enforce_network_policies_an_open_pod_is_as_good_as_any() -> None:
    world = PoolWorld(POOLING.model_copy(update={"allow_unenforced_network": True}))
    (pod,) = await world.warm(1)
    say(world, pod, OPEN)
    world.agent("a")

    await world.settle(1)

    assert world.pods_of("a") == [pod]
