"""The back ends that connectors of tests lead to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.installation import BACKENDS, built_image
from tests.e2e.kube import Kube, address, address_of


@pytest.fixture(scope="session")
def backends(kube: Kube, kubeconfig: Path) -> Iterator[None]:
    """Redis, RabbitMQ and the stand-in for Snowflake, in the cluster."""
    bodies = yaml.safe_load(BACKENDS.read_text())["items"]
    (own,) = (body for body in bodies if body["kind"] == "Namespace")
    was_there = kube.get(address_of(own)) is not None
    image = built_image(kubeconfig, "backends")
    for body in bodies:
        if body["kind"] == "Deployment":
            assert body["spec"]["template"]["spec"]["containers"][0]["image"] == image
        kube.apply(body)
    for name in ("redis", "rabbitmq", "snowflake"):
        kube.until(
            address("Deployment", own["metadata"]["name"], name),
            lambda it: it is not None and it["status"].get("readyReplicas") == 1,
            seconds=120,
        )
    yield
    if not was_there:
        kube.delete(address_of(own))
