"""For tests of GitOps, with operator, gateway and sidecars as they are installed."""

from pathlib import Path

import pytest

from devcluster.binaries import build
from devcluster.step import Progress
from tests.e2e.connectors.conftest import alone, backends, world
from tests.e2e.gitops.kubectl import Kubectl
from tests.e2e.installation import Installation
from tests.e2e.kube import Kube

__all__ = ["alone", "backends", "world"]
HERE = Path(__file__).parent
TEST_SECONDS = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the first test's time that programs may have to be built for it; that is bounded by itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True), append=False)


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """What judges, and kubectl."""
    build(["judge", "kube"], Progress("GitOps"))


@pytest.fixture
def kubectl(kube: Kube, kubeconfig: Path, installed: Installation, backends: None) -> Kubectl:
    """kubectl, on a cluster with the product installed."""
    return Kubectl(kubeconfig)
