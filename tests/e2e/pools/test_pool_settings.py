"""Each setting of a pool, as the node shows it."""

from datetime import datetime

from tests.e2e.kube import Body, address
from tests.e2e.pools.pools import PoolHandle, claimant, claimed, lines, new_pool, pool
from tests.e2e.world import World, condition, is_current, reason_of

NEVER = {"refill": {"delay": "10m"}, "minWarm": 0}
"""No refill as long as a test takes, unless an agent waits."""
SAYS = "echo greeting=$GREETING"


def count_is(of: PoolHandle, warm: int, taken: int) -> None:
    """Wait until the pool says that so many are warm, and so many claimed."""
    of.world.kube.until(
        of.path,
        lambda it: is_current(it) and (it["status"]["warm"], it["status"]["claimed"]) == (warm, taken) if it else False,
    )


def bodies(of: PoolHandle) -> list[Body]:
    found = (of.world.kube.get(of.handle(name).path) for name in of.pods())
    return [each for each in found if each is not None]


def test_refill_waits_for_its_delay_and_not_without_one(world: World) -> None:
    of = pool(world, 2, settings=NEVER)

    claimed(world, of)
    count_is(of, 1, 1)
    waiting = len(of.pods())
    of.change(refill={"delay": "0s"})

    of.until_warm(2)
    assert waiting == 1


def test_refill_does_not_wait_where_an_agent_does_or_the_pool_runs_low(world: World) -> None:
    of = pool(world, 1, settings=NEVER)
    claimed(world, of)

    second = claimed(world, of, name="second")
    of.change(minWarm=1)

    of.until_warm(1)
    assert second.body["status"]["podUID"] not in of.pods().values()


def test_a_pool_is_filled_at_its_rate(world: World) -> None:
    of = pool(world, 5, settings={"refill": {"rate": 1}})

    made = sorted(datetime.fromisoformat(each["metadata"]["creationTimestamp"]) for each in bodies(of))

    assert (made[-1] - made[0]).total_seconds() >= 3


def test_a_warm_pod_has_the_priority_that_the_pool_says(world: World) -> None:
    name = f"low-{world.tag}"
    api = "scheduling.k8s.io/v1"
    world.make({"apiVersion": api, "kind": "PriorityClass", "metadata": {"name": name}, "value": -10})

    of = pool(world, 1, settings={"refill": {"priorityClassName": name}})

    assert [each["spec"]["priority"] for each in bodies(of)] == [-10]


def test_whoever_scales_a_pool_is_held_to_its_bounds(world: World) -> None:
    of = pool(world, 1, settings={"minWarm": 1, "maxSize": 2})

    of.world.kube.merge(f"{of.path}/scale", {"spec": {"replicas": 5}})
    most = of.until_warm(2)
    of.world.kube.merge(f"{of.path}/scale", {"spec": {"replicas": 0}})
    least = of.until_warm(1)

    assert [(found or {}).get("reason") for found in (condition(it, "ScalingLimited") for it in (most, least))] == [
        "TooManyReplicas",
        "TooFewReplicas",
    ]


def test_pods_of_an_earlier_template_stay_until_they_are_claimed(world: World) -> None:
    variables = [{"name": "GREETING", "value": "old"}]
    of = pool(world, 1, settings={"updateStrategy": {"type": "OnClaim"}}, env=variables)
    before = of.pods()

    of.change(template={"env": [{"name": "GREETING", "value": "new"}]})
    of.until_warm(1)
    kept = of.pods()
    first = claimed(world, of, SAYS, "first")
    of.until_warm(1)
    second = claimed(world, of, SAYS, "second")

    assert kept == before
    assert lines(first) == ["greeting=old"]
    assert lines(second) == ["greeting=new"]
    assert first.agent.until_ready()["status"]["podUID"] == first.body["status"]["podUID"]


def test_a_pod_that_has_waited_for_too_long_is_replaced_once_another_is_warm(world: World) -> None:
    of = pool(world, 1, settings={"maxIdleTime": "1m"})
    before, counts = of.pods(), []

    def is_replaced(_: Body | None) -> bool:
        present = of.pods()
        counts.append(len(present))
        return not before.items() & present.items()

    of.world.kube.until(of.path, is_replaced, seconds=150)
    of.until_warm(1)

    assert min(counts) == 1


def test_pods_spread_as_the_template_says(world: World) -> None:
    nowhere = {"topologyKey": "example.com/no-such-label", "whenUnsatisfiable": "DoNotSchedule"}
    of = new_pool(world, 1, topologySpreadConstraints=[nowhere])
    of.world.kube.until(of.path, lambda it: reason_of(it) == "Unschedulable" if it else False)

    of.change(template={"topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname"}]})
    of.until_warm(1, seconds=120)

    (body,) = bodies(of)
    (spread,) = body["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")


def test_agents_go_with_their_pool_if_it_says_so(world: World) -> None:
    of = pool(world, 1, settings={"deletionPolicy": "Delete"})
    got = claimed(world, of)
    of.until_warm(1)
    of.empty()
    waits = claimant(world, of, name="waits")
    waits.until_reason("NoWarmPod")

    world.kube.delete(of.path)
    got.agent.until_gone()
    got.pod.until_gone()
    world.kube.until(of.path, lambda it: it is None)

    assert waits.get()["metadata"].get("deletionTimestamp") is None


def test_a_warm_pod_that_is_evicted_is_replaced_and_never_handed_out(world: World) -> None:
    of = pool(world, 1)
    ((name, uid),) = of.pods().items()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}

    world.kube.request("POST", f"{address('Pod', world.namespace, name)}/eviction", eviction)
    got = claimed(world, of)
    of.until_warm(1)

    assert got.body["status"]["podUID"] != uid
    assert uid not in of.pods().values()
