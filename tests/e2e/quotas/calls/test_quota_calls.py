"""Calls of agents under a Quota, through their sidecars and the shared counters, on a real cluster."""

import time

from tests.e2e.connectors.backend import reason
from tests.e2e.connectors.calls import ask
from tests.e2e.kube import Body
from tests.e2e.world import AgentHandle, QuotaHandle, World, limit_row

SHARED: Body = {
    "resource": "apiCalls",
    "max": 3,
    "window": "Hour",
    "scope": "Shared",
    "onStoreUnavailable": "Deny",
}
OWN: Body = {"resource": "apiCalls", "max": 2, "window": "Day"}


def call(agent: AgentHandle) -> tuple[int, Body]:
    """Make a call that costs one: put a value of the agent's own away. Again, while Redis is slower than it may be."""
    end = time.monotonic() + 60
    while True:
        answer = ask(agent, "cache/k", {"value": 1}, method="PUT")
        if answer[1].get("code") != "QuotaStoreUnavailable" or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def under(world: World, quota: QuotaHandle, *names: str) -> list[AgentHandle]:
    agents = [world.agent(name, quotaRef=quota.ref) for name in names]
    for each in agents:
        each.until_ready()
    return agents


def until_counted(agent: AgentHandle, *, seconds: float = 30) -> None:
    """Return once the agent's sidecar knows where its quota stands."""
    end = time.monotonic() + seconds
    while not ask(agent, "quota")[1].get("limits"):
        assert time.monotonic() < end, ask(agent, "quota")
        time.sleep(0.2)


def until_served(agent: AgentHandle, *, seconds: float = 60) -> None:
    """Return once a call is served: counters that have just been made count as away until every pod has spoken."""
    end = time.monotonic() + seconds
    while (answer := call(agent))[0] // 100 != 2:
        assert time.monotonic() < end, answer
        time.sleep(0.2)


def test_agents_share_a_limit_and_the_one_that_finds_nothing_left_is_told_why(world: World) -> None:
    quota = world.quota(SHARED)
    one, other = under(world, quota, "one", "other")
    for each in (one, other):
        until_served(each)

    again = call(one)[0]
    code, problem = call(other)

    assert (again // 100, code) == (2, 429)
    assert (problem["quota"], problem["resource"], problem["limit"], problem["used"]) == (quota.name, "apiCalls", 3, 3)
    found = quota.until(lambda it: limit_row(it, "apiCalls").get("refusals") == 1, seconds=60)
    row = limit_row(found, "apiCalls")
    assert (row["used"], row["remaining"], row["percent"]) == ("3", "0", 100)
    assert row["lastRefusal"]["agent"] == other.name
    assert row["topAgents"] == [{"name": one.name, "used": "2"}, {"name": other.name, "used": "1"}]
    assert (found["status"]["tightest"], reason(found)) == ("apiCalls 3/3 per Hour", ("True", "Enforced"))


def test_each_agent_has_a_limit_of_its_own_to_itself(world: World) -> None:
    quota = world.quota(OWN)
    one, other = under(world, quota, "one", "other")
    for each in (one, other):
        until_counted(each)

    codes = [call(each)[0] for each in (one, one, one, other)]

    assert [code // 100 for code in codes] == [2, 2, 4, 2]


def test_a_limit_that_changes_holds_for_the_sidecar_that_runs(world: World) -> None:
    quota = world.quota(OWN)
    (agent,) = under(world, quota, "agent")
    until_counted(agent)
    before = agent.get()["status"]["podUID"]
    codes = [call(agent)[0] for _ in range(3)]

    quota.change({**OWN, "max": 10})
    end = time.monotonic() + 30
    while (code := call(agent)[0]) == 429:
        assert time.monotonic() < end, "the change does not come to hold"
        time.sleep(0.1)

    assert [each // 100 for each in codes] == [2, 2, 4]
    assert code // 100 == 2
    assert agent.get()["status"]["podUID"] == before


def test_the_calls_of_an_agent_whose_quota_is_gone_are_refused(world: World) -> None:
    quota = world.quota(OWN)
    (agent,) = under(world, quota, "agent")
    until_counted(agent)
    served = call(agent)[0]

    quota.delete()
    end = time.monotonic() + 30
    while (code := call(agent)[0]) != 429:
        assert time.monotonic() < end, "calls go on"
        time.sleep(0.1)

    assert (served // 100, code) == (2, 429)


def test_an_agent_reads_what_is_used_of_the_limits_that_its_node_and_the_operator_keep(world: World) -> None:
    quota = world.quota(
        OWN, {"resource": "memory", "max": "256Mi"}, {"resource": "agents", "max": 5, "scope": "Shared"}
    )
    (agent,) = under(world, quota, "agent")

    end = time.monotonic() + 60
    while (rows := _rows(agent)).get("memory", {}).get("used") is None:
        assert time.monotonic() < end, rows
        time.sleep(0.5)

    memory = rows["memory"]
    assert (memory["quota"], memory["limit"]) == (quota.name, 256 * 2**20)
    assert 0 <= memory["used"] <= memory["limit"]
    assert memory["asOf"]
    assert (rows["agents"]["used"], rows["agents"]["remaining"]) == (1, 4)


def _rows(agent: AgentHandle) -> dict[str, Body]:
    return {each["resource"]: each for each in ask(agent, "quota")[1].get("limits", [])}
