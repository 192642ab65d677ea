import pytest

from ringfence_operator.errors import UnavailableError
from tests.operator.reconcile.pool_wire import Fault, Lands
from tests.operator.reconcile.pool_world import PoolWorld, Raw


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


async def with_two_pods(world: PoolWorld) -> tuple[str, str]:
    """Have an agent with a second pod, as another leader would have claimed it for the same agent; return both."""
    await world.warm(2)
    world.agent("a")
    await world.look("a")
    world.deliver()
    (first,) = world.pods_of("a")
    second = next(pod for pod in world.free if pod != first)

    def claim(raw: Raw) -> None:
        of = world.raw(first)["metadata"]
        raw["metadata"]["ownerReferences"] = of["ownerReferences"]
        raw["metadata"]["labels"] |= of["labels"]
        raw["metadata"]["annotations"] |= of["annotations"]

    world.api.change(("pods", "team", second), claim)
    return first, second


async def test_of_two_pods_an_agent_keeps_the_one_that_its_status_names(world: PoolWorld) -> None:
    first, second = await with_two_pods(world)

    await world.settle()
    world.stop_pods()
    await world.settle()

    assert world.pods_of("a") == [first]
    assert second not in world.pods
    assert world.status()["podName"] == first


async def test_so_it_does_if_a_new_leader_sees_the_other_one_first(world: PoolWorld) -> None:
    first, second = await with_two_pods(world)
    named = {"podName": second, "podUID": world.uid(second)}
    world.api.change(("agents", "team", "a"), lambda raw: raw["status"].update(named))
    world.start_operator()

    await world.settle()
    world.stop_pods()
    await world.settle()

    assert world.pods_of("a") == [second]
    assert first not in world.pods
    assert world.status()["podName"] == second


async def test_no_pod_goes_before_the_status_has_named_one(world: PoolWorld) -> None:
    first, second = await with_two_pods(world)
    world.api.change(("agents", "team", "a"), lambda raw: raw["status"].update(podName=None, podUID=None))
    world.start_operator()
    world.api.refuse["replace agents/status"] = UnavailableError("away")

    with pytest.raises(UnavailableError):
        await world.look("a")
    before = world.pods_of("a")
    world.api.refuse.clear()
    await world.settle()
    world.stop_pods()

    assert before == [first, second]
    assert world.pods_of("a") == [world.status()["podName"]]


async def test_what_an_agent_may_have_claimed_is_others_once_it_is_gone(world: PoolWorld) -> None:
    (pod,) = await world.warm(1)
    world.agent("a")
    world.api.fuse = (0, False, UnavailableError("connection lost"))
    with pytest.raises(UnavailableError):
        await world.look("a")

    world.delete_agent("a")
    world.agent("b")
    await world.look("b")

    assert world.pods_of("b") == [pod]


async def test_a_pod_that_was_changed_first_is_free_again_if_it_cannot_be_looked_at(world: PoolWorld) -> None:
    await world.warm(2)
    world.agent("first")
    await world.look("first")
    world.deliver()
    (pod,) = world.free
    world.agent("a")
    world.api.change(("pods", "team", pod), lambda raw: raw["status"].update(message="touched"))
    # The claim is answered, with 409; the question for the pod is not.
    world.wire.fault = Fault(1, Lands.NEVER, is_kill=False)
    with pytest.raises(UnavailableError):
        await world.look("a")

    await world.look("a")

    assert world.pods_of("a") == [pod]
