"""The promise of an upgrade: agents and their calls notice nothing of it, and their statuses tell what they lack."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart.helm import Helm
from tests.e2e.connectors.backend import reason
from tests.e2e.connectors.callers import publishing
from tests.e2e.connectors.calls import rabbitmq
from tests.e2e.kube import Kube
from tests.e2e.world import World, condition

SECONDS, CALLS = 0.2, 20
"""Time from one call to the next, and how many of an agent meanwhile are enough to tell by."""


@pytest.fixture
def former(kubeconfig: Path, helm: Helm, images: dict[str, str]) -> Iterator[Helm]:
    """A release of other images: to Kubernetes, and to the operator, an image is another if its name is."""
    yield Helm(kubeconfig, {name: image.removeprefix("docker.io/") for name, image in images.items()})
    helm.uninstall()


@pytest.mark.usefixtures("backends")
def test_no_agent_and_no_call_of_one_notices_an_upgrade_that_brings_another_sidecar(
    kube: Kube, namespace: str, helm: Helm, former: Helm, images: dict[str, str]
) -> None:
    former.install()
    with World(kube, namespace) as world:
        callers = publishing(world, rabbitmq(world), 3, every=SECONDS)
        before, since = [each.traces() for each in callers], time.time()

        helm.install()
        told = [each.agent.until(lambda it: reason(it, "SidecarOutdated")) for each in callers]
        seen = time.time()
        for each in callers:
            each.until_served(since=seen)

        calls = [each.calls(since=since) for each in callers]
        outdated = [condition(body, "SidecarOutdated") for body in told]
        assert [call for found in calls for call in found if call.has_failed] == []
        assert min(len(found) for found in calls) >= CALLS
        assert [each.traces() for each in callers] == before
        assert [each and each["status"] for each in outdated] == ["True"] * 3
        assert all(each and f"the operator has {images['sidecar']} now" in each["message"] for each in outdated)
