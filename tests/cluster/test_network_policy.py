"""NetworkPolicy on the real cluster. Every case sees its probes refused before it sees them allowed."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from devcluster.process import Process, ensure_running, running
from tests.cluster.api_server import MERGE, Answer, ApiServer, Body, collection
from tests.cluster.pod_network import Network, Shell, build_pod, build_server, is_ready, pod_addresses, program
from tests.cluster.policy_cases import (
    CLIENT,
    EVERYONE,
    GREEN,
    OUTSIDE_CASES,
    PORT_CASES,
    SELECTORS,
    SERVER,
    Case,
    Spec,
    block_cases,
    into,
    node_case,
    out_of,
)

pytestmark = pytest.mark.cluster

DENY_ALL: Spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


class Policies:
    """The NetworkPolicies of one namespace, replaced as a whole."""

    def __init__(self, kube: ApiServer, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.count = 0

    def become(self, specs: list[Spec]) -> None:
        """Make `specs` the namespace's policies, and delete those that are too many."""
        for number, spec in enumerate(specs):
            self.kube.apply(self._policy(number, spec)).expect()
        for number in range(len(specs), self.count):
            self.kube.delete(self._policy(number, {})).expect()
        self.count = len(specs)

    def _policy(self, number: int, spec: Spec) -> Body:
        metadata = {"namespace": self.namespace, "name": f"case-{number}"}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def names(kube: ApiServer) -> Iterator[dict[str, str]]:
    """The names of the namespaces blue and green."""
    suffix = secrets.token_hex(3)
    names = {team: f"rf-netpol-{team}-{suffix}" for team in ("blue", "green")}
    spaces = [_namespace(name, team) for team, name in names.items()]
    for space in spaces:
        kube.apply(space).expect()
    yield names
    for space in spaces:
        kube.delete(space)


@pytest.fixture(scope="module")
def network(kube: ApiServer, kubeconfig: Path, names: dict[str, str]) -> Iterator[Network]:
    """The five pods that every test probes from and to."""
    blue, green = names["blue"], names["green"]
    pods = [
        build_server(blue, "server", {"app": "server"}, 8080),
        build_server(blue, "client", {"app": "client", "tier": "front"}, 8081),
        build_server(blue, "other", {"app": "other"}, 8081),
        build_server(green, "stranger", {"app": "client"}, 8081),
        build_server(green, "foreign", {"app": "server"}, 9002),
    ]
    for pod in pods:
        kube.create(pod).expect()
    network = Network({pod["metadata"]["name"]: pod_addresses(kube, pod) for pod in pods})
    network.addresses |= {"internet": ["203.0.113.10", "2001:db8::10"], "cdn": ["198.51.100.10"]}
    network.addresses["node"] = _node_addresses(kube)
    service = kube.request("GET", "/api/v1/namespaces/default/services/kubernetes").expect()
    network.addresses["kubernetes"] = service["spec"]["clusterIPs"]
    for pod in pods:
        where = pod["metadata"]
        network.shells[where["name"]] = Shell(kubeconfig, where["namespace"], where["name"])
    yield network
    for shell in network.shells.values():
        shell.close()


@pytest.fixture
def policies(kube: ApiServer, names: dict[str, str]) -> Iterator[Policies]:
    """The policies of the namespace blue, none at first."""
    policies = Policies(kube, names["blue"])
    yield policies
    policies.become([])


@pytest.fixture
def devcluster() -> Cluster:
    """The bare-machine cluster; skips where the cluster is another."""
    cluster = find_cluster(cluster_name())
    if cluster is None or "node-agent" not in running(cluster):
        pytest.skip("the engine and the outside belong to the bare-machine cluster, which is not up")
    return cluster


def check(case: Case, network: Network, policies: Policies) -> None:
    """See the case refuse everything without its rules, and then only what it must."""
    policies.become(case.closed())
    network.settles(allowed=case.untouched, refused=case.allowed + case.refused)

    policies.become(case.policies)
    network.settles(allowed=case.allowed + case.untouched, refused=case.refused)


@pytest.mark.parametrize("case", SELECTORS + PORT_CASES, ids=lambda case: case.name)
def test_a_policy_lets_through_what_it_names_and_nothing_else(case: Case, network: Network, policies: Policies) -> None:
    check(case, network, policies)


