"""A cluster with the product as it is installed, the Redis that sidecars share, and what else calls need."""

from collections.abc import Sequence

import yaml

from bench.egress.bed import Bed
from devcluster.backends import ensure_backends
from devcluster.images import backends
from devcluster.step import Progress
from devcluster.up import load_images
from tests.e2e.installation import BACKENDS, REDIS, REDIS_SECRET, manifests
from tests.e2e.kube import Body, address

NAMESPACE = "ringfence-backends"
_SHARED = {("Namespace", NAMESPACE), ("ConfigMap", "backends")}


class Cluster(Bed):
    """Its network plug-in keeps limits on bandwidth, and the operator is told so; `servers` run there besides."""

    def __init__(
        self, name: str, progress: Progress, *, is_quick: bool = False, servers: Sequence[str] = ("redis",)
    ) -> None:
        super().__init__(name, progress, is_quick=is_quick)
        self._servers = servers

    def manifests(self, images: dict[str, str]) -> list[Body]:
        """Return what is installed, with the images by their names."""
        return [REDIS_SECRET, *manifests(images, **REDIS, bandwidth_annotations="true")]

    def open(self, *, is_fresh: bool) -> None:
        """Bring the cluster up and install what this tree is, and the servers."""
        super().open(is_fresh=is_fresh)
        ensure_backends(self.progress)
        load_images(self.cluster, self.progress, [backends()])
        wanted = _SHARED | {(kind, server) for server in self._servers for kind in ("Deployment", "Service")}
        for body in yaml.safe_load(BACKENDS.read_text())["items"]:
            if (body["kind"], body["metadata"]["name"]) in wanted:
                self.kube.apply(body)
        for server in self._servers:
            self.kube.until(
                address("Deployment", NAMESPACE, server),
                lambda it: it is not None and it["status"].get("readyReplicas") == 1,
                seconds=120,
            )
