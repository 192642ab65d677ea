"""For tests of the chart, on a cluster without another installation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart.helm import Helm
from tests.e2e.connectors.conftest import backends
from tests.e2e.installation import DEPLOYMENTS, OPERATOR, Installation, built_image, manifests
from tests.e2e.kube import Kube
from tests.e2e.operator_slot import OperatorSlot

__all__ = ["backends"]


@pytest.fixture(scope="module")
def images(kubeconfig: Path) -> dict[str, str]:
    """The images of this tree, which are on the node."""
    return {name: built_image(kubeconfig, name) for name in ("operator", "gateway", "sidecar", "starter")}


@pytest.fixture(scope="module")
def helm(kube: Kube, kubeconfig: Path, images: dict[str, str], operator_slot: OperatorSlot) -> Iterator[Helm]:
    """Helm, and no operator; one that was installed otherwise is there again in the end."""
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENTS[OPERATOR]) is not None
    yield Helm(kubeconfig, images)
    if was_there:
        Installation(kube, manifests(images)).apply()
