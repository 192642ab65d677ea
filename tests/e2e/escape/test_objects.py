"""Objects of the API as a way out: what a tenant may write, and what somebody with more rights may edit."""

from typing import Any

import pytest

from tests.e2e.doors import LISTENING, Doors, doors_of, knocks, listening_pod, opened, outside_doors
from tests.e2e.escape.gateway import Place, opened_from_ours
from tests.e2e.escape.hammer import Hammer
from tests.e2e.escape.seats import fetched
from tests.e2e.escape.ways import tls
from tests.e2e.installation import GATEWAY, OPERATOR_USER, Installation
from tests.e2e.kube import Body, RefusedError, address_of
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, PodHandle, World, condition, is_pod_ready

SYSTEM = {"matchLabels": {"kubernetes.io/metadata.name": SYSTEM_NAMESPACE}}
OF_GATEWAY = {"matchLabels": {"app.kubernetes.io/name": GATEWAY}}
OWN = [{"name": "api.test"}]
EXPOSING: dict[str, dict[str, Any]] = {
    "its namespace": {"destinations": [{"namespaceSelector": SYSTEM}]},
    "its pods": {"destinations": [{"namespaceSelector": {}, "podSelector": OF_GATEWAY}]},
    "every pod": {"destinations": [{"namespaceSelector": {}}, {"podSelector": {}}]},
    "every address": {"cidrs": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]},
    "every private address": {"cidrs": [{"cidr": "10.0.0.0/8"}, {"cidr": "fc00::/7"}]},
    "the control server's Service": {
        "destinations": [{"service": {"name": "ringfence-control", "namespace": SYSTEM_NAMESPACE}}]
    },
    "the sidecars' control server's Service": {
        "destinations": [{"service": {"name": "ringfence-sidecar-control", "namespace": SYSTEM_NAMESPACE}}]
    },
}
"""What a policy may say that covers the gateway's pods, or the operator's."""
OF_OPERATOR = (8080, 8081, 18000, 18443)
"""Ports of its pods; on the last two, only the leader's control process serves."""


class Victim:
    """An agent whose policy lets it reach what the attacker wants, and the doors that are open to it."""

    def __init__(self, world: World) -> None:
        self.policy = world.policy("victim", network={"allowedDomains": [{"name": "web.example"}]})
        self.agent = world.agent("victim", securityPolicyRef={"name": self.policy})
        self.agent.until_ready()
        self.place = Place.of(world.kube, self.agent.namespace, self.policy)
        self.doors = self.place.doors("victim", gateways(world))


def gateways(world: World) -> list[PodHandle]:
    return Installation(world.kube, []).pods(GATEWAY)


def attacking_agent(world: World, *, namespace: str = "", **network: Any) -> AgentHandle:
    """Return an agent with a policy of its own, once it runs; a policy that says too much may never be in force."""
    policy = world.policy("attacker", namespace=namespace, network={"allowedDomains": OWN, **network})
    agent = world.agent("attacker", namespace=namespace, securityPolicyRef={"name": policy})
    agent.pod.until(is_pod_ready)
    return agent


def allow_all(world: World, *, namespace: str = "", selector: Body | None = None) -> Body:
    """Create a tenant's own NetworkPolicy, which opens everything."""
    spec = {"podSelector": selector or {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}], "ingress": [{}]}
    return world.named("NetworkPolicy", "allow-all", namespace=namespace, api="networking.k8s.io/v1", spec=spec)


def until_opened(pod: PodHandle, doors: Doors, *, tries: int = 30) -> set[str]:
    """Return the names of the doors that are open, once all are or patience is over."""
    found: set[str] = set()
    for _ in range(tries):
        found = opened(pod, doors)
        if found == set(doors):
            break
    return found


def web(place: Place) -> dict[str, Any]:
    """Return the way to what only the victim may reach, by its policy's Service."""
    return tls(place.address, sni="web.example")


def test_another_policys_port_set_and_service_are_shut(world: World) -> None:
    victim, attacker = Victim(world), attacking_agent(world)

    reached, by_victim = opened(attacker.pod, victim.doors), opened(victim.agent.pod, victim.doors)
    refused, shown = (fetched(each.pod, web(victim.place))[0] for each in (attacker, victim.agent))

    assert by_victim == set(victim.doors)
    assert shown["server"] == "198.51.100.12"
    assert reached == set(), knocks(attacker.pod, victim.doors)
    assert "refused" in refused


