"""Moments at which something is not yet, or no longer, as it should be, and an agent that never stops trying."""

import json

from tests.e2e.escape.hammer import Hammer
from tests.e2e.escape.seats import NARROW, WIDE, Outside, Seats, addresses_of, fetched, is_refused
from tests.e2e.escape.ways import Way, http, proxied, tls, tunnel
from tests.e2e.installation import DEPLOYMENTS, GATEWAY, OPERATOR, Installation, is_rolled_out
from tests.e2e.kube import Body, address
from tests.e2e.world import IMAGE, RESTRICTED, SCRIPTS, AgentHandle, PodHandle, World

ALLOWED: dict[str, Way] = {"TLS": tls("api.test"), "HTTP": http("api.test"), "CONNECT": tunnel("api.test:443")}
CLOSED: dict[str, Way] = {
    "another SNI": tls("api.test", sni="web.example"),
    "another Host": http("api.test", name="web.example"),
    "another name at the proxy": proxied("http://web.example/", "api.test"),
    "another CONNECT": tunnel("web.example:443"),
    "another SNI inside CONNECT": tunnel("api.test:443", sni="web.example"),
    "the address": tls("198.51.100.12", sni="api.test"),
    "the address by IPv6": tls("2001:db8::12", sni="api.test"),
}
FETCH = (SCRIPTS / "fetch.py").read_text()
SERVERS = {"198.51.100.12", "2001:db8::12"}
SHOWN = [*["198.51.100.12"] * 6, "2001:db8::12"]
"""Where the closed ways lead when they are open."""
WAYS = {**ALLOWED, **CLOSED}


def trying(ways: dict[str, Way], *, seconds: int) -> list[str]:
    """Return the arguments with which `fetch.py` tries the ways for so long, and prints what each came to."""
    return [json.dumps(list(ways.values())), str(seconds)]


def narrow_agent(world: World, name: str = "narrow") -> AgentHandle:
    policy = world.policy(name, network=NARROW)
    agent = world.agent(name, securityPolicyRef={"name": policy})
    agent.until_ready()
    return agent


