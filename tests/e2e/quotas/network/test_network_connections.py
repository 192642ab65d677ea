"""How many connections an agent has open at the gateway at once, from inside the agent's container."""

from tests.e2e.quotas.network.team import Team, on_connections, until_open
from tests.e2e.world import AgentHandle, World

TRIES = 24
"""So many that each of the gateway's replicas, which share the limit, is asked for more than its share."""


def held(agent: AgentHandle) -> int:
    """Return how many of many connections, over several ports, were open at once."""
    found: int = agent.pod.script("hold", "api.test", TRIES, seconds=90)["open"]
    return found


def test_no_more_are_open_than_may_be_whatever_the_port_and_another_agent_has_its_own(world: World) -> None:
    team = Team(world, [on_connections(4)])
    one, other = team.agent("one"), team.agent("other")
    until_open(one)

    opened = held(one)
    row = team.row("networkConnections", lambda it: it.get("refusals", 0) > 0)

    assert opened == 4
    assert row["lastRefusal"]["agent"] == one.name
    assert held(other) == 4


def test_another_limit_holds_without_another_pod(world: World) -> None:
    team = Team(world, [on_connections(4)])
    one = team.agent("one")
    until_open(one)
    before = held(one)

    team.change(on_connections(8))
    team.row("networkConnections", lambda it: it["max"] == "8")

    assert (before, held(one)) == (4, 8)


def test_warn_closes_nothing(world: World) -> None:
    team = Team(world, [on_connections(4, enforcement="Warn")])
    one = team.agent("one")
    until_open(one)

    assert held(one) == TRIES