@pytest.mark.parametrize("said", EXPOSING)
def test_no_selector_and_no_cidr_opens_the_gateway(world: World, said: str) -> None:
    victim, attacker = Victim(world), attacking_agent(world, **EXPOSING[said])
    (leader,), (gateway, *_) = Installation(world.kube, []).leaders(), gateways(world)
    of_leader, of_gateway = doors_of(leader.name, leader, *OF_OPERATOR), doors_of(gateway.name, gateway, 8082)
    others = doors_beside(world, said)
    doors = dict(victim.doors)
    for pod in gateways(world):
        doors |= doors_of(pod.name, pod, 8082)
    for pod in Installation(world.kube, []).pods():
        doors |= doors_of(pod.name, pod, *OF_OPERATOR)

    shown = until_opened(attacker.pod, others) if others else set()
    reached, by_victim = opened(attacker.pod, doors), opened(victim.agent.pod, victim.doors)
    by_leader = opened_from_ours(leader, of_leader, container="operator")
    by_gateway = opened_from_ours(gateway, of_gateway, container="names")

    assert shown == set(others), "the policy has to be in force, or nothing is shown"
    assert by_victim == set(victim.doors)
    assert (by_leader, by_gateway) == (set(of_leader), set(of_gateway))
    assert reached == set(), knocks(attacker.pod, doors)


def doors_beside(world: World, said: str) -> Doors:
    """Return doors that the policy opens, of those that are not the product's: some name nothing but that."""
    if said == "every address":
        return outside_doors("203.0.113.10")
    if said in {"its pods", "every pod"}:
        return doors_of("alike", listening_pod(world, "alike", labels=dict(OF_GATEWAY["matchLabels"])))
    return {}


def test_a_policy_cannot_name_another_policys_service(world: World) -> None:
    victim = Victim(world)
    service = {"name": victim.place.service, "namespace": SYSTEM_NAMESPACE}
    attacker = attacking_agent(world, destinations=[{"service": service}])

    reached, by_victim = opened(attacker.pod, victim.doors), opened(victim.agent.pod, victim.doors)

    assert by_victim == set(victim.doors)
    assert reached == set(), knocks(attacker.pod, victim.doors)


def test_a_tenants_allow_all_is_refused_where_there_is_an_agent(world: World) -> None:
    attacker = attacking_agent(world)
    not_agents = {"matchExpressions": [{"key": "ringfence.dev/agent", "operator": "DoesNotExist"}]}
    door = outside_doors("203.0.113.10")

    with pytest.raises(RefusedError, match=r"add \{key: ringfence.dev/agent, operator: DoesNotExist\}"):
        allow_all(world)
    other = allow_all(world, selector=not_agents)
    with pytest.raises(RefusedError, match="could open egress to agents"):
        world.kube.merge(address_of(other), {"spec": {"podSelector": {"matchExpressions": None}}})

    reached = opened(attacker.pod, door)
    with World(world.kube.as_user(OPERATOR_USER), world.namespace) as past_the_guard:
        allow_all(past_the_guard, selector={"matchLabels": {"ringfence.dev/agent": attacker.name}})
        shown = until_opened(attacker.pod, door)

    assert shown == set(door), "what the guard refuses has to open something, or nothing is shown"
    assert reached == set()


def test_a_tenants_allow_all_from_before_opens_no_other_policys_port_set_and_shows(world: World) -> None:
    namespace = world.new_namespace("tenant")
    allow_all(world, namespace=namespace)
    victim, attacker = Victim(world), attacking_agent(world, namespace=namespace)

    found = attacker.until(lambda it: (condition(it, "Enforced") or {}).get("status") == "False")
    reached, by_victim = opened(attacker.pod, victim.doors), opened(victim.agent.pod, victim.doors)
    outside = opened(attacker.pod, outside_doors("203.0.113.10"))

    enforced = condition(found, "Enforced")
    assert enforced is not None
    assert enforced["reason"] == "ForeignNetworkPolicy"
    assert outside == {"203.0.113.10"}, "the tenant's policy has to be in force, or nothing is shown"
    assert by_victim == set(victim.doors)
    assert reached == set(), knocks(attacker.pod, victim.doors)


def test_forged_labels_open_nothing_from_another_namespace(world: World) -> None:
    victim = Victim(world)
    elsewhere = world.new_namespace("elsewhere")
    labels = {
        "ringfence.dev/confined": "true",
        "ringfence.dev/policy": victim.policy,
        "ringfence.dev/policy-namespace": world.namespace,
        "ringfence.dev/cluster-policy": victim.policy,
        "app.kubernetes.io/managed-by": "ringfence",
    }
    with pytest.raises(RefusedError, match=r"ringfence\.dev/ are the operator's: leave ringfence\.dev/"):
        world.pod("forger", namespace=elsewhere, labels=labels)
    with World(world.kube.as_user(OPERATOR_USER), elsewhere) as past_the_guard:
        forger = PodHandle(world.kube, elsewhere, past_the_guard.pod("forger", labels=labels).name)

        reached, by_victim = opened(forger, victim.doors), opened(victim.agent.pod, victim.doors)
        shown = knocks(forger, victim.doors)

    assert by_victim == set(victim.doors)
    assert reached == set(), shown


