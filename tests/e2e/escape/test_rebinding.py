"""Allowed names that lead where none should: three layers, each enough by itself."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.outside import PRIVATE
from tests.e2e.doors import cluster_doors, opened
from tests.e2e.escape.layers import LAYERS, Layers
from tests.e2e.escape.seats import UNCONFINED, Outside, addresses_of, fetched, is_refused
from tests.e2e.escape.ways import Way, http, proxied, tls, tunnel
from tests.e2e.installation import GATEWAY, Installation
from tests.e2e.kube import Kube
from tests.e2e.world import AgentHandle, World

CLUSTER_PORTS = (6443, 10250)
"""Where API servers and kubelets listen."""
LED_ASTRAY: dict[str, Any] = {
    "allowedDomains": [
        {"name": f"*.{zone}.test", "ports": [80, 443, *CLUSTER_PORTS]} for zone in ("inside", "mixed", "flip", "flip6")
    ]
}
SERVED = ("metadata", "metadata6", "ten", "home", "shared", "local6", "alias")
"""Names that lead to addresses at which the outside answers: a hole would show."""
UNSERVED = (
    *("loopback", "loopback6", "zero", "api-server", "dns-service", "node", "node6", "pod", "pod6", "link6"),
    *("mapped", "mapped-loopback", "translated"),
)
ANSWERING = {"CONNECT to api-server.inside.test", "node:6443", "node:10250"}
"""Ways by which API server and kubelet would answer, if only no."""
MIXED = ("public-first", "private-first", "public-first6", "private-first6", "families")
PUBLIC = {"203.0.113.19", "2001:db8::19"}
LOOK_UPS = 4
"""How often a name that changes with each look-up is asked for."""
RETRIES = 3
"""How often what has to be reachable is tried again: a node learns of new gateways a moment after they are ready."""


def ways_to(name: str) -> dict[str, Way]:
    return {
        f"TLS to {name}": tls(name),
        f"HTTP to {name}": http(name),
        f"proxy to {name}": proxied(f"http://{name}/", name),
        f"CONNECT to {name}": tunnel(f"{name}:443"),
    }


def changing_names(count: int = 2) -> list[str]:
    """Return names that nobody has asked for yet: each begins with a public address."""
    zones = ("flip", "flip6", "metadata.flip")
    return [f"{secrets.token_hex(4)}.{zone}.test" for zone in zones for _ in range(count)]


def all_ways(*ports: int) -> dict[str, Way]:
    """Return every way to every name that leads inside, and to nodes and the API server on `ports`, too."""
    ways: dict[str, Way] = {}
    for name in (*SERVED, *UNSERVED):
        ways |= ways_to(f"{name}.inside.test")
    for name in ("api-server", "node", "node6"):
        ways |= {f"{name}:{port}": tunnel(f"{name}.inside.test:{port}") for port in ports}
    return ways


def straying_agent(world: World, **network: Any) -> AgentHandle:
    policy = world.policy("astray", network={**LED_ASTRAY, **network})
    agent = world.agent("astray", securityPolicyRef={"name": policy})
    agent.until_ready()
    return agent


def servers_of(agent: AgentHandle, ways: dict[str, Way]) -> dict[str, str]:
    """Return what was reached, by way: servers of the outside, and who answers no, as API server and kubelet do."""
    found = zip(ways, fetched(agent.pod, *ways.values(), seconds=280), strict=True)
    return {name: server for name, each in found if (server := server_of(each))}


def server_of(found: dict[str, Any]) -> str:
    """Return who has answered, if it was not the gateway."""
    if not is_refused(found):
        return str(found["server"])
    said = str(found.get("body", "Ringfence:"))
    return "" if said.startswith("Ringfence:") else f"{found['refused']} {said[:60]}"


def servers_in_turn(agent: AgentHandle, names: list[str], times: int) -> set[str]:
    """Return the servers that were reached by all ways to the names, tried so many times one after the other."""
    ways = {title: way for name in names for title, way in ways_to(name).items()}
    return {server for _ in range(times) for server in servers_of(agent, ways).values()}


@pytest.mark.parametrize("network", [{}, {"mode": "Audit", "allowedDomains": []}], ids=["Enforce", "Audit"])
def test_no_name_leads_inside(alone: World, installed: Installation, outside: Outside, network: dict[str, Any]) -> None:
    agent = straying_agent(alone, **network)
    namespace = alone.new_namespace("free", **UNCONFINED)
    free = alone.pod("free", namespace=namespace)
    gateways = addresses_of(alone.kube, installed.pods(GATEWAY))
    ways = all_ways(*(() if network else CLUSTER_PORTS))

    reached = servers_of(agent, ways)
    visits = [each for each in outside.connections.entries() if each["source"] in gateways]
    shown = fetched(free, *(tls(address, sni="ten.inside.test") for address in PRIVATE))
    cluster = {name: door for name, door in cluster_doors(alone.kube).items() if "DNS" not in name}
    by_public_name = servers_of(agent, ways_to("public-first.mixed.test"))

    assert [each["server"] for each in shown] == list(PRIVATE)
    assert opened(free, cluster) == set(cluster)
    assert list(by_public_name.values()) == ["203.0.113.19"] * 4
    assert reached == {}
    assert visits == []


def test_of_mixed_addresses_only_public_ones_are_reached(alone: World, outside: Outside) -> None:
    agent = straying_agent(alone)
    names = [f"{name}.mixed.test" for name in MIXED]

    reached = servers_in_turn(agent, names, 2)

    assert reached == PUBLIC
    assert outside.visited(*PRIVATE) == []


def test_a_name_that_changes_between_look_ups_never_leads_inside(alone: World, outside: Outside) -> None:
    agent = straying_agent(alone)
    names = changing_names()

    reached = servers_in_turn(agent, names, LOOK_UPS)
    asked = [each for each in outside.queries.entries() if each["qname"] in names]

    assert reached == PUBLIC
    assert len(asked) > len(names), "each name has to be asked for again, or nothing has changed"
    assert outside.visited(*PRIVATE) == []


@pytest.fixture(scope="module")
def layers(installed: Installation) -> Iterator[Layers]:
    """The three layers, all in force again at the end."""
    found = Layers(installed)
    yield found
    found.leave(LAYERS)


@pytest.fixture(scope="module")
def astray(kube: Kube, namespace: str, installed: Installation) -> Iterator[AgentHandle]:
    """An agent that may follow every name that leads astray."""
    with World(kube, namespace) as world:
        yield straying_agent(world)


def test_without_any_of_the_layers_names_lead_inside(layers: Layers, astray: AgentHandle) -> None:
    layers.leave(())
    astray.until_ready()
    ways = {way: each for name in SERVED for way, each in ways_to(f"{name}.inside.test").items()}

    reached = servers_of(astray, ways)
    for _ in range(RETRIES):
        if missing := {title: way for title, way in ways.items() if title not in reached}:
            reached |= servers_of(astray, missing)

    answered = servers_of(astray, {each: all_ways(*CLUSTER_PORTS)[each] for each in ANSWERING})

    assert reached.keys() == ways.keys()
    assert set(reached.values()) == set(PRIVATE)
    assert answered.keys() == ANSWERING


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_is_enough_alone(layers: Layers, astray: AgentHandle, outside: Outside, layer: str) -> None:
    layers.leave((layer,))
    astray.until_ready()
    names = [f"{name}.mixed.test" for name in MIXED] + changing_names(1)

    reached = servers_of(astray, all_ways(*CLUSTER_PORTS))
    of_mixed = servers_in_turn(astray, names, LOOK_UPS)

    assert reached == {}
    assert of_mixed <= PUBLIC
    assert of_mixed != set()
    assert outside.visited(*PRIVATE) == []
