"""The gateway as attacks look for it: its pods, the ports that they listen on, and each policy's place on them."""

from dataclasses import dataclass

from tests.e2e.doors import Doors
from tests.e2e.installation import GATEWAY, Installation
from tests.e2e.kube import Kube, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import PodHandle

OFFSETS = {80: 1, 443: 2}
_LISTENING = """
from pathlib import Path
rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
print(*sorted({int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}))
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a policy is served: its Service, and the first port of its block."""

    service: str
    address: str
    first_port: int

    @classmethod
    def of(cls, kube: Kube, namespace: str, policy: str) -> "Place":
        """Return the policy's place, once it has one."""
        path = address("SecurityPolicy", namespace, policy)
        found = kube.until(path, lambda it: bool(it and it.get("status", {}).get("gateway")))
        assert found is not None
        gateway = found["status"]["gateway"]
        return cls(gateway["service"], gateway["address"], 10_000 + 16 * int(gateway["service"].removeprefix("p-")))

    @property
    def path(self) -> str:
        """The Service's path."""
        return address("Service", SYSTEM_NAMESPACE, self.service)

    def doors(self, name: str, pods: list[PodHandle]) -> Doors:
        """Return the policy's Service, and its listeners at each pod."""
        doors: Doors = {f"{name} by its Service:{port}": ("tcp", self.address, port) for port in (53, 80, 443, 3128)}
        doors[f"{name} by its Service, DNS by UDP"] = ("udp", self.address, 53)
        for pod in pods:
            for ip in pod.ips():
                doors |= {f"{name} at {ip}, +{at}": ("tcp", ip, self.first_port + at) for at in (0, 1, 2)}
        return doors


def opened_from_ours(pod: PodHandle, doors: Doors, *, container: str) -> set[str]:
    """Return the names of the doors that are open to a pod of the product: of its own, those where something listens.

    Its images have no Python but the program's.
    """
    found: dict[str, str] = pod.script("knock", doors, container=container, python="/app/bin/python")
    return {name for name, outcome in found.items() if outcome == "open"}


def ports_of(installed: Installation, pod: PodHandle, *, container: str) -> list[int]:
    """Return every TCP port that listens in the pod."""
    ran = installed.kube.exec(pod.namespace, pod.name, ["/app/bin/python", "-c", _LISTENING], container=container)
    assert ran.code == 0, ran.err
    return [int(word) for word in ran.out.split()]


def gateway_doors(installed: Installation) -> dict[int, Doors]:
    """Return the doors of every port that any pod of the gateway listens on."""
    found: dict[int, Doors] = {}
    for pod in installed.pods(GATEWAY):
        for port in ports_of(installed, pod, container="names"):
            found.setdefault(port, {}).update({f"gateway {ip}:{port}": ("tcp", ip, port) for ip in pod.ips()})
    return found