@pytest.mark.parametrize("number", range(4))
def test_an_address_block_is_held_to_its_exceptions(number: int, network: Network, policies: Policies) -> None:
    client = network.addresses["client"]
    networks = [str(ip_network(f"{ip}/{64 if ':' in ip else 16}", strict=False)) for ip in client]

    check(block_cases(client, networks)[number], network, policies)


@pytest.mark.usefixtures("devcluster")
@pytest.mark.parametrize("case", OUTSIDE_CASES, ids=lambda case: case.name)
def test_an_address_block_opens_a_part_of_the_outside(case: Case, network: Network, policies: Policies) -> None:
    check(case, network, policies)


def test_a_pods_own_node_is_judged_like_any_destination(network: Network, policies: Policies) -> None:
    check(node_case(network.addresses["node"]), network, policies)


def test_a_service_is_judged_by_the_pod_and_port_behind_it(
    kube: ApiServer, names: dict[str, str], network: Network, policies: Policies
) -> None:
    service = _service(names["blue"], "front", {"app": "server"}, port=80, target="web")
    network.addresses["front"] = kube.create(service).expect()["spec"]["clusterIPs"]
    network.settles(allowed=["client front:80", "other front:80", "server front:80"], refused=[])

    policies.become([into(SERVER), out_of(CLIENT)])
    network.settles(allowed=["server front:80"], refused=["client front:80", "other front:80"])
    policies.become([into(SERVER, {"ports": [{"port": 8080}]}), out_of(CLIENT, {"to": [{"podSelector": SERVER}]})])
    network.settles(allowed=["client front:80", "other front:80"], refused=["client server:admin"])


def test_labels_that_change_move_a_pod_and_a_namespace_in_and_out(
    kube: ApiServer, names: dict[str, str], network: Network, policies: Policies
) -> None:
    friends: Spec = {"matchLabels": {"friend": "yes"}}
    policies.become([into(SERVER, {"from": [{"podSelector": friends}, {"namespaceSelector": friends}]})])
    network.settles(allowed=[], refused=["other server:web", "stranger server:web"])

    _label(kube, f"/api/v1/namespaces/{names['blue']}/pods/other", "yes")
    _label(kube, f"/api/v1/namespaces/{names['green']}", "yes")
    network.settles(allowed=["other server:web", "stranger server:web"], refused=["client server:web"])

    _label(kube, f"/api/v1/namespaces/{names['blue']}/pods/other", None)
    _label(kube, f"/api/v1/namespaces/{names['green']}", None)
    network.settles(allowed=[], refused=["other server:web", "stranger server:web"])


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_flow_lives_on_while_policy_allows_it_and_is_cut_when_it_does_not(
    protocol: str, network: Network, policies: Policies
) -> None:
    network.settles(allowed=[f"client server:web/{protocol}"], refused=[])
    shell = network.shells["client"]
    before = len(shell.ask(held=None))
    for address in network.addresses["server"]:
        shell.ask(hold=[protocol, address, 8080])

    def answers() -> list[int]:
        found: list[int] = shell.ask(held=None)[before:]
        return found

    def lives_on() -> None:
        enough = max(answers()) + 5
        _eventually(lambda: min(answers()) > enough, answers)

    by_pod = {"from": [{"podSelector": CLIENT}], "ports": [{"protocol": protocol.upper(), "port": 8080}]}
    by_block = {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]}
    for rule in (by_pod, by_block, by_pod):  # each allows the flow, by other rules
        policies.become([into(SERVER, rule)])
        network.settles(allowed=[f"client server:web/{protocol}"], refused=[])
        lives_on()

    policies.become([into(SERVER, {"from": [{"namespaceSelector": GREEN}]})])
    _eventually(lambda: answers() == [-1, -1], answers)


def test_a_pod_is_never_open_before_its_policy_is_in_force(
    kube: ApiServer, names: dict[str, str], network: Network, policies: Policies
) -> None:
    def run_newcomers(prefix: str) -> list[list[int]]:
        command = program("first_success", 1, 8080, *network.addresses["foreign"])
        pods = [build_pod(names["blue"], f"{prefix}-{n}", {"app": prefix}, command) for n in range(3)]
        for pod in pods:
            kube.create(pod).expect()
        return [_rounds(kube, pod) for pod in pods]

    policies.become([DENY_ALL])
    shut_in = run_newcomers("shut-in")
    policies.become([])
    free = run_newcomers("free")

    assert all(rounds > 10 and first == [0, 0] for rounds, *first in shut_in), shut_in
    # The same pods without the policy get through at their very first attempt.
    assert all(rounds > 10 and first == [1, 1] for rounds, *first in free), free


