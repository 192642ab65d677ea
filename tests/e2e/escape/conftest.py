"""For tests from the agent's seat, with operator and egress gateway as they are installed."""

from collections.abc import Iterator

import pytest

from devcluster.cluster import Cluster, cluster_name, find_cluster
from tests.e2e.egress.fixtures import alone, world
from tests.e2e.escape.seats import Outside, Seats
from tests.e2e.installation import Installation
from tests.e2e.kube import Kube
from tests.e2e.world import World

__all__ = ["alone", "world"]


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
