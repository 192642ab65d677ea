"""Doors of the product and of the cluster, and protocols that are not TCP: shut, whatever the policy says."""

import pytest

from tests.e2e.doors import Doors, cluster_doors, doors_of, knocks, listening_pod, opened
from tests.e2e.escape.gateway import Place, gateway_doors, opened_from_ours, ports_of
from tests.e2e.escape.seats import Seats
from tests.e2e.installation import GATEWAY, OPERATOR, OPERATOR_USER, Installation
from tests.e2e.kube import address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, PodHandle, World

EVERYTHING = {
    "allowedDomains": [{"name": "api.test"}],
    "destinations": [{"namespaceSelector": {}}],
    "cidrs": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}],
}
"""The most that a policy can say."""
ADMIN = (9901, 15000, 15021, 19000)
"""Where Envoys have their admin port; this one has a Unix socket."""
ASKING_ADMIN = """
import socket
with socket.socket(socket.AF_UNIX) as door:
    door.settimeout(5)
    door.connect("/run/ringfence/admin.sock")
    door.sendall(b"GET /ready HTTP/1.1\\r\\nHost: envoy\\r\\nConnection: close\\r\\n\\r\\n")
    with door.makefile() as answer:
        print("LIVE" if "LIVE" in answer.read() else "")
"""
PROTOCOLS = ("echo", "raw", "packet")


def greedy_agent(world: World) -> tuple[AgentHandle, str]:
    policy = world.policy("everything", network=EVERYTHING)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    return agent, policy


def test_of_the_gateway_nothing_answers_but_the_policys_own_ports(alone: World, installed: Installation) -> None:
    agent, policy = greedy_agent(alone)
    other = alone.policy("other", network={"allowedDomains": [{"name": "files.test"}]})
    place, other_place = (Place.of(alone.kube, alone.namespace, name) for name in (policy, other))
    by_port = gateway_doors(installed)
    block = range(place.first_port, place.first_port + 16)
    own = {name: door for port in block for name, door in by_port.get(port, {}).items()}
    doors: Doors = {name: door for doors in by_port.values() for name, door in doors.items() if name not in own}
    for pod in installed.pods(GATEWAY):
        doors |= doors_of("admin", pod, *ADMIN)
    (gateway, *_) = installed.pods(GATEWAY)
    not_own = doors_of("gateway", gateway, 8082, other_place.first_port, other_place.first_port + 2)

    reached, own_reached = opened(agent.pod, doors), opened(agent.pod, own)
    reached_by_gateway = opened_from_ours(gateway, not_own, container="names")

    assert own_reached == set(own)
    assert reached_by_gateway == set(not_own)
    assert {8082, other_place.first_port, other_place.first_port + 2} <= set(by_port)
    assert len(own) == 12, "DNS, HTTP and TLS of two pods by two families"
    assert reached == set(), knocks(agent.pod, doors)


def test_envoys_admin_interface_listens_on_no_port(installed: Installation) -> None:
    (gateway, *_) = installed.pods(GATEWAY)
    shown = gateway.output("/app/bin/python", "-c", ASKING_ADMIN, container="names")
    found = {port for pod in installed.pods(GATEWAY) for port in ports_of(installed, pod, container="names")}

    assert shown.strip() == "LIVE"
    assert found & set(ADMIN) == set()
    assert {port for port in found if not 10_000 <= port < 40_000} == {5355, 8082}


def test_operator_control_server_and_health_ports_are_shut(alone: World, installed: Installation) -> None:
    agent, _ = greedy_agent(alone)
    scraping = alone.new_namespace("scraping", **{"ringfence.dev/scrapes-metrics": "true"})
    visitor = alone.pod("visitor", namespace=scraping)
    control = listening_pod(alone, namespace=alone.new_namespace("elsewhere"))
    health: Doors = {}
    for name, ports in ((OPERATOR, (8080, 8081)), (GATEWAY, (8082,))):
        for pod in installed.pods(name):
            health |= doors_of(pod.name, pod, *ports)
    xds = {name: door for pod in installed.pods() for name, door in doors_of(pod.name, pod, 18000).items()}
    (leader,), (gateway, *_) = installed.leaders(), installed.pods(GATEWAY)
    served = doors_of(leader.name, leader, 18000)

    reached = opened(agent.pod, health | xds | doors_of("control", control))
    reached_by_visitor = opened(visitor, health)
    reached_by_gateway = opened_from_ours(gateway, served, container="names")

    assert reached_by_visitor == set(health)
    assert reached_by_gateway == set(served)
    assert reached == set(doors_of("control", control))


