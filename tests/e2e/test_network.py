"""The network, from the attacker's seat: what the kernel lets an agent's pod reach, and who reaches it."""

import json
from typing import Any

from tests.e2e.kube import Kube, address
from tests.e2e.world import AgentHandle, PodHandle, World

LISTENING = [
    "python3",
    "-c",
    "import http.server, signal, sys, socket\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "class Server(http.server.ThreadingHTTPServer):\n    address_family = socket.AF_INET6\n"
    "Server(('::', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()",
]
OUTSIDE = ("203.0.113.10", "198.51.100.10", "2001:db8::10")
Doors = dict[str, tuple[str, str, int]]


def node_addresses(kube: Kube) -> list[str]:
    """Return the addresses of the nodes that have a kubelet."""
    nodes = [
        node
        for node in kube.items(address("Node"))
        if "kwok.x-k8s.io/node" not in node["metadata"].get("annotations", {})
    ]
    return [each["address"] for node in nodes for each in node["status"]["addresses"] if each["type"] == "InternalIP"]


def cluster_doors(kube: Kube) -> Doors:
    """Return the doors of the cluster itself that every pod finds in front of it."""
    api = kube.get(address("Service", "default", "kubernetes"))
    dns = kube.get(address("Service", "kube-system", "kube-dns"))
    endpoints = kube.get("/api/v1/namespaces/default/endpoints/kubernetes")
    assert api is not None
    assert dns is not None
    assert endpoints is not None
    subset = endpoints["subsets"][0]
    doors: Doors = {
        "API server by its Service": ("tcp", api["spec"]["clusterIP"], 443),
        "API server by its address": ("tcp", subset["addresses"][0]["ip"], subset["ports"][0]["port"]),
        "DNS over UDP": ("udp", dns["spec"]["clusterIP"], 53),
        "DNS over TCP": ("tcp", dns["spec"]["clusterIP"], 53),
    }
    doors |= {f"kubelet at {each}": ("tcp", each, 10250) for each in node_addresses(kube)}
    return doors


def outside_doors() -> Doors:
    return {f"outside {each}": ("tcp", each, 80) for each in OUTSIDE}


def doors_of(name: str, pod: PodHandle, port: int = 8080) -> Doors:
    return {f"{name} at {each}": ("tcp", each, port) for each in pod.ips()}


def knocks(pod: PodHandle, doors: Doors) -> dict[str, str]:
    found: dict[str, str] = pod.script("knock", doors)
    return found


def opened(pod: PodHandle, doors: Doors) -> set[str]:
    return {name for name, outcome in knocks(pod, doors).items() if outcome == "open"}


def listener(world: World, name: str = "listener", **spec: Any) -> AgentHandle:
    agent = world.agent(name, command=LISTENING, **spec)
    agent.until_ready()
    return agent


def test_an_agent_reaches_nothing_that_another_pod_reaches(world: World) -> None:
    elsewhere = world.new_namespace("elsewhere")
    attacker = world.agent("attacker")
    neighbour = listener(world, "neighbour")
    stranger = world.pod("stranger", namespace=elsewhere, command=LISTENING)
    visitor = world.pod("visitor")
    attacker.until_ready()
    control = {**cluster_doors(world.kube), **outside_doors(), **doors_of("another namespace's pod", stranger)}
    metadata: Doors = {"metadata service": ("tcp", "169.254.169.254", 80)}
    doors = control | metadata | doors_of("another agent", neighbour.pod)

    reached_by_agent = opened(attacker.pod, doors)
    reached_by_visitor = opened(visitor, control)

    assert reached_by_visitor == set(control)
    assert reached_by_agent == set(), json.dumps(knocks(attacker.pod, doors), indent=1)
