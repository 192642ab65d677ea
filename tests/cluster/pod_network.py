"""Long-lived pods to probe a network from, and what they find."""

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcluster.binaries import binary
from tests.cluster.api_server import Answer, ApiServer, Body

IMAGE = "docker.io/library/python:3.11-slim-bookworm"
PORTS = {"web": 8080, "admin": 8081, "low": 9000, "high": 9002}
IN_POD = Path(__file__).parent / "in_pod"


def program(name: str, *arguments: object) -> list[str]:
    """Return the command that runs one of the programs beside this module in a pod."""
    return ["python3", "-u", "-c", (IN_POD / f"{name}.py").read_text(), *map(str, arguments)]


def build_pod(namespace: str, name: str, labels: dict[str, str], command: list[str], **container: Any) -> Body:
    """Return a pod that runs `command` and dies at once when told to."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": IMAGE, "command": command, **container}],
        },
    }


def build_server(namespace: str, name: str, labels: dict[str, str], web: int) -> Body:
    """Return a pod that echoes on every port of `PORTS`; its port *named* `web` has the number `web`."""
    return build_pod(
        namespace, name, labels, program("echo", *PORTS.values()), ports=[{"name": "web", "containerPort": web}]
    )


def is_ready(answer: Answer) -> bool:
    """True if the pod's status says Ready."""
    conditions = answer.body.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


class Shell:
    """A prober in a pod, at the other end of one `kubectl exec`."""

    def __init__(self, kubeconfig: Path, namespace: str, pod: str) -> None:
        where = [f"--kubeconfig={kubeconfig}", "exec", "--stdin", f"--namespace={namespace}", pod, "--"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([*kubectl(), *where, *program("probe")], stdin=pipe, stdout=pipe, text=True)

    def ask(self, **request: object) -> Any:
        """Return the prober's answer to one request."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the prober ended"
        return json.loads(line)

    def close(self) -> None:
        with self._process:
            self._process.kill()


@dataclass
class Network:
    """The pods by name, their addresses, and other names for addresses to probe."""

    addresses: dict[str, list[str]]
    shells: dict[str, Shell] = field(default_factory=dict)

    def targets(self, probe: str) -> tuple[str, list[list[object]]]:
        """Return who asks and what: `a b:web` is both families, `a b:web/udp6` is UDP over IPv6."""
        source, _, rest = probe.partition(" ")
        where, _, how = rest.partition("/")
        name, _, port = where.partition(":")
        protocol, family = how.rstrip("46") or "tcp", how.lstrip("tcpuds")
        hosts = [ip for ip in self.addresses[name] if family in ("", "6" if ":" in ip else "4")]
        return source, [[protocol, host, PORTS.get(port) or int(port)] for host in hosts]

    def open_probes(self, probes: list[str]) -> dict[str, bool | None]:
        """Return whether each probe is answered; None where only one IP family is."""
        asked: dict[str, list[tuple[str, list[list[object]]]]] = {}
        for probe in probes:
            source, targets = self.targets(probe)
            asked.setdefault(source, []).append((probe, targets))
        found: dict[str, bool | None] = {}
        with ThreadPoolExecutor(len(asked)) as pool:
            for answer in pool.map(self._ask, asked, asked.values()):
                found.update(answer)
        return found

    def _ask(self, source: str, probes: list[tuple[str, list[list[object]]]]) -> dict[str, bool | None]:
        replies = self.shells[source].ask(probe=[target for _, targets in probes for target in targets])
        found: dict[str, bool | None] = {}
        for probe, targets in probes:
            mine, replies = set(replies[: len(targets)]), replies[len(targets) :]
            found[probe] = mine.pop() if len(mine) == 1 else None
        return found

    def settles(self, *, allowed: list[str], refused: list[str], seconds: float = 3) -> None:
        """Return once exactly this is so; fail with what is not after `seconds`."""
        expected: dict[str, bool | None] = {**dict.fromkeys(allowed, True), **dict.fromkeys(refused, False)}
        deadline = time.monotonic() + seconds
        while (found := self.open_probes(list(expected))) != expected:
            wrong = {probe: found[probe] for probe in expected if found[probe] != expected[probe]}
            assert time.monotonic() < deadline, f"answered (None: by one IP family only): {wrong}"


def pod_addresses(kube: ApiServer, pod: Body, *, seconds: float = 60) -> list[str]:
    """Return the addresses of a pod once it is Ready."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    status = kube.wait(path, is_ready, seconds=seconds).body["status"]
    return [each["ip"] for each in status["podIPs"]]


def kubectl() -> list[str]:
    """Return the command that talks to the cluster."""
    ours = binary("kube")
    return [str(ours), "kubectl"] if ours.exists() else [shutil.which("kubectl") or "kubectl"]
