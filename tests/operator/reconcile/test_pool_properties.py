"""Whatever happens in whatever order: no pod is ever two agents', no agent comes to keep two pods, and none is lost."""

import asyncio

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ringfence_operator import labels
from tests.operator.reconcile.pool_story import AGENTS, SIZE, Action, Story
from tests.operator.reconcile.pool_wire import Fault, Lands

LOOKS = st.tuples(st.just("look"), st.sets(st.sampled_from(AGENTS), min_size=1).map(sorted))
BREAKS = st.tuples(st.just("break"), st.tuples(st.integers(0, 2), st.booleans(), st.booleans()))
CREATES = st.tuples(st.just("create"), st.sampled_from(AGENTS))
BROKEN_CLAIMS = st.tuples(
    st.just("broken_claim"), st.tuples(st.sampled_from(AGENTS), st.integers(0, 1), st.booleans(), st.booleans())
)
LATE_LEADERS = st.tuples(st.just("late_leader"), st.tuples(st.sampled_from(AGENTS), st.integers(0, 3)))
"""What goes wrong most, without having to come about by chance."""
ACTIONS = st.one_of(
    *[BROKEN_CLAIMS] * 3,
    *[LATE_LEADERS] * 2,
    *[CREATES] * 4,
    *[LOOKS] * 5,
    *[BREAKS] * 3,
    *[st.tuples(st.just("restart"), st.sampled_from([0, 1, 2, 3, 6]))] * 2,
    st.tuples(st.just("pool"), st.none()),
    st.tuples(st.just("start"), st.none()),
    st.tuples(st.just("touch"), st.integers(0, 9)),
    st.tuples(st.just("evict"), st.integers(0, 9)),
    st.tuples(st.just("deliver"), st.sampled_from(["pods", "warmpods", "agents", "agentpools"])),
    st.tuples(st.just("deliver"), st.none()),
    st.tuples(st.just("delete"), st.sampled_from(AGENTS)),
    st.tuples(st.just("template"), st.integers(1, 3)),
    st.tuples(st.just("stop"), st.none()),
)


FAULTS = st.builds(Fault, st.integers(0, 5), st.sampled_from(Lands), st.booleans())
"""At any request of a claim: not sent, sent and not answered, arriving when others have acted."""
WATCHES = st.sampled_from(["pods", "warmpods", "agents", "agentpools"])
WHICH = st.integers(0, 1)
KILLS = st.one_of(
    *[st.tuples(st.just("fault"), st.tuples(WHICH, FAULTS))] * 4,
    *[st.tuples(st.just("land"), st.none())] * 2,
    st.tuples(st.just("down"), st.tuples(WHICH, st.integers(1, 6))),
    *[st.tuples(st.just("see"), st.tuples(WHICH, WATCHES, st.integers(1, 4)))] * 2,
    ACTIONS,
)
LEADERS = st.one_of(
    *[st.tuples(st.just("lead_too"), st.sampled_from([0, 1, 3, 6, 12]))] * 2,
    st.tuples(st.just("retire"), st.booleans()),
    *[KILLS] * 4,
)
# Not shrunk: that takes minutes, and the story is told in full.
TOLD_IN_FULL = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@given(st.lists(ACTIONS, min_size=20, max_size=60), st.integers(0, 2**16))
@TOLD_IN_FULL
def test_each_pod_is_one_agents_for_life_and_each_agent_comes_to_have_one(actions: list[Action], seed: int) -> None:
    asyncio.run(_tell(actions, seed))


@given(st.lists(KILLS, min_size=20, max_size=60), st.integers(0, 2**16))
@TOLD_IN_FULL
def test_so_it_is_wherever_the_operator_is_killed_and_whatever_arrives_later(actions: list[Action], seed: int) -> None:
    asyncio.run(_tell(actions, seed))


@given(st.lists(LEADERS, min_size=20, max_size=60), st.integers(0, 2**16))
@TOLD_IN_FULL
def test_so_it_is_if_two_lead_for_a_while(actions: list[Action], seed: int) -> None:
    asyncio.run(_tell(actions, seed))


async def _tell(actions: list[Action], seed: int) -> None:
    story = Story(seed)
    await story.begin()
    for action in actions:
        await story.do(action)
    await story.end()

    world = story.world
    agents = [name for plural, _, name in world.api.objects if plural == "agents"]
    assert [len(world.pods_of(name)) for name in agents] == [1] * len(agents)
    assert len(world.free) == SIZE
    assert len(world.pods) == SIZE + len(agents), "a pod is nobody's"
    assert all(labels.POOL in world.raw(pod)["metadata"]["labels"] for pod in world.pods)
