"""For tests of what whoever installs the operator may add.

Here, that is a sidecar's image with a third party's kind in it, a collector, and a stream for the audit.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REDIS, REDIS_SECRET
from tests.e2e.connectors.extended.sinks import TOKEN, WRITER, Sinks
from tests.e2e.installation import Installation, built_image, manifests
from tests.e2e.kube import Kube, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World, namespace_body

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "ringfence-telemetry", "namespace": SYSTEM_NAMESPACE},
    "stringData": {"token": TOKEN, "stream": ":".join(WRITER)},
}


@pytest.fixture(scope="package")
def sinks(kube: Kube, kubeconfig: Path) -> Iterator[Sinks]:
    """The collector, in a namespace of its own."""
    namespace = "rf-e2e-telemetry"
    kube.create(namespace_body(namespace))
    with World(kube, namespace) as world:
        yield Sinks.in_cluster(world, image=built_image(kubeconfig, "sidecar-kv"))
    kube.delete(address("Namespace", name=namespace))


@pytest.fixture(scope="package")
def installed(
    kube: Kube, kubeconfig: Path, installed: Installation, backends: None, sinks: Sinks
) -> Iterator[Installation]:
    """The installation with other settings; the usual one comes back after these tests."""
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway")}
    images["sidecar"] = built_image(kubeconfig, "sidecar-kv")
    found = Installation(kube, [REDIS_SECRET, SECRET, *manifests(images, **REDIS, **sinks.settings)])
    found.apply()
    yield found
    kube.delete(address("Secret", SYSTEM_NAMESPACE, "ringfence-telemetry"))
    installed.apply()
