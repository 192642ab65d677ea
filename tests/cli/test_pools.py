"""What `get`, `top` and `explain` tell of pools, and of agents that have their pods from one."""

import json

import pytest

from ringfence_cli.standing import Standing
from ringfence_kube.objects import Raw
from tests.cli.cluster import NAMESPACE, Cluster, condition

TEMPLATE = {"image": "x"}
FULL = {"warm": 4, "starting": 1, "claimed": 2, "hits": 9, "misses": 1}


def add_pool(
    cluster: Cluster, name: str = "python", size: int = 5, ready: tuple[str, str] = ("True", "PoolWarm"), **counts: int
) -> Raw:
    status = {"conditions": [condition("Ready", *ready, "so it is")], **(counts or FULL)}
    return cluster.add("agentpools", name, {"size": size, "template": TEMPLATE}, status)


def add_agent(cluster: Cluster, reason: str = "Running", pod: str = "python-2bcdf", **spec: str) -> Raw:
    status: Raw = {"state": "Running", "conditions": [condition("Ready", "True", reason)]}
    if pod:
        status["podName"] = pod
        claimed = {"ringfence.dev/claimed-at": "2026-11-29T12:00:03Z"} if pod != "reader" else {}
        meta = {"name": pod, "namespace": NAMESPACE, "annotations": claimed}
        cluster.items("/api/v1/pods").append({"metadata": {**meta, "labels": {"ringfence.dev/pool": "python"}}})
    return cluster.add("agents", "reader", {"poolRef": {"name": "python"}, "command": ["x"], **spec}, status)


def explained(cluster: Cluster) -> list[tuple[str, str, str]]:
    result = cluster.run("explain", "reader", "-o", "json")
    assert result.exit_code == 0, result.exception
    return [(each["name"], each["value"], each["source"]) for each in json.loads(result.output)["pool"]]


@pytest.mark.parametrize("word", ["pools", "pool", "agentpools", "rfpool"])
def test_get_tells_whether_the_next_claim_is_warm(cluster: Cluster, word: str) -> None:
    add_pool(cluster)

    head, row = cluster.run("get", word).output.splitlines()

    assert head.split() == ["POOL", "SIZE", "WARM", "STARTING", "CLAIMED", "HITS", "READY", "REASON", "AGE"]
    assert row.split()[:-1] == ["python", "5", "4", "1", "2", "9/10", "(90%)", "True", "PoolWarm"]


def test_get_names_the_pool_of_each_agent_only_where_there_is_one(cluster: Cluster) -> None:
    cluster.add("agents", "loner", {"image": "x"})
    before = cluster.run("get", "agents").output
    add_agent(cluster)

    lines = cluster.run("get", "agents").output.splitlines()

    assert "POOL" not in before
    place = lines[0].index("POOL")
    assert [line[place:].split()[0] for line in lines if line.startswith(("AGENT", "reader"))] == ["POOL", "python"]


def test_top_shows_the_emptiest_pool_first(cluster: Cluster) -> None:
    add_pool(cluster, "full", 4, warm=4)
    add_pool(cluster, "none", 0, ("True", "PoolEmpty"), warm=0)
    add_pool(cluster, "low", 5, warm=1, failed=2)

    lines = cluster.run("top", "--pools").output.splitlines()
    rows = json.loads(cluster.run("top", "--pools", "-o", "json").output)

    assert [line.split()[0] for line in lines] == ["POOL", "low", "full", "none"]
    assert lines[1].split()[1:4] == ["1", "5", "20"]
    assert [(each["pool"], each["failed"]) for each in rows] == [("low", 2), ("full", 0), ("none", 0)]


def test_top_of_pools_says_that_there_is_none_and_which(cluster: Cluster) -> None:
    nothing, unknown = cluster.run("top", "--pools"), cluster.run("top", "--pools", "python")

    assert nothing.stderr == "no AgentPool in namespace lab\n"
    assert "there is no AgentPool python" in str(unknown.exception)


def test_a_pool_without_a_status_counts_nothing() -> None:
    found = Standing.of({"metadata": {"name": "p", "namespace": "lab"}, "spec": {"size": 3}})

    assert (found.size, found.warm, found.percent, found.share_of_hits) == (3, 0, 0, "")


def test_explain_says_that_the_pod_was_warm_and_how_the_pool_stands(cluster: Cluster) -> None:
    add_pool(cluster)
    add_agent(cluster)

    assert explained(cluster) == [
        ("pod", "warm, from pool python, claimed at 2026-11-29T12:00:03Z", "Pod python-2bcdf"),
        ("without a warm pod", "waits for the next one, the oldest agent first", "Agent reader"),
        (
            "pool",
            "4 of 5 pods warm, 2 claimed, 9/10 (90%) of its agents found a warm pod at once",
            "AgentPool python",
        ),
    ]


def test_explain_says_that_an_agent_started_cold(cluster: Cluster) -> None:
    add_pool(cluster, size=0, warm=0)
    add_agent(cluster, pod="reader", onMiss="Cold")

    pod, miss, _ = explained(cluster)

    assert pod[1] == "made for it alone: it started cold"
    assert miss[1] == "starts cold, in a pod of its own"


def test_explain_says_why_an_agent_waits_for_its_pool(cluster: Cluster) -> None:
    add_pool(cluster, ready=("False", "ImageNotFound"), warm=0)
    add_agent(cluster, "NoWarmPod", pod="")

    pod, _, _, why = explained(cluster)

    assert pod[1] == "none: no pod of the pool was warm"
    assert why == ("pool", "ImageNotFound: so it is", "AgentPool python")


def test_explain_says_that_a_pool_is_missing_and_of_others_nothing(cluster: Cluster) -> None:
    add_agent(cluster)
    cluster.add("agents", "loner", {"image": "x"})

    *_, last = explained(cluster)
    other = json.loads(cluster.run("explain", "loner", "-o", "json").output)

    assert last[1] == "nothing: it does not exist, or cannot be seen"
    assert "pool" not in other
