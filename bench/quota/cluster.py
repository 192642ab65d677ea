"""A cluster with the product as it is installed, and the Redis that sidecars share."""

import yaml

from bench.egress.bed import Bed
from devcluster.backends import ensure_backends
from devcluster.images import backends
from devcluster.up import load_images
from tests.e2e.installation import BACKENDS, REDIS, REDIS_SECRET, manifests
from tests.e2e.kube import Body, address

NAMESPACE = "ringfence-backends"
_WANTED = {("Namespace", NAMESPACE), ("ConfigMap", "backends"), ("Deployment", "redis"), ("Service", "redis")}


class Cluster(Bed):
    """Its network plug-in keeps limits on bandwidth, and the operator is told so."""

    def manifests(self, images: dict[str, str]) -> list[Body]:
        """Return what is installed, with the images by their names."""
        return [REDIS_SECRET, *manifests(images, **REDIS, bandwidth_annotations="true")]

    def open(self, *, is_fresh: bool) -> None:
        """Bring the cluster up and install what this tree is, and Redis."""
        super().open(is_fresh=is_fresh)
        ensure_backends(self.progress)
        load_images(self.cluster, self.progress, [backends()])
        for body in yaml.safe_load(BACKENDS.read_text())["items"]:
            if (body["kind"], body["metadata"]["name"]) in _WANTED:
                self.kube.apply(body)
        self.kube.until(
            address("Deployment", NAMESPACE, "redis"),
            lambda it: it is not None and it["status"].get("readyReplicas") == 1,
            seconds=120,
        )
