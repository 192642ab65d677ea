"""Operator and egress gateway as they are installed, and the test Internet behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from tests.e2e.escape.seats import Outside, Seats
from tests.e2e.installation import DEPLOYMENTS, OPERATOR, Installation, built_image, manifests
from tests.e2e.kube import Kube
from tests.e2e.operator_slot import OperatorSlot
from tests.e2e.together import MakeWorld
from tests.e2e.world import World


@pytest.fixture(scope="session")
def installed(kube: Kube, kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[Installation]:
    """Two replicas of each from this tree's manifests, instead of the operator from source."""
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENTS[OPERATOR]) is not None
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway")}
    found = Installation(kube, manifests(images))
    found.apply()
    yield found
    found.remove(keep=was_there)


@pytest.fixture
def world(kube: Kube, namespace: str, installed: Installation) -> MakeWorld:
    """For tests that run side by side."""
    return lambda: World(kube, namespace)


@pytest.fixture
def alone(kube: Kube, namespace: str, installed: Installation) -> Iterator[World]:
    """A world for a test that measures time, or breaks what others need."""
    with World(kube, namespace) as world:
        yield world


@pytest.fixture(scope="session")
def seats(kube: Kube, namespace: str, installed: Installation) -> Iterator[Seats]:
    """Agents and a pod for attacks that change nothing in the cluster."""
    with World(kube, namespace) as world:
        yield Seats.made(world)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    found = find_cluster(cluster_name())
    assert found is not None, "the outside belongs to the bare-machine cluster, which is not up"
    return found


@pytest.fixture
def outside(cluster: Cluster) -> Outside:
    """The test Internet, watched from now on."""
    return Outside.watched(cluster)
