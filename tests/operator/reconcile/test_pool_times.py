"""How long agents wait for a pod of their pool, and what metrics tell of pools."""

from dataclasses import dataclass, field

import pytest

from ringfence_operator.kube.informer import Change, Key
from ringfence_operator.reconcile.pool_figures import PoolFigures
from ringfence_operator.reconcile.pool_times import MOST_AGENTS, PoolTimes
from tests.operator.reconcile.pool_world import PoolWorld

POOL = ("team", "p")


@dataclass
class Heard:
    """Keeps what was observed."""

    said: list[tuple[str, float]] = field(default_factory=list)
    made: int = 0
    gone: list[tuple[str, str]] = field(default_factory=list)

    def assigned(self, pool: tuple[str, str], seconds: float) -> None:
        assert pool == POOL
        self.said.append(("assigned", round(seconds, 3)))

    def started(self, pool: tuple[str, str], seconds: float) -> None:
        assert pool == POOL
        self.said.append(("started", round(seconds, 3)))

    def pod_made(self, pool: tuple[str, str]) -> None:
        assert pool == POOL
        self.made += 1

    def pod_warm(self, pool: tuple[str, str], seconds: float) -> None:
        assert pool == POOL
        assert seconds >= 0
        self.said.append(("warm", 0.0))

    def forget(self, pool: tuple[str, str]) -> None:
        self.gone.append(pool)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def world(heard: Heard) -> PoolWorld:
    made = PoolWorld()
    made.view.pooling.times = PoolTimes(clock=made.clock)
    made.view.pooling.times.observer = heard
    return made


async def test_a_claim_is_measured_from_when_the_agent_was_seen(world: PoolWorld, heard: Heard) -> None:
    (pod,) = await world.warm(1)
    heard.said.clear()
    world.agent("a")
    world.wait(0.02)

    await world.look("a")
    world.wait(0.04)
    world.starters.carry_out(world.uid(pod))
    world.deliver()
    await world.look("a")
    await world.look("a")

    assert heard.said == [("assigned", 0.02), ("started", 0.06)]


async def test_an_agent_that_waited_is_measured_with_its_wait(world: PoolWorld, heard: Heard) -> None:
    world.pool(1)
    world.agent("a")
    await world.settle(2.0)
    world.start_pods()

    await world.settle(1.0)

    ((_, seconds),) = [each for each in heard.said if each[0] == "assigned"]
    assert seconds >= 2.0


async def test_a_cold_start_is_no_claim(world: PoolWorld, heard: Heard) -> None:
    world.pool(0)
    world.agent("a", onMiss="Cold")
    await world.settle()
    world.start_pods(*world.pods_of("a"))

    await world.settle()

    assert world.status()["podName"]
    assert heard.said == []


async def test_an_agent_that_had_a_pod_when_the_operator_started_is_not_measured(
    world: PoolWorld, heard: Heard
) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    await world.look("a")
    heard.said.clear()
    world.view.pooling.times.forget("a-uid")
    record = world.view.agents.get("team", "a")

    world.caches.changes.agent_changed(Change(Key("team", "a"), None, record))
    world.starters.carry_out(world.uid(pod))
    world.deliver()
    await world.look("a")

    assert world.status()["state"] == "Running"
    assert heard.said == []


async def test_agents_that_are_gone_leave_nothing_behind(world: PoolWorld) -> None:
    world.pool(0)
    world.agent("a")
    await world.settle()
    before = len(world.view.pooling.times._seen)

    world.delete_agent("a")

    assert before == 1
    assert not world.view.pooling.times._seen


def test_no_more_agents_are_kept_than_a_number() -> None:
    times = PoolTimes(clock=lambda: 0.0)

    for number in range(MOST_AGENTS + 1):
        times.seen(str(number))

    assert len(times._seen) == MOST_AGENTS


async def test_refill_is_counted_and_so_is_how_long_pods_take(world: PoolWorld, heard: Heard) -> None:
    await world.warm(2)
    world.agent("a")
    await world.settle()

    assert heard.made == 3
    assert [what for what, _ in heard.said].count("warm") == 2


async def test_a_pool_that_is_gone_is_forgotten(world: PoolWorld, heard: Heard) -> None:
    await world.warm(1)

    world.api.remove(("agentpools", "team", "p"))
    await world.settle()

    assert heard.gone == [POOL]


async def test_metrics_tell_what_a_pools_status_says_and_who_waits(world: PoolWorld) -> None:
    await world.warm(1)
    for name in "abc":
        world.agent(name)
    await world.settle()

    ((key, numbers, waiting),) = PoolFigures(world.view, lambda: True).series()
    ((_, _, unknown),) = PoolFigures(world.view, lambda: False).series()

    assert key == POOL
    assert numbers == {"warm": 0, "starting": 1, "failed": 0, "claimed": 1, "size": 1, "hits": 1, "misses": 2}
    assert waiting == 2
    assert unknown is None


async def test_pools_whose_agents_wait_are_told_of_first(world: PoolWorld) -> None:
    world.pool(0, "a")
    world.pool(0, "z")
    world.agent("x", poolRef={"name": "z"})
    await world.settle()

    assert [key for key, _, _ in PoolFigures(world.view, lambda: True).series()] == [("team", "z"), ("team", "a")]
