"""The network, from the attacker's seat: what the kernel lets an agent's pod reach, and who reaches it."""

import json

from tests.e2e.doors import (
    Doors,
    cluster_doors,
    doors_of,
    knocks,
    listening_agent,
    listening_pod,
    opened,
    outside_doors,
)
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World, condition, is_true


def test_an_agent_reaches_nothing_that_another_pod_reaches(world: World) -> None:
    elsewhere = world.new_namespace("elsewhere")
    attacker = world.agent("attacker")
    neighbour = listening_agent(world, "neighbour")
    stranger = listening_pod(world, namespace=elsewhere)
    visitor = world.pod("visitor")
    attacker.until_ready()
    control: Doors = {
        **cluster_doors(world.kube),
        **outside_doors(),
        **doors_of("another namespace's pod", stranger),
        "metadata service": ("tcp", "169.254.169.254", 80),
    }
    doors = control | doors_of("another agent", neighbour.pod)

    reached_by_agent = opened(attacker.pod, doors)
    reached_by_visitor = opened(visitor, control)

    assert reached_by_visitor == set(control)
    assert reached_by_agent == set(), json.dumps(knocks(attacker.pod, doors), indent=1)


def test_nobody_reaches_an_agent_whose_policy_admits_nobody(world: World) -> None:
    agent = listening_agent(world, ports=[{"name": "http", "port": 8080}])
    visitor = world.pod("visitor")
    service = world.kube.get(address("Service", agent.namespace, agent.name))
    assert service is not None
    doors = doors_of("agent", agent.pod) | {"service": ("tcp", service["spec"]["clusterIP"], 8080)}

    reached = opened(visitor, doors)

    assert reached == set()


def test_a_policy_admits_those_whom_it_names_and_on_the_ports_that_it_names(world: World) -> None:
    admitted, other = {"role": f"friend-{world.tag}"}, {"role": "other"}
    rule = {"from": [{"podSelector": {"matchLabels": admitted}}], "ports": [{"port": 8080}]}
    policy = world.policy(network={"ingress": [rule]})
    agent = listening_agent(
        world,
        securityPolicyRef={"name": policy},
        ports=[{"name": "http", "port": 8080}, {"name": "more", "port": 9090}],
    )
    friend, stranger = world.pod("friend", labels=admitted), world.pod("stranger", labels=other)
    service = world.kube.get(address("Service", agent.namespace, agent.name))
    assert service is not None
    doors = doors_of("agent", agent.pod, 8080, 9090) | {"service": ("tcp", service["spec"]["clusterIP"], 8080)}

    by_friend, by_stranger = opened(friend, doors), opened(stranger, doors)

    assert by_friend == {"agent 4:8080", "agent 6:8080", "service"}
    assert by_stranger == set()


def test_an_agents_service_has_its_ports_and_goes_with_them(world: World) -> None:
    agent = world.agent(ports=[{"name": "http", "port": 8080}])
    agent.until_ready()
    path = address("Service", agent.namespace, agent.name)
    before = world.kube.until(path, lambda it: it is not None)

    agent.change(ports=[{"name": "dns", "port": 5353, "protocol": "UDP"}])
    after = world.kube.until(path, lambda it: bool(it and it["spec"]["ports"][0]["port"] == 5353))
    agent.change(ports=[])

    world.kube.until(path, lambda it: it is None)
    assert before is not None
    assert after is not None
    assert [(each["name"], each["protocol"]) for each in before["spec"]["ports"]] == [("http", "TCP")]
    assert [(each["name"], each["protocol"]) for each in after["spec"]["ports"]] == [("dns", "UDP")]