def leaks(seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the closed ways that came to a server."""
    return {name: found & SERVERS for name, found in seen.items() if name in CLOSED and found & SERVERS}


def is_finished(body: Body | None) -> bool:
    return body is not None and body["status"].get("phase") == "Succeeded"


def test_in_the_first_moment_of_its_life_an_agent_reaches_nothing_else(world: World) -> None:
    policy, opening = world.policy(network=NARROW), world.policy("wide", network=WIDE)
    wide = world.agent("wide", securityPolicyRef={"name": opening})
    direct = {name: way for name, way in WAYS.items() if name.startswith("the address")}

    agents = [
        world.agent(
            f"newborn-{number}",
            mode="Task",
            securityPolicyRef={"name": policy},
            command=["python3", "/opt/fetch.py", *trying(WAYS, seconds=3)],
            files=[{"path": "/opt/fetch.py", "content": FETCH}],
        )
        for number in range(3)
    ]
    container = {"name": "free", "image": IMAGE, "securityContext": RESTRICTED}
    free = world.named(
        "Pod",
        "free",
        spec={
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{**container, "command": ["python3", "-c", FETCH, *trying(direct, seconds=0)]}],
        },
    )
    world.kube.until(address("Pod", world.namespace, free["metadata"]["name"]), is_finished)
    for agent in agents:
        agent.pod.until(is_finished)
    wide.until_ready()

    shown = PodHandle(world.kube, world.namespace, free["metadata"]["name"]).logs()
    seen = [dict(zip(WAYS, map(set, json.loads(agent.pod.logs())), strict=True)) for agent in agents]
    assert {server for (server,) in json.loads(shown)} == SERVERS
    assert until_open(wide.pod, CLOSED) == SHOWN
    assert [leaks(each) for each in seen] == [{}, {}, {}]
    assert all("203.0.113.11" in each["TLS"] for each in seen)


def test_while_a_policy_is_changed_nothing_else_opens_and_what_stays_is_not_cut(world: World) -> None:
    agent = narrow_agent(world, "changing")
    policy = f"changing-{world.tag}"
    others: tuple[list[Body], ...] = ([{"name": "files.test"}], [{"name": "*.cdn.test"}], [{"name": "*.wild.test"}], [])

    with Hammer(agent.pod, WAYS) as hammer:
        for number in range(40):
            world.change_policy(policy, network={"allowedDomains": [{"name": "api.test"}, *others[number % 4]]})
            hammer.wait(rounds=number // 8)
    web = [{"name": "api.test"}, {"name": "web.example"}]
    world.change_policy(policy, network={"allowedDomains": web, "cidrs": WIDE["cidrs"]})
    agent.until_ready()
    shown = until_open(agent.pod, CLOSED)

    assert shown == SHOWN
    assert leaks(hammer.seen) == {}
    assert {name: hammer.seen[name] for name in ALLOWED} == {name: {"203.0.113.11"} for name in ALLOWED}


def test_while_the_gateway_restarts_nothing_else_opens(
    alone: World, seats: Seats, installed: Installation, outside: Outside
) -> None:
    agent = narrow_agent(alone)

    with Hammer(agent.pod, WAYS) as hammer:
        hammer.wait(rounds=1)
        alone.kube.merge(DEPLOYMENTS[GATEWAY], {"spec": {"replicas": 0}})
        for pod in installed.pods(GATEWAY):
            pod.until_gone()
        away = fetched(agent.pod, *WAYS.values())
        alone.kube.merge(DEPLOYMENTS[GATEWAY], {"spec": {"replicas": 2}})
        alone.kube.until(DEPLOYMENTS[GATEWAY], is_rolled_out, seconds=120)
        hammer.wait(rounds=hammer.rounds + 2)
    found = fetched(agent.pod, *ALLOWED.values())
    visited = outside.visited(*SERVERS)

    assert [each["server"] for each in found] == ["203.0.113.11"] * 3
    assert until_open(seats.wide, CLOSED) == SHOWN
    assert [each for each in away if not is_refused(each)] == []
    assert leaks(hammer.seen) == {}
    assert visited == []


def test_while_the_operator_restarts_nothing_else_opens_and_what_is_open_stays(
    alone: World, seats: Seats, installed: Installation, outside: Outside
) -> None:
    agent = narrow_agent(alone)

    with Hammer(agent.pod, WAYS) as hammer:
        hammer.wait(rounds=1)
        for pod in installed.pods(OPERATOR):
            pod.delete(gracePeriodSeconds=0)
        alone.kube.until(DEPLOYMENTS[OPERATOR], is_rolled_out, seconds=120)
        hammer.wait(rounds=hammer.rounds + 2)
    gateways = addresses_of(alone.kube, installed.pods(GATEWAY))
    visited, from_gateways = outside.visited(*SERVERS), outside.visited(*gateways)

    assert until_open(seats.wide, CLOSED) == SHOWN
    assert leaks(hammer.seen) == {}
    assert {name: hammer.seen[name] for name in ALLOWED} == {name: {"203.0.113.11"} for name in ALLOWED}
    assert visited == []
    assert from_gateways != []


def test_an_agent_whose_policy_is_deleted_has_no_way_out(world: World) -> None:
    agent = narrow_agent(world, "deleted")
    before = fetched(agent.pod, *ALLOWED.values())

    world.kube.delete(address("SecurityPolicy", world.namespace, f"deleted-{world.tag}"))
    agent.until_reason("PolicyNotFound")
    found = until_shut(agent)

    assert [each["server"] for each in before] == ["203.0.113.11"] * 3
    assert found == []


def until_open(pod: PodHandle, ways: dict[str, Way], *, tries: int = 30) -> list[str]:
    """Return the servers that the ways lead to once all are open, else what they came to at last."""
    found = [""]
    for _ in range(tries):
        found = [str(each.get("server", each)) for each in fetched(pod, *ways.values())]
        if set(found) <= SERVERS:
            break
    return found


def until_shut(agent: AgentHandle, *, tries: int = 30) -> list[str]:
    """Return the servers that are still reached, once none is or patience is over."""
    servers = [""]
    for _ in range(tries):
        servers = [each["server"] for each in fetched(agent.pod, *ALLOWED.values()) if "server" in each]
        if not servers:
            break
    return servers
