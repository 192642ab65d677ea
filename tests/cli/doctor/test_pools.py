"""`doctor` finds pools that cannot be filled, and those for which agents wait; and says what to do."""

from datetime import timedelta

from ringfence_cli.doctor.finding import Finding, Level
from ringfence_kube.objects import Raw
from tests.cli.cluster import Cluster, condition
from tests.cli.doctor.test_broken import examine

LATER = timedelta(minutes=5)


def pool(
    cluster: Cluster, reason: str, status: str = "False", *, size: int = 3, stalled: bool = False, **counts: int
) -> Raw:
    conditions = [condition("Ready", status, reason, "so it is")]
    conditions += [condition("Stalled", "True", reason)] if stalled else []
    return cluster.add("agentpools", "python", {"size": size}, {"conditions": conditions, **counts})


def waiting(cluster: Cluster, *names: str) -> None:
    for name in names:
        said = {"conditions": [condition("Ready", "False", "NoWarmPod", "it takes the next one")]}
        cluster.add("agents", name, {"poolRef": {"name": "python"}, "command": ["x"]}, said)


def told(cluster: Cluster, check: str = "pools", later: timedelta = LATER) -> list[Finding]:
    return [each for each in examine(cluster, later=later) if each.check == check and each.level is not Level.OK]


def test_a_pool_of_size_0_for_which_agents_wait_is_to_be_scaled(healthy: Cluster) -> None:
    pool(healthy, "PoolEmpty", "True", size=0)
    waiting(healthy, "one", "two")

    (found,) = told(healthy)

    assert found.level is Level.BROKEN
    assert found.sentence == "AgentPool lab/python has size 0, and agents wait for a pod of it: 2"
    assert found.fix == "kubectl -n lab scale agentpool python --replicas=2"


def test_a_pool_of_size_0_that_nobody_wants_is_well(healthy: Cluster) -> None:
    pool(healthy, "PoolEmpty", "True", size=0)

    assert told(healthy) == []


def test_a_pool_whose_image_is_missing_cannot_be_filled(healthy: Cluster) -> None:
    pool(healthy, "ImageNotFound", failed=3)
    waiting(healthy, "one")

    (found,) = told(healthy)

    assert found.level is Level.BROKEN
    assert found.sentence == "AgentPool lab/python: ImageNotFound, so it is, and agents wait for a pod of it: 1"
    assert "in spec.template" in found.fix


def test_a_pool_without_a_starter_cannot_be_filled(healthy: Cluster) -> None:
    pool(healthy, "StarterUnavailable", stalled=True)

    (found,) = told(healthy)

    assert found.level is Level.BROKEN
    assert "starter" in found.fix


def test_a_pool_that_is_filling_up_is_worth_a_word_only_after_a_while(healthy: Cluster) -> None:
    pool(healthy, "PoolEmpty", starting=3)["status"]["conditions"][0]["lastTransitionTime"] = "2026-11-29T18:00:00Z"

    late = told(healthy, later=timedelta(hours=2))

    assert [each.level for each in late] == [Level.WARNING]
    assert late[0].fix == "see its pods: kubectl get pods -l ringfence.dev/pool=python"


def test_pods_that_fail_beside_warm_ones_are_told_of(healthy: Cluster) -> None:
    pool(healthy, "PoolWarm", "True", warm=2, failed=1)

    (found,) = told(healthy)

    assert found.level is Level.WARNING
    assert found.sentence.endswith("have failed, or cannot start: 1")
    assert "ringfence.dev/pool=python" in found.fix


def test_an_agent_that_waits_for_long_is_told_what_helps(healthy: Cluster) -> None:
    pool(healthy, "PoolWarm", "True", warm=2)
    waiting(healthy, "one")

    (found,) = told(healthy, "agents")

    assert found.sentence.startswith("Agent lab/one: NoWarmPod")
    assert "spec.size" in found.fix
    assert "onMiss: Cold" in found.fix


def test_an_agent_whose_pool_is_missing_is_told_to_make_it(healthy: Cluster) -> None:
    said = {"conditions": [condition("Ready", "False", "PoolNotFound", "AgentPool x does not exist")]}
    healthy.add("agents", "one", {"poolRef": {"name": "x"}, "command": ["x"]}, said)

    (found,) = told(healthy, "agents")

    assert found.level is Level.BROKEN
    assert "create the AgentPool" in found.fix


def test_who_may_not_see_pools_is_told_so(healthy: Cluster) -> None:
    healthy.forbidden = lambda _, path: path.endswith("/agentpools")

    assert [each.level for each in told(healthy, later=timedelta(0))] == [Level.UNKNOWN]
