"""Where attacks are tried from: an agent that may not, an agent that may, and a pod that nothing confines."""

import json
from dataclasses import dataclass
from typing import Any

from devcluster.cluster import Cluster
from tests.cluster.outside import Journal
from tests.e2e.escape.ways import Way
from tests.e2e.kube import Kube
from tests.e2e.world import PodHandle, World

ALLOWED = [
    {"name": "api.test"},
    {"name": "shop.cdn.test"},
    {"name": "shop.odd.test"},
    {"name": "files.test", "ports": [443, 8443]},
    {"name": "*.wild.test"},
]
BLOCKED = [{"name": "secret.wild.test"}, {"name": "*.closed.wild.test"}]
NARROW: dict[str, Any] = {"allowedDomains": ALLOWED, "blockedDomains": BLOCKED}
"""What the agent under attack may reach."""
WIDE: dict[str, Any] = {
    "allowedDomains": [
        {"name": "api.test", "ports": [80, 443, 853, 8443]},
        *ALLOWED[1:],
        {"name": "neighbour.cdn.test"},
        {"name": "web.example"},
        {"name": "xn--pi-6kc.test"},
        {"name": "doh.test"},
        {"name": "dns.test", "ports": [443, 853]},
        {"name": "*.tunnel.test"},
    ],
    "cidrs": [{"cidr": "203.0.113.0/24"}, {"cidr": "198.51.100.0/24"}, {"cidr": "2001:db8::/32"}],
}
"""The same, and whatever the attacks want to reach: so it is seen that they would work."""
UNCONFINED = {"pod-security.kubernetes.io/enforce": "privileged"}
"""A namespace's label, for pods that may do everything."""


@dataclass(frozen=True, slots=True)
class Seats:
    """They are shared by tests that change nothing: a pod for each of a hundred attacks would take too long."""

    narrow: PodHandle
    wide: PodHandle
    free: PodHandle

    @classmethod
    def made(cls, world: World) -> "Seats":
        """Return the seats, once all are taken."""
        policies = {name: world.policy(name, network=network) for name, network in (("narrow", NARROW), ("wide", WIDE))}
        agents = {name: world.agent(name, securityPolicyRef={"name": policy}) for name, policy in policies.items()}
        namespace = world.new_namespace("free", **UNCONFINED)
        free = world.pod("free", namespace=namespace, securityContext={"runAsUser": 0})
        for agent in agents.values():
            agent.until_ready()
        return cls(agents["narrow"].pod, agents["wide"].pod, free)


def fetched(pod: PodHandle, *ways: Way, seconds: float = 120) -> list[Any]:
    """Return what came of each way."""
    return list(pod.script("fetch", list(ways), seconds=seconds))


def is_refused(answer: dict[str, Any]) -> bool:
    return "refused" in answer


@dataclass(frozen=True, slots=True)
class Outside:
    """What the test Internet has seen from now on."""

    queries: Journal
    connections: Journal

    @classmethod
    def watched(cls, cluster: Cluster) -> "Outside":
        return cls(Journal(cluster.query_log), Journal(cluster.connection_log))

    def asked(self, part: str) -> list[str]:
        """Return the names with `part` in them that anybody has asked for."""
        return sorted(name for name in self.queries.names() if part in name)

    def visited(self, *parts: str) -> list[str]:
        """Return the connections in whose source, server or name one of `parts` stands."""
        found = [json.dumps(each) for each in self.connections.entries()]
        return [each for each in found if any(f'"{part}"' in each for part in parts)]


def addresses_of(kube: Kube, pods: list[PodHandle]) -> list[str]:
    """Return the addresses of all the pods."""
    return [ip for pod in pods for ip in pod.ips()]
