"""Doors that an agent may knock on: addresses in and around the cluster, by a name for people."""

from typing import Any

from tests.e2e.kube import Kube, address
from tests.e2e.world import AgentHandle, PodHandle, World

Doors = dict[str, tuple[str, str, int]]

OUTSIDE = ("203.0.113.10", "198.51.100.10", "2001:db8::10")
LISTENING = [
    "python3",
    "-c",
    "import http.server, signal, socket, sys, threading\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "class Server(http.server.ThreadingHTTPServer):\n    address_family = socket.AF_INET6\n"
    "serve = lambda port: Server(('::', port), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    "threading.Thread(target=serve, args=(9090,), daemon=True).start()\n"
    "serve(8080)",
]
"""A command that serves HTTP on ports 8080 and 9090, both families."""
SERVING = {"readiness": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def node_addresses(kube: Kube) -> list[str]:
    """Return the addresses of the nodes; fake ones have none."""
    nodes = [node["status"].get("addresses", ()) for node in kube.items(address("Node"))]
    return [each["address"] for addresses in nodes for each in addresses if each["type"] == "InternalIP"]


def cluster_doors(kube: Kube) -> Doors:
    """Return the doors of the cluster itself that every pod finds in front of it."""
    api = kube.get(address("Service", "default", "kubernetes"))
    dns = kube.get(address("Service", "kube-system", "kube-dns"))
    slices = kube.items("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")
    assert api is not None
    assert dns is not None
    doors: Doors = {
        "API server by its Service": ("tcp", api["spec"]["clusterIP"], 443),
        "DNS over UDP": ("udp", dns["spec"]["clusterIP"], 53),
        "DNS over TCP": ("tcp", dns["spec"]["clusterIP"], 53),
    }
    for each in slices:
        if each["metadata"]["labels"].get("kubernetes.io/service-name") == "kubernetes":
            host, port = each["endpoints"][0]["addresses"][0], each["ports"][0]["port"]
            doors[f"API server at {host}"] = ("tcp", host, port)
    doors |= {f"kubelet at {each}": ("tcp", each, 10250) for each in node_addresses(kube)}
    return doors


def outside_doors(*hosts: str) -> Doors:
    return {host: ("tcp", host, 80) for host in hosts or OUTSIDE}


def doors_of(name: str, pod: PodHandle, *ports: int) -> Doors:
    """Return the doors `name 4:port` and `name 6:port` of a pod."""
    ips = {"6" if ":" in ip else "4": ip for ip in pod.ips()}
    return {f"{name} {family}:{port}": ("tcp", ip, port) for family, ip in ips.items() for port in ports or (8080,)}


def knocks(pod: PodHandle, doors: Doors) -> dict[str, str]:
    found: dict[str, str] = pod.script("knock", doors)
    return found


def opened(pod: PodHandle, doors: Doors) -> set[str]:
    """Return the names of the doors that are open to the pod."""
    return {name for name, outcome in knocks(pod, doors).items() if outcome == "open"}


def listening_agent(world: World, name: str = "listener", **spec: Any) -> AgentHandle:
    """Return an agent that serves on 8080 and 9090, once it does."""
    agent = world.agent(name, command=LISTENING, probes=SERVING, **spec)
    agent.until_ready()
    return agent


def listening_pod(world: World, name: str = "stranger", **where: Any) -> PodHandle:
    """Return a pod that is nobody's agent and serves on 8080 and 9090, once it does."""
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return world.pod(name, command=LISTENING, readinessProbe=probe, **where)
