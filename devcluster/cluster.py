"""What a cluster is called, where its files are and which addresses it has."""

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.file import write

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS = REPOSITORY / ".devcluster/bin"  # commands for people
MAX_CLUSTERS = 64
# A name becomes part of a network interface's name, which the kernel limits to 15 characters.
NAME = re.compile(r"[a-z][a-z0-9-]{0,10}[a-z0-9]")


def cache_home() -> Path:
    """Return the directory of what may be built again: binaries, images, image layers."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringfence"


def state_home() -> Path:
    """Return the directory that holds one directory per cluster."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "ringfence"


@dataclass(frozen=True)
class Addresses:
    """The cluster's networks, told apart by its slot so that several clusters fit on one host."""

    slot: int

    def _v6(self, subnet: int) -> str:
        return f"fd52:f:{self.slot:x}:{subnet}"

    @property
    def host(self) -> tuple[str, str]:
        """The host's end of its link to the node."""
        return f"10.201.{self.slot}.1", f"{self._v6(1)}::1"

    @property
    def node(self) -> tuple[str, str]:
        """The node's addresses, where the API server and the kubelet listen."""
        return f"10.201.{self.slot}.2", f"{self._v6(1)}::2"

    @property
    def pods(self) -> tuple[str, str]:
        """The networks that pods get their addresses from."""
        return f"10.244.{self.slot}.0/24", f"{self._v6(2)}::/64"

    @property
    def services(self) -> tuple[str, str]:
        """The networks of Service addresses."""
        return f"10.96.{self.slot}.0/24", f"{self._v6(3)}::/112"

    @property
    def api_service(self) -> str:
        """The first Service address, which Kubernetes gives to the API server."""
        return f"10.96.{self.slot}.1"

    @property
    def dns_service(self) -> tuple[str, str]:
        """The cluster DNS."""
        return f"10.96.{self.slot}.10", f"{self._v6(3)}::a"

    @property
    def exit(self) -> tuple[str, str]:
        """The node's end of its link to the outside."""
        return f"10.202.{self.slot}.1", f"{self._v6(4)}::1"

    @property
    def outside(self) -> tuple[str, str]:
        """The outside's end of that link."""
        return f"10.202.{self.slot}.2", f"{self._v6(4)}::2"


@dataclass(frozen=True)
class Cluster:
    """One development cluster by name."""

    name: str
    slot: int

    @cached_property
    def state(self) -> Path:
        """Everything of this cluster on disk that ends with `down`."""
        return state_home() / self.name

    @cached_property
    def run(self) -> Path:
        """Sockets and runtime state: a short path, for a socket's may have 107 characters."""
        return Path("/run/ringfence") / self.name

    @cached_property
    def logs(self) -> Path:
        """One log file per component."""
        return self.state / "logs"

    @cached_property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @cached_property
    def containerd_root(self) -> Path:
        """Image layers; kept by `down`, so that a second `up` need not unpack them again."""
        return cache_home() / "containerd" / self.name

    @cached_property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return REPOSITORY / ".devcluster" / f"{self.name}.kubeconfig"

    @cached_property
    def audit_log(self) -> Path:
        """Every write that the API server served, one JSON object a line."""
        return self.state / "audit.log"

    @cached_property
    def outside_ca(self) -> Path:
        """The certificate of the authority that every server outside has its own from."""
        return self.pki / "outside-ca.crt"

    @cached_property
    def query_log(self) -> Path:
        """Every question that the name servers outside were asked, one JSON object a line."""
        return self.logs / "outside-queries.jsonl"

    @cached_property
    def connection_log(self) -> Path:
        """Every TCP connection that the servers outside were offered, one JSON object a line."""
        return self.logs / "outside-connections.jsonl"

    @cached_property
    def addresses(self) -> Addresses:
        """Where everything is."""
        return Addresses(self.slot)

    @property
    def node_name(self) -> str:
        """The name of the one node."""
        return f"ringfence-{self.name}"

    @property
    def netns(self) -> str:
        """The network namespace of the node."""
        return f"rf-{self.name}"

    @property
    def outside_netns(self) -> str:
        """The network namespace that plays the rest of the world."""
        return f"rf-{self.name}-out"

    @property
    def cgroup(self) -> str:
        """The cgroup, in every hierarchy, below which all pods are."""
        return f"rf-{self.name}"

    @property
    def server(self) -> str:
        """The API server's URL, reachable from the host."""
        return f"https://{self.addresses.node[0]}:6443"

    @property
    def etcd_metrics(self) -> str:
        """The URL of etcd's metrics."""
        return f"http://{self.addresses.node[0]}:2381/metrics"


def cluster_name() -> str:
    """Return the name asked for by $RINGFENCE_CLUSTER, or `dev`."""
    name = os.environ.get("RINGFENCE_CLUSTER") or "dev"
    if not NAME.fullmatch(name):
        raise DevclusterError(f"RINGFENCE_CLUSTER={name!r}: use 2 to 12 of a-z, 0-9 and '-', beginning with a letter")
    return name


def lock_file(name: str) -> Path:
    """Return the file to lock while a command changes the cluster."""
    return state_home() / f"{name}.lock"


def find_cluster(name: str) -> Cluster | None:
    """Return the cluster of that name if `up` has begun to make it."""
    try:
        return Cluster(name, int(json.loads(_record(name).read_text())["slot"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def claim_cluster(name: str) -> Cluster:
    """Return the cluster of that name; a new one gets a free slot. The caller holds the state lock."""
    if found := find_cluster(name):
        return found
    others = [find_cluster(path.parent.name) for path in state_home().glob("*/cluster.json")]
    taken = {other.slot for other in others if other}
    free = next((slot for slot in range(MAX_CLUSTERS) if slot not in taken), None)
    if free is None:
        raise DevclusterError(f"{MAX_CLUSTERS} clusters exist already; take one down first")
    write(_record(name), json.dumps({"slot": free}))
    return Cluster(name, free)


def _record(name: str) -> Path:
    return state_home() / name / "cluster.json"
