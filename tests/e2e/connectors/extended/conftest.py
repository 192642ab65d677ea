"""For tests of what whoever installs the operator may add.

Here, that is a sidecar's image with a third party's kind in it, a collector, and a stream for the audit.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.connectors.extended.sinks import TOKEN, WRITER, Sinks
from tests.e2e.installation import REDIS, REDIS_SECRET, Installation, built_image, manifests
from tests.e2e.kube import Kube, address, address_of
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.together import MakeWorld
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
    namespace = f"rf-e2e-telemetry-{secrets.token_hex(3)}"
    kube.create(namespace_body(namespace))
    with World(kube, namespace) as world:
        yield Sinks.in_cluster(world, image=built_image(kubeconfig, "sidecar-kv"))
    kube.delete(address("Namespace", name=namespace))


@pytest.fixture(scope="package")
def extended(
    kube: Kube, kubeconfig: Path, installed: Installation, backends: None, sinks: Sinks
) -> Iterator[Installation]:
    """The session's installation with more settings; afterwards it is as it was."""
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway", "starter")}
    images["sidecar"] = built_image(kubeconfig, "sidecar-kv")
    found = Installation(kube, [REDIS_SECRET, SECRET, *manifests(images, **REDIS, **sinks.settings)])
    try:
        found.apply()
        yield found
    finally:
        installed.apply()
        kube.delete(address_of(SECRET))


@pytest.fixture
def world(world: MakeWorld, extended: Installation) -> MakeWorld:
    """For tests that run side by side."""
    return world


@pytest.fixture
def alone(alone: World, extended: Installation) -> World:
    """A world for a test that reads what the collector or the stream got."""
    return alone
