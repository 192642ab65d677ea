"""The cluster with the product as it is installed, and what the measurements of the egress gateway share."""

import itertools
import time
from collections.abc import Sequence

from bench.audit import AuditLog
from bench.egress.gateway import GatewayPod
from bench.egress.traffic import Seat, traffic_image
from bench.report import Measured
from bench.usage import Busy
from devcluster.addons import apply
from devcluster.cluster import REPOSITORY, Cluster
from devcluster.down import down
from devcluster.process import running
from devcluster.product_images import gateway, operator, sidecar
from devcluster.step import Progress
from devcluster.up import load_images, up
from tests.e2e.installation import GATEWAY, OPERATOR, Installation, manifests
from tests.e2e.kube import Body, Kube, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import PodHandle, is_ready, is_true

NAME, ADDRESS = "api.test", "203.0.113.11"
"""What agents fetch from, and where it is."""
REFUSED = "web.example"
NAMES = 10
"""Allowed names of each policy, where there are many."""
API = "ringfence.dev/v1alpha1"
SERVICES = "10.97.0.0/20"
"""Addresses for Services besides the cluster's own few: each policy has one."""
PORTS = {"control": 8081, "names": 8082}


class Bed(Measured):
    """A cluster of its own with two operators and two gateways; everything ends with `close`."""

    def __init__(self, name: str, progress: Progress, *, is_quick: bool = False, names: int = NAMES) -> None:
        super().__init__(progress, is_quick=is_quick)
        self.names = names
        self._name = name
        self._numbers = itertools.count(1)
        self._spaces: list[str] = []

    def open(self, *, is_fresh: bool) -> None:
        """Bring the cluster up and install what this tree is."""
        if is_fresh:
            down(self._name)
        self.cluster: Cluster = up(self._name, self.progress)
        self.kube = Kube(self.cluster.kubeconfig)
        self.audit = AuditLog(self.cluster.audit_log)
        images = {"operator": operator(), "gateway": gateway(), "sidecar": sidecar(), "traffic": traffic_image()}
        load_images(self.cluster, self.progress, list(images.values()))
        self.image, self.gateway_image = images["traffic"].reference, images["gateway"].reference
        with self.progress.step("operator and gateway installed", announce=True):
            for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
                apply(self.cluster, path.read_text())
            self._more_services()
            found = self.manifests({name: image.reference for name, image in images.items()})
            self.installed = Installation(self.kube, sorted(found, key=lambda body: body["kind"] != "Namespace"))
            self.installed.apply()
            self.eventually(lambda: self.gauge("ringfence_control_gateways") >= 2, "both gateways are connected")

    def manifests(self, images: dict[str, str]) -> list[Body]:
        """Return what is installed, with the images by their names."""
        return manifests(images)

    def _more_services(self) -> None:
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "bench"},
            "spec": {"cidrs": [SERVICES]},
        }
        path = "/apis/networking.k8s.io/v1/servicecidrs"
        if self.kube.get(f"{path}/bench") is None:
            self.kube.request("POST", path, body)

    def clear(self) -> None:
        """Take away what a measurement has made."""
        for space in self._spaces:
            self.kube.delete(address("Namespace", name=space))
        for space in self._spaces:
            self.kube.until(address("Namespace", name=space), lambda found: found is None, seconds=300)
        self._spaces.clear()
        # A port set is given back some seconds later, and that is a write, too.
        self.eventually(lambda: not self._port_sets(), "port sets are given back", timeout=300, step=0.5)

    def _port_sets(self) -> list[str]:
        names = (each["metadata"]["name"] for each in self.kube.items(address("Service", SYSTEM_NAMESPACE)))
        return [name for name in names if name.startswith("p-")]

    def close(self) -> None:
        """Take the cluster down."""
        down(self._name)

    def namespace(self) -> str:
        """Make a namespace that enforces Pod Security `restricted`."""
        name = f"bench-{next(self._numbers)}-{int(time.time())}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        self._spaces.append(name)
        return name

    def policy(self, namespace: str, name: str, network: Body) -> None:
        """Create a SecurityPolicy."""
        self.kube.create(policy(namespace, name, network))

    def until_enforced(self, namespace: str, name: str) -> Body:
        """Return the policy once it is in force on both gateways."""
        found = self.kube.until(address("SecurityPolicy", namespace, name), is_enforced, seconds=120)
        assert found is not None
        return found

    def seat(self, namespace: str, name: str, network: Body, *, cpu: str = "4") -> Seat:
        """Return an agent that is Ready, under a policy of its own, with that limit of CPU."""
        self.policy(namespace, name, network)
        gateway = self.until_enforced(namespace, name)["status"]["gateway"]
        resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": cpu, "memory": "512Mi"}}
        spec = {"image": self.image, "securityPolicyRef": {"name": name}, "resources": resources}
        made = {"apiVersion": API, "kind": "Agent", "metadata": {"namespace": namespace, "name": name}, "spec": spec}
        self.kube.create(made)
        path = address("Agent", namespace, name)
        agent = self.kube.until(path, is_ready, seconds=120)
        assert agent is not None
        pod = agent["status"].get("podName", name)
        return Seat(self.kube, namespace, pod, gateway=gateway["address"], name=NAME, direct=ADDRESS)

    def change(self, namespace: str, name: str, network: Body) -> float:
        """Write other fields into a policy's network; return when the write was sent, in Unix seconds."""
        sent = time.time()
        self.kube.merge(address("SecurityPolicy", namespace, name), {"spec": {"network": network}})
        return sent

    def gateways(self) -> list[GatewayPod]:
        """Return the ready pods of the gateway."""
        return [GatewayPod.of(pod.get()) for pod in self.installed.pods(GATEWAY)]

    def page(self, pod: PodHandle, path: str, *, port: int) -> str:
        """Return a page that a pod serves. Raises RefusedError."""
        where = f"{address('Pod', SYSTEM_NAMESPACE)}/http:{pod.name}:{port}/proxy{path}"
        return str(self.kube.request("GET", where)["message"])

    def gauge(self, metric: str) -> float:
        """Return the sum of a metric of all control processes."""
        pages = [self.page(pod, "/metrics", port=PORTS["control"]) for pod in self.installed.pods(OPERATOR)]
        lines = (line for page in pages for line in page.splitlines() if line.startswith((f"{metric}{{", f"{metric} ")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def busy(self) -> Busy:
        """Return what has been used so far by the machine, by the cluster and by the gateways."""
        pids = {name: process.pid for name, process in running(self.cluster).items()}
        for number, each in enumerate(self.gateways(), 1):
            pids |= {f"envoy-{number}": each.envoy, f"names-{number}": each.names}
        return Busy.now({name: pid for name, pid in pids.items() if pid})

    def count(self, full: int, quick: int) -> int:
        """Return how many samples are taken."""
        return quick if self.is_quick else full

    def rest(self, seconds: float = 2.0) -> None:
        """Let the machine become quiet: what was just done must not be part of the next measurement."""
        time.sleep(seconds)


def policy(namespace: str, name: str, network: Body) -> Body:
    """Return a SecurityPolicy."""
    meta = {"namespace": namespace, "name": name}
    return {"apiVersion": API, "kind": "SecurityPolicy", "metadata": meta, "spec": {"network": network}}


def allowing(*names: str, **more: object) -> Body:
    """Return a policy's network that opens these names."""
    return {"allowedDomains": [{"name": name} for name in names], **more}


def is_enforced(found: Body | None, *, replicas: int = 2) -> bool:
    """True if so many gateway replicas have the policy's present generation in force."""
    if found is None or not is_true(found, "Enforced"):
        return False
    generation = found["metadata"]["generation"]
    told: Sequence[Body] = (found["status"].get("gateway") or {}).get("replicas", ())
    return len([each for each in told if each["generation"] == generation]) >= replicas
