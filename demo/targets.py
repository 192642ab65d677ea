"""The doors that an agent knocks on, as this cluster has them, and what came of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from demo.fleet import Fleet
from demo.kubectl import Kubectl

KNOCK = "/app/knock.py"
OUTSIDE = ("203.0.113.10", "2001:db8::10")
METADATA = "169.254.169.254"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one knock came to."""

    name: str
    where: str
    reached: bool
    said: str


def doors(kube: Kubectl, fleet: Fleet) -> dict[str, str]:
    """Return everything that an agent might try: a name for each, and its URL."""
    found: dict[str, str] = {}
    for agent in ("library", "vault"):
        for address in fleet[agent].addresses:
            found[f"agent {agent}, {_family(address)}"] = _url("tcp", address, 8080)
        found[f"agent {agent}, its Service"] = _url("tcp", _service(kube, agent), 8080)
    found["API server, its Service"] = _url("tcp", _service(kube, "kubernetes", namespace="default"), 443)
    for host, port in _api_addresses(kube):
        found[f"API server, {_family(host)}"] = _url("tcp", host, port)
        for address in _node_addresses(kube):
            found[f"API server, {_family(address)}"] = _url("tcp", address, port)
    for address in _node_addresses(kube):
        found[f"kubelet, {_family(address)}"] = _url("tcp", address, 10250)
    dns = _service(kube, "kube-dns", namespace="kube-system")
    found["cluster DNS over UDP"] = _url("dns+udp", dns, 53)
    found["cluster DNS over TCP"] = _url("dns+tcp", dns, 53)
    for address in OUTSIDE:
        found[f"outside, {_family(address)}"] = _url("tcp", address, 80)
    found["cloud metadata"] = _url("tcp", METADATA, 80)
    return found


def arguments(found: dict[str, str]) -> list[str]:
    """Return what knock.py is told."""
    return [f"{name}={where}" for name, where in found.items()]


def answers(line: str) -> dict[str, Answer]:
    """Return what one line of knock.py says."""
    return {
        each["name"]: Answer(each["name"], each["where"], each["reached"], each["said"]) for each in json.loads(line)
    }


def knock_as_agent(kube: Kubectl, agent: str, found: dict[str, str]) -> dict[str, Answer]:
    """Knock on each door from inside an agent's container."""
    return answers(kube.run("exec", agent, "--", "python3", KNOCK, *arguments(found)))


def knock_as_pod(kube: Kubectl, pod: str, script: str, found: dict[str, str]) -> dict[str, Answer]:
    """Knock on each door from an ordinary pod, with the same program."""
    return answers(kube.run("exec", "--stdin", pod, "--", "python3", "-", *arguments(found), stdin=script))


def reached(found: dict[str, Answer]) -> list[str]:
    """Return the names of the doors that opened."""
    return [name for name, answer in found.items() if answer.reached]


def rows(columns: Sequence[tuple[str, dict[str, Answer]]]) -> list[tuple[str, ...]]:
    """Return a table of who reached what."""
    first = columns[0][1]
    head = ("TARGET", "ADDRESS", *(title for title, _ in columns))
    return [head, *((name, first[name].where, *(_said(found[name]) for _, found in columns)) for name in first)]


def _said(answer: Answer) -> str:
    return answer.said if answer.reached else f"refused ({answer.said})"


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _service(kube: Kubectl, name: str, *, namespace: str | None = None) -> str:
    found = kube.get("service", name, namespace=namespace) if namespace else kube.get("service", name)
    return str(found["spec"]["clusterIP"]) if found else "0.0.0.0"


def _api_addresses(kube: Kubectl) -> list[tuple[str, int]]:
    slices = kube.items("endpointslices", "--selector=kubernetes.io/service-name=kubernetes", namespace="default")
    return [
        (address, each["ports"][0]["port"])
        for each in slices
        for endpoint in each["endpoints"]
        for address in endpoint["addresses"]
    ]


def _node_addresses(kube: Kubectl) -> list[str]:
    node = kube.items("nodes")[0]
    return [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
