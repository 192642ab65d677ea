"""A cluster of its own on which releases come and go."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from bench.audit import AuditLog
from bench.report import Measured
from bench.upgrade.inventory import Thing, inventory
from devcluster.backends import ensure_backends
from devcluster.binaries import STARTERS, binary, build
from devcluster.containerd import ctr
from devcluster.down import down
from devcluster.images import backends, build_image
from devcluster.product_images import gateway, operator, sidecar, starter
from devcluster.step import Progress
from devcluster.up import load_images, up
from tests.e2e.chart.helm import Helm
from tests.e2e.installation import BACKENDS
from tests.e2e.kube import Kube, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import namespace_body
from tools.chart import CHART

NAMESPACE, QUICKSTART, SERVERS = "bench-upgrade", "ringfence-demo", "ringfence-backends"
BROKER = {("Namespace", SERVERS), ("ConfigMap", "backends"), ("Deployment", "rabbitmq"), ("Service", "rabbitmq")}
REQUESTS = tuple(
    f"--set={name}.resources.requests.cpu=40m"
    for name in ("operator", "operator.control", "gateway.envoy", "gateway.names")
)
"""Two CPUs have room for the chart's own requests, or for those of fifty sidecars."""
KINDS = ("agents", "agentpools", "connectors", "quotas", "securitypolicies")


class Bed(Measured):
    """A cluster with this tree's images on its node, and nothing of Ringfence installed.

    `agents` are at work during an upgrade from the commit `previous`, or one that is found.
    """

    def __init__(
        self, name: str, progress: Progress, *, agents: int, previous: str | None = None, is_quick: bool = False
    ) -> None:
        super().__init__(progress, is_quick=is_quick)
        self.name, self.agents, self.previous = name, agents, previous
        self.images: dict[str, str] = {}
        self.load_seconds = 0.0
        """How long it took to load them."""

    def open(self, *, is_fresh: bool) -> None:
        """Bring the cluster up and load the images."""
        if is_fresh:
            down(self.name, purge=True)  # what was unpacked for others would not be loaded
        self.cluster = up(self.name, self.progress)
        self.kube = Kube(self.cluster.kubeconfig)
        self.audit = AuditLog(self.cluster.audit_log)
        build([*STARTERS], self.progress)
        made = {"operator": operator(), "gateway": gateway(), "sidecar": sidecar(), "starter": starter()}
        for image in made.values():
            build_image(image, self.progress)
        began = time.monotonic()
        load_images(self.cluster, self.progress, list(made.values()))
        self.load_seconds = time.monotonic() - began
        self.images = {name: image.reference for name, image in made.items()}
        build(["helm"], self.progress)
        self.clear()
        self.empty: frozenset[Thing] = inventory(self.kube)

    def close(self) -> None:
        """Take the cluster down."""
        down(self.name)

    def helm(self) -> Helm:
        """Return this tree's release."""
        return Helm(self.cluster.kubeconfig, self.images)

    def name_as_released(self) -> None:
        """Give the images the names by which the chart knows them, as a registry would."""
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        for reference in self.images.values():
            ctr(self.cluster, "images", "tag", "--force", reference, f"{reference.rpartition(':')[0]}:{version}")

    @contextmanager
    def programs(self) -> Iterator[Path]:
        """A directory with Helm in it."""
        with tempfile.TemporaryDirectory(prefix="ringfence-") as scratch:
            (Path(scratch) / "helm").symlink_to(binary("helm"))
            yield Path(scratch)

    def broker(self) -> None:
        """Have the RabbitMQ of the demo."""
        ensure_backends(self.progress)
        load_images(self.cluster, self.progress, [backends()])
        for body in yaml.safe_load(BACKENDS.read_text())["items"]:
            if (body["kind"], body["metadata"]["name"]) in BROKER:
                self.kube.apply(body)
        self.kube.until(
            address("Deployment", SERVERS, "rabbitmq"),
            lambda it: it is not None and it["status"].get("readyReplicas") == 1,
            seconds=120,
        )

    def namespace(self) -> str:
        """Have a namespace for agents, which `clear` takes away."""
        self.kube.apply(namespace_body(NAMESPACE))
        return NAMESPACE

    def clear(self) -> None:
        """Leave nothing of a release, nor of what was made under it."""
        self.helm().uninstall()
        self.remove_namespaces(NAMESPACE, QUICKSTART, SERVERS, SYSTEM_NAMESPACE)
        for plural in KINDS:
            path = address("CustomResourceDefinition", name=f"{plural}.ringfence.dev")
            self.kube.delete(path)
            self.kube.until(path, lambda found: found is None, seconds=120)

    def remove_namespaces(self, *names: str) -> None:
        """Delete namespaces, and return when they are gone."""
        for name in names:
            self.kube.delete(address("Namespace", name=name))
        for name in names:
            self.kube.until(address("Namespace", name=name), lambda found: found is None, seconds=300)
