"""Refill waits its turn: behind claims, and at the pace that the pool says."""

from typing import Any

import pytest

from ringfence_operator.reconcile.agent_pool import BATCH
from ringfence_operator.resources.observed_pod import Pod
from tests.operator.reconcile.pool_world import PoolWorld

Raw = dict[str, Any]


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


async def claims(world: PoolWorld, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        world.agent(f"a{number}", seconds=0)
        await world.look(f"a{number}")
        world.deliver()


@pytest.mark.parametrize("delay", [1, 5])
async def test_refill_begins_its_delay_after_the_last_claim(world: PoolWorld, delay: int) -> None:
    await world.warm(8, {"refill": {"delay": f"{delay}s"}})
    await claims(world, 2)
    await world.settle(delay - 0.3)
    await claims(world, 1, first=2)

    await world.settle(delay - 0.3)
    waiting = len(world.free)
    await world.settle(1)

    assert waiting == 5
    assert len(world.free) == 8


async def test_a_pool_without_delay_refills_at_once(world: PoolWorld) -> None:
    await world.warm(8, {"refill": {"delay": "0s"}})
    await claims(world, 1)

    await world.settle(0.3)

    assert len(world.free) == 8


@pytest.mark.parametrize(("settings", "is_low"), [({}, False), ({"minWarm": 7}, True), ({"minWarm": 6}, False)])
async def test_a_pool_that_runs_low_refills_at_once(world: PoolWorld, settings: Raw, is_low: bool) -> None:
    await world.warm(8, settings)
    await claims(world, 2)

    await world.settle(0.3)

    assert len(world.free) == (8 if is_low else 6)


async def test_a_pool_runs_low_below_a_quarter_of_its_size_where_it_does_not_say_when(world: PoolWorld) -> None:
    await world.warm(8)
    await claims(world, 6)
    await world.settle(0.3)
    at_a_quarter = len(world.free)

    await claims(world, 1, first=6)
    await world.settle(0.3)

    assert at_a_quarter == 2
    assert len(world.free) == 8


@pytest.mark.parametrize("size", [2, 3, 4])
async def test_a_small_pool_runs_low_before_its_last_pod_is_taken(world: PoolWorld, size: int) -> None:
    await world.warm(size)
    await claims(world, size - 1)

    await world.settle(0.3)

    assert len(world.free) == size


async def test_refill_does_not_wait_where_an_agent_does(world: PoolWorld) -> None:
    await world.warm(1, {"minWarm": 0, "refill": {"delay": "60s"}})
    await claims(world, 1)
    await world.settle(1)
    waiting = len(world.free)

    await claims(world, 1, first=1)
    await world.settle(1)
    world.start_pods()
    await world.settle(1)

    assert waiting == 0
    assert len(world.pods_of("a1")) == 1


async def test_a_pool_is_looked_at_seldom_while_claims_come(world: PoolWorld) -> None:
    await world.warm(40)
    passes = 0
    reconcile = world.reconcile

    async def counting(task: Any) -> float | None:
        nonlocal passes
        passes += task.kind == "AgentPool"
        return await reconcile(task)

    world.reconcile = counting  # type: ignore[method-assign]
    for number in range(25):
        world.agent(f"a{number}", seconds=0)
        await world.settle(0.2)

    assert passes <= 3
    assert len(world.free) == 15


async def test_a_claim_looks_at_few_pods_however_many_there_are(world: PoolWorld) -> None:
    await world.warm(BATCH)
    await claims(world, 1)
    looked: list[str] = []
    taken = world.view.pooling.is_handed_out

    def noting(pod: Pod) -> bool:
        looked.append(pod.meta.name)
        return taken(pod)

    world.view.pooling.is_handed_out = noting  # type: ignore[method-assign]

    await claims(world, 5, first=1)

    assert len(looked) <= 15


async def test_a_pool_makes_no_more_pods_in_a_second_than_its_rate(world: PoolWorld) -> None:
    world.pool(20, settings={"refill": {"rate": 4}})

    made = []
    for _ in range(4):
        await world.settle(1)
        made.append(len(world.pods))

    # What a second may have is there at the beginning.
    assert made in ([7, 11, 15, 19], [8, 12, 16, 20])


async def test_a_pool_without_a_rate_makes_its_pods_at_once(world: PoolWorld) -> None:
    world.pool(20)

    await world.settle(0.3)

    assert len(world.pods) == 20


async def test_the_rate_holds_where_an_agent_waits_too(world: PoolWorld) -> None:
    world.pool(0, settings={"refill": {"rate": 1}})
    await claims(world, 1)

    world.set_pool(size=10)
    await world.settle(3)

    assert 3 <= len(world.pods) <= 4


async def test_a_pod_that_dies_while_claims_come_is_not_handed_out_and_goes(world: PoolWorld) -> None:
    await world.warm(8)
    await claims(world, 1)
    victim = world.free[0]

    world.set_pod(victim, phase="Failed", reason="Evicted", conditions=[])
    world.deliver()
    await claims(world, 3, first=1)
    await world.settle(5)
    world.stop_pods()
    await world.settle(3)

    assert victim not in world.pods
    assert len(world.free) == 8