def test_the_kubelet_reaches_a_pod_that_is_shut_to_everybody(
    kube: ApiServer, names: dict[str, str], network: Network, policies: Policies
) -> None:
    policies.become([DENY_ALL])
    pod = build_server(names["blue"], "probed", {"app": "probed"}, 8080)
    pod["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}

    kube.create(pod).expect()

    network.addresses["probed"] = pod_addresses(kube, pod)
    network.settles(allowed=[], refused=["stranger probed:web"])


# The engine that is started again outlives the test, and its Popen object does not.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_without_its_engine_the_node_keeps_its_rules_and_lets_no_new_pod_run(
    kube: ApiServer, names: dict[str, str], network: Network, policies: Policies, devcluster: Cluster
) -> None:
    network.settles(allowed=["other server:web"], refused=[])  # what is refused from here on is this policy's doing
    policies.become([into(SERVER, {"from": [{"podSelector": CLIENT}]})])
    network.settles(allowed=["client server:web"], refused=["other server:web"])
    engine = _process(devcluster)
    os.kill(running(devcluster)["node-agent"].pid, signal.SIGKILL)

    try:
        pod = build_server(names["blue"], "late", {"app": "late"}, 8080)
        kube.create(pod).expect()
        _wait_for_refused_sandbox(kube, names["blue"], "late")
        network.settles(allowed=["client server:web"], refused=["other server:web"])
        assert not is_ready(kube.request("GET", f"{collection(pod)}/late"))
    finally:
        ensure_running(devcluster, engine)

    network.addresses["late"] = pod_addresses(kube, pod)
    policies.become([into(EVERYONE)])
    network.settles(allowed=[], refused=["client server:web", "client late:web"])


def _namespace(name: str, team: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}}


def _service(namespace: str, name: str, selector: dict[str, str], *, port: int, target: str) -> Body:
    spec = {"selector": selector, "ipFamilyPolicy": "PreferDualStack", "ports": [{"port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def _label(kube: ApiServer, path: str, value: str | None) -> None:
    kube.request("PATCH", path, {"metadata": {"labels": {"friend": value}}}, content_type=MERGE).expect()


def _node_addresses(kube: ApiServer) -> list[str]:
    nodes = kube.request("GET", "/api/v1/nodes").expect()["items"]
    real = next(node for node in nodes if "kwok.x-k8s.io/node" not in node["metadata"].get("annotations", {}))
    return [each["address"] for each in real["status"]["addresses"] if each["type"] == "InternalIP"]


def _rounds(kube: ApiServer, pod: Body) -> list[int]:
    """Return what a newcomer says once it is done: its rounds, and that of the first success by each address."""

    def is_done(answer: Answer) -> bool:
        return bool(answer.body.get("status", {}).get("phase") == "Succeeded")

    status = kube.wait(f"{collection(pod)}/{pod['metadata']['name']}", is_done, seconds=60).body["status"]
    return [int(number) for number in status["containerStatuses"][0]["state"]["terminated"]["message"].split()]


def _process(cluster: Cluster) -> Process:
    """Return the engine as it was started."""
    argv = Path(f"/proc/{running(cluster)['node-agent'].pid}/cmdline").read_text().rstrip("\0").split("\0")
    return Process("node-agent", argv, cluster.netns)


def _wait_for_refused_sandbox(kube: ApiServer, namespace: str, pod: str) -> None:
    def is_refused(answer: Answer) -> bool:
        events = answer.body.get("items", [])
        mine = [event for event in events if event["involvedObject"]["name"] == pod]
        return any(event["reason"] == "FailedCreatePodSandBox" and "netpol" in event["message"] for event in mine)

    kube.wait(f"/api/v1/namespaces/{namespace}/events", is_refused, seconds=30)


def _eventually(is_true: Callable[[], bool], state: Callable[[], object], *, seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"after {seconds} s: {state()}"
        time.sleep(0.02)