def test_the_control_server_of_sidecars_is_shut_to_agents_without_one(
    alone: World, seats: Seats, installed: Installation
) -> None:
    agent, _ = greedy_agent(alone)
    service = alone.kube.get(address("Service", SYSTEM_NAMESPACE, "ringfence-sidecar-control"))
    assert service is not None
    (leader,) = installed.leaders()
    served = doors_of("leader", leader, 18443)
    # Behind the Service are both replicas, of which one serves.
    by_service: Doors = {f"Service, {n}": ("tcp", service["spec"]["clusterIP"], 18443) for n in range(12)}
    doors = served | by_service
    url = f"https://{leader.ips()[0]}:18443/v1/sidecar/poll"

    with World(alone.kube.as_user(OPERATOR_USER), alone.namespace) as past_the_guard:
        made = past_the_guard.pod("sidecar", labels={"ringfence.dev/sidecar": "true"})
        labelled = PodHandle(alone.kube, alone.namespace, made.name)
        reached_by_labelled = opened(labelled, doors)
        answered, _, _ = labelled.script("call", url, {}, {})
    reached = [opened(pod, doors) for pod in (agent.pod, seats.narrow, seats.free)]

    assert set(served) <= reached_by_labelled
    assert reached_by_labelled & set(by_service)
    assert answered == 401
    assert reached == [set()] * 3


def test_the_control_server_wants_a_certificate_even_of_who_reaches_it(installed: Installation) -> None:
    script = (
        "import socket, ssl, sys\n"
        "context = ssl.create_default_context()\n"
        "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
        "if sys.argv[2:]:\n    context.load_cert_chain('/etc/ringfence/tls/tls.crt', '/etc/ringfence/tls/tls.key')\n"
        "context.set_alpn_protocols(['h2'])\n"
        "try:\n"
        "    with context.wrap_socket(socket.create_connection((sys.argv[1], 18000), 5)) as stream:\n"
        "        stream.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + bytes(3) + b'\\4' + bytes(5))\n"
        "        print('served' if stream.recv(9) else 'closed')\n"
        "except OSError as error:\n    print(type(error).__name__)\n"
    )
    (leader,) = installed.leaders()
    (gateway, *_) = installed.pods(GATEWAY)
    command = ["/app/bin/python", "-c", script, leader.ips()[0]]

    without, with_one = (
        installed.kube.exec(gateway.namespace, gateway.name, [*command, *more], container="names").out.strip()
        for more in ([], ["certificate"])
    )

    assert with_one == "served"
    assert without in {"SSLError", "closed", "ConnectionResetError"}


def test_api_server_kubelet_and_metadata_service_are_shut(alone: World) -> None:
    agent, _ = greedy_agent(alone)
    visitor = alone.pod("visitor")
    # The name servers' pods are pods like any other; by that policy, agents reach those.
    cluster = {name: door for name, door in cluster_doors(alone.kube).items() if "DNS" not in name}
    doors: Doors = cluster | {
        "metadata service": ("tcp", "169.254.169.254", 80),
        "metadata service, IPv6": ("tcp", "fd00:ec2::254", 80),
    }

    reached, reached_by_visitor = opened(agent.pod, doors), opened(visitor, doors)

    assert reached_by_visitor == set(doors)
    assert reached == set(), knocks(agent.pod, doors)


@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8::11"])
@pytest.mark.parametrize("way", [*PROTOCOLS, "udp"])
def test_icmp_raw_sockets_frames_and_udp_443_are_shut(seats: Seats, address: str, way: str) -> None:
    refused = seats.narrow.script("raw", address)[way]
    shown = seats.free.script("raw", address)[way]

    assert shown == "answered"
    assert refused != "answered"


@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8::11"])
def test_an_agent_has_no_raw_sockets_even_where_its_policy_opens_the_address(seats: Seats, address: str) -> None:
    found = seats.wide.script("raw", address)

    assert found["udp"] == "answered"
    assert {name: found[name] for name in PROTOCOLS} == dict.fromkeys(PROTOCOLS, "PermissionError")
