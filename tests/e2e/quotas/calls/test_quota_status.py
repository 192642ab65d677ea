"""What a Quota says of calls on a real cluster, from the object to `kubectl get`, and what agents under it have."""

from tests.e2e.connectors.backend import reason, until, until_told, using, usual
from tests.e2e.kube import TABLE, Body, address
from tests.e2e.quotas.calls.counters import count
from tests.e2e.world import QuotaHandle, World, is_ready, limit_row

QUERIES: Body = {"resource": "queries", "max": 100, "window": "Hour", "scope": "Shared", "warnAt": [75]}
CALLS: Body = {"resource": "apiCalls", "max": 1000, "window": "Hour"}


def columns(quota: QuotaHandle) -> Body:
    """Return what `kubectl get` shows of the quota."""
    table = quota.kube.request("GET", quota.path, accept=TABLE)
    names = [each["name"] for each in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def test_a_quota_shows_for_whom_it_holds_and_how_much_is_used(world: World) -> None:
    quota = world.quota(QUERIES, CALLS)
    nobody = quota.until(lambda it: reason(it) == ("True", "NoAgents"))
    agent = world.agent(quotaRef=quota.ref)
    agent.until_ready()
    uid = agent.get()["metadata"]["uid"]

    count(world, quota, "queries", used=80, **{f"a_{uid}": 80})
    is_counted = ("True", "Enforced")
    found = quota.until(
        lambda it: limit_row(it, "queries").get("used") == "80" and reason(it) == is_counted, seconds=60
    )

    row = limit_row(found, "queries")
    assert nobody["status"]["agents"] == 0
    assert (row["remaining"], row["percent"], row["warned"]) == ("20", 80, 75)
    assert row["topAgents"] == [{"name": agent.name, "used": "80"}]
    assert row["resetsAt"]
    shown = columns(quota)
    assert (shown["Tightest"], shown["Ready"], shown["Reason"]) == ("queries 80/100 per Hour", "True", "Enforced")
    assert shown["Agents"] == 1
    until_told(world, found["metadata"]["uid"], "QuotaWarning")


def test_a_refusal_shows_with_whom_it_met(world: World) -> None:
    quota = world.quota(QUERIES)
    agent = world.agent(quotaRef=quota.ref)
    agent.until_ready()

    count(world, quota, "queries", used=100, n=2, nt=1_795_435_200, na=agent.get()["metadata"]["uid"])
    found = quota.until(lambda it: limit_row(it, "queries").get("refusals") == 2, seconds=60)

    refused = limit_row(found, "queries")["lastRefusal"]
    assert refused == {"agent": agent.name, "time": "2026-11-23T12:00:00Z"}
    until_told(world, found["metadata"]["uid"], "QuotaRefused")


def test_an_agent_without_connectors_has_a_sidecar_where_a_quota_limits_its_calls(world: World) -> None:
    quota = world.quota(CALLS, selector={"matchLabels": {"tag": world.tag}})
    agent = world.agent("limited", metadata={"labels": {"tag": world.tag}})
    other = world.agent("free")

    for each in (agent, other):
        each.until_ready()
    quota.until(lambda it: (it or {}).get("status", {}).get("agents") == 1)

    names = [[each["name"] for each in handle.pod.get()["spec"].get("initContainers", ())] for handle in (agent, other)]
    assert names == [["sidecar"], []]
    quota.until(lambda it: reason(it) == ("True", "Enforced"))


def test_a_quota_that_comes_later_replaces_no_pod(world: World) -> None:
    name = usual(world)
    plain, connected = world.agent("plain"), using(world, name, agent="connected")
    before = [each.until_ready()["status"]["podUID"] for each in (plain, connected)]

    quota = world.quota(CALLS, name="late")
    for each in (plain, connected):
        each.change(quotaRef=quota.ref)
    quota.until(lambda it: (it or {}).get("status", {}).get("agents") == 2, seconds=60)
    after = [each.until(is_ready)["status"]["podUID"] for each in (plain, connected)]

    assert after == before


def test_an_agent_waits_for_the_quota_that_it_names(world: World) -> None:
    name = f"late-{world.tag}"
    agent = world.agent(quotaRef={"name": name})
    waiting = until(world, "Agent", agent.name, "QuotaNotFound")

    world.quota(CALLS, name="late")
    agent.until_ready()

    assert reason(waiting, "Reconciling") == ("True", "QuotaNotFound")
    assert "podUID" not in waiting["status"]


def test_a_running_agent_whose_quota_goes_keeps_its_pod_and_says_so(world: World) -> None:
    quota = world.quota(CALLS)
    agent = using(world, usual(world), quotaRef=quota.ref)
    before = agent.until_ready()["status"]["podUID"]

    world.kube.delete(address("Quota", world.namespace, quota.name))
    found = until(world, "Agent", agent.name, "QuotaNotFound")

    assert found["status"]["podUID"] == before
