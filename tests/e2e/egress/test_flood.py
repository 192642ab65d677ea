"""An agent that floods the gateway takes nothing from the agents of another policy."""

import time

from tests.e2e.egress.test_changes import reached
from tests.e2e.escape.hammer import Hammer
from tests.e2e.escape.ways import look_up, tls, tunnel
from tests.e2e.installation import GATEWAY, Installation
from tests.e2e.replica import metric_in
from tests.e2e.world import AgentHandle, World

LIST = {"allowedDomains": [{"name": "api.test"}]}
METRIC, NAMES_PORT = "ringfence_gateway_connections_limited_total", 8082
PORTS, CLOSED = (80, 443), 200


def seated(world: World, name: str) -> tuple[AgentHandle, str]:
    """Return an agent that is ready, and its policy as metrics call it."""
    policy = world.policy(name, network=LIST)
    agent = world.agent(name, securityPolicyRef={"name": policy})
    agent.until_ready()
    return agent, f"{world.namespace}/{policy}"


def limited(installed: Installation, policy: str) -> float:
    """Return how many connections of the policy the gateway has closed beyond a limit."""
    pages = [installed.metrics(pod, port=NAMES_PORT) for pod in installed.pods(GATEWAY)]
    return sum(metric_in(page, METRIC, f'policy="{policy}"') for page in pages)


def until_limited(installed: Installation, policy: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not limited(installed, policy):
        assert time.monotonic() < deadline, f"{policy} has met no limit"


def test_a_flood_of_connections_is_closed_and_seen_and_another_agents_are_served(
    alone: World, installed: Installation
) -> None:
    (flooder, flooded), (other, spared) = seated(alone, "flooder"), seated(alone, "other")
    (gateway,) = flooder.pod.script("fetch", [look_up("api.test")])

    with Hammer(other.pod, {"tls": tls("api.test"), "tunnel": tunnel("api.test:443")}) as hammer:
        hammer.wait(rounds=1)
        floods = [flooder.pod.script("flood", gateway["address"], port, CLOSED, seconds=120) for port in PORTS]
        hammer.wait(rounds=hammer.rounds + 1)

    assert [each["closed"] >= CLOSED for each in floods] == [True, True]
    assert hammer.seen == {"tls": {"203.0.113.11"}, "tunnel": {"203.0.113.11"}}
    until_limited(installed, flooded)
    assert limited(installed, spared) == 0
    assert reached(flooder, "api.test") == {"api.test": "203.0.113.11"}