def test_a_policy_opens_the_pods_that_it_names_and_no_others(world: World) -> None:
    elsewhere = world.new_namespace("elsewhere", team=world.tag)
    target = {"matchLabels": {"app": f"target-{world.tag}"}}
    destinations = [
        {"podSelector": target, "ports": [{"port": 8080}]},
        {"namespaceSelector": {"matchLabels": {"team": world.tag}}, "podSelector": target, "ports": [{"port": 9090}]},
    ]
    policy = world.policy(network={"destinations": destinations})
    labels = target["matchLabels"]
    home, away = (
        listening_pod(world, "home", labels=labels),
        listening_pod(world, "away", namespace=elsewhere, labels=labels),
    )
    other = listening_pod(world, "other")
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    doors = {
        **doors_of("home", home, 8080, 9090),
        **doors_of("away", away, 8080, 9090),
        **doors_of("other", other),
        **cluster_doors(world.kube),
        **outside_doors(),
    }

    reached = opened(agent.pod, doors)

    assert reached == {"home 4:8080", "home 6:8080", "away 4:9090", "away 6:9090"}


def test_a_range_of_ports_is_open_from_its_first_to_its_last(world: World) -> None:
    home = listening_pod(world, "home", labels={"app": world.tag})
    ports = [{"port": 9000, "endPort": 9100}]
    policy = world.policy(
        network={"destinations": [{"podSelector": {"matchLabels": {"app": world.tag}}, "ports": ports}]}
    )
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    reached = opened(agent.pod, doors_of("home", home, 8080, 9090))

    assert reached == {"home 4:9090", "home 6:9090"}


def test_a_cidr_is_open_but_for_what_it_excepts(world: World) -> None:
    cidrs = [
        {"cidr": "203.0.113.0/24", "ports": [{"port": 80}]},
        {"cidr": "2001:db8::/32", "except": ["2001:db8::/64"]},
    ]
    policy = world.policy(network={"cidrs": cidrs})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    doors = {**outside_doors(), "203.0.113.10 on another port": ("tcp", "203.0.113.10", 443)}

    reached = opened(agent.pod, doors)

    assert reached == {"203.0.113.10"}


def test_a_policy_for_all_addresses_leaves_the_cluster_shut(world: World) -> None:
    policy = world.policy(network={"cidrs": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]})
    stranger = listening_pod(world)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    doors: Doors = {
        **cluster_doors(world.kube),
        **doors_of("pod", stranger),
        **outside_doors(),
        "metadata service": ("tcp", "169.254.169.254", 80),
    }

    reached = opened(agent.pod, doors)

    # 198.51.100.0/24 is reserved by a setting of this operator.
    assert reached == {"203.0.113.10", "2001:db8::10"}


def test_a_cidr_inside_the_clusters_own_addresses_is_refused_with_a_reason(world: World) -> None:
    name = world.policy(network={"cidrs": [{"cidr": "198.51.100.0/25"}]})

    found = world.kube.until(address("SecurityPolicy", world.namespace, name), lambda it: is_true(it, "Stalled"))

    ready = condition(found, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "ReservedAddress")
    assert "198.51.100.0/25" in ready["message"]


def test_selectors_never_open_the_operators_namespace(world: World) -> None:
    everything = {"destinations": [{"namespaceSelector": {}}], "ingress": [{"from": [{"namespaceSelector": {}}]}]}
    policy = world.policy(network=everything)
    elsewhere = world.new_namespace("elsewhere")
    system = listening_pod(world, "system", namespace=SYSTEM_NAMESPACE)
    other = listening_pod(world, "other", namespace=elsewhere)
    agent = listening_agent(world, securityPolicyRef={"name": policy})

    reached = opened(agent.pod, doors_of("system", system) | doors_of("other", other))
    by_system = opened(system, doors_of("agent", agent.pod))
    by_other = opened(other, doors_of("agent", agent.pod))

    assert reached == {"other 4:8080", "other 6:8080"}
    assert by_system == set()
    assert by_other == {"agent 4:8080", "agent 6:8080"}


def test_two_policies_of_a_namespace_do_not_mix(world: World) -> None:
    outside = world.policy("outside", network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    nothing = world.policy("nothing", network={"enabled": False})
    opened_one = world.agent("opened", securityPolicyRef={"name": outside})
    closed_one = world.agent("closed", securityPolicyRef={"name": nothing})
    opened_one.until_ready()
    closed_one.until_ready()

    by_opened = opened(opened_one.pod, outside_doors())
    by_closed = opened(closed_one.pod, outside_doors())

    assert by_opened == {"203.0.113.10"}
    assert by_closed == set()
