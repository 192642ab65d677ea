from typing import Any

import pytest

from bench.audit import Write
from bench.manifests import AGENTS, PODS
from bench.pools.account import AGENT, Standing, claimed_again, on_path, standing
from bench.pools.claims import HELD_P99, highest
from bench.pools.floor import steps_of
from bench.pools.kill import KILLS, QUICK_KILLS, SERVER_KILLS, _takes_server
from bench.pools.node import Sample, rows

Raw = dict[str, Any]


def agent(name: str, pod_uid: str | None = None) -> Raw:
    status = {"podUID": pod_uid} if pod_uid else {}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": status}


def pod(name: str, owner: str = "", *, ready: bool = True) -> Raw:
    by = {"kind": "Agent", "uid": f"uid-{owner}"} if owner else {"kind": "AgentPool", "uid": "pool"}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {AGENT: owner} if owner else {},
            "ownerReferences": [by],
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def write(verb: str, resource: str, name: str, code: int = 200) -> Write:
    return Write("ringfence-operator", "", verb, resource, "x", name, code, 0.0, 0.0)


def test_nothing_is_wrong_where_each_agent_has_a_pod_and_the_others_wait() -> None:
    found = standing([agent("a", "uid-p1")], [pod("p1", "a"), pod("p2")])

    assert found == Standing(unserved=(), doubled=(), misled=(), stray=())


def test_an_agent_without_a_pod_is_unserved_and_misled_if_its_status_names_one() -> None:
    found = standing([agent("a", "uid-p1"), agent("b")], [pod("p2")])

    assert (found.unserved, found.misled) == (("a", "b"), ("a", "b"))


def test_an_agent_with_two_pods_is_doubled() -> None:
    found = standing([agent("a", "uid-p1")], [pod("p1", "a"), pod("p2", "a")])

    assert found == Standing(unserved=(), doubled=("a",), misled=(), stray=())


def test_an_agent_whose_status_names_another_pod_is_misled() -> None:
    found = standing([agent("a", "uid-p2")], [pod("p1", "a"), pod("p2")])

    assert (found.unserved, found.misled) == ((), ("a",))


def test_a_pod_is_stray_if_its_agent_is_gone_or_it_carries_a_mark_and_no_owner_or_is_not_ready() -> None:
    marked = pod("marked")
    marked["metadata"]["labels"][AGENT] = "a"

    found = standing([], [pod("orphan", "gone"), marked, pod("starts", ready=False), pod("waits")])

    assert found.stray == ("orphan", "marked", "starts")


def test_a_pod_is_claimed_again_only_if_both_patches_succeeded() -> None:
    writes = [
        write("patch", "pods", "once"),
        write("patch", "pods", "once", 409),
        write("patch", "pods", "twice"),
        write("patch", "pods", "twice"),
        write("create", "pods", "made"),
    ]

    assert claimed_again(writes) == ["twice"]


def test_on_the_path_are_the_pods_patch_and_the_agents_status() -> None:
    writes = [
        write("patch", "pods", "p1"),
        write("update", "agents/status", "a"),
        write("create", "events", "a"),
        write("create", "pods", "p9"),
        write("update", "agents/status", "other"),
    ]

    assert on_path(writes, ["a", "p1", "p9"]) == writes[:2]


def test_the_highest_rate_is_the_last_at_which_claims_were_in_time() -> None:
    assert highest({120.0: 90.0, 150.0: HELD_P99, 180.0: float("inf")}) == 150.0
    assert highest({120.0: HELD_P99 + 1}) == 0.0


def test_the_api_server_is_killed_as_often_as_is_said() -> None:
    for kills in (KILLS, QUICK_KILLS):
        assert sum(_takes_server(number, kills) for number in range(kills)) == SERVER_KILLS


def test_claims_on_the_real_node_are_judged_by_when_the_command_ran() -> None:
    fast, slow = Sample(running=50.0, ready=900.0), Sample(running=400.0, ready=1.0)

    assert [row.holds for row in rows([fast] * 50, "")] == [True, True, None, None]
    assert [row.holds for row in rows([*[fast] * 49, slow], "")][:2] == [True, False]
    assert [row.holds for row in rows([slow] * 50, "")][:2] == [False, False]


def test_the_floors_writes_are_those_of_the_claim_that_was_seen_for_another_agent_and_pod() -> None:
    seen = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "sample", "namespace": "lab", "uid": "uid-sample"},
        "status": {"podName": "p1", "podUID": "uid-p1", "state": "Starting"},
    }
    pods = [pod("p1", "sample"), pod("p2"), pod("p3")]
    for number, each in enumerate(pods):
        each["metadata"] |= {"namespace": "lab", "resourceVersion": str(number), "annotations": {"template": "t"}}
    pods[0]["metadata"]["annotations"]["claimed-at"] = "now"

    ((name, (claim, status)),) = steps_of(seen, pods, ["a"]).items()

    meta = claim["body"]["metadata"]
    assert (name, claim["path"], meta["uid"], meta["resourceVersion"]) == (
        "a",
        PODS.format("lab") + "/p2",
        "uid-p2",
        "1",
    )
    assert (meta["ownerReferences"], meta["labels"]) == ([{"kind": "Agent", "uid": "{uid}", "name": "a"}], {AGENT: "a"})
    assert (meta["annotations"], meta["managedFields"]) == ({"claimed-at": "now"}, [{}])
    assert status["path"] == AGENTS.format("lab") + "/a/status"
    assert status["body"]["status"] == {"podName": "p2", "podUID": "uid-p2", "state": "Starting"}


def test_a_floor_needs_a_warm_pod_for_each_agent() -> None:
    with pytest.raises(ValueError, match="shorter"):
        steps_of({"metadata": {"name": "sample"}}, [pod("p1", "sample")], ["a"])