def test_the_gateways_label_makes_no_gateway_of_a_tenants_pod(world: World) -> None:
    attacker, visitor = attacking_agent(world), world.pod("visitor")
    attacker.until_ready()
    (leader,) = Installation(world.kube, []).leaders()
    (gateway, *_) = gateways(world)
    # A port that the agent may reach at the gateway.
    port = Place.of(world.kube, attacker.namespace, f"attacker-{world.tag}").first_port + 2
    serving = [*LISTENING[:2], LISTENING[2].replace("9090", str(port))]
    probe = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    pretender = world.pod("pretender", labels=dict(OF_GATEWAY["matchLabels"]), command=serving, readinessProbe=probe)
    own, real = doors_of("pretender", pretender, port), doors_of("gateway", gateway, port)
    doors = doors_of("leader", leader, 18000)

    reached, reached_by_gateway = opened(pretender, doors), opened_from_ours(gateway, doors, container="names")
    reached_by_agent, reached_by_visitor = opened(attacker.pod, own | real), opened(visitor, own)

    assert reached_by_gateway == set(doors)
    assert reached == set()
    assert reached_by_visitor == set(own)
    assert reached_by_agent == set(real)


def test_an_agents_own_labels_cannot_be_ours(world: World) -> None:
    victim = Victim(world)

    world.agent("labelled", podMetadata={"labels": {"team": "theirs"}})
    with pytest.raises(RefusedError) as refused:
        world.agent("forger", podMetadata={"labels": {"ringfence.dev/policy": victim.policy}})

    assert refused.value.status == 422
    assert "ringfence.dev/" in refused.value.message


def test_a_pod_cannot_be_relabelled_to_another_policy_and_is_put_back_if_it_was(world: World) -> None:
    victim, attacker = Victim(world), attacking_agent(world)
    before = attacker.pod.get()["metadata"]["labels"]["ringfence.dev/policy"]
    relabelled = {"metadata": {"labels": {"ringfence.dev/policy": victim.policy}}}

    for path in (attacker.pod.path, f"{attacker.pod.path}/status"):
        with pytest.raises(RefusedError, match=r"leave ringfence\.dev/policy as"):
            world.kube.merge(path, relabelled)
    with pytest.raises(RefusedError, match=r"leave ringfence\.dev/confined as"):
        world.kube.merge(attacker.pod.path, {"metadata": {"labels": {"ringfence.dev/confined": None}}})
    world.kube.merge(attacker.pod.path, {"metadata": {"labels": {"team": "theirs"}}})
    world.kube.as_user(OPERATOR_USER).merge(attacker.pod.path, relabelled)
    attacker.pod.until(lambda it: bool(it and it["metadata"]["labels"]["ringfence.dev/policy"] == before))
    reached, by_victim = opened(attacker.pod, victim.doors), opened(victim.agent.pod, victim.doors)

    assert by_victim == set(victim.doors)
    assert reached == set(), knocks(attacker.pod, victim.doors)


def test_a_service_of_ones_own_is_no_way_around(world: World) -> None:
    victim, attacker, visitor = Victim(world), attacking_agent(world), world.pod("visitor")
    (gateway, *_) = gateways(world)
    targets = {"outside": ("198.51.100.12", 443), "victim": (gateway.ips()[0], victim.place.first_port + 2)}
    doors: Doors = {name: ("tcp", own_service(world, name, *target), 443) for name, target in targets.items()}

    reached = opened(attacker.pod, doors)
    by_victim, by_visitor = opened(victim.agent.pod, doors), opened(visitor, doors)

    assert by_victim == {"victim"}
    assert by_visitor == {"outside"}
    assert reached == set()


def test_an_edited_service_leads_to_no_other_port_set_and_is_put_right(world: World) -> None:
    victim, attacker = Victim(world), attacking_agent(world)
    place = Place.of(world.kube, attacker.namespace, f"attacker-{world.tag}")
    right = world.kube.get(place.path)
    assert right is not None
    wrong = [{**each, "targetPort": victim.place.first_port + 2} for each in right["spec"]["ports"]]
    # What the edited one would be, if nobody put it right.
    alike = own_service(world, "alike", gateways(world)[0].ips()[0], victim.place.first_port + 2)

    with Hammer(attacker.pod, {"own": tls(place.address, sni="api.test"), "victim's": web(place)}) as hammer:
        for _ in range(5):
            world.kube.merge(place.path, {"spec": {"ports": wrong}})
            world.kube.until(place.path, lambda it: bool(it and it["spec"]["ports"] == right["spec"]["ports"]))
    by_victim, refused = (fetched(each.pod, tls(alike, sni="web.example"))[0] for each in (victim.agent, attacker))

    assert by_victim["server"] == "198.51.100.12"
    assert "refused" in refused
    assert "203.0.113.11" in hammer.seen["own"]
    assert "198.51.100.12" not in hammer.seen["victim's"], hammer.seen


def own_service(world: World, name: str, address: str, port: int) -> str:
    """Create a tenant's Service whose port 443 leads to `address` and `port`, and return its address."""
    made = world.named("Service", name, spec={"ports": [{"name": "door", "port": 443, "targetPort": port}]})
    world.make(endpoint_slice(made["metadata"]["name"], world.namespace, address, port))
    return str(made["spec"]["clusterIP"])


def endpoint_slice(service: str, namespace: str, address: str, port: int) -> Body:
    """Return what a Service without a selector leads to."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "door", "port": port, "protocol": "TCP"}],
    }
